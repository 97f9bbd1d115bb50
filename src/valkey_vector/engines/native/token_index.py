"""Token index of the native engine's replica: the rows of each token, and the tokens of each metadata key.

Rows are only added. Readers ignore the rows of deleted documents until `TokenIndex.pack` removes them.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.native.matrix import Mask
from valkey_vector.records.tokens import HAS_VECTOR, escape

__all__ = ["RowNumbers", "TokenIndex"]

RowNumbers = NDArray[np.uintc]

_NO_ROWS: RowNumbers = np.zeros(0, dtype=np.uintc)
_MARK = re.compile("_[^0-9a-f]")


class TokenIndex:
    """The tokens of one index. Not thread-safe.

    The arrays that `rows` returns share memory with the index: release them before the next call of `add`.
    """

    def __init__(self) -> None:
        self._rows: dict[str, array[int]] = {}
        self._clear_keys()

    def _clear_keys(self) -> None:
        self._of_key: dict[str, list[str]] = {}
        self._hashed: list[str] = []
        self._split = 0

    def add(self, row: int, tokens: Iterable[str]) -> None:
        """Add the tokens of a new row; it must be greater than all rows before."""
        known = self._rows
        for token in tokens:
            rows = known.get(token)
            if rows is None:
                known[token] = array("I", (row,))
            elif rows[-1] != row:
                rows.append(row)

    def rows(self, token: str) -> RowNumbers:
        """The rows with a token, ascending."""
        rows = self._rows.get(token)
        return _NO_ROWS if rows is None else np.frombuffer(rows, dtype=np.uintc)

    def mask(self, tokens: Iterable[str], used: int) -> Mask:
        """A mask of `used` rows: True for a row with at least one of the tokens."""
        mask = np.zeros(used, dtype=np.bool_)
        for token in tokens:
            mask[self.rows(token)] = True
        return mask

    def of_key(self, key: str) -> list[tuple[str, str]]:
        """The tokens of a metadata key, each with its part after the marker's underscore.

        Cost: the tokens that are new since the last call are split once.
        """
        self._split_tokens()
        start = len(escape(key)) + 1
        return [(token, token[start:]) for token in self._of_key.get(escape(key), ())]

    def hashed(self) -> Sequence[str]:
        """The tokens that are digests, so that neither key nor value can be read from them."""
        self._split_tokens()
        return self._hashed

    def pairs(self, tokens: Collection[tuple[str, int]]) -> tuple[RowNumbers, NDArray[np.intp]]:
        """The rows of many tokens in one array, and in a second one the number that is passed with each token."""
        found = [self._rows[token] for token, _ in tokens]
        rows: RowNumbers = np.frombuffer(b"".join(found), dtype=np.uintc)
        numbers = np.fromiter((number for _, number in tokens), dtype=np.intp, count=len(tokens))
        return rows, np.repeat(numbers, [len(each) for each in found])

    def pack(self, moved: NDArray[np.int64]) -> None:
        """Renumber the rows, and remove those without a new number (-1)."""
        for token, rows in list(self._rows.items()):
            numbers = moved[np.frombuffer(rows, dtype=np.uintc)]
            retained = numbers[numbers >= 0]
            if len(retained):
                self._rows[token] = array("I", retained.astype(np.uintc).tobytes())
            else:
                del self._rows[token]
        self._clear_keys()

    def _split_tokens(self) -> None:
        for token in islice(self._rows, self._split, None):
            mark = _MARK.search(token)
            if mark is not None:
                self._of_key.setdefault(token[: mark.start()], []).append(token)
            elif token != HAS_VECTOR:
                self._hashed.append(token)
        self._split = len(self._rows)
