"""The reading half of the store: every kind of search, synchronous and awaited."""

# Complete signatures, where the base class takes any keyword and ignores those it does not know: a misspelt
# `fliter=` is a TypeError and not a search without a filter.
# mypy: disable-error-code="override"

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, wraps
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from langchain_valkey.documents import scored_documents, to_document
from valkey_vector import Index
from valkey_vector.concurrency.threads import offload
from valkey_vector.records.validation import FilterLike
from valkey_vector.schema.similarity import relevance

__all__ = ["SearchableStore", "refuse_filters"]


class SearchableStore(VectorStore):
    """Searches an index. `ValkeyVectorStore` adds what fills it."""

    _embedding: Embeddings
    _index: Index

    def similarity_search(
        self,
        query: str,
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
    ) -> list[Document]:
        """The k documents nearest to a text, nearest first.

        Args:
            query: embedded with the embedding's `embed_query`.
            k: how many, at least 1. Fewer are returned only if fewer match.
            filter: only documents that match.
            ef_runtime: for HNSW, candidates to look at; more is better recall and slower.
        """
        return _documents(
            self.similarity_search_with_score(query, k, filter, ef_runtime=ef_runtime)
        )

    async def asimilarity_search(
        self,
        query: str,
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
    ) -> list[Document]:
        """`similarity_search`, awaited."""
        return _documents(
            await self.asimilarity_search_with_score(query, k, filter, ef_runtime=ef_runtime)
        )

    def similarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
    ) -> list[tuple[Document, float]]:
        """`similarity_search` with scores. For every metric a higher one is nearer.

        COSINE: the cosine, -1 to 1. L2: 1 / (1 + Euclidean distance). IP: the inner product, unbounded.
        """
        vector = self._embedding.embed_query(query)
        return self.similarity_search_with_score_by_vector(vector, k, filter, ef_runtime=ef_runtime)

    async def asimilarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_score`, awaited."""
        vector = await self._embedding.aembed_query(query)
        return await self.asimilarity_search_with_score_by_vector(
            vector, k, filter, ef_runtime=ef_runtime
        )

    def similarity_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
    ) -> list[Document]:
        """`similarity_search` with a vector instead of a text."""
        return _documents(
            self.similarity_search_with_score_by_vector(embedding, k, filter, ef_runtime=ef_runtime)
        )

    async def asimilarity_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
    ) -> list[Document]:
        """`similarity_search_by_vector`, awaited."""
        return _documents(
            await self.asimilarity_search_with_score_by_vector(
                embedding, k, filter, ef_runtime=ef_runtime
            )
        )

    def similarity_search_with_score_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_score` with a vector instead of a text."""
        return scored_documents(
            self._index.search(embedding, k=k, filter=filter, ef_runtime=ef_runtime)
        )

    async def asimilarity_search_with_score_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
    ) -> list[tuple[Document, float]]:
        """`similarity_search_with_score_by_vector`, awaited."""
        return scored_documents(
            await self._index.asearch(embedding, k=k, filter=filter, ef_runtime=ef_runtime)
        )

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: FilterLike | None = None,
    ) -> list[Document]:
        """Documents near a text and unlike each other, in the order chosen.

        Args:
            query: embedded with the embedding's `embed_query`.
            k: how many to choose.
            fetch_k: among how many of the nearest; at least k.
            lambda_mult: 0 for diversity alone to 1 for nearness alone.
            filter: only documents that match.
        """
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, filter)

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: FilterLike | None = None,
    ) -> list[Document]:
        """`max_marginal_relevance_search`, awaited."""
        vector = await self._embedding.aembed_query(query)
        return await self.amax_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, filter
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: FilterLike | None = None,
    ) -> list[Document]:
        """`max_marginal_relevance_search` with a vector instead of a text."""
        hits = self._index.search_mmr(
            embedding, k=k, fetch_k=fetch_k, lambda_mult=lambda_mult, filter=filter
        )
        return [to_document(hit.record) for hit in hits]

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: FilterLike | None = None,
    ) -> list[Document]:
        """`max_marginal_relevance_search_by_vector`, awaited."""
        hits = await self._index.asearch_mmr(
            embedding, k=k, fetch_k=fetch_k, lambda_mult=lambda_mult, filter=filter
        )
        return [to_document(hit.record) for hit in hits]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return partial(relevance, metric=self._index.metric)

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **options: Any
    ) -> list[tuple[Document, float]]:
        # The base class asks for the metric in the event loop, and it may be the server that knows it.
        score = await offload(self._select_relevance_score_fn)
        found = await self.asimilarity_search_with_score(query, k, **options)
        return [(document, score(similarity)) for document, similarity in found]


def _documents(scored: Iterable[tuple[Document, float]]) -> list[Document]:
    return [document for document, _ in scored]


def refuse_filters(method: str, keywords: Mapping[str, Any]) -> None:
    """Refuse ``filters``, which other stores take, by the name it has here.

    Raises:
        TypeError: it is among the keywords.
    """
    if "filters" in keywords:
        raise TypeError(f"{method}() takes filter=, a dict or an expression, not filters=")


def _naming_filter(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, which names `filter` if it is given ``filters``."""
    name = method.__name__
    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def acall(self: SearchableStore, /, *args: Any, **kwargs: Any) -> Any:
            refuse_filters(name, kwargs)
            return await method(self, *args, **kwargs)

        return acall

    @wraps(method)
    def call(self: SearchableStore, /, *args: Any, **kwargs: Any) -> Any:
        refuse_filters(name, kwargs)
        return method(self, *args, **kwargs)

    return call


for _name, _method in list(vars(SearchableStore).items()):
    if inspect.isfunction(_method) and "filter" in inspect.signature(_method).parameters:
        setattr(SearchableStore, _name, _naming_filter(_method))
