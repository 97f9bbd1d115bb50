"""`NumericIndex`: index of members ordered by a number."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import ClassVar, Generic, TypeAlias, overload

from valkey_vector.concurrency.async_versions import async_version
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
    to_int_if_integral,
)
from valkey_vector.storage.keyspace import in_parts

__all__ = ["NumericIndex"]

_Position: TypeAlias = tuple[Number, bytes]


class NumericIndex(SecondaryIndex, Generic[M]):
    """Index of members by number, for ranges, counts and pages. Equal numbers are ordered by the member's bytes.

    Numbers are exact. A number that a double represents is the score in a sorted set. Other numbers, such as 2^53 + 1
    or ``Decimal("0.1")``, are stored in a second sorted set with arbitrary precision. Queries merge both. Each member
    has one number; adding the member again replaces it. Each method has an async version with the prefix ``a``.

    Args:
        name: name of the index, any non-empty text.
        members: type of all members, `str` or `bytes`.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the index.

    Raises:
        ConfigurationError: an argument is not valid.
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
        """Set the number of a member. Returns True if the member is new. Cost: one round trip, atomic.

        Raises:
            InvalidInputError: the member is not valid, or the number is NaN or has more than 4,000 digits.
        """
        return self.add_many([(member, value)]) == 1

    def add_many(self, values: Mapping[M, Number] | Iterable[tuple[M, Number]]) -> int:
        """Set the numbers of members. Returns the number of new members. One round trip for each 500.

        All are checked first. Each 500 are set atomically. If a member occurs twice, the last number is stored.

        Raises:
            InvalidInputError: a member or number is not valid; nothing was set.
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
        """Remove members. Returns how many existed. Cost: one round trip for each 500, each atomic."""
        return sum(
            self._remove("numeric_remove", ("scores", "entries", "held"), *part)
            for part in in_parts(self._members.encode_all(members), BATCH)
        )

    def value(self, member: M) -> Number | None:
        """Return the number of a member. None for an unknown member. Cost: one round trip."""
        return self.values([member])[0]

    def values(self, members: Iterable[M]) -> list[Number | None]:
        """Return the numbers of members, in the same order. None for an unknown member.

        Whole numbers are returned as int. Cost: one round trip for each 500 members.
        """
        found: list[Number | None] = []
        for part in in_parts(self._members.encode_all(members), BATCH):
            for score, encoded in self._read("numeric_values", ("scores", "held"), *part):
                if encoded:
                    found.append(decode_number(encoded)[0])
                else:
                    found.append(to_int_if_integral(float(score)) if score else None)
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
        """Return the members of a range in ascending order. Cost: one round trip, O(log n + members returned).

        Args:
            ge: minimum number, inclusive.
            gt: minimum number, exclusive.
            le: maximum number, inclusive.
            lt: maximum number, exclusive.
            reverse: descending order, also among equal numbers.
            limit: maximum number of results, ≥ 0. None: all, in one reply. For more than a few 10,000 use `iterate`.

        Raises:
            InvalidInputError: a bound or the limit is not valid.
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
        """Return the members of a range with their numbers. Takes the arguments of `range`."""
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
        """Return one page of a range.

        A member that exists all the time with the same number is on exactly one page.

        Cost: one round trip, O(log n + members returned), for any page.

        Args:
            ge: minimum number, inclusive; `gt`, `le`, `lt` as for `range`.
            gt: minimum number, exclusive.
            le: maximum number, inclusive.
            lt: maximum number, exclusive.
            reverse: descending order.
            limit: maximum number of members on a page.
            after: cursor of the previous page. None: the first page.
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
        """Iterate over a range. Takes the arguments of `range`. Cost: one round trip for each 1000 members."""
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
        """Async version of `iterate`."""
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
        """Return the number of members in a range, or of all members. Takes the arguments of `range`.

        Cost: one round trip, O(log n).
        """
        wanted = RangeArguments.of(_bounds(ge, gt, le, lt))
        reply = self._read(
            "numeric_count", ("scores", "entries"), wanted.low, wanted.high, *wanted.lex
        )
        return int(reply)

    aadd = async_version(add)
    aadd_many = async_version(add_many)
    aremove = async_version(remove)
    avalue = async_version(value)
    avalues = async_version(values)
    arange = async_version(range)  # noqa: A003 - the method above
    aitems = async_version(items)
    apage = async_version(page)
    acount = async_version(count)

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
        # Check the scores last. A repaired entry may also have a score.
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
    """Iterate over the values and members of a reply with scores."""
    for member, score in zip(flat[::2], flat[1::2], strict=True):
        yield to_int_if_integral(float(score)), member


def _entry(entry: bytes) -> _Position:
    value, end = decode_number(entry)
    return value, entry[end:]


def _split(entry: bytes) -> int:
    """Return the offset of the member in an entry."""
    return decode_number(entry)[1]


def _within(bounds: Bounds[Number], value: Number, reverse: bool) -> bool:
    """Return True if a page that starts after a value starts within the range."""
    edge, included = (bounds.high, bounds.with_high) if reverse else (bounds.low, bounds.with_low)
    if edge is None or (value == edge and included):
        return True
    return value < edge if reverse else value > edge


def _cut(wanted: RangeArguments, value: Number, member: bytes, reverse: bool) -> RangeArguments:
    """Return the part of a range after a position. Keeps all members with the same score as the position."""
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
