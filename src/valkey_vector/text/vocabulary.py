"""Vocabulary of an index: expand prefixes and misspelled words to indexed terms.

Both search modules silently expand a prefix to 200 words at most (``search.max-term-expansions``,
``MAXPREFIXEXPANSIONS``). One measures edit distances in bytes, the other in 16-bit units. The client therefore expands
terms itself: completely, in characters, on all words that were ever written. A word that no document has any more does
no harm.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

__all__ = ["Vocabulary"]

Codes = NDArray[np.int32]


class Vocabulary:
    """An immutable set of words, sorted and grouped at the first search. Threads may share it."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._words = frozenset(words)
        self._sorted: list[str] | None = None
        self._by_length: dict[int, tuple[list[str], Codes]] | None = None

    def __len__(self) -> int:
        return len(self._words)

    def with_more(self, words: Iterable[str]) -> Vocabulary:
        """Return a vocabulary with these and additional words."""
        return Vocabulary(self._words.union(words))

    def with_prefix(self, prefix: str) -> tuple[str, ...]:
        """Return the words with a prefix, in alphabetical order."""
        words = self._sorted = sorted(self._words) if self._sorted is None else self._sorted
        start = bisect_left(words, prefix)
        found = takewhile(
            lambda word: word.startswith(prefix), (words[i] for i in range(start, len(words)))
        )
        return tuple(found)

    def within(self, word: str, distance: int) -> tuple[str, ...]:
        """Return the words within an edit distance, in alphabetical order.

        Args:
            word: word to compare with.
            distance: maximum number of insertions, deletions, replacements and swaps of neighboring characters, >= 0.
                A swap is one edit (optimal string alignment).
        """
        by_length = self._by_length = self._by_length or _grouped(self._words)
        found: list[str] = []
        for length in range(max(1, len(word) - distance), len(word) + distance + 1):
            if length in by_length:
                words, codes = by_length[length]
                within = _distances(codes, _codes([word])[0]) <= distance
                found.extend(words[i] for i in np.flatnonzero(within))
        return tuple(sorted(found))


def _grouped(words: Iterable[str]) -> dict[int, tuple[list[str], Codes]]:
    by_length: dict[int, list[str]] = {}
    for word in words:
        by_length.setdefault(len(word), []).append(word)
    return {length: (group, _codes(group)) for length, group in by_length.items()}


def _codes(words: list[str]) -> Codes:
    """Return words of equal length as a matrix: one row per word, one column per character."""
    joined = "".join(words).encode("utf-32-le")
    return np.frombuffer(joined, dtype=np.int32).reshape(len(words), -1)


def _distances(words: Codes, word: Codes) -> NDArray[np.int32]:
    """Return the edit distance of each row from one word, with the usual table filled for all rows at once."""
    count, length = words.shape
    earlier = np.zeros((length + 1, count), dtype=np.int32)
    before = np.repeat(np.arange(length + 1, dtype=np.int32)[:, np.newaxis], count, axis=1)
    for i, character in enumerate(word, 1):
        row = np.empty_like(before)
        row[0] = i
        for j in range(1, length + 1):
            differs = words[:, j - 1] != character
            best = np.minimum(before[j] + 1, row[j - 1] + 1)
            best = np.minimum(best, before[j - 1] + differs)
            if i > 1 and j > 1:
                swapped = (words[:, j - 2] == character) & (words[:, j - 1] == word[i - 2])
                best = np.where(swapped, np.minimum(best, earlier[j - 2] + 1), best)
            row[j] = best
        earlier, before = before, row
    return before[length]
