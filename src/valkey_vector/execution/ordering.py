"""Answer filters in an order and in part: sort records by any of their fields, and cut the window asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from valkey_vector.connection.pipelines import Steps, alone
from valkey_vector.engines.base import Engine, Row
from valkey_vector.engines.paging import PageSize
from valkey_vector.execution.selection import Selection, metadata_of, select, selecting
from valkey_vector.filters.ast import Field
from valkey_vector.query import OrderBy
from valkey_vector.records.metadata import MISSING, lookup
from valkey_vector.records.ordering import sort_key
from valkey_vector.storage.layout import CONTENT, METADATA, PARENT
from valkey_vector.storage.record_version import VERSION

__all__ = ["Window", "pages", "sort_rows", "windowed"]

_PAGE = 500
_FIRST_PAGE = 50
"""Records in a page before it is known how many bytes they have."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of the records that match, in which order.

    Attributes:
        orders: by what they are sorted; none for the time of creation.
        newest_first: without orders, the other way round.
        offset: leave out so many at the beginning.
        limit: at most so many; None for all.
    """

    orders: tuple[OrderBy, ...]
    newest_first: bool
    offset: int
    limit: int | None

    @property
    def end(self) -> int | None:
        """How many records there are up to its end; None for all."""
        return None if self.limit is None else min(self.offset + self.limit, sys.maxsize)

    @property
    def as_stored(self) -> bool:
        """Whether it is in the order in which engines go through records."""
        return not self.orders and not self.newest_first


def windowed(
    engine: Engine, selection: Selection, window: Window, fields: Sequence[str]
) -> Steps[list[Row]]:
    """The records of a window. In another order than oldest first, all that match are ordered here."""
    if window.limit == 0:
        return []
    if window.as_stored:
        rows = yield from selecting(engine, selection, fields, window.end)
        return rows[window.offset :]
    ordered = yield from _ordered(engine, selection, window)
    wanted = selection.with_own([*fields, *_keys(window)])
    rows, changed, position = [], False, window.offset
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
    """The records of a window, in pages that are fetched one after the other, each of a bounded number of bytes."""
    if window.limit == 0:
        return
    if window.as_stored:
        yield from _cut(select(engine, selection, fields), window)
        return
    ordered = alone(engine, _ordered(engine, selection, window))
    ids = [row.id for row in ordered[window.offset : window.end]]
    size = PageSize(_FIRST_PAGE, _PAGE)
    while ids:
        part, ids = ids[: size.rows], ids[size.rows :]
        found = [row for row in engine.fetch(part, selection.with_own(fields)) if row is not None]
        size.learn(found)
        if page := selection.kept(found):
            yield page


def _cut(found: Iterable[list[Row]], window: Window) -> Iterator[list[Row]]:
    """The rows of a window out of pages that have all; no page is fetched after its end."""
    position = 0
    for page in found:
        end = None if window.end is None else window.end - position
        if part := page[max(0, window.offset - position) : end]:
            yield part
        position += len(page)
        if window.end is not None and position >= window.end:
            return


def sort_rows(rows: Iterable[Row], orders: Sequence[OrderBy]) -> list[Row]:
    """Rows by several keys: booleans, numbers, points in time, texts, anything else.

    Rows without the item come last in either direction; what is equal in all keys stays as it was.
    """
    ordered = [(_Values(row), row) for row in rows]
    for order in reversed(orders):
        present: list[tuple[tuple[int, Any], tuple[_Values, Row]]] = []
        absent: list[tuple[_Values, Row]] = []
        for pair in ordered:
            value = pair[0].get(order.field)
            if value is None or value is MISSING:
                absent.append(pair)
            else:
                present.append((sort_key(value), pair))
        present.sort(key=lambda keyed: keyed[0], reverse=order.descending)
        ordered = [pair for _, pair in present] + absent
    return [row for _, row in ordered]


def _ordered(engine: Engine, selection: Selection, window: Window) -> Steps[list[Row]]:
    """All records that match in the order of a window, with no more fields than their versions."""
    rows = yield from selecting(engine, selection, _keys(window), None)
    ordered = sort_rows(rows, window.orders) if window.orders else rows[::-1]
    return [Row(row.id, {} if row.version is None else {VERSION: row.version}) for row in ordered]


def _keys(window: Window) -> list[str]:
    """The hash fields by which a window is ordered."""
    sources = {order.field.source for order in window.orders}
    return [name for source, name in _STORED.items() if source in sources]


_STORED = {"metadata": METADATA, "content": CONTENT, "parent": PARENT}


class _Values:
    """What a row can be sorted by, its metadata read once."""

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
