"""Answer filters in an order and in part: sort records by any of their fields, and cut the window asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from valkey_vector.answering import Selection, select, selecting
from valkey_vector.document import CONTENT, METADATA, PARENT
from valkey_vector.engines.base import Engine, Row
from valkey_vector.engines.documents import in_batches
from valkey_vector.engines.steps import Steps, alone
from valkey_vector.filters.ast import Field
from valkey_vector.metadata import MISSING, load, lookup
from valkey_vector.query import OrderBy
from valkey_vector.value_order import sort_key

__all__ = ["Window", "pages", "sort_rows", "windowed"]

_PAGE = 500


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
    ids = yield from _ordered(engine, selection, window)
    found = yield from engine.fetching(ids, fields)
    return [row for row in found if row is not None]


def pages(
    engine: Engine, selection: Selection, window: Window, fields: Sequence[str]
) -> Iterator[list[Row]]:
    """The records of a window, in pages that are brought one after the other."""
    if window.limit == 0:
        return
    if window.as_stored:
        rows = chain.from_iterable(select(engine, selection, fields))
        wanted = islice(rows, min(window.offset, sys.maxsize), window.end)
        while page := list(islice(wanted, _PAGE)):
            yield page
        return
    for ids in in_batches(alone(engine, _ordered(engine, selection, window)), _PAGE):
        if page := [row for row in engine.fetch(ids, fields) if row is not None]:
            yield page


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


def _ordered(engine: Engine, selection: Selection, window: Window) -> Steps[list[str]]:
    """The ids of a window."""
    sources = {order.field.source for order in window.orders}
    keys = [name for source, name in _STORED.items() if source in sources]
    rows = yield from selecting(engine, selection, keys, None)
    ordered = sort_rows(rows, window.orders) if window.orders else rows[::-1]
    return [row.id for row in ordered[window.offset : window.end]]


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
                    self._metadata = load(self._row.fields[METADATA])
                return lookup(self._metadata, field.path)
