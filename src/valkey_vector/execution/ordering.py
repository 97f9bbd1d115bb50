"""Ordered filter queries: sort the matching records by any field, and return the requested range."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from valkey_vector.connection.pipelines import Pipelined, run
from valkey_vector.engines.base import Engine
from valkey_vector.engines.paging import PageSize
from valkey_vector.execution.selection import Selection, metadata_of, select, selecting
from valkey_vector.filters.ast import Field
from valkey_vector.filters.plan import Range, all_of
from valkey_vector.query import OrderBy
from valkey_vector.records.metadata import MISSING, lookup
from valkey_vector.records.ordering import sort_key
from valkey_vector.storage.layout import CONTENT, METADATA, PARENT
from valkey_vector.storage.record_version import VERSION
from valkey_vector.storage.rows import Row

__all__ = ["Window", "pages", "sort_items", "sort_rows", "windowed"]

_T = TypeVar("_T")

_PAGE = 500
_FIRST_PAGE = 50
"""Records in the first page, before the size of a record is known."""


@dataclass(frozen=True, slots=True)
class Window:
    """The requested range of the matching records, and their order.

    Attributes:
        orders: sort keys, the most important first; empty for the order of creation.
        newest_first: without sort keys, newest first.
        offset: number of records to skip.
        limit: maximum number of records; None for all.
    """

    orders: tuple[OrderBy, ...]
    newest_first: bool
    offset: int
    limit: int | None

    @property
    def end(self) -> int | None:
        """The position after the last record of the range; None without a limit."""
        return None if self.limit is None else min(self.offset + self.limit, sys.maxsize)

    @property
    def as_stored(self) -> bool:
        """True if the order is the one in which engines iterate over records."""
        return not self.orders and not self.newest_first


def windowed(
    engine: Engine, selection: Selection, window: Window, fields: Sequence[str]
) -> Pipelined[list[Row]]:
    """Retrieve the records of a range.

    Cost: with a limit, an order by a number or newest first reads little more than the requested records. For any other
        order except oldest first, the sort keys of all matching records are read and sorted here.
    """
    if window.limit == 0:
        return []
    if window.as_stored:
        rows = yield from selecting(engine, selection, fields, window.end)
        return rows[window.offset :]
    ordered = yield from _ordered(engine, selection, window, window.end)
    rows = yield from _fetched(engine, selection, window, ordered, fields)
    if len(ordered) == window.end and len(rows) < (window.limit or 0):
        # Some were removed since, so the records after them move up.
        ordered = yield from _ordered(engine, selection, window, None)
        rows = yield from _fetched(engine, selection, window, ordered, fields)
    return rows


def _fetched(
    engine: Engine,
    selection: Selection,
    window: Window,
    ordered: Sequence[Row],
    fields: Sequence[str],
) -> Pipelined[list[Row]]:
    """Fetch the records of a range of ordered records."""
    wanted = selection.with_own([*fields, *_keys(window)])
    rows: list[Row] = []
    changed, position = False, window.offset
    while position < len(ordered) and (window.limit is None or len(rows) < window.limit):
        end = None if window.limit is None else position + window.limit - len(rows)
        part = ordered[position:end]
        found = yield from engine.fetching([row.id for row in part], wanted)
        there = selection.kept([row for row in found if row is not None])
        versions = {row.id: row.version for row in part}
        changed = changed or any(row.version != versions[row.id] for row in there)
        rows += there
        position += len(part)
    return sort_rows(rows, window.orders) if changed else rows


def pages(
    engine: Engine, selection: Selection, window: Window, fields: Sequence[str]
) -> Iterator[list[Row]]:
    """Iterate over the records of a range in pages of a limited size in bytes; each page is fetched when needed."""
    if window.limit == 0:
        return
    if window.as_stored:
        yield from _cut(select(engine, selection, fields), window)
        return
    ordered = run(engine, _ordered(engine, selection, window, window.end))
    ids = [row.id for row in ordered[window.offset : window.end]]
    size = PageSize(_FIRST_PAGE, _PAGE)
    while ids:
        part, ids = ids[: size.rows], ids[size.rows :]
        rows = run(engine, engine.fetching(part, selection.with_own(fields)))
        found = [row for row in rows if row is not None]
        size.learn(found)
        if page := selection.kept(found):
            yield page


def _cut(found: Iterable[list[Row]], window: Window) -> Iterator[list[Row]]:
    """Cut a range out of pages of all rows; fetches no page after the end of the range."""
    position = 0
    for page in found:
        end = None if window.end is None else window.end - position
        if part := page[max(0, window.offset - position) : end]:
            yield part
        position += len(page)
        if window.end is not None and position >= window.end:
            return


def sort_rows(rows: Iterable[Row], orders: Sequence[OrderBy]) -> list[Row]:
    """Sort rows by several keys: booleans, then numbers, points in time, texts, other values.

    Rows without the item come last in both directions. The sort is stable.
    """
    pairs = [(_Values(row), row) for row in rows]
    return [row for _, row in sort_items(pairs, orders, lambda pair, field: pair[0].get(field))]


def sort_items(
    items: Iterable[_T], orders: Sequence[OrderBy], value_of: Callable[[_T, Field], Any]
) -> list[_T]:
    """Sort items by the values of several fields, in the order of `sort_rows`.

    Args:
        items: the items, in the order of those with equal values.
        orders: sort keys, the most important first.
        value_of: returns the value of an item for a field; None or `MISSING` if there is none.
    """
    ordered = list(items)
    for order in reversed(orders):
        present: list[tuple[tuple[int, Any], _T]] = []
        absent: list[_T] = []
        for item in ordered:
            value = value_of(item, order.field)
            if value is None or value is MISSING:
                absent.append(item)
            else:
                present.append((sort_key(value), item))
        present.sort(key=lambda keyed: keyed[0], reverse=order.descending)
        ordered = [item for _, item in present] + absent
    return ordered


def _ordered(
    engine: Engine, selection: Selection, window: Window, limit: int | None
) -> Pipelined[list[Row]]:
    """All matching records in the order of a range, or at least the first `limit`, with their versions only."""
    in_metadata = all(order.field.source == "metadata" for order in window.orders)
    if in_metadata and selection.exact and selection.ids is None:
        orders = [(order.field.path, order.descending) for order in window.orders]
        ordering = engine.ordering(selection.plan, orders, limit)
        known = None if ordering is None else (yield from ordering)
        if known is not None:
            return known
    rows = yield from _leading(engine, selection, window, limit)
    if rows is None:
        rows = yield from selecting(engine, selection, _keys(window), None)
    ordered = sort_rows(rows, window.orders) if window.orders else rows[::-1]
    return [Row(row.id, {} if row.version is None else {VERSION: row.version}) for row in ordered]


def _leading(
    engine: Engine, selection: Selection, window: Window, limit: int | None
) -> Pipelined[list[Row] | None]:
    """At least the first `limit` of the matching records, oldest first; None if the engine cannot select them."""
    first = window.orders[0] if window.orders else None
    if limit is None or not selection.exact or selection.ids is not None:
        return None
    if first is not None and first.field.source != "metadata":
        return None
    order = None if first is None else (first.field.path, first.descending)
    searching = engine.leading(selection.plan, order, limit)
    leading = None if searching is None else (yield from searching)
    if leading is None or (leading.tied is not None and len(window.orders) != 1):
        return None
    rows: list[Row] = []
    if leading.range is not None:
        rows = yield from _inside(engine, selection, window, leading.range, None)
    if leading.tied is not None:
        # Ties are ordered by age, in which engines select them.
        rows += yield from _inside(engine, selection, window, leading.tied, limit)
    return rows if len(rows) >= limit else None


def _inside(
    engine: Engine, selection: Selection, window: Window, bound: Range, limit: int | None
) -> Pipelined[list[Row]]:
    """The matching records whose field is in a range, all or the first `limit`, oldest first."""
    narrowed = replace(selection, plan=all_of([selection.plan, bound]))
    rows = yield from selecting(engine, narrowed, [*_keys(window), bound.field], limit)
    # A record may have changed since the range was found: without it, the others are still the first ones.
    return [row for row in rows if bound.covers(float(row.fields.get(bound.field, b"nan")))]


def _keys(window: Window) -> list[str]:
    """The hash fields that the sort keys read."""
    sources = {order.field.source for order in window.orders}
    return [name for source, name in _STORED.items() if source in sources]


_STORED = {"metadata": METADATA, "content": CONTENT, "parent": PARENT}


class _Values:
    """Sort values of a row; decodes the metadata once."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._metadata: Any = None

    def get(self, field: Field) -> Any:
        match field.source:
            case "id":
                return self._row.id
            case "content":
                return self._row.fields.get(CONTENT, b"").decode("utf-8")
            case "parent":
                parent = self._row.fields.get(PARENT)
                return None if parent is None else parent.decode("utf-8")
            case _:
                if self._metadata is None:
                    self._metadata = metadata_of(self._row)
                return lookup(self._metadata, field.path)
