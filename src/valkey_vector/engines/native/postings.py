"""Inverted index of one text field: for each term the rows with it and its frequency, and the length of each row.

Part of the native engine's replica (see `valkey_vector.engines.native.replica`). Rows are only ever added. Readers ignore
the rows of deleted documents until `Inverted.pack` removes them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.native.matrix import Rows, resized
from valkey_vector.text.marks import is_mark, is_repeated

__all__ = ["Inverted"]

_ROOM = 1024


class _Postings:
    """The rows with one term, ascending, and its frequency in each."""

    __slots__ = ("rows", "times")

    def __init__(self) -> None:
        self.rows = array("I")
        self.times = array("I")


class Inverted:
    """The terms of one text field of an index. Not thread-safe."""

    def __init__(self) -> None:
        self._postings: dict[str, _Postings] = {}
        self._lengths: NDArray[np.uint32] = np.zeros(_ROOM, dtype=np.uint32)

    def add(self, row: int, text: str) -> bool:
        """Add the terms of a new row, separated by blanks. Return True if the index gains a term."""
        known = len(self._postings)
        split = [term for term in text.split() if not is_repeated(term)]
        marks = 0
        for word, times in Counter(split).items():
            marks += times if is_mark(word) else 0
            postings = self._postings.get(word)
            if postings is None:
                postings = self._postings[word] = _Postings()
            postings.rows.append(row)
            postings.times.append(times)
        self._make_room(row + 1)
        self._lengths[row] = len(split) - marks
        return len(self._postings) > known

    def rows(self, word: str) -> Rows:
        """Return the rows with a term, ascending."""
        postings = self._postings.get(word)
        return np.array(() if postings is None else postings.rows, dtype=np.intp)

    def times(self, word: str) -> NDArray[np.float64]:
        """Return the frequency of a term in each of its `rows`."""
        postings = self._postings.get(word)
        return np.array(() if postings is None else postings.times, dtype=np.float64)

    def lengths(self, size: int) -> NDArray[np.uint32]:
        """Return the number of terms of each of `size` rows, to be read only."""
        self._make_room(size)
        return self._lengths[:size]

    def terms(self) -> Iterable[str]:
        """Return all terms except marks, including those that only dead rows have."""
        return (term for term in self._postings if not is_mark(term))

    def pack(self, moved: NDArray[np.int64]) -> None:
        """Renumber the rows, and drop those without a new number (-1)."""
        lengths, remaining = self.lengths(len(moved)), moved >= 0
        packed = np.zeros(max(_ROOM, int(remaining.sum())), dtype=np.uint32)
        packed[moved[remaining]] = lengths[remaining]
        self._lengths = packed
        for word, postings in list(self._postings.items()):
            postings.rows, postings.times = _packed(postings.rows, postings.times, moved)
            if not postings.rows:
                del self._postings[word]

    def _make_room(self, size: int) -> None:
        if size > len(self._lengths):
            self._lengths = resized(self._lengths, max(size, 2 * len(self._lengths)))


def _packed(
    rows: array[int], values: array[int], moved: NDArray[np.int64]
) -> tuple[array[int], array[int]]:
    numbers = moved[np.asarray(rows, dtype=np.int64)]
    remaining = numbers >= 0
    return (
        array("I", numbers[remaining].astype(np.uint32).tobytes()),
        array("I", np.asarray(values, dtype=np.uint32)[remaining].tobytes()),
    )
