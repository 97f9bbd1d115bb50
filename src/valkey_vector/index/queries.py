"""Query objects on an index: one, many at once, or page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Literal, overload

from valkey_vector.concurrency.threads import offload
from valkey_vector.connection.pipelines import alone, together
from valkey_vector.engines.base import Engine, StaleIndexError
from valkey_vector.errors import (
    IndexNotFoundError,
    InvalidInputError,
    QueryBatchError,
    ValkeyVectorError,
)
from valkey_vector.execution import dispatch as querying
from valkey_vector.execution import ordering as windows
from valkey_vector.execution import selection as answering
from valkey_vector.execution.selection import record_of
from valkey_vector.index.handle import Lifecycle
from valkey_vector.query import (
    Answer,
    CountQuery,
    FilterQuery,
    HybridQuery,
    Query,
    TextQuery,
    VectorQuery,
)
from valkey_vector.query.base import check_filter
from valkey_vector.records.record import Hit, Record

__all__ = ["QueryableIndex"]


class QueryableIndex:
    """The part of `valkey_vector.Index` that answers query objects.

    Args:
        lifecycle: of the index.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    @overload
    def query(self, query: VectorQuery | TextQuery | HybridQuery) -> list[Hit]: ...
    @overload
    def query(self, query: FilterQuery) -> list[Record]: ...
    @overload
    def query(self, query: CountQuery) -> int: ...
    def query(self, query: Query) -> Any:
        """The answer to a query: hits to a `VectorQuery`, `TextQuery` or `HybridQuery`, records to a `FilterQuery`, a number to a `CountQuery`.

        Raises:
            InvalidInputError: it does not fit the index, such as a vector of another dimension.
        """
        asked = querying.check_query(query)

        def answer(engine: Engine) -> Answer:
            return alone(engine, querying.answer(self._lifecycle, engine, asked))

        return self._lifecycle.read(answer, querying.absent(asked))

    @overload
    async def aquery(self, query: VectorQuery | TextQuery | HybridQuery) -> list[Hit]: ...
    @overload
    async def aquery(self, query: FilterQuery) -> list[Record]: ...
    @overload
    async def aquery(self, query: CountQuery) -> int: ...
    async def aquery(self, query: Query) -> Any:
        """`query`, awaited."""
        return await offload(self.query, query)

    @overload
    def search_many(
        self, queries: Sequence[VectorQuery | TextQuery | HybridQuery]
    ) -> list[list[Hit]]: ...
    @overload
    def search_many(
        self, queries: Sequence[Query], *, return_errors: Literal[False] = False
    ) -> list[Answer]: ...
    @overload
    def search_many(
        self, queries: Sequence[Query], *, return_errors: bool
    ) -> list[Answer | ValkeyVectorError]: ...
    def search_many(self, queries: Sequence[Query], *, return_errors: bool = False) -> Any:
        """The answers to many queries of any kinds, in their order.

        They share their round trips, at most 100 commands in each: up to 100 queries that are one command each are
        one round trip. Looking up prefixes and misspelt words, phrases on the native engine, and filters on keys that no
        record has yet cost each query one of its own. A query that fails does so alone; an outage fails the call.

        Args:
            queries: any number of them.
            return_errors: put an error in its query's place, instead of raising them all at the end.

        Raises:
            QueryBatchError: some queries failed; all others were answered, and it has the answers.
            InvalidInputError: `queries` is no list of queries.
        """
        if isinstance(queries, str | bytes) or not isinstance(queries, Sequence):
            raise InvalidInputError(f"queries must be a list, not a {type(queries).__name__}")
        outcomes: dict[int, Answer | ValkeyVectorError] = {}
        good: dict[int, Query] = {}
        for position, query in enumerate(queries):
            try:
                good[position] = querying.check_query(query)
            except InvalidInputError as error:
                outcomes[position] = error

        def answer(engine: Engine) -> list[Answer | ValkeyVectorError]:
            steps = [querying.answer(self._lifecycle, engine, query) for query in good.values()]
            return together(engine, steps)

        nothing: list[Answer | ValkeyVectorError] = [querying.absent(q) for q in good.values()]
        outcomes.update(zip(good, self._lifecycle.read(answer, nothing), strict=True))
        ordered = [outcomes[position] for position in range(len(outcomes))]
        if not return_errors and any(isinstance(one, ValkeyVectorError) for one in ordered):
            raise QueryBatchError(ordered)
        return ordered

    @overload
    async def asearch_many(
        self, queries: Sequence[VectorQuery | TextQuery | HybridQuery]
    ) -> list[list[Hit]]: ...
    @overload
    async def asearch_many(
        self, queries: Sequence[Query], *, return_errors: Literal[False] = False
    ) -> list[Answer]: ...
    @overload
    async def asearch_many(
        self, queries: Sequence[Query], *, return_errors: bool
    ) -> list[Answer | ValkeyVectorError]: ...
    async def asearch_many(self, queries: Sequence[Query], *, return_errors: bool = False) -> Any:
        """`search_many`, awaited."""
        return await offload(self.search_many, queries, return_errors=return_errors)

    def iterate(self, query: FilterQuery | None = None) -> Iterator[Record]:
        """All records a query selects, brought in pages as they are gone through; by default all there are.

        In the order of creation nothing is held but the page; in another one the ids of all are. Records that are
        written or removed meanwhile may or may not be met; every other one is, exactly once.

        Raises:
            InvalidInputError: it is no `FilterQuery`.
            IndexNotFoundError: the index was dropped or made anew meanwhile.
        """
        pages = self._pages(_checked(query))
        return (record for page in pages for record in page)

    async def aiterate(self, query: FilterQuery | None = None) -> AsyncIterator[Record]:
        """`iterate`, awaited: each page is brought in a thread of this library."""
        pages = self._pages(_checked(query))
        while (page := await offload(next, pages, None)) is not None:
            for record in page:
                yield record

    def _pages(self, query: FilterQuery) -> Iterator[list[Record]]:
        window = querying.window_of(query)
        begun = False
        while (engine := self._lifecycle.existing()) is not None:
            try:
                selection = answering.prepare_selection(
                    self._lifecycle, engine, check_filter(query.filter)
                )
                fields = querying.wanted_fields(query, engine.entry.schema)
                for rows in windows.pages(engine, selection, window, fields):
                    begun = True
                    yield [record_of(row, fields) for row in rows]
            except StaleIndexError:
                self._lifecycle.forget()
                if begun:
                    raise IndexNotFoundError(
                        f"index {self._lifecycle.name!r} was dropped or made anew while it was gone through"
                    ) from None
            else:
                return


def _checked(query: FilterQuery | None) -> FilterQuery:
    if query is None:
        return FilterQuery()
    if not isinstance(query, FilterQuery):
        raise InvalidInputError(
            f"only a FilterQuery can be iterated over, not a {type(query).__name__}"
        )
    return query
