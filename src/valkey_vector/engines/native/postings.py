"""Inverted index of one text field: for each term the rows with it and its frequency, and the length of each row.

A part of the native engine's replica (see `valkey_vector.engines.native.replica`): rows are only ever added, dead ones are
left out by whoever reads, until all is packed.
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
    """One word: its rows, ascending, and how often each has it."""

    __slots__ = ("rows", "times")

    def __init__(self) -> None:
        self.rows = array("I")
        self.times = array("I")


class Inverted:
    """The words of one text field of an index. Not thread-safe."""

    def __init__(self) -> None:
        self._postings: dict[str, _Postings] = {}
        self._rows = array("I")
        self._lengths = array("I")

    def add(self, row: int, words: str) -> bool:
        """Take in a new row's words, with a blank between them; whether there are new ones among them."""
        known = len(self._postings)
        split = words.split()
        for word, times in Counter(split).items():
            postings = self._postings.get(word)
            if postings is None:
                postings = self._postings[word] = _Postings()
            postings.rows.append(row)
            postings.times.append(times)
        self._rows.append(row)
        self._lengths.append(len(split))
        return len(self._postings) > known

    def rows(self, word: str) -> NDArray[np.int64]:
        """The rows with a word, ascending."""
        postings = self._postings.get(word)
        if postings is None:
            return _NO_ROWS
        return np.asarray(postings.rows, dtype=np.int64)

    def times(self, word: str) -> NDArray[np.float64]:
        """How often each of those rows has it."""
        postings = self._postings.get(word)
        return np.asarray([] if postings is None else postings.times, dtype=np.float64)

    def lengths(self, size: int) -> NDArray[np.float64]:
        """How many words each of `size` rows has."""
        lengths = np.zeros(size)
        lengths[np.asarray(self._rows, dtype=np.int64)] = np.asarray(self._lengths)
        return lengths

    def words(self) -> Iterable[str]:
        """All its words, also those that only dead rows have."""
        return self._postings.keys()

    def pack(self, moved: NDArray[np.int64]) -> None:
        """Number the rows anew, and drop those that have no new number (-1)."""
        self._rows, self._lengths = _kept(self._rows, self._lengths, moved)
        for word, postings in list(self._postings.items()):
            postings.rows, postings.times = _kept(postings.rows, postings.times, moved)
            if not postings.rows:
                del self._postings[word]


def _kept(
    rows: array[int], values: array[int], moved: NDArray[np.int64]
) -> tuple[array[int], array[int]]:
    numbers = moved[np.asarray(rows, dtype=np.int64)]
    kept = numbers >= 0
    return (
        array("I", numbers[kept].astype(np.uint32).tobytes()),
        array("I", np.asarray(values, dtype=np.uint32)[kept].tobytes()),
    )
