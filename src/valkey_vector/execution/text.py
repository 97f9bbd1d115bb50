"""Text and hybrid queries: compile the terms, rank, check the residual filter, fetch the records."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias, assert_never

from valkey_vector.connection.pipelines import Pipelined
from valkey_vector.engines.base import Engine, Near
from valkey_vector.engines.paging import Ranked
from valkey_vector.execution.fusion import by_reciprocal_rank, by_weight
from valkey_vector.execution.knn import nearest
from valkey_vector.execution.selection import Selection, prepare_selection, record_of, selecting
from valkey_vector.query.base import check_filter
from valkey_vector.query.hybrid import Fusion, HybridQuery, ReciprocalRank, Weighted
from valkey_vector.query.text import TextQuery
from valkey_vector.records.record import Hit
from valkey_vector.records.vectors import check_vector, rounded_query
from valkey_vector.schema.similarity import similarity
from valkey_vector.storage.layout import record_fields
from valkey_vector.storage.rows import Row
from valkey_vector.text.bm25 import Matching, Scored, Scorer
from valkey_vector.text.compiler import compile_text

__all__ = ["answer_hybrid", "answer_text"]

_FIRST = 100
"""Candidates in the first check of a residual filter."""

_TRIES = 5
"""Attempts of a search whose documents are removed or changed before they are fetched."""

_Versions: TypeAlias = dict[str, bytes | None]
_Ranking: TypeAlias = Callable[[], Pipelined[tuple[Sequence[Scored], _Versions]]]


def answer_text(engine: Engine, query: TextQuery) -> Pipelined[list[Hit]]:
    """Retrieve the records with the highest BM25 scores, best first.

    Raises:
        UnsupportedFeatureError: the server has no text search; the message names the required version.
        ConfigurationError: the index was created without text search.
        InvalidInputError: a field is not a text field of the index.
    """
    matching = _compiled(engine, query)
    selection = prepare_selection(engine, check_filter(query.filter))
    fields = _fields(engine, query)

    def ranked() -> Pipelined[tuple[Sequence[Scored], _Versions]]:
        best = yield from _best_by_text(engine, selection, matching, query.k)
        return best, _versions_of(best)

    found = yield from _fetched(engine, selection, ranked, query.k, fields)
    return [Hit(record=record_of(row, fields), score=score) for score, row in found]


def answer_hybrid(engine: Engine, query: HybridQuery) -> Pipelined[list[Hit]]:
    """Retrieve the best records by vector similarity and BM25 combined, best first.

    Raises:
        UnsupportedFeatureError: the server has no text search; the message names the required version.
        ConfigurationError: the index was created without text search.
        InvalidInputError: the vector has the wrong dimension, or a field is not a text field of the index.
    """
    field = engine.entry.schema.vector_field(None)
    vector = check_vector(query.vector, field.dimension, "the query", engine.entry.name)
    vector = rounded_query(vector, field.data_type, f"vector {field.name!r}")
    near = Near(field, vector, query.ef_runtime)
    matching = _compiled(engine, query)
    selection = prepare_selection(engine, check_filter(query.filter))
    fields = _fields(engine, query)
    distances: dict[str, float] = {}

    def ranked() -> Pipelined[tuple[Sequence[Scored], _Versions]]:
        deepest = max(query.depth, query.text_depth)
        scored, neighbors = yield from _both(engine, selection, matching, near, deepest)
        versions = _versions_of(scored)
        versions.update((row.id, row.version) for row in neighbors if row.version is not None)
        scored, neighbors = scored[: query.text_depth], neighbors[: query.depth]
        distances.clear()
        distances.update((row.id, row.distance) for row in neighbors)
        alike = [(similarity(row.distance, field.metric), row.id) for row in neighbors]
        return _fused(query.fusion, alike, scored), versions

    hits = []
    for score, row in (yield from _fetched(engine, selection, ranked, query.k, fields)):
        distance = distances.get(row.id, math.nan)
        alike = math.nan if math.isnan(distance) else similarity(distance, field.metric)
        hits.append(
            Hit(record=record_of(row, fields), score=score, distance=distance, similarity=alike)
        )
    return hits


def _fields(engine: Engine, query: TextQuery | HybridQuery) -> list[str]:
    return record_fields(
        engine.entry.schema, vectors=query.with_vectors, payloads=query.with_payloads
    )


def _compiled(engine: Engine, query: TextQuery | HybridQuery) -> Matching:
    engine.require_text()
    schema = engine.entry.schema
    return compile_text(
        query.text,
        every=query.match == "all",
        fields=query.fields,
        schema=schema,
        index=engine.entry.name,
        vocabulary=engine.vocabulary,
        stop_words=query.stop_words,
    )


def _best_by_text(
    engine: Engine, selection: Selection, matching: Matching, k: int
) -> Pipelined[Sequence[Scored]]:
    """The k best of the records that match the filter."""
    if not matching.clauses:
        return []
    if selection.ids is not None:
        return (yield from _best_of_named(engine, selection, matching))[:k]
    if selection.exact:
        return (yield from engine.text_best(matching, selection.plan, k))
    requested = max(4 * k, _FIRST)
    while True:
        scored = yield from engine.text_best(matching, selection.plan, requested)
        passing = yield from _passing(engine, selection, [id for _, id in scored])
        ranked = Ranked([pair for pair in scored if pair[1] in passing], _versions_of(scored))
        if len(ranked) >= k or len(scored) < requested:
            return Ranked(ranked[:k], ranked.versions)
        requested *= 4


def _best_of_named(
    engine: Engine, selection: Selection, matching: Matching
) -> Pipelined[list[Scored]]:
    """The matching records among the ids that the filter names, best first."""
    scorer = Scorer(matching, (yield from engine.text_statistics(matching)))
    rows = yield from selecting(engine, selection, matching.fields, None)
    scored = [(score, row.id) for row in rows if (score := scorer.score(row.fields)) is not None]
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]))


def _passing(engine: Engine, selection: Selection, ids: Sequence[str]) -> Pipelined[set[str]]:
    """The ids whose records match the residual filter."""
    rows = yield from engine.fetching(ids, selection.fields)
    return {row.id for row in selection.kept([row for row in rows if row is not None])}


def _both(
    engine: Engine, selection: Selection, matching: Matching, near: Near, depth: int
) -> Pipelined[tuple[Sequence[Scored], Sequence[Row]]]:
    """The text ranking and the nearest neighbors.

    Cost: one pipeline for both if the server evaluates the whole filter.
    """
    if matching.clauses and selection.exact:
        return (yield from engine.text_and_nearest(matching, near, selection.plan, depth))
    neighbors = yield from nearest(engine, selection, near, depth, ())
    return (yield from _best_by_text(engine, selection, matching, depth)), neighbors


def _fused(fusion: Fusion, near: Sequence[Scored], scored: Sequence[Scored]) -> list[Scored]:
    match fusion:
        case ReciprocalRank(constant):
            return by_reciprocal_rank([near, scored], constant)
        case Weighted(alpha):
            return by_weight([near, scored], [alpha, 1.0 - alpha])
        case _:
            assert_never(fusion)


def _versions_of(scored: Sequence[Scored]) -> _Versions:
    """The versions of the scored documents, as far as the engine reports them."""
    return dict(scored.versions) if isinstance(scored, Ranked) else {}


def _fetched(
    engine: Engine, selection: Selection, ranking: _Ranking, k: int, fields: Sequence[str]
) -> Pipelined[list[tuple[float, Row]]]:
    """The k best with their fields; searches again if one was removed, changed, or no longer matches."""
    wanted = selection.with_own(fields)
    for attempt in range(1, _TRIES + 1):
        scored, versions = yield from ranking()
        best = scored[:k]
        rows = yield from engine.fetching([id for _, id in best], wanted)
        same = [row for row in rows if row and versions.get(row.id, row.version) == row.version]
        matching_rows = {row.id: row for row in selection.kept(same)}
        found = [(score, matching_rows[id]) for score, id in best if id in matching_rows]
        if len(found) == len(best) or attempt == _TRIES:
            break
        engine.forget([id for (_, id), row in zip(best, rows, strict=True) if row is None])
    return found
