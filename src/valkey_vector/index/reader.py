"""`IndexReader`: answers queries on an index and reads records by id or page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, overload

import numpy as np

from valkey_vector.connection.pipelines import run, run_all
from valkey_vector.connection.time_limits import time_limit
from valkey_vector.engines.base import Engine
from valkey_vector.engines.read_scope import ReadScope
from valkey_vector.errors import (
    IndexNotFoundError,
    InvalidInputError,
    QueryBatchError,
    RequestTimeoutError,
    ValkeyVectorError,
)
from valkey_vector.execution import dispatch, ordering
from valkey_vector.execution.dispatch import Found
from valkey_vector.execution.read_limits import has_limits, labeled, limited, limited_pages
from valkey_vector.execution.selection import prepare_selection, record_of, records_of
from valkey_vector.index.handle import IndexHandle
from valkey_vector.index.unmatched_filters import explained
from valkey_vector.query import Answer, CountQuery, FilterQuery, Query, VectorQuery
from valkey_vector.query.base import check_filter
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.query.read_options import Consistency, ReadOptions
from valkey_vector.query.result import SearchResult
from valkey_vector.records.record import Hit, Record
from valkey_vector.records.validation import check_ids
from valkey_vector.records.vectors import checked_vector, rounded_query
from valkey_vector.schema.schema import MAIN_VECTOR
from valkey_vector.schema.similarity import maximal_marginal_relevance
from valkey_vector.storage.layout import record_fields
from valkey_vector.storage.rows import StaleIndexError

if TYPE_CHECKING:
    from valkey_vector.execution.aggregates import Facet
    from valkey_vector.query.aggregate import AggregateQuery

__all__ = ["IndexReader"]

_HINT_SHARE = 0.2
"""Part of a query's timeout in which it may be found out why the answer is empty."""


class IndexReader:
    """Answers every kind of query of one index.

    Args:
        handle: handle of the index.
    """

    def __init__(self, handle: IndexHandle) -> None:
        self._handle = handle

    @overload
    def answer(self, query: VectorQuery) -> SearchResult[Hit]: ...
    @overload
    def answer(self, query: Query) -> Answer: ...
    def answer(self, query: Query) -> Answer:
        """Answer one query. Returns an empty answer if there is no such index."""
        checked = dispatch.check_query(query)
        if has_limits(checked):
            found, scope = self.scoped_answer(checked)
            return labeled(found, scope)
        return labeled(self._found(checked))

    def scoped_answer(self, query: Query) -> tuple[Found, ReadScope]:
        """Answer a checked query; also returns its scope, which tells if the answer may lack records."""
        with limited(query) as scope:
            return self._found(query), scope

    def _found(self, query: Query) -> Found:
        """Answer a checked query."""

        def answer(engine: Engine) -> Found:
            found = run(engine, dispatch.answer(engine, query))
            if not found:
                self._explain(engine, query, found)
            return found

        found = self._handle.read(answer, None, notice=True)
        return dispatch.absent(query) if found is None else found

    def _explain(self, engine: Engine, query: Query, found: object) -> None:
        """Log why a query found nothing, unless it may be that a shard did not answer, or its time is short."""
        if query.consistency != "strict":
            return
        if query.timeout is None:
            explained(self._handle, engine, query.filter, found)
            return
        with suppress(RequestTimeoutError), time_limit(_HINT_SHARE * query.timeout):
            explained(self._handle, engine, query.filter, found)

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

        groups: dict[tuple[Consistency, float | None], dict[int, Query]] = {}
        for position, query in good.items():
            groups.setdefault((query.consistency, query.timeout), {})[position] = query
        for group in groups.values():
            outcomes.update(zip(group, self._answers(list(group.values())), strict=True))
        ordered = [outcomes[position] for position in range(len(outcomes))]
        if not return_errors and any(isinstance(one, ValkeyVectorError) for one in ordered):
            raise QueryBatchError(ordered)
        return ordered

    def _answers(self, queries: Sequence[Query]) -> list[Answer | ValkeyVectorError]:
        """Answer queries with the same read options in shared round trips. If their time is over, each fails."""

        def answer(engine: Engine) -> list[Found | ValkeyVectorError]:
            found = run_all(engine, [dispatch.answer(engine, query) for query in queries])
            for query, one in zip(queries, found, strict=True):
                self._explain(engine, query, one)
            return found

        nothing: list[Found | ValkeyVectorError] = [dispatch.absent(query) for query in queries]
        try:
            with limited(queries[0]) as scope:
                found = self._handle.read(answer, nothing, notice=True)
        except RequestTimeoutError as error:
            if queries[0].timeout is None:
                raise
            return [error for _ in queries]
        return [one if isinstance(one, ValkeyVectorError) else labeled(one, scope) for one in found]

    def diverse(
        self, query: VectorQuery, k: int, lambda_mult: float, *, with_vectors: bool
    ) -> SearchResult[Hit]:
        """Return `k` hits of a query with vectors, selected by maximal marginal relevance."""
        hits = self.answer(query)
        main = query.field is None or query.field == MAIN_VECTOR
        found = [
            hit.record.vector if main else hit.record.vectors[str(query.field)] for hit in hits
        ]
        vectors = [np.asarray(one, dtype=np.float32) for one in found]
        searched = query.field or MAIN_VECTOR
        data_type = self._handle.known_schema().data_types.get(searched, "FLOAT32")
        wanted = rounded_query(checked_vector(query.vector), data_type, f"vector {searched!r}")
        chosen = [hits[i] for i in maximal_marginal_relevance(wanted, vectors, k, lambda_mult)]
        if not with_vectors:
            chosen = [
                replace(hit, record=replace(hit.record, vector=None, vectors={})) for hit in chosen
            ]
        return SearchResult(chosen, partial=hits.partial)

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
        checked = FilterQuery() if query is None else query
        return limited_pages(self._pages(checked), checked)

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
                self._explain(engine, query, started)
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

    def aggregate(self, query: AggregateQuery) -> SearchResult[dict[str, object]]:
        """Return the rows of an aggregate; see `Index.aggregate`."""
        from valkey_vector.execution import aggregates
        from valkey_vector.query.aggregate import AggregateQuery

        if not isinstance(query, AggregateQuery):
            raise InvalidInputError(f"aggregate takes an AggregateQuery, not {query!r}")
        with limited(query) as scope:
            rows = self._handle.read(
                lambda engine: aggregates.aggregate(engine, query),
                aggregates.absent(query),
                notice=True,
            )
        return labeled(rows, scope)

    def facets(
        self,
        keys: Sequence[str],
        filter: FilterLike | None,
        limit: int | None,
        options: ReadOptions,
    ) -> dict[str, Facet]:
        """Return one facet for each key; see `Index.facets`."""
        from valkey_vector.execution import aggregates

        paths = aggregates.check_facets(keys, limit)
        query = CountQuery(filter=filter, **options)
        chosen = check_filter(query.filter)
        with limited(query) as scope:
            found = self._handle.read(
                lambda engine: aggregates.facets(engine, paths, chosen, limit),
                {path: aggregates.Facet(path, (), 0, 0) for path in paths},
                notice=True,
            )
        return {path: replace(facet, partial=scope.partial) for path, facet in found.items()}
