"""Ranges, pages and counts of a lexicographic sorted set, whose entries all have the score 0."""

from __future__ import annotations

from collections.abc import Iterator

from valkey_vector.secondary._base import SecondaryIndex
from valkey_vector.secondary._bounds import PAGE, check_page_limit, from_cursor, to_cursor

__all__ = ["LexRange", "OrderedEntries"]

LexRange = tuple[bytes, bytes]
"""Lower and upper argument of a BYLEX range."""


class OrderedEntries(SecondaryIndex):
    """Read methods of an index whose key ``entries`` is a lexicographic sorted set."""

    def _entries(
        self, lex: LexRange, reverse: bool, limit: int, after: bytes | None = None
    ) -> list[bytes]:
        """Fetch entries of a range in order. Cost: one round trip.

        Args:
            lex: the range.
            reverse: return the last entry first.
            limit: maximum number of entries; -1 for all.
            after: skip all entries up to and including this one.
        """
        low, high = lex if after is None else _cut(lex, after, reverse)
        direction = "1" if reverse else "0"
        found: list[bytes] = self._read(
            "entries_range", ("entries",), low, high, direction, str(limit)
        )
        return found

    def _entry_page(
        self, lex: LexRange, reverse: bool, limit: int, after: str | None
    ) -> tuple[list[bytes], str | None]:
        """Fetch the entries of one page, and the cursor of the next page."""
        size = check_page_limit(limit)
        position = None if after is None else from_cursor(after)
        found = self._entries(lex, reverse, size + 1, position)
        more = len(found) > size
        return found[:size], to_cursor(found[size - 1]) if more else None

    def _entry_iterator(self, lex: LexRange, reverse: bool = False) -> Iterator[list[bytes]]:
        """Iterate over all entries of a range. Cost: one round trip for each 1000 entries."""
        after: bytes | None = None
        while found := self._entries(lex, reverse, PAGE, after):
            yield found
            if len(found) < PAGE:
                return
            after = found[-1]

    def _count(self, lex: LexRange) -> int:
        """Count the entries of a range. Cost: one round trip, O(log n)."""
        return int(self._read("entries_count", ("entries",), *lex))


def _cut(lex: LexRange, after: bytes, reverse: bool) -> LexRange:
    """Return the part of a range behind an entry. An entry before the range changes nothing."""
    low, high = lex
    edge = high if reverse else low
    if len(edge) > 1 or edge in (b"[", b"("):
        mark, value = edge[:1], edge[1:]
        before = after > value if reverse else after < value
        if before or (after == value and mark == b"("):
            return lex
    return (low, b"(" + after) if reverse else (b"(" + after, high)
