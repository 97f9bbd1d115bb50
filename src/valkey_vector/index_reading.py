"""What an index is asked: records by id, by filter and by nearness to a vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from valkey_vector import answering
from valkey_vector.arguments import FilterLike, as_filter, check_ids, check_k, check_window
from valkey_vector.asynchrony import twin
from valkey_vector.document import decode_record, record_fields
from valkey_vector.engines.base import Engine, Row
from valkey_vector.lifecycle import Lifecycle
from valkey_vector.ranking import maximal_marginal_relevance
from valkey_vector.record import Hit, Record, Vector
from valkey_vector.vectors import check_vector, check_vectors

__all__ = ["ReadableIndex"]


class ReadableIndex:
    """The reading half of `valkey_vector.Index`.

    Args:
        lifecycle: of the index.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def get(
        self, ids: Sequence[str], *, with_vectors: bool = False, with_payloads: bool = False
    ) -> list[Record | None]:
        """Records by id, in that order; None for an id that is not stored. One round trip for each 500."""
        wanted = check_ids(ids)
        fields = record_fields(vectors=with_vectors, payloads=with_payloads)
        nothing: list[Row | None] = [None] * len(wanted)
        rows = self._lifecycle.read(lambda engine: engine.fetch(wanted, fields), nothing)
        return [None if row is None else decode_record(row.id, row.fields) for row in rows]

    def count(self, filter: FilterLike | None = None) -> int:
        """How many records match; without a filter, how many there are."""
        chosen = None if filter is None else as_filter(filter)

        def count(engine: Engine) -> int:
            return answering.count(
                engine, answering.prepare_selection(self._lifecycle, engine, chosen)
            )

        return self._lifecycle.read(count, 0)

    def search(
        self,
        vector: Vector,
        *,
        k: int = 4,
        filter: FilterLike | None = None,
        ef_runtime: int | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
    ) -> list[Hit]:
        """The k records nearest to a vector, nearest first, ties by id; fewer only if there are fewer.

        Args:
            vector: finite floats, as many as the index's dimension.
            k: at least 1. Beyond what the server's vector search allows (10,000) all records are compared.
            filter: only records that match.
            ef_runtime: for HNSW, candidates to look at; more is better recall and slower. Default:
                the index's.
            with_vectors: bring the vectors, too.
            with_payloads: bring the payloads, too.

        Raises:
            InvalidInputError: the vector, k or the filter is not acceptable.
        """
        fields = record_fields(vectors=with_vectors, payloads=with_payloads)
        return self._nearest(vector, check_k(k, "k"), filter, ef_runtime, fields)

    def search_many(
        self,
        vectors: Sequence[Vector],
        *,
        k: int = 4,
        filter: FilterLike | None = None,
        with_payloads: bool = False,
    ) -> list[list[Hit]]:
        """`search` for each of several vectors, in the round trip of one.

        Args:
            vectors: each of the index's dimension.
            k: how many for each, at least 1.
            filter: only records that match.
            with_payloads: bring the payloads, too.

        Raises:
            InvalidInputError: a vector, k or the filter is not acceptable.
        """
        if not len(vectors):
            return []
        fields = record_fields(vectors=False, payloads=with_payloads)
        chosen = None if filter is None else as_filter(filter)
        check_k(k, "k")

        def search(engine: Engine) -> list[list[Hit]]:
            schema = engine.entry.schema
            owners = [f"query {position}" for position in range(len(vectors))]
            checked = check_vectors(vectors, schema.dimension, owners)
            selection = answering.prepare_selection(self._lifecycle, engine, chosen)
            found = answering.nearest_many(engine, selection, list(checked), k, fields)
            return [[answering.hit(row, schema.metric) for row in rows] for rows in found]

        nothing: list[list[Hit]] = [[] for _ in vectors]
        return self._lifecycle.read(search, nothing)

    def search_mmr(
        self,
        vector: Vector,
        *,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: FilterLike | None = None,
        ef_runtime: int | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
    ) -> list[Hit]:
        """K records near a vector and unlike each other (maximal marginal relevance), in the order chosen.

        Args:
            vector: float sequence of length `dimension`.
            k: how many to choose, at least 1.
            fetch_k: among how many of the nearest; at least k of them are brought.
            lambda_mult: 0 for diversity alone to 1 for nearness alone.
            filter: what records must match; None for all.
            ef_runtime: as for `search`.
            with_vectors: keep the vectors in the records.
            with_payloads: bring the payloads, too.
        """
        candidates = max(check_k(k, "k"), check_k(fetch_k, "fetch_k"))
        fields = record_fields(vectors=True, payloads=with_payloads)
        hits = self._nearest(vector, candidates, filter, ef_runtime, fields)
        query = check_vector(vector, None, "the query")
        vectors = [np.asarray(hit.record.vector, dtype=np.float32) for hit in hits]
        chosen = [hits[i] for i in maximal_marginal_relevance(query, vectors, k, lambda_mult)]
        return (
            chosen
            if with_vectors
            else [replace(hit, record=replace(hit.record, vector=None)) for hit in chosen]
        )

    def select(
        self,
        filter: FilterLike | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
        with_content: bool = True,
        with_vectors: bool = False,
        with_payloads: bool = False,
    ) -> list[Record]:
        """Records that match, without a vector.

        Args:
            filter: which; None for all.
            order_by: a metadata key. Its values order as booleans, numbers, points in time, texts; records without
                it come last. By default the oldest record comes first.
            descending: the other way round.
            limit: at most so many; None for all.
            offset: leave out so many at the beginning.
            with_content: bring the texts; without, they are empty.
            with_vectors: bring the vectors, too.
            with_payloads: bring the payloads, too.
        """
        check_window(order_by, offset, limit)
        chosen = None if filter is None else as_filter(filter)
        fields = record_fields(content=with_content, vectors=with_vectors, payloads=with_payloads)

        def select(engine: Engine) -> list[Row]:
            selection = answering.prepare_selection(self._lifecycle, engine, chosen)
            window = answering.Window(order_by, descending, offset, limit)
            return answering.select_window(engine, selection, window, fields)

        nothing: list[Row] = []
        rows = self._lifecycle.read(select, nothing)
        return [decode_record(row.id, row.fields) for row in rows]

    def _nearest(
        self,
        vector: Vector,
        k: int,
        filter: FilterLike | None,
        ef_runtime: int | None,
        fields: Sequence[str],
    ) -> list[Hit]:
        if ef_runtime is not None:
            check_k(ef_runtime, "ef_runtime")
        chosen = None if filter is None else as_filter(filter)
        checked = check_vector(vector, None, "the query")

        def search(engine: Engine) -> list[Hit]:
            schema = engine.entry.schema
            if len(checked) != schema.dimension:
                check_vector(checked, schema.dimension, "the query")
            selection = answering.prepare_selection(self._lifecycle, engine, chosen)
            rows = answering.nearest(engine, selection, checked, k, fields, ef_runtime=ef_runtime)
            return [answering.hit(row, schema.metric) for row in rows]

        return self._lifecycle.read(search, [])

    aget = twin(get)
    acount = twin(count)
    asearch = twin(search)
    asearch_many = twin(search_many)
    asearch_mmr = twin(search_mmr)
    aselect = twin(select)
