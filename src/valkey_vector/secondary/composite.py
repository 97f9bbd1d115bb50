"""`CompositeIndex`: index of members by several columns, ordered by the columns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Generic, TypeAlias, overload

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Argument, Connection
from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.secondary._base import BATCH
from valkey_vector.secondary._bounds import (
    Bounds,
    Page,
    after_prefix,
    check_page_limit,
    lex_bounds,
)
from valkey_vector.secondary._columns import Column, ColumnValue
from valkey_vector.secondary._entries import audit_arguments
from valkey_vector.secondary._members import M, MemberType, pairs_of
from valkey_vector.secondary._ranges import LexRange, OrderedEntries
from valkey_vector.storage.keyspace import in_parts

__all__ = ["CompositeIndex"]

Values: TypeAlias = Mapping[str, ColumnValue]
"""Value of each column, by column name."""


class CompositeIndex(OrderedEntries, Generic[M]):
    """Index of members by several columns, like a multi-column index of a relational database.

    A query passes values for some leading columns and a range for the next one: all products of a room between two
    prices. Entries are ordered by the columns, then by the bytes of the member. A member has one row. Putting a member
    again replaces its row; removing it needs only the member. Each method has an async version with the prefix ``a``.

    Args:
        name: name of the index, any non-empty text.
        columns: the columns, most significant first.
        members: type of all members, `str` or `bytes`.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the index.

    Raises:
        ConfigurationError: there is no column, two have one name, or another argument is not valid.
    """

    kind = "composite"
    parts: ClassVar[Mapping[str, str]] = {"entries": "zset", "held": "hash"}

    @overload
    def __init__(
        self: CompositeIndex[str],
        name: str,
        columns: Sequence[Column],
        *,
        members: type[str] = ...,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: CompositeIndex[bytes],
        name: str,
        columns: Sequence[Column],
        *,
        members: type[bytes],
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        columns: Sequence[Column],
        *,
        members: type[str | bytes] = str,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._members: MemberType[M] = MemberType(members)
        self.columns = tuple(columns)
        names = [column.name for column in self.columns]
        if not names or len(set(names)) < len(names):
            raise ConfigurationError(f"columns must have different names, not {names!r}")
        described = [[c.name, c.type.__name__, c.descending] for c in self.columns]
        super().__init__(
            name,
            settings={"members": members.__name__, "columns": described},
            url=url,
            connection=connection,
        )

    def put(self, member: M, values: Values) -> bool:
        """Set the row of a member. Returns True if the member is new. Cost: one round trip, atomic.

        Raises:
            InvalidInputError: a column is missing or unknown, or a value has another type than its column.
        """
        return self.put_many([(member, values)]) == 1

    def put_many(self, rows: Mapping[M, Values] | Iterable[tuple[M, Values]]) -> int:
        """Set the rows of members. Returns the number of new members. One round trip for each 500.

        All are checked first. Each 500 are set atomically. If a member occurs twice, the last row is stored.

        Raises:
            InvalidInputError: a row is not valid; nothing was set.
        """
        pairs = pairs_of(rows, "member and row")
        listed = [(self._members.encode(member), self._row(values)) for member, values in pairs]
        return sum(
            self._write(
                "entries_put", ("entries", "held"), *[text for pair in part for text in pair]
            )
            for part in in_parts(listed, BATCH)
        )

    def remove(self, members: Iterable[M]) -> int:
        """Remove members. Returns how many existed. Cost: one round trip for each 500, each atomic."""
        return sum(
            self._remove("entries_remove", ("entries", "held"), *part)
            for part in in_parts(self._members.encode_all(members), BATCH)
        )

    def get(self, members: Iterable[M]) -> list[dict[str, ColumnValue] | None]:
        """Return the rows of members, in the same order. None for an unknown member.

        Cost: one round trip for each 500 members.
        """
        return [
            None if held is None else self._decoded(held + member)[1]
            for part in in_parts(self._members.encode_all(members), BATCH)
            for member, held in zip(part, self._read("entries_held", ("held",), *part), strict=True)
        ]

    def range(
        self,
        equal: Values | None = None,
        *,
        ge: ColumnValue | None = None,
        gt: ColumnValue | None = None,
        le: ColumnValue | None = None,
        lt: ColumnValue | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[M]:
        """Return the members of a range, in the order of the index.

        Cost: one round trip, O(log n + members returned).

        Args:
            equal: values of the leading columns, from none to all.
            ge: minimum value of the next column, inclusive. Bounds refer to values, for any direction of the column.
            gt: minimum value, exclusive.
            le: maximum value, inclusive.
            lt: maximum value, exclusive.
            reverse: descending order.
            limit: maximum number of results, ≥ 0. None: all, in one reply. For more than a few 10,000 use `iterate`.

        Raises:
            InvalidInputError: `equal` skips a column or names an unknown one, there is no next column for the bounds, or
                a value is not of its column's type.
        """
        lex = self._lex(equal, Bounds.of(ge, gt, le, lt))
        found = self._entries(lex, reverse, check_page_limit(limit))
        return [self._decoded(entry)[0] for entry in found]

    def items(
        self,
        equal: Values | None = None,
        *,
        ge: ColumnValue | None = None,
        gt: ColumnValue | None = None,
        le: ColumnValue | None = None,
        lt: ColumnValue | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[tuple[M, dict[str, ColumnValue]]]:
        """Return the members of a range with their rows. Takes the arguments of `range`."""
        lex = self._lex(equal, Bounds.of(ge, gt, le, lt))
        return [*map(self._decoded, self._entries(lex, reverse, check_page_limit(limit)))]

    def page(
        self,
        equal: Values | None = None,
        *,
        ge: ColumnValue | None = None,
        gt: ColumnValue | None = None,
        le: ColumnValue | None = None,
        lt: ColumnValue | None = None,
        reverse: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[tuple[M, dict[str, ColumnValue]]]:
        """Return one page of a range. Cost: one round trip, for any page.

        Args:
            equal: as for `range`, and so are `ge`, `gt`, `le`, `lt`.
            ge: minimum value of the next column, inclusive.
            gt: minimum value, exclusive.
            le: maximum value, inclusive.
            lt: maximum value, exclusive.
            reverse: descending order.
            limit: maximum number of members on a page.
            after: cursor of the previous page. None: the first page.
        """
        lex = self._lex(equal, Bounds.of(ge, gt, le, lt))
        entries, cursor = self._entry_page(lex, reverse, limit, after)
        return Page(tuple(map(self._decoded, entries)), cursor)

    def iterate(
        self,
        equal: Values | None = None,
        *,
        ge: ColumnValue | None = None,
        gt: ColumnValue | None = None,
        le: ColumnValue | None = None,
        lt: ColumnValue | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[M, dict[str, ColumnValue]]]:
        """Iterate over a range. Takes the arguments of `range`. Cost: one round trip for each 1000 members."""
        lex = self._lex(equal, Bounds.of(ge, gt, le, lt))
        for entries in self._entry_iterator(lex, reverse):
            yield from map(self._decoded, entries)

    async def aiterate(
        self,
        equal: Values | None = None,
        *,
        ge: ColumnValue | None = None,
        gt: ColumnValue | None = None,
        le: ColumnValue | None = None,
        lt: ColumnValue | None = None,
        reverse: bool = False,
    ) -> AsyncIterator[tuple[M, dict[str, ColumnValue]]]:
        """Async version of `iterate`."""
        batches = self._entry_iterator(self._lex(equal, Bounds.of(ge, gt, le, lt)), reverse)
        while (entries := await offload(next, batches, None)) is not None:
            for entry in entries:
                yield self._decoded(entry)

    def count(
        self,
        equal: Values | None = None,
        *,
        ge: ColumnValue | None = None,
        gt: ColumnValue | None = None,
        le: ColumnValue | None = None,
        lt: ColumnValue | None = None,
    ) -> int:
        """Return the number of members in a range, or of all members. Cost: one round trip, O(log n)."""
        return self._count(self._lex(equal, Bounds.of(ge, gt, le, lt)))

    aput = async_version(put)
    aput_many = async_version(put_many)
    aremove = async_version(remove)
    aget = async_version(get)
    arange = async_version(range)  # noqa: A003 - the method above
    aitems = async_version(items)
    apage = async_version(page)
    acount = async_version(count)

    def _row(self, values: Values) -> bytes:
        """Encode a row as the prefix of its entry."""
        if not isinstance(values, Mapping) or {*values} != {c.name for c in self.columns}:
            names = [column.name for column in self.columns]
            raise InvalidInputError(f"a row must have the columns {names!r}, not {values!r}")
        return b"".join(column.encode(values[column.name]) for column in self.columns)

    def _lex(self, equal: Values | None, bounds: Bounds[ColumnValue]) -> LexRange:
        values = dict(equal or {})
        leading = self.columns[: len(values)]
        if {*values} != {column.name for column in leading}:
            names = [column.name for column in self.columns]
            raise InvalidInputError(
                f"equal must name the first columns of {names!r} without a gap, not {[*values]!r}"
            )
        prefix = b"".join(column.encode(values[column.name]) for column in leading)
        if bounds.low is None and bounds.high is None:
            return lex_bounds(prefix, after_prefix(prefix))
        if len(leading) == len(self.columns):
            raise InvalidInputError("equal names every column, so no column is left for the bounds")
        return _next_column(prefix, self.columns[len(leading)], bounds)

    def _decoded(self, entry: bytes) -> tuple[M, dict[str, ColumnValue]]:
        row: dict[str, ColumnValue] = {}
        at = 0
        for column in self.columns:
            row[column.name], at = column.decode(entry, at)
        return self._members.decode(entry[at:]), row

    def _split(self, entry: bytes) -> int:
        """Return the offset of the member in an entry."""
        at = 0
        for column in self.columns:
            _, at = column.decode(entry, at)
        return at

    def _audits(self) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
        return audit_arguments(self._scan, self._split, self._members.valid)


def _next_column(prefix: bytes, column: Column, bounds: Bounds[ColumnValue]) -> LexRange:
    """Return the range of the entries with a prefix and bounds on the next column."""
    if column.descending:
        bounds = Bounds(bounds.high, bounds.low, bounds.with_high, bounds.with_low)
    if bounds.low is None:
        start: bytes | None = prefix
    else:
        low = prefix + column.encode(bounds.low)
        start = low if bounds.with_low else after_prefix(low)
    if bounds.high is None:
        end = after_prefix(prefix)
    else:
        high = prefix + column.encode(bounds.high)
        end = after_prefix(high) if bounds.with_high else high
    if start is None:  # above all entries
        return b"+", b"-"
    return lex_bounds(start, end)
