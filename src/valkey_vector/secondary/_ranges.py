"""Ranges, pages and counts over one sorted set of entries that all have the score 0."""

from __future__ import annotations

from collections.abc import Iterator

from valkey_vector.secondary._base import SecondaryIndex
from valkey_vector.secondary._bounds import PAGE, check_page_limit, from_cursor, to_cursor

__all__ = ["LexRange", "OrderedEntries"]

LexRange = tuple[bytes, bytes]
"""The lower and upper argument of a BYLEX range."""


class OrderedEntries(SecondaryIndex):
    """The reading half of an index whose key ``entries`` is a lexicographic sorted set."""

    def _entries(
        self, lex: LexRange, reverse: bool, limit: int, after: bytes | None = None
    ) -> list[bytes]:
        """Entries of a range in order. One round trip.

        Args:
            lex: the range.
            reverse: the last entry first.
            limit: at most so many; -1 for all.
            after: leave out what comes up to this entry.
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
        """Entries of one page, and the cursor of the next."""
        wanted = check_page_limit(limit)
        position = None if after is None else from_cursor(after)
        found = self._entries(lex, reverse, wanted + 1, position)
        more = len(found) > wanted
        return found[:wanted], to_cursor(found[wanted - 1]) if more else None

    def _entry_iterator(self, lex: LexRange, reverse: bool = False) -> Iterator[list[bytes]]:
        """All entries of a range, 1000 in a round trip."""
        after: bytes | None = None
        while found := self._entries(lex, reverse, PAGE, after):
            yield found
            if len(found) < PAGE:
                return
            after = found[-1]

    def _count(self, lex: LexRange) -> int:
        """How many entries a range has. One round trip, O(log n)."""
        return int(self._read("entries_count", ("entries",), *lex))


def _cut(lex: LexRange, after: bytes, reverse: bool) -> LexRange:
    """The part of a range on the far side of an entry; an entry before the range cuts nothing."""
    low, high = lex
    edge = high if reverse else low
    if len(edge) > 1 or edge in (b"[", b"("):
        mark, value = edge[:1], edge[1:]
        before = after > value if reverse else after < value
        if before or (after == value and mark == b"("):
            return lex
    return (low, b"(" + after) if reverse else (b"(" + after, high)
