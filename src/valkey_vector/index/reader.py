"""`IndexReader`: answers queries on an index and reads records by id or page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from valkey_vector.connection.pipelines import run, run_all
from valkey_vector.engines.base import Engine
from valkey_vector.errors import (
    IndexNotFoundError,
    InvalidInputError,
    QueryBatchError,
    ValkeyVectorError,
)
from valkey_vector.execution import dispatch, ordering
from valkey_vector.execution.selection import prepare_selection, record_of, records_of
from valkey_vector.filters.ast import Field
from valkey_vector.index.handle import IndexHandle
from valkey_vector.index.unmatched_filters import explained
from valkey_vector.query import Answer, FilterQuery, Query, VectorQuery
from valkey_vector.query.base import check_filter
from valkey_vector.query.filter_like import FilterLike, as_filter
from valkey_vector.records.record import Hit, Record
from valkey_vector.records.validation import check_ids, check_limit
from valkey_vector.schema.schema import MAIN_VECTOR
from valkey_vector.schema.similarity import maximal_marginal_relevance
from valkey_vector.storage.layout import record_fields
from valkey_vector.storage.rows import StaleIndexError

if TYPE_CHECKING:
    from valkey_vector.execution.aggregates import Facet
    from valkey_vector.query.aggregate import AggregateQuery

__all__ = ["IndexReader"]


class IndexReader:
    """Answers every kind of query of one index.

    Args:
        handle: handle of the index.
    """

    def __init__(self, handle: IndexHandle) -> None:
        self._handle = handle

    def answer(self, query: Query) -> Answer:
        """Answer one query. Returns an empty answer if there is no such index."""
        checked = dispatch.check_query(query)

        def answer(engine: Engine) -> Answer:
            found = run(engine, dispatch.answer(engine, checked))
            return explained(self._handle, engine, checked.filter, found)

        return self._handle.read(answer, dispatch.absent(checked), notice=True)

    def answer_many(
        self, queries: Sequence[Query], *, return_errors: bool
    ) -> list[Answer | ValkeyVectorError]:
        """Answer queries, in the same order; see `Index.search_many`."""
        if isinstance(queries, str | bytes) or not isinstance(queries, Sequence):
            raise InvalidInputError(f"queries must be a list, not a {type(queries).__name__}")
        outcomes: dict[int, Answer | ValkeyVectorError] = {}
        good: dict[int, Query] = {}
        for position, query in enumerate(queries):
            try:
                good[position] = dispatch.check_query(query)
            except InvalidInputError as error:
                outcomes[position] = error

        def answer(engine: Engine) -> list[Answer | ValkeyVectorError]:
            found = run_all(engine, [dispatch.answer(engine, query) for query in good.values()])
            for query, one in zip(good.values(), found, strict=True):
                explained(self._handle, engine, query.filter, one)
            return found

        nothing: list[Answer | ValkeyVectorError] = [dispatch.absent(q) for q in good.values()]
        outcomes.update(zip(good, self._handle.read(answer, nothing, notice=True), strict=True))
        ordered = [outcomes[position] for position in range(len(outcomes))]
        if not return_errors and any(isinstance(one, ValkeyVectorError) for one in ordered):
            raise QueryBatchError(ordered)
        return ordered

    def diverse(
        self, query: VectorQuery, k: int, lambda_mult: float, *, with_vectors: bool
    ) -> list[Hit]:
        """Return `k` hits of a query with vectors, selected by maximal marginal relevance."""
        hits = self._hits(query)
        main = query.field is None or query.field == MAIN_VECTOR
        found = [
            hit.record.vector if main else hit.record.vectors[str(query.field)] for hit in hits
        ]
        vectors = [np.asarray(one, dtype=np.float32) for one in found]
        wanted = np.asarray(query.vector, dtype=np.float32)
        chosen = [hits[i] for i in maximal_marginal_relevance(wanted, vectors, k, lambda_mult)]
        if with_vectors:
            return chosen
        return [replace(hit, record=replace(hit.record, vector=None, vectors={})) for hit in chosen]

    def _hits(self, query: VectorQuery) -> list[Hit]:
        """Return the hits of a vector query."""
        answer = self.answer(query)
        assert isinstance(answer, list)  # noqa: S101 - for the type checker
        return [hit for hit in answer if isinstance(hit, Hit)]

    def get(
        self, ids: Sequence[str], *, with_vectors: bool, with_payloads: bool
    ) -> list[Record | None]:
        """Return records by id, in the same order; see `Index.get`."""
        wanted = check_ids(ids)

        def fetch(engine: Engine) -> list[Record | None]:
            schema = engine.entry.schema
            fields = record_fields(schema, vectors=with_vectors, payloads=with_payloads)
            rows = engine.fetch(wanted, fields)
            return [None if row is None else record_of(row, fields) for row in rows]

        nothing: list[Record | None] = [None] * len(wanted)
        return self._handle.read(fetch, nothing, notice=True)

    def pages(self, query: FilterQuery | None) -> Iterator[list[Record]]:
        """Iterate over the records a query selects, page by page; see `Index.iterate`. Checks the query first."""
        if query is not None and not isinstance(query, FilterQuery):
            raise InvalidInputError(
                f"only a FilterQuery can be iterated over, not a {type(query).__name__}"
            )
        return self._pages(FilterQuery() if query is None else query)

    def _pages(self, query: FilterQuery) -> Iterator[list[Record]]:
        window = dispatch.window_of(query)
        started = False
        while (engine := self._handle.existing()) is not None:
            try:
                selection = prepare_selection(engine, check_filter(query.filter))
                fields = dispatch.wanted_fields(query, engine.entry.schema)
                for rows in ordering.pages(engine, selection, window, fields):
                    started = True
                    yield records_of(rows, fields)
                explained(self._handle, engine, query.filter, started)
            except StaleIndexError:
                self._handle.forget()
                if started:
                    raise IndexNotFoundError(
                        f"index {self._handle.name!r} was dropped or recreated during the iteration: start the iteration again"
                    ) from None
            else:
                return
        if not started:
            self._handle.notice_absence()

    def aggregate(self, query: AggregateQuery) -> list[dict[str, object]]:
        """Return the rows of an aggregate; see `Index.aggregate`."""
        from valkey_vector.execution import aggregates
        from valkey_vector.query.aggregate import AggregateQuery

        if not isinstance(query, AggregateQuery):
            raise InvalidInputError(f"aggregate takes an AggregateQuery, not {query!r}")
        return self._handle.read(
            lambda engine: aggregates.aggregate(engine, query),
            aggregates.absent(query),
            notice=True,
        )

    def facets(
        self, keys: Sequence[str], filter: FilterLike | None, limit: int | None
    ) -> dict[str, Facet]:
        """Return one facet for each key; see `Index.facets`."""
        from valkey_vector.execution import aggregates

        if isinstance(keys, str):
            raise InvalidInputError(
                f"keys must be a list of metadata keys, not the text {keys!r}: pass [{keys!r}]"
            )
        paths = list(dict.fromkeys(keys))
        for path in paths:
            Field(path)
        if limit is not None:
            check_limit(limit, "limit")
        chosen = None if filter is None else as_filter(filter)
        return self._handle.read(
            lambda engine: aggregates.facets(engine, paths, chosen, limit),
            {path: aggregates.Facet(path, (), 0, 0) for path in paths},
            notice=True,
        )
