"""Inverted index of one text field: for each term the rows with it and its frequency, and the length of each row.

Part of the native engine's replica (see `valkey_vector.engines.native.replica`). Rows are only ever added. Readers ignore
the rows of deleted documents until `Inverted.pack` removes them.

Many rows that are added together, such as those of a first load, wait until something reads the index: a search without
text does not need it.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.native.freed_memory import return_freed_memory
from valkey_vector.engines.native.matrix import Rows, resized
from valkey_vector.engines.native.packed_keys import PackedValues
from valkey_vector.text.marks import is_mark, is_repeated

__all__ = ["Inverted"]

_ROOM = 1024

_MANY = 100
"""Number of rows that are added together from which on they wait until something reads the index."""

_MOST_LATER = 5_000
"""Largest number of additions that wait."""

_LARGE = 5_000
"""Number of waiting rows from which on the memory of their texts is returned to the operating system."""


_BITS = 32
_TIMES = np.uint64((1 << _BITS) - 1)

_Entries = NDArray[np.uint64]


class Inverted:
    """The terms of one text field of an index. Not thread-safe."""

    def __init__(self) -> None:
        # For each term the rows with it, ascending, each shifted by 32 bits, with its frequency there.
        self._postings: dict[str, array[int]] = {}
        self._lengths: NDArray[np.uint32] = np.zeros(_ROOM, dtype=np.uint32)
        # Rows, and the text of each: one buffer, because many small ones keep freed memory from the operating system.
        self._later: deque[tuple[Rows, PackedValues]] = deque()

    def add(self, rows: Rows, texts: Sequence[bytes]) -> bool:
        """Add the terms of new rows. Return True if the index gains a term, or may gain one.

        Args:
            rows: the rows, ascending and greater than all before.
            texts: the terms of each, separated by blanks.
        """
        if len(texts) < _MANY and not self._later:
            return self._add(rows, texts)
        waiting = PackedValues()
        waiting.extend(texts)
        self._later.append((rows, waiting))
        if len(self._later) > _MOST_LATER:
            self._add_later()
        return True

    def _add_later(self) -> None:
        """Add the rows that wait. After an interruption, the next call goes on."""
        added = 0
        while self._later:
            rows, texts = self._later[0]
            added += len(rows)
            self._add(rows, texts.many(np.arange(len(texts))))
            self._later.popleft()
        if added >= _LARGE:
            return_freed_memory()

    def _add(self, rows: Rows, texts: Sequence[bytes]) -> bool:
        """Add the terms of rows, but those that an interrupted call has added."""
        known = len(self._postings)
        self._make_room(int(rows[-1]) + 1)
        for row, text in zip(rows.tolist(), texts, strict=True):
            every = text.decode("utf-8", "replace").split()
            split = [term for term in every if not is_repeated(term)]
            marks = 0
            for word, times in Counter(split).items():
                marks += times if is_mark(word) else 0
                entries = self._postings.get(word)
                if entries is None:
                    entries = self._postings[word] = array("Q")
                entry = row << _BITS | times
                if not entries or entries[-1] < entry:
                    entries.append(entry)
            self._lengths[row] = len(split) - marks
        return len(self._postings) > known

    def rows(self, word: str) -> Rows:
        """Return the rows with a term, ascending."""
        return (self._entries(word) >> np.uint64(_BITS)).astype(np.intp)

    def times(self, word: str) -> NDArray[np.float64]:
        """Return the frequency of a term in each of its `rows`."""
        return (self._entries(word) & _TIMES).astype(np.float64)

    def _entries(self, word: str) -> _Entries:
        self._add_later()
        entries = self._postings.get(word)
        return np.frombuffer(entries, dtype=np.uint64) if entries else np.zeros(0, dtype=np.uint64)

    def lengths(self, size: int) -> NDArray[np.uint32]:
        """Return the number of terms of each of `size` rows, to be read only."""
        self._add_later()
        self._make_room(size)
        return self._lengths[:size]

    def terms(self) -> Iterable[str]:
        """Return all terms except marks, including those that only dead rows have."""
        self._add_later()
        return (term for term in self._postings if not is_mark(term))

    def pack(self, moved: NDArray[np.int64]) -> None:
        """Renumber the rows, and drop those without a new number (-1)."""
        lengths, remaining = self.lengths(len(moved)), moved >= 0
        packed = np.zeros(max(_ROOM, int(remaining.sum())), dtype=np.uint32)
        packed[moved[remaining]] = lengths[remaining]
        self._lengths = packed
        for word in list(self._postings):
            entries = self._entries(word)
            rows = moved[(entries >> np.uint64(_BITS)).astype(np.intp)]
            alive = rows >= 0
            if alive.any():
                new = rows[alive].astype(np.uint64) << np.uint64(_BITS) | entries[alive] & _TIMES
                self._postings[word] = array("Q", new.tobytes())
            else:
                del self._postings[word]

    def _make_room(self, size: int) -> None:
        if size > len(self._lengths):
            self._lengths = resized(self._lengths, max(size, 2 * len(self._lengths)))
