"""`IndexSearches`: the methods of `Index` that run query objects and searches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.threads import offload
from valkey_vector.errors import ValkeyVectorError
from valkey_vector.index.reader import IndexReader
from valkey_vector.query import CountQuery, FilterQuery, HybridQuery, TextQuery, VectorQuery
from valkey_vector.query.filter_keyword import refuse_unknown
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.query.hybrid import Fusion, ReciprocalRank
from valkey_vector.query.text import Clause
from valkey_vector.query.vector import new_nearest_query
from valkey_vector.records.record import Hit, Record, Vector
from valkey_vector.records.validation import check_k

if TYPE_CHECKING:
    from valkey_vector.query import Answer, Query, ReadOptions, SearchResult

__all__ = ["IndexSearches"]


class IndexSearches:
    """Searches of an `Index`: by vector, by text, by both, and many queries at once."""

    _reader: IndexReader

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
        **options: Unpack[ReadOptions],
    ) -> SearchResult[Hit]:
        """Return the `k` records nearest to a vector, nearest first, ties by id. Fewer only if there are fewer.

        If several records at the cut have the same distance, a search module chooses among them. To search within a distance
        or similarity, pass a `VectorQuery` to `query`.

        Args:
            vector: float sequence as long as the field's dimension; finite numbers.
            k: >= 1. Above the limit of the server's vector search (10,000) all records are compared.
            filter: only records that match.
            field: name of the vector to compare, from the schema. None for the main vector.
            ef_runtime: HNSW candidates to examine, >= 1. More gives better recall and takes longer. Default: that of the
                index.
            with_vectors: also return the vectors.
            with_payloads: also return the payloads.
            options: `consistency` and `timeout`, see `ReadOptions`.

        Raises:
            InvalidInputError: the vector, `k`, the filter or an option is not valid.
        """
        if options:
            refuse_unknown("search", options)
        return self._reader.answer(
            new_nearest_query(
                vector,
                check_k(k, "k"),
                filter,
                field,
                ef_runtime,
                with_vectors,
                with_payloads,
                **options,
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
        **options: Unpack[ReadOptions],
    ) -> SearchResult[Hit]:
        """Return `k` records similar to a vector and different from each other (maximal marginal relevance).

        They are chosen from the `fetch_k` nearest records, at least `k`. `lambda_mult` is 0 for diversity only, to 1 for
        similarity only. See `search` for the other arguments.
        """
        refuse_unknown("search_mmr", options)
        query = VectorQuery(
            vector=vector,
            k=max(check_k(k, "k"), check_k(fetch_k, "fetch_k")),
            filter=filter,
            field=field,
            ef_runtime=ef_runtime,
            with_vectors=True,
            with_payloads=with_payloads,
            **options,
        )
        return self._reader.diverse(query, k, lambda_mult, with_vectors=with_vectors)

    def search_text(
        self,
        text: str | tuple[Clause, ...],
        *,
        k: int = 4,
        match: Literal["any", "all"] = "any",
        fields: tuple[str, ...] = ("content",),
        filter: FilterLike | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
        stop_words: tuple[str, ...] | None = None,
        **options: Unpack[ReadOptions],
    ) -> SearchResult[Hit]:
        """Return the `k` records with the best BM25 scores for a text, best first, ties by id.

        Records without any of the terms are not returned, so there may be fewer than `k`. Stop words of the text, such
        as ``how`` and ``do``, are not searched by default. See `TextQuery` for the arguments.

        Raises:
            InvalidInputError: an argument is not valid.
            UnsupportedFeatureError: the server has no text search. Names the required version.
            ConfigurationError: the index was created without full text.
        """
        refuse_unknown("search_text", options)
        return self.query(
            TextQuery(
                text,
                k=k,
                match=match,
                fields=fields,
                filter=filter,
                with_vectors=with_vectors,
                with_payloads=with_payloads,
                stop_words=stop_words,
                **options,
            )
        )

    def search_hybrid(
        self,
        vector: Vector,
        text: str | tuple[Clause, ...],
        *,
        k: int = 4,
        fusion: Fusion | None = None,
        candidates: int | None = None,
        text_candidates: int | None = None,
        match: Literal["any", "all"] = "any",
        fields: tuple[str, ...] = ("content",),
        filter: FilterLike | None = None,
        ef_runtime: int | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
        stop_words: tuple[str, ...] | None = None,
        **options: Unpack[ReadOptions],
    ) -> SearchResult[Hit]:
        """Return the `k` best records by vector similarity and BM25 together, best first, ties by id.

        See `HybridQuery` for the arguments. The default `fusion` is reciprocal rank fusion.

        Raises:
            InvalidInputError: an argument is not valid.
            UnsupportedFeatureError: the server has no text search. Names the required version.
            ConfigurationError: the index was created without full text.
        """
        refuse_unknown("search_hybrid", options)
        return self.query(
            HybridQuery(
                vector,
                text,
                k=k,
                fusion=ReciprocalRank() if fusion is None else fusion,
                candidates=candidates,
                text_candidates=text_candidates,
                match=match,
                fields=fields,
                filter=filter,
                ef_runtime=ef_runtime,
                with_vectors=with_vectors,
                with_payloads=with_payloads,
                stop_words=stop_words,
                **options,
            )
        )

    @overload
    def query(self, query: VectorQuery | TextQuery | HybridQuery) -> SearchResult[Hit]: ...
    @overload
    def query(self, query: FilterQuery) -> SearchResult[Record]: ...
    @overload
    def query(self, query: CountQuery) -> int: ...
    def query(self, query: Query) -> Any:
        """Run a query object.

        Returns:
            Hits for a `VectorQuery`, `TextQuery` or `HybridQuery`; records for a `FilterQuery`; a count for a `CountQuery`.

        Raises:
            InvalidInputError: the query does not fit the index, such as a vector of another dimension.
        """
        return self._reader.answer(query)

    @overload
    async def aquery(self, query: VectorQuery | TextQuery | HybridQuery) -> SearchResult[Hit]: ...
    @overload
    async def aquery(self, query: FilterQuery) -> SearchResult[Record]: ...
    @overload
    async def aquery(self, query: CountQuery) -> int: ...
    async def aquery(self, query: Query) -> Any:
        """Async version of `query`."""
        return await offload(self.query, query)

    @overload
    def search_many(
        self, queries: Sequence[VectorQuery | TextQuery | HybridQuery]
    ) -> list[SearchResult[Hit]]: ...
    @overload
    def search_many(
        self, queries: Sequence[Query], *, return_errors: Literal[False] = False
    ) -> list[Answer]: ...
    @overload
    def search_many(
        self, queries: Sequence[Query], *, return_errors: bool
    ) -> list[Answer | ValkeyVectorError]: ...
    def search_many(self, queries: Sequence[Query], *, return_errors: bool = False) -> Any:
        """Run many queries of any kind in shared round trips. Returns the answers in the same order.

        Up to 100 commands share a round trip, so 100 queries of one command each take one. Prefixes and misspelled
        words, phrases on the native engine, and filters on keys that no record has each take one more per query. If a
        query fails, the others are still answered. If the server is unreachable, the call raises. Queries with different
        `ReadOptions` share no round trip.

        Args:
            queries: any number of queries.
            return_errors: put an error in its query's place, instead of raising them together.

        Raises:
            QueryBatchError: some queries failed. It holds the answers to the others.
            InvalidInputError: `queries` is not a list of queries.
        """
        return self._reader.answer_many(queries, return_errors=return_errors)

    @overload
    async def asearch_many(
        self, queries: Sequence[VectorQuery | TextQuery | HybridQuery]
    ) -> list[SearchResult[Hit]]: ...
    @overload
    async def asearch_many(
        self, queries: Sequence[Query], *, return_errors: Literal[False] = False
    ) -> list[Answer]: ...
    @overload
    async def asearch_many(
        self, queries: Sequence[Query], *, return_errors: bool
    ) -> list[Answer | ValkeyVectorError]: ...
    async def asearch_many(self, queries: Sequence[Query], *, return_errors: bool = False) -> Any:
        """Async version of `search_many`."""
        return await offload(self.search_many, queries, return_errors=return_errors)

    asearch = async_version(search)
    asearch_mmr = async_version(search_mmr)
    asearch_text = async_version(search_text)
    asearch_hybrid = async_version(search_hybrid)
