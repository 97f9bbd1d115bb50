"""Search methods of the vector store, sync and async."""

# The base class accepts any keyword and ignores unknown ones. These methods list theirs, so that a misspelled
# `fliter=` raises TypeError instead of searching without a filter.
# mypy: disable-error-code="override"

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Unpack

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from langchain_valkey.documents import scored_documents, to_document
from valkey_vector import Index, ReadOptions
from valkey_vector.concurrency.threads import offload
from valkey_vector.query.filter_keyword import names_filter
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.query.read_options import options_of_call
from valkey_vector.query.result import warn_if_partial
from valkey_vector.schema.similarity import relevance

__all__ = ["SearchableStore"]


@names_filter
class SearchableStore(VectorStore):
    """Search an index. `ValkeyVectorStore` adds the methods that write."""

    _embedding: Embeddings
    _index: Index
    _read_options: ReadOptions

    def similarity_search(
        self,
        query: str,
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[Document]:
        """Return the k documents most similar to a text, most similar first.

        Args:
            query: text, embedded with `embed_query`.
            k: number of documents, at least 1. Fewer are returned only if fewer match.
            filter: return only documents that match.
            ef_runtime: HNSW only: number of candidates to examine. A higher value improves recall and is slower.
            options: `consistency` and `timeout` in seconds replace those of the store unless they are None; see
                `ReadOptions`. A result that may lack documents issues a `PartialResultWarning`.
        """
        return _documents(
            self.similarity_search_with_score(query, k, filter, ef_runtime=ef_runtime, **options)
        )

    async def asimilarity_search(
        self,
        query: str,
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[Document]:
        """Async version of `similarity_search`."""
        return _documents(
            await self.asimilarity_search_with_score(
                query, k, filter, ef_runtime=ef_runtime, **options
            )
        )

    def similarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[tuple[Document, float]]:
        """Return documents with their scores. A higher score is more similar, for every metric.

        COSINE: the cosine, -1 to 1. L2: 1 / (1 + Euclidean distance). IP: the inner product, unbounded.
        See `similarity_search` for the arguments.
        """
        vector = self._embedding.embed_query(query)
        return self.similarity_search_with_score_by_vector(
            vector, k, filter, ef_runtime=ef_runtime, **options
        )

    async def asimilarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[tuple[Document, float]]:
        """Async version of `similarity_search_with_score`."""
        vector = await self._embedding.aembed_query(query)
        return await self.asimilarity_search_with_score_by_vector(
            vector, k, filter, ef_runtime=ef_runtime, **options
        )

    def similarity_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[Document]:
        """Return the k documents most similar to a vector. See `similarity_search` for the other arguments."""
        return _documents(
            self.similarity_search_with_score_by_vector(
                embedding, k, filter, ef_runtime=ef_runtime, **options
            )
        )

    async def asimilarity_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[Document]:
        """Async version of `similarity_search_by_vector`."""
        return _documents(
            await self.asimilarity_search_with_score_by_vector(
                embedding, k, filter, ef_runtime=ef_runtime, **options
            )
        )

    def similarity_search_with_score_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[tuple[Document, float]]:
        """Return documents with their scores for a vector. See `similarity_search_with_score`."""
        hits = self._index.search(
            embedding, k=k, filter=filter, ef_runtime=ef_runtime, **self._reads(options)
        )
        return scored_documents(warn_if_partial(hits))

    async def asimilarity_search_with_score_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        filter: FilterLike | None = None,
        *,
        ef_runtime: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[tuple[Document, float]]:
        """Async version of `similarity_search_with_score_by_vector`."""
        hits = await self._index.asearch(
            embedding, k=k, filter=filter, ef_runtime=ef_runtime, **self._reads(options)
        )
        return scored_documents(warn_if_partial(hits))

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: FilterLike | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[Document]:
        """Return documents that are similar to a text and diverse, by maximal marginal relevance (MMR).

        Args:
            query: text, embedded with `embed_query`.
            k: number of documents to return.
            fetch_k: number of nearest neighbors to select them from, at least k.
            lambda_mult: 0 (diversity only) to 1 (similarity only).
            filter: return only documents that match.
            options: as in `similarity_search`.
        """
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, filter, **options
        )

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: FilterLike | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[Document]:
        """Async version of `max_marginal_relevance_search`."""
        vector = await self._embedding.aembed_query(query)
        return await self.amax_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, filter, **options
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: FilterLike | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[Document]:
        """Return diverse documents for a vector. See `max_marginal_relevance_search`."""
        hits = self._index.search_mmr(
            embedding,
            k=k,
            fetch_k=fetch_k,
            lambda_mult=lambda_mult,
            filter=filter,
            **self._reads(options),
        )
        return [to_document(hit.record) for hit in warn_if_partial(hits)]

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: FilterLike | None = None,
        **options: Unpack[ReadOptions],
    ) -> list[Document]:
        """Async version of `max_marginal_relevance_search_by_vector`."""
        hits = await self._index.asearch_mmr(
            embedding,
            k=k,
            fetch_k=fetch_k,
            lambda_mult=lambda_mult,
            filter=filter,
            **self._reads(options),
        )
        return [to_document(hit.record) for hit in warn_if_partial(hits)]

    def _reads(self, options: ReadOptions) -> ReadOptions:
        """Return the read options of one call: those of the store, unless the call has its own."""
        return options_of_call(self._read_options, options)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return partial(relevance, metric=self._index.metric)

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **options: Any
    ) -> list[tuple[Document, float]]:
        # The base class reads the metric in the event loop. Reading it may send a request to the server.
        score = await offload(self._select_relevance_score_fn)
        found = await self.asimilarity_search_with_score(query, k, **options)
        return [(document, score(similarity)) for document, similarity in found]


def _documents(scored: Iterable[tuple[Document, float]]) -> list[Document]:
    return [document for document, _ in scored]
