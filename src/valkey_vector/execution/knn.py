"""Answer queries by vector on an engine: the nearest records, or all within a threshold, whatever the filter."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from valkey_vector.connection.pipelines import Steps
from valkey_vector.engines.base import Engine, Near, Row
from valkey_vector.engines.exact import RangeUnavailableError, compared, measured
from valkey_vector.execution.selection import Selection, record_of, select, selecting
from valkey_vector.query import Threshold
from valkey_vector.records.record import Hit
from valkey_vector.schema.schema import Flat, Hnsw, Metric
from valkey_vector.schema.similarity import similarity
from valkey_vector.storage.catalog import vector_name

__all__ = ["hit", "nearest", "within"]

_FIRST = 100
_MOST = 10_000
"""Candidates to ask for by nearness; beyond, all that the plan selects are gone through."""


def nearest(
    engine: Engine, selection: Selection, near: Near, k: int, fields: Sequence[str]
) -> Steps[list[Row]]:
    """The k nearest records that match, nearest first, ties by id; fewer only if there are fewer.

    What the engine found is checked. While too few of it match, because the index only narrows the filter down or because
    records changed meanwhile, more are requested.
    """
    if selection.ids is not None:
        return (yield from _named(engine, selection, near, fields, k=k))
    wanted = selection.with_own(fields)
    for asked in _growing(k if selection.exact else max(4 * k, _FIRST)):
        rows = yield from engine.knn(near, asked, selection.plan, wanted)
        passing = selection.kept(rows)
        if len(passing) >= k or len(rows) < asked:
            return passing[:k]
    return (yield from _compared(engine, selection, near, fields, k=k))


def within(
    engine: Engine, selection: Selection, near: Near, threshold: Threshold, fields: Sequence[str]
) -> Steps[list[Row]]:
    """All records that match and are within the threshold, nearest first, ties by id.

    Where the engine cannot search by distance it is asked for ever more of the nearest, until one is too far; a graph
    looks at twice as many as are asked for, so that none within the threshold is at the edge of what it sees.
    """
    metric = near.field.metric
    radius = threshold.radius(metric)

    def admitted(rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if threshold.admits(row.distance, metric)]

    if selection.ids is not None:
        named = yield from _named(engine, selection, near, fields, k=None, radius=radius)
        return admitted(named)
    wanted = selection.with_own(fields)
    steps = engine.within(near, radius, selection.plan, wanted)
    if steps is not None:
        try:
            return admitted(selection.kept((yield from steps)))
        except RangeUnavailableError:
            pass  # the server does not know it after all, or would cut its answer
    for asked in _growing(_FIRST):
        rows = yield from engine.knn(_wide(near, 2 * asked), asked, selection.plan, wanted)
        near_enough = admitted(rows)
        if len(rows) < asked or len(near_enough) < asked:
            return selection.kept(near_enough)
    return admitted((yield from _compared(engine, selection, near, fields, k=None, radius=radius)))


def hit(row: Row, metric: Metric, fields: Collection[str]) -> Hit:
    """A row that was found by vector, as callers get it, with `fields` and no others that were read to check it."""
    alike = similarity(row.distance, metric)
    return Hit(record=record_of(row, fields), score=alike, distance=row.distance, similarity=alike)


def _growing(first: int) -> Iterator[int]:
    """How many to request: four times as many each time, the last time as many as the server allows."""
    asked = first
    while asked < _MOST:
        yield asked
        asked = 4 * asked + 8
    yield max(_MOST, first)


def _wide(near: Near, least: int) -> Near:
    """The same, looking at a number of candidates at least."""
    match near.field.algorithm:
        case Hnsw(ef_runtime=default):
            return replace(near, ef_runtime=max(least, near.ef_runtime or default))
        case Flat():
            return near


def _named(
    engine: Engine,
    selection: Selection,
    near: Near,
    fields: Sequence[str],
    *,
    k: int | None,
    radius: float = math.inf,
) -> Steps[list[Row]]:
    """Out of the records whose ids the filter names: they are fetched and measured in one go."""
    name = vector_name(near.field.name)
    rows = yield from selecting(engine, selection, list(dict.fromkeys([*fields, name])), None)
    return measured([rows], near, k=k, radius=radius)


def _compared(
    engine: Engine,
    selection: Selection,
    near: Near,
    fields: Sequence[str],
    *,
    k: int | None,
    radius: float = math.inf,
) -> Steps[list[Row]]:
    """Out of all records that match, compared one by one, and checked again once their fields are there."""

    def pages() -> Iterator[list[Row]]:
        return select(engine, selection, [vector_name(near.field.name)])

    wanted = selection.with_own(fields)
    rows = yield from compared(engine, pages, near, wanted, k=k, radius=radius)
    return selection.kept(rows)
