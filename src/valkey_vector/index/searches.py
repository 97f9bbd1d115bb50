"""What an index is asked in plain words: records by id, by filter and by nearness to a vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.engines.base import Engine
from valkey_vector.execution.selection import record_of
from valkey_vector.index.queries import QueryableIndex
from valkey_vector.query import CountQuery, FilterQuery, VectorQuery
from valkey_vector.query.order import OrderLike
from valkey_vector.records.record import Hit, Record, Vector
from valkey_vector.records.validation import FilterLike, check_ids, check_k
from valkey_vector.records.vectors import check_vector
from valkey_vector.schema.schema import MAIN_VECTOR
from valkey_vector.schema.similarity import maximal_marginal_relevance
from valkey_vector.storage.layout import record_fields

__all__ = ["ReadableIndex"]


class ReadableIndex(QueryableIndex):
    """The reading half of `valkey_vector.Index`."""

    def get(
        self, ids: Sequence[str], *, with_vectors: bool = False, with_payloads: bool = False
    ) -> list[Record | None]:
        """Records by id, in that order; None for an id that is not stored. One round trip for each 500."""
        wanted = check_ids(ids)

        def fetch(engine: Engine) -> list[Record | None]:
            schema = engine.entry.schema
            fields = record_fields(schema, vectors=with_vectors, payloads=with_payloads)
            rows = engine.fetch(wanted, fields)
            return [None if row is None else record_of(row, fields) for row in rows]

        nothing: list[Record | None] = [None] * len(wanted)
        return self._lifecycle.read(fetch, nothing)

    def count(self, filter: FilterLike | None = None) -> int:
        """How many records match; without a filter, how many there are."""
        return self.query(CountQuery(filter=filter))

    def search(
        self,
        vector: Vector,
        *,
        k: int = 4,
        filter: FilterLike | None = None,
        field: str | None = None,
        ef_runtime: int | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
    ) -> list[Hit]:
        """The k records nearest to a vector, nearest first, ties by id; fewer only if there are fewer.

        Which of equally near records are the last of the k, a search module chooses.

        `query` with a `VectorQuery` also searches within a threshold.

        Args:
            vector: finite floats, as many as the field's dimension.
            k: at least 1. Beyond what the server's vector search allows (10,000) all records are compared.
            filter: only records that match.
            field: the vector to compare, by its name in the schema; None for the main one.
            ef_runtime: for HNSW, candidates to look at; more is better recall and slower. Default:
                the index's.
            with_vectors: bring the vectors, too.
            with_payloads: bring the payloads, too.

        Raises:
            InvalidInputError: the vector, k or the filter is not acceptable.
        """
        return self.query(
            VectorQuery(
                vector=vector,
                k=check_k(k, "k"),
                filter=filter,
                field=field,
                ef_runtime=ef_runtime,
                with_vectors=with_vectors,
                with_payloads=with_payloads,
            )
        )

    def search_mmr(
        self,
        vector: Vector,
        *,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: FilterLike | None = None,
        field: str | None = None,
        ef_runtime: int | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
    ) -> list[Hit]:
        """K records near a vector and unlike each other (maximal marginal relevance), in the order chosen.

        Args:
            vector: float sequence as long as the field's dimension.
            k: how many to choose, at least 1.
            fetch_k: among how many of the nearest; at least k of them are brought.
            lambda_mult: 0 for diversity alone to 1 for nearness alone.
            filter: what records must match; None for all.
            field: the vector to compare, by its name in the schema; None for the main one.
            ef_runtime: as for `search`.
            with_vectors: keep the vectors in the records.
            with_payloads: bring the payloads, too.
        """
        hits = self.search(
            vector,
            k=max(check_k(k, "k"), check_k(fetch_k, "fetch_k")),
            filter=filter,
            field=field,
            ef_runtime=ef_runtime,
            with_vectors=True,
            with_payloads=with_payloads,
        )
        main = field is None or field == MAIN_VECTOR
        found = [hit.record.vector if main else hit.record.vectors[str(field)] for hit in hits]
        vectors = [np.asarray(one, dtype=np.float32) for one in found]
        query = check_vector(vector, None, "the query")
        chosen = [hits[i] for i in maximal_marginal_relevance(query, vectors, k, lambda_mult)]
        if with_vectors:
            return chosen
        return [replace(hit, record=replace(hit.record, vector=None, vectors={})) for hit in chosen]

    def select(
        self,
        filter: FilterLike | None = None,
        *,
        order_by: OrderLike | Iterable[OrderLike] | None = None,
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
        with_content: bool = True,
        with_vectors: bool = False,
        with_payloads: bool = False,
    ) -> list[Record]:
        """Records that match, without a vector. `iterate` brings any number of them page by page.

        Args:
            filter: which; None for all.
            order_by: a metadata key, or several (see `FilterQuery`). Values order as booleans, numbers, points in
                time, texts; records without it come last. By default the oldest record comes first.
            descending: the other way round.
            limit: at most so many; None for all.
            offset: leave out so many at the beginning.
            with_content: bring the texts; without, they are empty.
            with_vectors: bring the vectors, too.
            with_payloads: bring the payloads, too.
        """
        return self.query(
            FilterQuery(
                filter=filter,
                order_by=order_by,
                descending=descending,
                limit=limit,
                offset=offset,
                with_content=with_content,
                with_vectors=with_vectors,
                with_payloads=with_payloads,
            )
        )

    aget = twin(get)
    acount = twin(count)
    asearch = twin(search)
    asearch_mmr = twin(search_mmr)
    aselect = twin(select)
