"""Retrieval methods of `ValkeyDocumentStore`: by embedding, by text, and hybrid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar, Unpack

from haystack import Document

from haystack_integrations.document_stores.valkey.documents import from_hits
from haystack_integrations.document_stores.valkey.filters import to_filter
from valkey_vector import Filter, Hit, Index, ReadOptions, ReciprocalRank, SearchResult, Weighted
from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.query.read_options import options_of_call
from valkey_vector.query.result import warn_if_partial

__all__ = ["SearchableStore"]

_T = TypeVar("_T")


class SearchableStore(ABC):
    """Ranked retrieval for `ValkeyDocumentStore`. A higher score is always better.

    Every method takes ``filters`` (return only documents that match), ``limit`` (maximum number of documents, 0 or
    more), ``with_embedding`` (return the embeddings), and ``consistency`` and ``timeout``, which replace those of the
    store unless they are None. Errors are those of the other methods of the store.
    """

    _read_options: ReadOptions

    @property
    @abstractmethod
    def index(self) -> Index:
        """The core's index."""

    @abstractmethod
    def _done(self, what: str, operation: Callable[[], _T]) -> _T:
        """Run an operation and return its result. Raise a failure as Haystack's error."""

    def _embedding_retrieval(
        self,
        embedding: list[float],
        filters: dict[str, Any] | None = None,
        limit: int = 10,
        *,
        with_embedding: bool = True,
        **options: Unpack[ReadOptions],
    ) -> list[Document]:
        """Return the documents most similar to an embedding of `embedding_dim` floats.

        Score: cosine: the cosine, -1 to 1. l2: 1 / (1 + Euclidean distance). ip: the inner product.
        """
        return self._ranked(
            filters,
            limit,
            lambda condition: self.index.search(
                embedding,
                k=limit,
                filter=condition,
                with_vectors=with_embedding,
                with_payloads=True,
                **options_of_call(self._read_options, options),
            ),
        )

    def _text_retrieval(
        self,
        query: str,
        filters: dict[str, Any] | None = None,
        limit: int = 10,
        *,
        with_embedding: bool = True,
        **options: Unpack[ReadOptions],
    ) -> list[Document]:
        """Return the documents with any term of the query in their content, ranked by their BM25 score.

        The query's stop words (``how``, ``do``) are not searched, unless it has no other words. A query without terms
        finds nothing.
        """
        return self._ranked(
            filters,
            limit,
            lambda condition: self.index.search_text(
                query,
                k=limit,
                filter=condition,
                with_vectors=with_embedding,
                with_payloads=True,
                **options_of_call(self._read_options, options),
            ),
        )

    def _hybrid_retrieval(
        self,
        query: str,
        embedding: list[float],
        filters: dict[str, Any] | None = None,
        limit: int = 10,
        *,
        fusion: ReciprocalRank | Weighted | None = None,
        with_embedding: bool = True,
        **options: Unpack[ReadOptions],
    ) -> list[Document]:
        """Return the best documents by BM25 and similarity combined, in one search.

        The score is that of the fusion: `ReciprocalRank` by default, or `Weighted`. Documents without an embedding are
        found by their text. For a query without terms, the ranking is by similarity alone.
        """
        return self._ranked(
            filters,
            limit,
            lambda condition: self.index.search_hybrid(
                embedding, query, k=limit, fusion=fusion, filter=condition,
                with_vectors=with_embedding, with_payloads=True, **options_of_call(self._read_options, options),
            ),
        )  # fmt: skip

    def _ranked(
        self,
        filters: dict[str, Any] | None,
        limit: int,
        search: Callable[[Filter | None], SearchResult[Hit]],
    ) -> list[Document]:
        condition = to_filter(filters)
        if limit < 0:
            raise ValueError(f"limit must not be negative, not {limit}")
        if limit == 0:
            return []
        hits = warn_if_partial(self._done("search", lambda: search(condition)))
        return from_hits(hits)

    # Haystack's documented examples use this spelling.
    _embedding_retrival = _embedding_retrieval

    _embedding_retrieval_async = async_version(_embedding_retrieval, "_embedding_retrieval_async")
    _embedding_retrival_async = _embedding_retrieval_async
    _text_retrieval_async = async_version(_text_retrieval, "_text_retrieval_async")
    _hybrid_retrieval_async = async_version(_hybrid_retrieval, "_hybrid_retrieval_async")
