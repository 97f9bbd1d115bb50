"""Many short texts in little memory: a list of byte strings, and distinct texts that are numbered.

A Python dict of texts needs about 200 bytes for each of them. Here a text needs its own bytes and 16 more.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

__all__ = ["ChosenTexts", "Numbers", "PackedKeys", "PackedValues", "packed_keys"]

Numbers = NDArray[np.int64]

_RECENT = 4_096
"""Smallest number of texts that are sorted in."""

_LAST = 2**32 - 1
"""Number of bytes up to which the end of a text takes four bytes, and beyond it eight."""

_SHARE = 4
"""The newest texts are sorted in when they are more than one in this many of the others."""


class PackedValues:
    """A list of byte strings in one buffer. Not thread-safe."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("I", (0,))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, position: int) -> bytes:
        return bytes(self._bytes[self._ends[position] : self._ends[position + 1]])

    def extend(self, values: Sequence[bytes]) -> None:
        """Append byte strings."""
        self._extend(b"".join(values), np.fromiter(map(len, values), np.uint64, len(values)))

    def extend_with_texts(self, texts: Sequence[str]) -> None:
        """Append texts in UTF-8."""
        joined = "".join(texts)
        if joined.isascii():
            sizes = np.fromiter(map(len, texts), np.uint64, len(texts))
            self._extend(joined.encode(), sizes)
        else:
            self.extend([text.encode() for text in texts])

    def _extend(self, joined: bytes, sizes: NDArray[np.uint64]) -> None:
        ends = np.cumsum(sizes, dtype=np.uint64) + np.uint64(self._ends[-1])
        if len(ends) and ends[-1] > _LAST and self._ends.typecode == "I":
            self._ends = array("Q", self._ends)
        self._bytes += joined
        self._ends.frombytes(ends.astype(self._ends.typecode).tobytes())

    def many(self, positions: NDArray[np.integer]) -> list[bytes]:
        """Return the byte strings at some positions."""
        ends = np.frombuffer(self._ends, dtype=self._ends.typecode)
        begins, limits = ends[positions].tolist(), ends[positions + 1].tolist()
        data = memoryview(self._bytes)
        return [bytes(data[begin:end]) for begin, end in zip(begins, limits, strict=True)]


class PackedKeys:
    """Distinct texts, numbered in the order in which they were added. Not thread-safe.

    The newest ones are in a dict. The others are found by binary search for their hash; equal hashes are told apart by the
    texts themselves.
    """

    def __init__(self) -> None:
        self._values = PackedValues()
        self._recent: dict[str, int] = {}
        self._hashes: Numbers = np.zeros(0, dtype=np.int64)
        self._order: NDArray[np.uint32] = np.zeros(0, dtype=np.uint32)

    def __len__(self) -> int:
        return len(self._values)

    def text(self, number: int) -> str:
        """Return the text with a number."""
        return self._values[number].decode()

    def texts(self, numbers: NDArray[np.integer]) -> list[str]:
        """Return the texts with some numbers."""
        return [each.decode() for each in self._values.many(numbers)]

    def find(self, text: str) -> int:
        """Return the number of a text; -1 for an unknown one."""
        recent = self._recent.get(text)
        if recent is not None:
            return recent
        own = hash(text)
        at = int(np.searchsorted(self._hashes, own))
        while at < len(self._hashes) and self._hashes[at] == own:
            number = int(self._order[at])
            if self._values[number] == text.encode():
                return number
            at += 1
        return -1

    def find_all(self, texts: Sequence[str]) -> Numbers:
        """Return the number of each text; -1 for unknown ones."""
        recent = map(self._recent.get, texts, repeat(-1))
        found: Numbers = np.fromiter(recent, np.int64, len(texts))
        unknown = np.flatnonzero(found < 0)
        if len(self._hashes) and len(unknown):
            some = texts if len(unknown) == len(texts) else [texts[at] for at in unknown.tolist()]
            own = map(hash, some)
            hashes = np.fromiter(own, np.int64, len(unknown))
            at = np.searchsorted(self._hashes, hashes)
            at[at == len(self._hashes)] = 0
            for position in unknown[self._hashes[at] == hashes].tolist():
                found[position] = self.find(texts[position])
        return found

    def add_all(self, texts: Sequence[str]) -> Numbers:
        """Return the number of each text; unknown ones are added."""
        found = self.find_all(texts)
        unknown = np.flatnonzero(found < 0)
        if len(unknown):
            first = len(self._values)
            added = texts
            if len(unknown) < len(texts):
                added = [texts[at] for at in unknown.tolist()]
            new = dict.fromkeys(added)
            numbers = range(first, first + len(new))
            self._recent.update(zip(new, numbers, strict=True))
            self._values.extend_with_texts(list(new))
            distinct = len(new) == len(added)
            found[unknown] = numbers if distinct else [self._recent[text] for text in added]
            if len(self._recent) > len(self._hashes) // _SHARE:
                self.settle()
        return found

    def settle(self) -> None:
        """Move the newest texts out of the dict if they are many."""
        recent = self._recent
        if len(recent) < _RECENT:
            return
        hashes = np.fromiter(map(hash, recent), np.int64, len(recent))
        numbers = np.fromiter(recent.values(), np.uint32, len(recent))
        order = np.argsort(hashes)
        hashes = hashes[order]
        at = np.searchsorted(self._hashes, hashes)  # many times faster than to sort all again
        self._hashes = np.insert(self._hashes, at, hashes)
        self._order = np.insert(self._order, at, numbers[order])
        self._recent = {}


@dataclass(frozen=True, slots=True)
class ChosenTexts:
    """Some of the texts in an order. Many texts take long to decode, so each is decoded when it is needed.

    Attributes:
        keys: the texts; their numbers do not change.
        numbers: the numbers of the chosen ones.
    """

    keys: PackedKeys
    numbers: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.numbers)

    def part(self, first: int, size: int) -> list[str]:
        """Decode up to `size` texts from a position on. The caller holds the lock of the texts."""
        return self.keys.texts(self.numbers[first : first + size])


def packed_keys(texts: Iterable[str]) -> PackedKeys:
    """Return these distinct texts, numbered in this order."""
    keys = PackedKeys()
    keys.add_all(list(texts))
    return keys
