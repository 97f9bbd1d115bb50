"""Answer queries on an engine: compile the filter, check the residual, measure, order and page.

All that both engines have in common about reading is here, so that an engine need only do what its server is good at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from valkey_vector.document import CONTENT, CREATED, METADATA, VECTOR, decode_record
from valkey_vector.engines.base import Engine, Row
from valkey_vector.engines.comparison import nearest_of
from valkey_vector.filters.ast import And, Equal, Filter, Not, OneOf, Or
from valkey_vector.filters.evaluate import matches
from valkey_vector.filters.plan import Everything, Plan, SlotKind, compile_filter
from valkey_vector.lifecycle import Lifecycle
from valkey_vector.metadata import MISSING, load, lookup
from valkey_vector.ranking import similarity
from valkey_vector.record import Hit
from valkey_vector.schema import Metric
from valkey_vector.temporal import instant, is_temporal
from valkey_vector.vectors import Float32Array

__all__ = [
    "Selection",
    "Window",
    "count",
    "delete",
    "hit",
    "nearest",
    "nearest_many",
    "prepare_selection",
    "select",
    "select_window",
    "sort_rows",
]

_FIRST = 100
_MOST = 10_000
"""Candidates to check a residual on by nearness; beyond, all that the plan selects are gone through."""

_FEW = 5_000
"""Ids that a filter may name to be fetched directly."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter made ready for one engine.

    Attributes:
        plan: what the engine selects.
        residual: what is to be checked on what it selected.
        ids: if not None, only these ids can match, so they are looked up instead.
    """

    plan: Plan
    residual: Filter | None
    ids: tuple[str, ...] | None = None

    @property
    def fields(self) -> list[str]:
        """The hash fields needed to check the residual."""
        if self.residual is None:
            return []
        return [METADATA, CONTENT] if _reads_content(self.residual) else [METADATA]


def prepare_selection(lifecycle: Lifecycle, engine: Engine, filter: Filter | None) -> Selection:
    """Compile a filter, with the slot bindings read anew if it asks for one this process does not know."""
    if filter is None:
        return Selection(Everything(), None)
    named = _named_ids(filter)
    if named is not None and len(named.ids) <= _FEW:
        return Selection(Everything(), named.rest, named.ids)
    slots = _Watched(engine)
    compiled = compile_filter(filter, slots)
    if slots.missed and lifecycle.refresh(engine):
        compiled = compile_filter(filter, engine.entry)
    plan = engine.fit(compiled.plan)
    residual = compiled.residual if plan is compiled.plan else filter
    return Selection(plan, residual)


def nearest(
    engine: Engine,
    selection: Selection,
    vector: Float32Array,
    k: int,
    fields: Sequence[str],
    *,
    ef_runtime: int | None,
) -> list[Row]:
    """The k nearest records that match, nearest first, ties by id; fewer only if there are fewer."""
    if selection.ids is not None:
        return _nearest_by_comparing(
            engine, _named_rows(engine, selection, [VECTOR]), vector, k, fields
        )
    if selection.residual is None:
        return engine.knn(vector, k, selection.plan, fields, ef_runtime)
    wanted = list(dict.fromkeys([*fields, *selection.fields]))
    asked = max(4 * k, _FIRST)
    while asked <= _MOST:
        rows = engine.knn(vector, asked, selection.plan, wanted, ef_runtime)
        passing = [row for row in rows if passes(selection.residual, row)]
        if len(passing) >= k or len(rows) < asked:
            return passing[:k]
        asked *= 4
    return _nearest_by_comparing(engine, _matching(engine, selection, [VECTOR]), vector, k, fields)


def nearest_many(
    engine: Engine,
    selection: Selection,
    vectors: Sequence[Float32Array],
    k: int,
    fields: Sequence[str],
) -> list[list[Row]]:
    """`nearest` for each of several vectors; in one round trip, if the engine can decide the filter."""
    if selection.ids is None and selection.residual is None:
        return engine.knn_many(vectors, k, selection.plan, fields)
    return [nearest(engine, selection, vector, k, fields, ef_runtime=None) for vector in vectors]


def select(engine: Engine, selection: Selection, fields: Sequence[str]) -> Iterator[list[Row]]:
    """All records that match, in pages, oldest first."""
    if selection.ids is not None:
        return _named_rows(engine, selection, fields)
    return _matching(engine, selection, fields)


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of the records that match, in which order.

    Attributes:
        order_by: a metadata key; None for the time of creation.
        descending: the other way round.
        offset: leave out so many at the beginning.
        limit: at most so many; None for all.
    """

    order_by: str | None
    descending: bool
    offset: int
    limit: int | None


def select_window(
    engine: Engine, selection: Selection, window: Window, fields: Sequence[str]
) -> list[Row]:
    """The records of a window. In another order than oldest first, all that match are ordered here."""
    end = None if window.limit is None else window.offset + window.limit
    if window.order_by is None and not window.descending:
        rows = chain.from_iterable(select(engine, selection, fields))
        return list(islice(rows, window.offset, end))
    keys = [] if window.order_by is None else [METADATA]
    found = chain.from_iterable(select(engine, selection, keys))
    if window.order_by is None:
        ordered = list(found)[::-1]
    else:
        ordered = sort_rows(found, window.order_by, descending=window.descending)
    chosen = engine.fetch([row.id for row in ordered[window.offset : end]], fields)
    return [row for row in chosen if row is not None]


