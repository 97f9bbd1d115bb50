"""Vector queries: nearest neighbors, or all records within a threshold, with any filter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from valkey_vector.connection.observation import current_observation, note_candidates, note_fallback
from valkey_vector.connection.pipelines import Pipelined
from valkey_vector.engines.base import Engine, Near
from valkey_vector.engines.exact import RangeUnavailableError, compared, measured
from valkey_vector.execution.selection import Selection, select, selecting
from valkey_vector.query import Threshold
from valkey_vector.schema.schema import Flat, Hnsw
from valkey_vector.storage.catalog import vector_name
from valkey_vector.storage.rows import Row

__all__ = ["nearest", "within"]

MORE_CANDIDATES = "more candidates"
EXACT_COMPARISON = "exact comparison of all selected records"

_FIRST_REQUEST = 100
_MAX_CANDIDATES = 10_000
"""Largest number of candidates in one KNN request; beyond it, all records that the plan selects are compared."""


def nearest(
    engine: Engine, selection: Selection, near: Near, k: int, fields: Sequence[str]
) -> Pipelined[list[Row]]:
    """Retrieve the k nearest records that match, nearest first, ties by id; fewer only if fewer match.

    Every candidate is checked against the filter. If too few match, because the index only narrows the filter down or
    because records changed, more candidates are requested.

    Cost: one KNN request if the index evaluates the whole filter; otherwise each further request is four times as large,
    up to 10,000 candidates. After that, all records that the plan selects are compared.
    """
    if selection.ids is not None:
        return (yield from _named(engine, selection, near, fields, k=k))
    wanted = fields if selection.filter is None else selection.with_own(fields)
    requested: int | None
    requested = first = k if selection.exact else max(4 * k, _FIRST_REQUEST)
    while requested is not None:
        if requested > first:
            note_fallback(MORE_CANDIDATES)
        rows = yield from engine.knn(near, requested, selection.plan, wanted)
        if current_observation() is not None:
            note_candidates(len(rows))
        passing = rows if selection.filter is None else selection.kept(rows)
        if len(passing) >= k or len(rows) < requested:
            return passing if len(passing) == k else passing[:k]
        requested = _more(requested)
    return (yield from _compared(engine, selection, near, fields, k=k))


def within(
    engine: Engine, selection: Selection, near: Near, threshold: Threshold, fields: Sequence[str]
) -> Pipelined[list[Row]]:
    """Retrieve all matching records within the threshold, nearest first, ties by id.

    If the engine cannot search by distance, ever more nearest neighbors are requested until one is beyond the
    threshold. HNSW then searches twice as many candidates as requested, so that no record within the threshold lies at
    the edge of the search.
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
            rows = yield from steps
            note_candidates(len(rows))
            return admitted(selection.kept(rows))
        except RangeUnavailableError:
            pass  # the server rejects the range query, or would truncate its result
    requested: int | None = _FIRST_REQUEST
    while requested is not None:
        if requested > _FIRST_REQUEST:
            note_fallback(MORE_CANDIDATES)
        rows = yield from engine.knn(_wide(near, 2 * requested), requested, selection.plan, wanted)
        note_candidates(len(rows))
        within_threshold = admitted(rows)
        if len(rows) < requested or len(within_threshold) < requested:
            return selection.kept(within_threshold)
        requested = _more(requested)
    return admitted((yield from _compared(engine, selection, near, fields, k=None, radius=radius)))


def _more(requested: int) -> int | None:
    """The number of candidates to request next: about four times as many. None after the largest request."""
    return None if requested >= _MAX_CANDIDATES else min(_MAX_CANDIDATES, 4 * requested + 8)


def _wide(near: Near, least: int) -> Near:
    """The same query with a search width of at least `least` candidates."""
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
) -> Pipelined[list[Row]]:
    """The nearest of the records whose ids the filter names: fetch them and compute their distances."""
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
) -> Pipelined[list[Row]]:
    """The nearest of all matching records by exact comparison; checked again when their fields are fetched."""

    def pages() -> Iterator[list[Row]]:
        return select(engine, selection, [vector_name(near.field.name)])

    note_fallback(EXACT_COMPARISON)
    wanted = selection.with_own(fields)
    rows = yield from compared(engine, pages, near, wanted, k=k, radius=radius)
    return selection.kept(rows)
