"""Token index of the native engine's replica: the rows of each token, and the tokens of each metadata key.

A token has a number, and each token of each row is one entry of two arrays. New entries wait in the order of the rows. A
reader first sorts them by token if they are many, and otherwise looks through them. Rows are only added. Readers ignore the
rows of deleted documents until `TokenIndex.pack` removes them.

Many rows that are added together, such as those of a first load, wait as compressed text until something reads the index: a
search without a filter does not need it.
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.native.freed_memory import return_freed_memory
from valkey_vector.engines.native.matrix import Mask
from valkey_vector.engines.native.packed_keys import PackedKeys, packed_keys
from valkey_vector.engines.native.spelled_values import SpelledValues
from valkey_vector.records.tokens import HAS_VECTOR, escape

__all__ = ["RowNumbers", "TokenIndex"]

RowNumbers = NDArray[np.uint32]

_MARK = re.compile("_[^0-9a-f]")

_WAITING = 16_384
"""Number of new entries from which on they can be sorted in."""

_SHARE = 8
"""New entries are sorted in when they are more than one in this many of the others."""

_FREQUENT = 20_000
"""Largest number of tokens whose numbers are kept in a dict, which is faster than searching for them."""


_MANY = 100
"""Number of rows that are added together from which on they wait until something reads the index."""

_MOST_LATER = 5_000
"""Largest number of additions that wait: each takes some memory of its own."""

_LARGE = 500_000
"""Number of sorted entries from which on the memory of sorting is returned to the operating system."""

_KEPT = 20_000
"""Largest number of tokens of a key whose decoded values are kept for the next call."""

_FASTEST = 1
"""Level of the compression. Token lists are so repetitive that higher levels save little."""


class TokenIndex:
    """The tokens of one index. Not thread-safe."""

    def __init__(self) -> None:
        self._tokens = PackedKeys()
        self._frequent: dict[str, int] = {}
        # Rows, lengths and text of each addition that waits; the text of few rows is not compressed.
        self._later: deque[tuple[RowNumbers, NDArray[np.uint32], bytes]] = deque()
        self._clear_new()
        self._starts: NDArray[np.int64] = np.zeros(1, dtype=np.int64)
        self._rows: RowNumbers = np.zeros(0, dtype=np.uint32)
        self._clear_keys()

    def _clear_new(self) -> None:
        # The tokens of new rows, the rows, and the number of tokens of each.
        self._new_tokens, self._new_rows, self._new_sizes = array("I"), array("I"), array("I")

    def _clear_keys(self) -> None:
        self._of_key: dict[str, list[tuple[int, str]]] = {}
        self._hashed: list[int] = []
        self._split = 0
        self._spelled: dict[str, SpelledValues] = {}

    def add(self, rows: NDArray[np.integer], lists: Sequence[bytes]) -> None:
        """Add the tokens of new rows.

        Args:
            rows: the rows, ascending and greater than all before.
            lists: the tokens of each, separated by commas.
        """
        numbers = rows.astype(np.uint32)
        lengths = np.fromiter(map(len, lists), np.uint32, len(lists))
        joined = b",".join(lists)
        if len(lists) >= _MANY:
            joined = zlib.compress(joined, _FASTEST)
        elif not self._later:
            self._add(numbers, lengths, joined)
            return
        self._later.append((numbers, lengths, joined))
        if len(self._later) > _MOST_LATER:
            self._add_later()

    def _add_later(self) -> None:
        """Add the rows that wait as compressed text. After an interruption, the next call goes on."""
        if not self._later:
            return
        while self._later:
            rows, lengths, joined = self._later[0]
            self._add(rows, lengths, zlib.decompress(joined) if len(rows) >= _MANY else joined)
            self._later.popleft()
        self._tokens.settle()

    def _add(self, rows: RowNumbers, lengths: NDArray[np.uint32], joined: bytes) -> None:
        """Add the tokens of rows.

        Args:
            rows: the rows.
            lengths: number of bytes of each list.
            joined: the lists, with a comma between two of them.
        """
        ends = np.cumsum(lengths.astype(np.int64) + 1)
        commas = np.flatnonzero(np.frombuffer(joined, dtype=np.uint8) == ord(","))
        # The comma after each row but the last counts as its own.
        sizes = np.diff(np.searchsorted(commas, ends), prepend=0)
        sizes[-1] += 1
        tokens = joined.decode("ascii", "replace").split(",")
        numbers = self._numbers(tokens)  # before the first array grows, because it can take long
        self._new_tokens.frombytes(numbers.astype(np.uint32).tobytes())
        self._new_rows.frombytes(rows.tobytes())
        self._new_sizes.frombytes(sizes.astype(np.uint32).tobytes())

    def _numbers(self, tokens: Sequence[str]) -> NDArray[np.int64]:
        """Return the numbers of tokens; new ones get one."""
        frequent = self._frequent
        known = map(frequent.get, tokens, repeat(-1))
        numbers: NDArray[np.int64] = np.fromiter(known, np.int64, len(tokens))
        rare = np.flatnonzero(numbers < 0)
        if len(rare):
            texts = [tokens[at] for at in rare.tolist()]
            numbers[rare] = found = self._tokens.add_all(texts)
            if len(frequent) < _FREQUENT:
                _, first, counts = np.unique(found, return_index=True, return_counts=True)
                for at in first[counts > 1].tolist():
                    frequent[texts[at]] = int(found[at])
        return numbers

    def rows(self, token: str) -> RowNumbers:
        """The rows with a token, ascending."""
        self._add_later()
        number = self._tokens.find(token)
        return self.pairs([(number, 0)] if number >= 0 else [])[0]

    def mask(self, tokens: Iterable[str], used: int) -> Mask:
        """A mask of `used` rows: True for a row with at least one of the tokens."""
        self._add_later()
        return self.mask_of([self._tokens.find(token) for token in tokens], used)

    def mask_of(self, numbers: Sequence[int], used: int) -> Mask:
        """`mask` for tokens by number; -1 stands for a token that no row has."""
        self._sort()
        mask = np.zeros(used, dtype=np.bool_)
        known = [number for number in numbers if number >= 0]
        for number in known:
            if number < len(self._starts) - 1:
                rows = self._rows[self._starts[number] : self._starts[number + 1]]
                if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
                    mask[rows[0] : rows[-1] + 1] = True  # faster than a list of rows
                else:
                    mask[rows] = True
        if known and self._new_tokens:
            chosen = np.array(known, dtype=np.int64)
            mask[self._among_new(chosen, np.zeros_like(chosen))[0]] = True
        return mask

    def of_key(self, key: str) -> list[tuple[int, str]]:
        """The numbers of the tokens of a metadata key, each with its part after the marker's underscore.

        Cost: the tokens that are new since the last call are split once.
        """
        self._split_tokens()
        return self._of_key.get(escape(key), [])

    def spelled(self, key: str) -> SpelledValues:
        """The values of a metadata key that its tokens spell. They are kept if they are few."""
        if len(self.of_key(key)) > _KEPT:
            self._spelled.pop(key, None)
            return SpelledValues()
        return self._spelled.setdefault(key, SpelledValues())

    def hashed(self) -> Sequence[int]:
        """The numbers of tokens that are digests, so that neither key nor value can be read from them."""
        self._split_tokens()
        return self._hashed

    def pairs(
        self, tokens: Sequence[tuple[int, int]] | NDArray[np.int64]
    ) -> tuple[RowNumbers, NDArray[np.int64]]:
        """The rows of many tokens in one array, and in a second one the number that is passed with each token.

        Args:
            tokens: numbers of distinct tokens, each with any number >= 0.
        """
        self._sort()
        chosen, passed = np.asarray(tokens, dtype=np.int64).reshape(-1, 2).T
        is_sorted = chosen < len(self._starts) - 1
        starts, ends = self._starts[chosen[is_sorted]], self._starts[chosen[is_sorted] + 1]
        sizes = ends - starts
        # The positions of all entries of these tokens: their ranges one after the other.
        at = np.arange(sizes.sum()) + np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
        rows, numbers = self._among_new(chosen, passed)
        return (
            np.concatenate([self._rows[at], rows]),
            np.concatenate([np.repeat(passed[is_sorted], sizes), numbers]),
        )

    def _among_new(
        self, tokens: NDArray[np.int64], passed: NDArray[np.int64]
    ) -> tuple[RowNumbers, NDArray[np.int64]]:
        """`pairs` for the entries that are not sorted in."""
        new = np.frombuffer(self._new_tokens, dtype=np.uint32)
        if len(tokens) == 1:
            at = np.flatnonzero(new == tokens[0])
            numbers = np.full(len(at), passed[0])
        else:
            number_of = np.full(len(self._tokens), -1, dtype=np.int64)
            number_of[tokens] = passed
            at = np.flatnonzero(number_of[new] >= 0)
            numbers = number_of[new[at]]
        ends = np.cumsum(np.frombuffer(self._new_sizes, dtype=np.uint32))
        owners = np.searchsorted(ends, at, side="right")
        rows = np.frombuffer(self._new_rows, dtype=np.uint32)[owners]
        if len(at) < 2:
            return rows, numbers
        # Another program can write a token twice.
        entries = np.unique(new[at].astype(np.int64) << 32 | rows, return_index=True)[1]
        return rows[entries], numbers[entries]

    def _sort(self) -> None:
        """Sort the new entries in if they are many."""
        self._add_later()
        if len(self._new_tokens) >= max(_WAITING, len(self._rows) // _SHARE):
            tokens, rows = self._entries()
            self._arrange(tokens, rows)

    def _entries(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All entries, those of each token by row."""
        known = np.repeat(np.arange(len(self._starts) - 1), np.diff(self._starts))
        tokens = np.concatenate([known, np.frombuffer(self._new_tokens, dtype=np.uint32)])
        sizes = np.frombuffer(self._new_sizes, dtype=np.uint32)
        new_rows = np.repeat(np.frombuffer(self._new_rows, dtype=np.uint32), sizes)
        rows = np.concatenate([self._rows, new_rows])
        return tokens.astype(np.int64), rows.astype(np.int64)

    def _arrange(self, tokens: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Sort entries by token, each once."""
        # Not `np.unique`: since NumPy 2.3 it hashes integers, which takes many times longer, and much memory.
        entries = np.sort(tokens << 32 | rows)
        entries = entries[np.diff(entries, prepend=-1) > 0]
        tokens = entries >> 32
        self._rows = (entries & 0xFFFF_FFFF).astype(np.uint32)
        self._starts = np.searchsorted(tokens, np.arange(len(self._tokens) + 1))
        self._clear_new()
        if len(entries) > _LARGE:
            del entries, tokens
            return_freed_memory()

    def pack(self, moved: NDArray[np.int64]) -> None:
        """Renumber the rows, and remove those without a new number (-1), and tokens without a row."""
        self._add_later()
        tokens, rows = self._entries()
        rows = moved[rows]
        tokens, rows = tokens[rows >= 0], rows[rows >= 0]
        remaining, tokens = np.unique(tokens, return_inverse=True)
        self._tokens = packed_keys(self._tokens.texts(remaining))
        self._frequent = {}
        self._arrange(tokens.reshape(-1).astype(np.int64), rows)
        self._clear_keys()

    def _split_tokens(self) -> None:
        self._add_later()
        first, self._split = self._split, len(self._tokens)
        for number, token in enumerate(self._tokens.texts(np.arange(first, self._split)), first):
            mark = _MARK.search(token)
            if mark is not None:
                found = self._of_key.setdefault(token[: mark.start()], [])
                found.append((number, token[mark.start() + 1 :]))
            elif token != HAS_VECTOR:
                self._hashed.append(number)