def hit(row: Row, metric: Metric) -> Hit:
    """A row that was found by vector, as callers get it."""
    record = decode_record(row.id, row.fields)
    near = similarity(row.distance, metric)
    return Hit(record=record, score=near, distance=row.distance, similarity=near)


def delete(engine: Engine, selection: Selection) -> int:
    """Remove the records that match; returns how many that were."""
    return sum(engine.delete([row.id for row in page]) for page in select(engine, selection, []))


def count(engine: Engine, selection: Selection) -> int:
    """How many records match."""
    if selection.residual is None and selection.ids is None:
        return engine.count(selection.plan)
    return sum(len(page) for page in select(engine, selection, []))


def sort_rows(rows: Iterable[Row], path: str, *, descending: bool) -> list[Row]:
    """Rows by a metadata item: booleans, numbers, points in time, texts, anything else.

    Rows without the item come last in either direction; what is equal stays oldest first.
    """
    present: list[tuple[Any, Row]] = []
    absent: list[Row] = []
    for row in rows:
        value = lookup(load(row.fields[METADATA]), path)
        if value is None or value is MISSING:
            absent.append(row)
        else:
            present.append((_sort_key(value), row))
    present.sort(key=lambda pair: pair[0], reverse=descending)
    return [row for _, row in present] + absent


def passes(filter: Filter, row: Row) -> bool:
    """Whether a row, with the fields to tell, matches."""
    content = row.fields.get(CONTENT, b"").decode("utf-8")
    return matches(filter, load(row.fields[METADATA]), id=row.id, content=content)


class _Watched:
    """Slot bindings that note whether one was asked for that is not there."""

    def __init__(self, engine: Engine) -> None:
        self._entry = engine.entry
        self.missed = False

    def slot(self, path: str, kind: SlotKind) -> str | None:
        found = self._entry.slot(path, kind)
        if found is None and self._entry.complete(path, kind):
            self.missed = True
        return found

    def complete(self, path: str, kind: SlotKind) -> bool:
        return self._entry.complete(path, kind)


def _matching(engine: Engine, selection: Selection, fields: Sequence[str]) -> Iterator[list[Row]]:
    wanted = list(dict.fromkeys([*fields, *selection.fields]))
    for page in engine.select(selection.plan, wanted):
        residual = selection.residual
        kept = page if residual is None else [row for row in page if passes(residual, row)]
        if kept:
            yield kept


def _named_rows(engine: Engine, selection: Selection, fields: Sequence[str]) -> Iterator[list[Row]]:
    wanted = list(dict.fromkeys([CREATED, *fields, *selection.fields]))
    found = engine.fetch(selection.ids or (), wanted)
    rows = [
        row
        for row in found
        if row is not None and (selection.residual is None or passes(selection.residual, row))
    ]
    rows.sort(key=lambda row: (float(row.fields[CREATED]), row.id))
    if rows:
        yield rows


def _nearest_by_comparing(
    engine: Engine,
    pages: Iterable[Sequence[Row]],
    vector: Float32Array,
    k: int,
    fields: Sequence[str],
) -> list[Row]:
    """Measure every row that has a vector, and bring the k nearest."""
    best = nearest_of(pages, vector, k, engine.entry.schema.metric)
    brought = engine.fetch([id for _, id in best], fields)
    return [
        Row(row.id, row.fields, distance)
        for (distance, _), row in zip(best, brought, strict=True)
        if row is not None
    ]


@dataclass(frozen=True, slots=True)
class _Named:
    """The only ids a filter can match, and what else it asks of them."""

    ids: tuple[str, ...]
    rest: Filter | None


def _named_ids(filter: Filter) -> _Named | None:
    """The ids that a filter names as the only ones possible, or None."""
    match filter:
        case Equal(field, value) if field.source == "id":
            return _named_ids(OneOf(field, (value,)))
        case OneOf(field, values) if field.source == "id":
            if any(is_temporal(item) for item in values):
                return None  # equal to several texts
            texts = (item for item in values if isinstance(item, str) and item)
            return _Named(tuple(dict.fromkeys(texts)), None)
        case And(parts):
            for position, part in enumerate(parts):
                named = _named_ids(part)
                if named is not None:
                    others = (*parts[:position], *parts[position + 1 :])
                    rest = others if named.rest is None else (named.rest, *others)
                    return _Named(named.ids, And(rest) if rest else None)
            return None
        case _:
            return None


def _reads_content(filter: Filter) -> bool:
    match filter:
        case And(parts) | Or(parts):
            return any(_reads_content(part) for part in parts)
        case Not(part):
            return _reads_content(part)
        case _:
            field = getattr(filter, "field", None)
            return field is not None and field.source == "content"


def _sort_key(value: Any) -> tuple[int, Any]:
    match value:
        case bool():
            return 0, value
        case int() | float():
            return (1, value) if value == value else (4, "")
        case str():
            return 3, value
        case _ if is_temporal(value):
            return 2, instant(value)
        case _:
            return 4, ""
