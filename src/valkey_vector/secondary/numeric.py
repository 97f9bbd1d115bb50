"""`NumericIndex`: members in the order of a number."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import ClassVar, Generic, TypeAlias, overload

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Argument, Connection
from valkey_vector.errors import InvalidInputError
from valkey_vector.secondary._base import BATCH, SecondaryIndex
from valkey_vector.secondary._bounds import (
    PAGE,
    Bounds,
    Page,
    check_page_limit,
    from_cursor,
    lex_bounds,
    to_cursor,
)
from valkey_vector.secondary._entries import audit_arguments
from valkey_vector.secondary._members import M, MemberType, pairs_of
from valkey_vector.secondary._numbers import (
    Number,
    RangeArguments,
    as_score,
    check_number,
    decode_number,
    encode_number,
    score_text,
    whole_if_it_is,
)
from valkey_vector.storage.keyspace import in_parts

__all__ = ["NumericIndex"]

_Position: TypeAlias = tuple[Number, bytes]


class NumericIndex(SecondaryIndex, Generic[M]):
    """Members by number: ranges, counts and pages in the order of the numbers, ties in byte order of the members.

    Numbers are exact. One that a double holds is the score of a sorted set; any other, such as 2^53 + 1 or
    ``Decimal("0.1")``, goes to a second sorted set, in an encoding of any precision. Queries join the two. Every
    member has one number; setting it again moves it. Every method has an async version named with a leading ``a``.

    Args:
        name: of the index; any non-empty text.
        members: `str` or `bytes`, the type of all members.
        url: the server (see `Connection.open`); by default ``VALKEY_URL`` or the embedded server.
        connection: an open connection to use instead; it is not closed with the index.

    Raises:
        ConfigurationError: an argument is not acceptable.
    """

    kind = "numeric"
    parts: ClassVar[Mapping[str, str]] = {"scores": "zset", "entries": "zset", "held": "hash"}

    @overload
    def __init__(
        self: NumericIndex[str],
        name: str,
        *,
        members: type[str] = ...,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: NumericIndex[bytes],
        name: str,
        *,
        members: type[bytes],
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        *,
        members: type[str | bytes] = str,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._members: MemberType[M] = MemberType(members)
        super().__init__(
            name, settings={"members": members.__name__}, url=url, connection=connection
        )

    def add(self, member: M, value: Number) -> bool:
        """Set the number of a member; returns whether the member is new. One round trip, atomic.

        Raises:
            InvalidInputError: the member is not acceptable, or the number is NaN or has more than 4,000 digits.
        """
        return self.add_many([(member, value)]) == 1

    def add_many(self, values: Mapping[M, Number] | Iterable[tuple[M, Number]]) -> int:
        """Set the numbers of members; returns how many members are new. One round trip for each 500.

        Each 500 are set atomically; all are checked first. Of a member that occurs twice the last number stays.

        Raises:
            InvalidInputError: a member or number is not acceptable; nothing was set.
        """
        pairs = pairs_of(values, "member and number")
        rows = [(self._members.encode(member), check_number(value)) for member, value in pairs]
        added = 0
        for part in in_parts(rows, BATCH):
            arguments: list[Argument] = []
            for member, value in part:
                score = as_score(value)
                arguments += (
                    [member, "l", encode_number(value)]
                    if score is None
                    else [member, "s", score_text(score)]
                )
            added += self._write("numeric_put", ("scores", "entries", "held"), *arguments)
        return added

    def remove(self, members: Iterable[M]) -> int:
        """Remove members; returns how many were there. One round trip for each 500, each atomic."""
        return sum(
            self._remove("numeric_remove", ("scores", "entries", "held"), *part)
            for part in in_parts(self._members.encode_all(members), BATCH)
        )

    def value(self, member: M) -> Number | None:
        """The number of a member; None if it is not there. One round trip."""
        return self.values([member])[0]

    def values(self, members: Iterable[M]) -> list[Number | None]:
        """The numbers of members, in that order. Whole numbers come back as int. One round trip for each 500."""
        found: list[Number | None] = []
        for part in in_parts(self._members.encode_all(members), BATCH):
            for score, encoded in self._read("numeric_values", ("scores", "held"), *part):
                if encoded:
                    found.append(decode_number(encoded)[0])
                else:
                    found.append(whole_if_it_is(float(score)) if score else None)
        return found

    def range(
        self,
        *,
        ge: Number | None = None,
        gt: Number | None = None,
        le: Number | None = None,
        lt: Number | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[M]:
        """The members of a range, the smallest number first. One round trip, O(log n + members returned).

        Args:
            ge: from this number on.
            gt: above this number.
            le: up to this number.
            lt: below this number.
            reverse: the largest number first, ties in reverse, too.
            limit: at most so many; None for all, in one reply: for more than a few 10,000 use `iterate`.

        Raises:
            InvalidInputError: a bound or the limit is not acceptable.
        """
        bounds = _bounds(ge, gt, le, lt)
        return [member for member, _ in self._items(bounds, reverse, check_page_limit(limit), None)]

    def items(
        self,
        *,
        ge: Number | None = None,
        gt: Number | None = None,
        le: Number | None = None,
        lt: Number | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[tuple[M, Number]]:
        """The members of a range with their numbers; otherwise as `range`."""
        bounds = _bounds(ge, gt, le, lt)
        return self._items(bounds, reverse, check_page_limit(limit), None)

    def page(
        self,
        *,
        ge: Number | None = None,
        gt: Number | None = None,
        le: Number | None = None,
        lt: Number | None = None,
        reverse: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[tuple[M, Number]]:
        """One page of a range. One round trip, O(log n + members returned) wherever the page lies.

        A member that is there throughout, with an unchanged number, is on exactly one page.

        Args:
            ge: from this number on; `gt`, `le`, `lt` as for `range`.
            gt: above this number.
            le: up to this number.
            lt: below this number.
            reverse: the largest number first.
            limit: members on a page.
            after: the cursor of the page before; None for the first.
        """
        bounds = _bounds(ge, gt, le, lt)
        wanted = check_page_limit(limit)
        found = self._items(
            bounds, reverse, wanted + 1, None if after is None else self._position(after)
        )
        cursor = None
        if len(found) > wanted:
            member, value = found[wanted - 1]
            cursor = to_cursor(encode_number(value) + self._members.encode(member))
        return Page(tuple(found[:wanted]), cursor)

    def iterate(
        self,
        *,
        ge: Number | None = None,
        gt: Number | None = None,
        le: Number | None = None,
        lt: Number | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[M, Number]]:
        """All of a range, page by page: one round trip for each 1000. Arguments as for `range`."""
        after: str | None = None
        while True:
            page = self.page(ge=ge, gt=gt, le=le, lt=lt, reverse=reverse, limit=PAGE, after=after)
            yield from page.items
            after = page.cursor
            if after is None:
                return

    async def aiterate(
        self,
        *,
        ge: Number | None = None,
        gt: Number | None = None,
        le: Number | None = None,
        lt: Number | None = None,
        reverse: bool = False,
    ) -> AsyncIterator[tuple[M, Number]]:
        """The async version of `iterate`."""
        items = self.iterate(ge=ge, gt=gt, le=le, lt=lt, reverse=reverse)
        while batch := await offload(list, islice(items, PAGE)):
            for item in batch:
                yield item

    def count(
        self,
        *,
        ge: Number | None = None,
        gt: Number | None = None,
        le: Number | None = None,
        lt: Number | None = None,
    ) -> int:
        """How many members a range has; without bounds, all. One round trip, O(log n). Arguments as for `range`."""
        wanted = RangeArguments.of(_bounds(ge, gt, le, lt))
        reply = self._read(
            "numeric_count", ("scores", "entries"), wanted.low, wanted.high, *wanted.lex
        )
        return int(reply)

    aadd = twin(add)
    aadd_many = twin(add_many)
    aremove = twin(remove)
    avalue = twin(value)
    avalues = twin(values)
    arange = twin(range)  # noqa: A003 - the method above
    aitems = twin(items)
    apage = twin(page)
    acount = twin(count)

    def _items(
        self, bounds: Bounds[Number], reverse: bool, limit: int, after: _Position | None
    ) -> list[tuple[M, Number]]:
        wanted = RangeArguments.of(bounds)
        score, member = b"", b""
        if after is not None and _within(bounds, after[0], reverse):
            value, member = after
            exact = as_score(value)
            score = b"" if exact is None else score_text(exact)
            wanted = _cut(wanted, value, member, reverse)
        scored, entries = self._read(
            "numeric_range",
            ("scores", "entries"),
            wanted.below,
            wanted.high,
            *wanted.lex,
            "1" if reverse else "0",
            str(limit),
            score,
            member,
        )
        merged = heapq.merge(_scored(scored), map(_entry, entries), reverse=reverse)
        first = merged if limit < 0 else islice(merged, limit)
        return [(self._members.decode(name), value) for value, name in first]

    def _position(self, cursor: str) -> _Position:
        data = from_cursor(cursor)
        try:
            value, end = decode_number(data)
        except (ValueError, IndexError):
            raise InvalidInputError(f"{cursor!r} is not a cursor of a page") from None
        return value, data[end:]

    def _audits(self) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
        yield from audit_arguments(self._scan, _split, self._members.valid)
        # Last: what the entries were mended to may have a score as well.
        for flat in self._scan("ZSCAN", "scores"):
            arguments: list[Argument] = []
            for member in flat[::2]:
                arguments += ["s" if self._members.valid(member) else "x", member]
            yield len(flat) // 2, "numeric_audit", ("scores", "entries", "held"), arguments


def _bounds(
    ge: Number | None, gt: Number | None, le: Number | None, lt: Number | None
) -> Bounds[Number]:
    bounds: Bounds[Number] = Bounds.of(ge, gt, le, lt)
    for bound in (bounds.low, bounds.high):
        if bound is not None:
            check_number(bound, "bound")
    return bounds


def _scored(flat: Sequence[bytes]) -> Iterator[_Position]:
    """Values and members of a reply with scores."""
    for member, score in zip(flat[::2], flat[1::2], strict=True):
        yield whole_if_it_is(float(score)), member


def _entry(entry: bytes) -> _Position:
    value, end = decode_number(entry)
    return value, entry[end:]


def _split(entry: bytes) -> int:
    """Where the member begins in an entry."""
    return decode_number(entry)[1]


def _within(bounds: Bounds[Number], value: Number, reverse: bool) -> bool:
    """Whether a page that begins after a value begins later than the range does."""
    edge, included = (bounds.high, bounds.with_high) if reverse else (bounds.low, bounds.with_low)
    if edge is None or (value == edge and included):
        return True
    return value < edge if reverse else value > edge


def _cut(wanted: RangeArguments, value: Number, member: bytes, reverse: bool) -> RangeArguments:
    """The part of a range after a position; where the value is a score, all with that score are left in."""
    start, end = lex_bounds(
        encode_number(value) + member,
        encode_number(value) + member,
        with_low=False,
        with_high=False,
    )
    if reverse:
        high = RangeArguments.of(Bounds(high=value)).high
        return RangeArguments(wanted.below, wanted.low, high, (wanted.lex[0], end))
    low = RangeArguments.of(Bounds(low=value))
    return RangeArguments(low.below, low.low, wanted.high, (start, wanted.lex[1]))
