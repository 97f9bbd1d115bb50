"""`ValkeyHybridRetriever`: component that retrieves documents by text and embedding."""

from __future__ import annotations

from typing import Any, ClassVar

from haystack import Document, component
from haystack.document_stores.types import FilterPolicy

from haystack_integrations.components.retrievers.valkey.retriever import ValkeyRetriever
from haystack_integrations.document_stores.valkey import ValkeyDocumentStore
from valkey_vector import Consistency, Weighted

__all__ = ["ValkeyHybridRetriever"]


@component
class ValkeyHybridRetriever(ValkeyRetriever):
    """Retrieve the best documents by BM25 and embedding combined, in one search.

    Args:
        document_store: store to retrieve from, created with ``full_text=True``.
        filters: return only documents that match, in both rankings.
        top_k: maximum number of documents, 0 or more.
        filter_policy: replace these filters with those passed to `run`, or merge both.
        return_embedding: also return the embeddings of the documents. They make a reply several times as large.
        consistency: ``strict``, ``partial`` or ``loose`` (see `ReadOptions`). None: that of the store.
        timeout: seconds for a run, > 0. None: that of the store.
        alpha: None for reciprocal rank fusion, or the weight of a sum of both scores, each normalized to 0 to 1: 0 (text only)
            to 1 (embedding only).

    Raises:
        ValueError: if the store is not a `ValkeyDocumentStore` with `full_text`, `top_k` is negative, or `alpha` is not
            from 0 to 1.
    """

    needs_full_text: ClassVar[bool] = True

    def __init__(
        self,
        *,
        document_store: ValkeyDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
        alpha: float | None = None,
        return_embedding: bool = False,
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> None:
        ValkeyRetriever.__init__(
            self,
            document_store=document_store,
            filters=filters,
            top_k=top_k,
            filter_policy=filter_policy,
            return_embedding=return_embedding,
            consistency=consistency,
            timeout=timeout,
        )
        self.alpha = alpha
        self._fusion = None if alpha is None else Weighted(alpha)

    def to_dict(self) -> dict[str, Any]:
        """Serialize the component to a dict."""
        described = ValkeyRetriever.to_dict(self)
        described["init_parameters"]["alpha"] = self.alpha
        return described

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        return_embedding: bool | None = None,
        *,
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> dict[str, list[Document]]:
        """Retrieve documents.

        Args:
            query: the question, searched without its stop words. Without terms, the ranking is by embedding alone.
            query_embedding: embedding of the question.
            filters: replace the filters of the component, or are merged with them (`filter_policy`).
            top_k: replaces the `top_k` of the component.
            return_embedding: replaces the `return_embedding` of the component.
            consistency: replaces the `consistency` of the component. A result that may lack documents issues a
                `PartialResultWarning`.
            timeout: replaces the `timeout` of the component.

        Returns:
            ``documents``, best first, each with its fused score.
        """
        chosen, limit = self._chosen(filters, top_k)
        found = self.document_store._hybrid_retrieval(
            query,
            query_embedding,
            chosen,
            limit,
            fusion=self._fusion,
            with_embedding=self._returned(return_embedding),
            **self._reads(consistency, timeout),
        )
        return {"documents": found}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query: str,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        return_embedding: bool | None = None,
        *,
        consistency: Consistency | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the server gets it, too
    ) -> dict[str, list[Document]]:
        """Async version of `run`."""
        chosen, limit = self._chosen(filters, top_k)
        found = await self.document_store._hybrid_retrieval_async(
            query,
            query_embedding,
            chosen,
            limit,
            fusion=self._fusion,
            with_embedding=self._returned(return_embedding),
            **self._reads(consistency, timeout),
        )
        return {"documents": found}
