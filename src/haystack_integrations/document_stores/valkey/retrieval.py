"""What a `ValkeyDocumentStore` is asked by retrievers: documents by embedding, by text, and by both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from haystack import Document

from haystack_integrations.document_stores.valkey.documents import from_hit
from haystack_integrations.document_stores.valkey.filters import to_filter
from valkey_vector import Filter, Hit, Index, ReciprocalRank, Weighted
from valkey_vector.concurrency.async_versions import twin

__all__ = ["SearchableStore"]

_T = TypeVar("_T")


class SearchableStore(ABC):
    """The part of `ValkeyDocumentStore` that ranks documents. A higher score is better everywhere.

    Every method takes ``filters`` (only documents that match), ``limit`` (how many; 0 finds none) and
    ``with_embedding`` (bring the embeddings, too), and raises what the store's other methods do.
    """

    @property
    @abstractmethod
    def index(self) -> Index:
        """The core's index."""

    @abstractmethod
    def _done(self, what: str, operation: Callable[[], _T]) -> _T:
        """The operation's result; its failure as Haystack's error."""

    def _embedding_retrieval(
        self,
        embedding: list[float],
        filters: dict[str, Any] | None = None,
        limit: int = 10,
        *,
        with_embedding: bool = True,
    ) -> list[Document]:
        """The documents nearest to an embedding of `embedding_dim` floats.

        The score is for cosine the cosine, -1 to 1, for l2 1 / (1 + Euclidean distance), for ip the inner product.
        """
        return self._ranked(
            filters,
            limit,
            lambda chosen: self.index.search(
                embedding, k=limit, filter=chosen, with_vectors=with_embedding, with_payloads=True
            ),
        )

    def _text_retrieval(
        self,
        query: str,
        filters: dict[str, Any] | None = None,
        limit: int = 10,
        *,
        with_embedding: bool = True,
    ) -> list[Document]:
        """The documents whose contents have any of the query's words, the best by BM25, which is the score.

        Text without a word, such as stop words alone, finds none.
        """
        return self._ranked(
            filters,
            limit,
            lambda chosen: self.index.search_text(
                query, k=limit, filter=chosen, with_vectors=with_embedding, with_payloads=True
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
    ) -> list[Document]:
        """The best documents by the query's words and by nearness together, in one search.

        The score is the fusion's: `ReciprocalRank`'s by default, or `Weighted`'s. Documents without an embedding are found
        by their words. Text without a word leaves the ranking by nearness.
        """
        return self._ranked(
            filters,
            limit,
            lambda chosen: self.index.search_hybrid(
                embedding, query, k=limit, fusion=fusion, filter=chosen,
                with_vectors=with_embedding, with_payloads=True,
            ),
        )  # fmt: skip

    def _ranked(
        self,
        filters: dict[str, Any] | None,
        limit: int,
        search: Callable[[Filter | None], list[Hit]],
    ) -> list[Document]:
        chosen = to_filter(filters)
        if limit < 0:
            raise ValueError(f"limit must not be negative, not {limit}")
        if limit == 0:
            return []
        return [from_hit(hit) for hit in self._done("search", lambda: search(chosen))]

    # Documented examples spell it so.
    _embedding_retrival = _embedding_retrieval

    _embedding_retrieval_async = twin(_embedding_retrieval, "_embedding_retrieval_async")
    _embedding_retrival_async = _embedding_retrieval_async
    _text_retrieval_async = twin(_text_retrieval, "_text_retrieval_async")
    _hybrid_retrieval_async = twin(_hybrid_retrieval, "_hybrid_retrieval_async")
