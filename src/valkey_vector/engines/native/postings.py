"""Inverted index of one text field: the rows and frequencies of each term, and the length of each row.

Part of the replica (see `valkey_vector.engines.native.replica`). Rows are only added. Readers ignore the rows of deleted
documents until `Inverted.pack` removes them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Inverted"]

_NO_ROWS: NDArray[np.int64] = np.zeros(0, dtype=np.int64)


class _Postings:
    """One term: its rows, ascending, and its frequency in each."""

    __slots__ = ("frequencies", "rows")

    def __init__(self) -> None:
        self.rows = array("I")
        self.frequencies = array("I")


class Inverted:
    """The terms of one text field of an index. Not thread-safe."""

    def __init__(self) -> None:
        self._postings: dict[str, _Postings] = {}
        self._rows = array("I")
        self._lengths = array("I")

    def add(self, row: int, text: str) -> bool:
        """Add the terms of a new row, separated by blanks; return True if the index gains a term."""
        known = len(self._postings)
        terms = text.split()
        for term, frequency in Counter(terms).items():
            postings = self._postings.get(term)
            if postings is None:
                postings = self._postings[term] = _Postings()
            postings.rows.append(row)
            postings.frequencies.append(frequency)
        self._rows.append(row)
        self._lengths.append(len(terms))
        return len(self._postings) > known

    def rows(self, term: str) -> NDArray[np.int64]:
        """The rows with a term, ascending."""
        postings = self._postings.get(term)
        if postings is None:
            return _NO_ROWS
        return np.asarray(postings.rows, dtype=np.int64)

    def frequencies(self, term: str) -> NDArray[np.float64]:
        """The frequency of a term in each of its rows."""
        postings = self._postings.get(term)
        return np.asarray([] if postings is None else postings.frequencies, dtype=np.float64)

    def lengths(self, size: int) -> NDArray[np.float64]:
        """The number of terms in each of `size` rows."""
        lengths = np.zeros(size)
        lengths[np.asarray(self._rows, dtype=np.int64)] = np.asarray(self._lengths)
        return lengths

    def terms(self) -> Iterable[str]:
        """All terms, including those that only deleted documents have."""
        return self._postings.keys()

    def pack(self, moved: NDArray[np.int64]) -> None:
        """Renumber the rows, and remove those without a new number (-1)."""
        self._rows, self._lengths = _renumbered(self._rows, self._lengths, moved)
        for term, postings in list(self._postings.items()):
            postings.rows, postings.frequencies = _renumbered(
                postings.rows, postings.frequencies, moved
            )
            if not postings.rows:
                del self._postings[term]


def _renumbered(
    rows: array[int], values: array[int], moved: NDArray[np.int64]
) -> tuple[array[int], array[int]]:
    numbers = moved[np.asarray(rows, dtype=np.int64)]
    retained = numbers >= 0
    return (
        array("I", numbers[retained].astype(np.uint32).tobytes()),
        array("I", np.asarray(values, dtype=np.uint32)[retained].tobytes()),
    )
