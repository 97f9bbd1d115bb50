"""Answer queries by vector on an engine: the nearest records, or all within a threshold, whatever the filter."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from valkey_vector.answering import Selection, select, selecting
from valkey_vector.catalog import vector_name
from valkey_vector.document import decode_record
from valkey_vector.engines.base import Engine, Near, Row
from valkey_vector.engines.comparison import compared
from valkey_vector.engines.steps import Steps
from valkey_vector.query import Threshold
from valkey_vector.ranking import similarity
from valkey_vector.record import Hit
from valkey_vector.schema import Flat, Hnsw, Metric

__all__ = ["hit", "nearest", "within"]

_FIRST = 100
_MOST = 10_000
"""Candidates to ask for by nearness; beyond, all that the plan selects are gone through."""


def nearest(
    engine: Engine, selection: Selection, near: Near, k: int, fields: Sequence[str]
) -> Steps[list[Row]]:
    """The k nearest records that match, nearest first, ties by id; fewer only if there are fewer."""
    if selection.ids is not None:
        return (yield from _named(engine, selection, near, fields, k=k))
    if selection.residual is None:
        return (yield from engine.knn(near, k, selection.plan, fields))
    wanted = selection.with_own(fields)
    asked = max(4 * k, _FIRST)
    while asked <= _MOST:
        rows = yield from engine.knn(near, asked, selection.plan, wanted)
        passing = selection.kept(rows)
        if len(passing) >= k or len(rows) < asked:
            return passing[:k]
        asked *= 4
    pages = select(engine, selection, [vector_name(near.field.name)])
    return (yield from compared(engine, pages, near, fields, k=k))


def within(
    engine: Engine, selection: Selection, near: Near, threshold: Threshold, fields: Sequence[str]
) -> Steps[list[Row]]:
    """All records that match and are near enough, nearest first, ties by id.

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
        return admitted(selection.kept((yield from steps)))
    asked = _FIRST
    while True:
        rows = yield from engine.knn(_wide(near, 2 * asked), asked, selection.plan, wanted)
        near_enough = admitted(rows)
        if len(rows) < asked or len(near_enough) < asked:
            return selection.kept(near_enough)
        if asked == _MOST:
            break
        asked = min(_MOST, 4 * asked)
    pages = select(engine, selection, [vector_name(near.field.name)])
    return admitted((yield from compared(engine, pages, near, fields, k=None, radius=radius)))


def hit(row: Row, metric: Metric, only: Collection[str] | None = None) -> Hit:
    """A row that was found by vector, as callers get it, with `only` these of its fields, if others may be there."""
    alike = similarity(row.distance, metric)
    record = decode_record(row.id, row.fields, only)
    return Hit(record=record, score=alike, distance=row.distance, similarity=alike)


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
    """Out of the records whose ids the filter names."""
    rows = yield from selecting(engine, selection, [vector_name(near.field.name)], None)
    return (yield from compared(engine, [rows], near, fields, k=k, radius=radius))
