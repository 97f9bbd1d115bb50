"""Answer text and hybrid queries on an engine: compile the words, rank, check the residual, bring the records."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import assert_never

from valkey_vector import answering
from valkey_vector.answering import Selection
from valkey_vector.arguments import as_filter
from valkey_vector.connection import Feature
from valkey_vector.document import decode_record, record_fields
from valkey_vector.engines.base import Engine, Row
from valkey_vector.fusion import by_reciprocal_rank, by_weight
from valkey_vector.lifecycle import Lifecycle
from valkey_vector.query.hybrid import Fusion, HybridQuery, ReciprocalRank, Weighted
from valkey_vector.query.text import TextQuery
from valkey_vector.ranking import similarity
from valkey_vector.record import Hit
from valkey_vector.text.bm25 import Matching, Scored, Scorer
from valkey_vector.text.compilation import compile_text
from valkey_vector.vectors import Float32Array, check_vector

__all__ = ["answer_hybrid", "answer_text"]

_FIRST = 100
"""Candidates to check a residual on at first."""

_TRIES = 3
"""How often a search is repeated that found documents which are gone when they are brought."""

Ranked = Callable[[], Sequence[Scored]]


def answer_text(lifecycle: Lifecycle, engine: Engine, query: TextQuery) -> list[Hit]:
    """The records that answer a text best.

    Raises:
        UnsupportedFeatureError: the server has no text search; names the version that has.
        ConfigurationError: the index was made without text.
        InvalidInputError: a field is not a text of the index.
    """
    matching = _compiled(lifecycle, engine, query)
    selection = _selected(lifecycle, engine, query)
    fields = record_fields(vectors=query.with_vectors, payloads=query.with_payloads)
    ranked = partial(_best_by_text, engine, selection, matching, query.k)
    return [
        Hit(record=decode_record(row.id, row.fields), score=score)
        for score, row in _brought(engine, ranked, query.k, fields)
    ]


def answer_hybrid(lifecycle: Lifecycle, engine: Engine, query: HybridQuery) -> list[Hit]:
    """The records that are best by nearness and by text together.

    Raises:
        UnsupportedFeatureError: the server has no text search; names the version that has.
        ConfigurationError: the index was made without text.
        InvalidInputError: the vector is not of the index's dimension, or a field is not a text of the index.
    """
    schema = engine.entry.schema
    vector = check_vector(query.vector, schema.dimension, "the query")
    matching = _compiled(lifecycle, engine, query)
    selection = _selected(lifecycle, engine, query)
    fields = record_fields(vectors=query.with_vectors, payloads=query.with_payloads)
    distances: dict[str, float] = {}

    def ranked() -> Sequence[Scored]:
        scored, nearest = _both(engine, selection, matching, vector, query)
        distances.clear()
        distances.update((row.id, row.distance) for row in nearest)
        near = [(similarity(row.distance, schema.metric), row.id) for row in nearest]
        return _fused(query.fusion, near, scored)

    hits = []
    for score, row in _brought(engine, ranked, query.k, fields):
        distance = distances.get(row.id, math.nan)
        near = math.nan if math.isnan(distance) else similarity(distance, schema.metric)
        record = decode_record(row.id, row.fields)
        hits.append(Hit(record=record, score=score, distance=distance, similarity=near))
    return hits


def _compiled(lifecycle: Lifecycle, engine: Engine, query: TextQuery | HybridQuery) -> Matching:
    if engine.entry.engine == "search":
        lifecycle.connection.capabilities.require(Feature.TEXT)
    schema = engine.entry.schema
    return compile_text(
        query.text,
        every=query.match == "all",
        fields=query.fields,
        schema=schema,
        index=engine.entry.name,
        vocabulary=engine.vocabulary,
    )


def _selected(lifecycle: Lifecycle, engine: Engine, query: TextQuery | HybridQuery) -> Selection:
    chosen = None if query.filter is None else as_filter(query.filter)
    return answering.prepare_selection(lifecycle, engine, chosen)


def _best_by_text(
    engine: Engine, selection: Selection, matching: Matching, k: int
) -> Sequence[Scored]:
    """The k best of the records that match."""
    if not matching.clauses:
        return []
    if selection.ids is not None:
        return _best_of_named(engine, selection, matching)[:k]
    if selection.residual is None:
        return engine.text_best(matching, selection.plan, k)
    asked = max(4 * k, _FIRST)
    while True:
        scored = engine.text_best(matching, selection.plan, asked)
        passing = _passing(engine, selection, [id for _, id in scored])
        kept = [pair for pair in scored if pair[1] in passing]
        if len(kept) >= k or len(scored) < asked:
            return kept[:k]
        asked *= 4


def _best_of_named(engine: Engine, selection: Selection, matching: Matching) -> list[Scored]:
    """Of records named by their ids, those that match, best first."""
    scorer = Scorer(matching, engine.text_statistics(matching))
    scored = [
        (score, row.id)
        for page in answering.select(engine, selection, matching.fields)
        for row in page
        if (score := scorer.score(row.fields)) is not None
    ]
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]))


def _passing(engine: Engine, selection: Selection, ids: Sequence[str]) -> set[str]:
    """Those ids whose records pass the residual."""
    residual = selection.residual
    rows = engine.fetch(ids, selection.fields)
    return {
        row.id
        for row in rows
        if row is not None and (residual is None or answering.passes(residual, row))
    }


def _both(
    engine: Engine,
    selection: Selection,
    matching: Matching,
    vector: Float32Array,
    query: HybridQuery,
) -> tuple[Sequence[Scored], Sequence[Row]]:
    """The best by text and the nearest; asked for together where the server decides the filter alone."""
    depth, ef = query.depth, query.ef_runtime
    if matching.clauses and selection.residual is None and selection.ids is None:
        return engine.text_and_nearest(matching, vector, selection.plan, depth, ef)
    nearest = answering.nearest(engine, selection, vector, depth, (), ef_runtime=ef)
    return _best_by_text(engine, selection, matching, depth), nearest


def _fused(fusion: Fusion, near: Sequence[Scored], scored: Sequence[Scored]) -> list[Scored]:
    match fusion:
        case ReciprocalRank(constant):
            return by_reciprocal_rank([near, scored], constant)
        case Weighted(alpha):
            return by_weight([near, scored], [alpha, 1.0 - alpha])
        case _:
            assert_never(fusion)


def _brought(
    engine: Engine, ranked: Ranked, k: int, fields: Sequence[str]
) -> list[tuple[float, Row]]:
    """The k best with their fields. If one is gone by now, the search is done again without it."""
    for attempt in range(1, _TRIES + 1):
        best = list(ranked())[:k]
        rows = engine.fetch([id for _, id in best], fields)
        found = [
            (score, row) for (score, _), row in zip(best, rows, strict=True) if row is not None
        ]
        if len(found) == len(best) or attempt == _TRIES:
            break
        engine.forget([id for (_, id), row in zip(best, rows, strict=True) if row is None])
    return found
