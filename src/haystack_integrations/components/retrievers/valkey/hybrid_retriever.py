"""`ValkeyHybridRetriever`: documents of a `ValkeyDocumentStore` by words and embedding, as a component."""

from __future__ import annotations

from typing import Any, ClassVar

from haystack import Document, component
from haystack.document_stores.types import FilterPolicy

from haystack_integrations.components.retrievers.valkey.retriever import ValkeyRetriever
from haystack_integrations.document_stores.valkey import ValkeyDocumentStore
from valkey_vector import Weighted

__all__ = ["ValkeyHybridRetriever"]


@component
class ValkeyHybridRetriever(ValkeyRetriever):
    """Finds the best documents by a question's words and its embedding together, in one search.

    Args:
        document_store: where they are, made with ``full_text=True``.
        filters: only documents that match, in both rankings.
        top_k: how many, 0 or more.
        filter_policy: whether filters given to `run` replace these or are merged with them.
        alpha: None for reciprocal rank fusion; a number for a weighted sum of both scores, each brought to 0 to 1: from 0
            for words alone to 1 for nearness alone.

    Raises:
        ValueError: the store is another one, or without full text, `top_k` is negative, or `alpha` not from 0 to 1.
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
    ) -> None:
        ValkeyRetriever.__init__(
            self,
            document_store=document_store,
            filters=filters,
            top_k=top_k,
            filter_policy=filter_policy,
        )
        self.alpha = alpha
        self._fusion = None if alpha is None else Weighted(alpha)

    def to_dict(self) -> dict[str, Any]:
        """The component as a dict."""
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
    ) -> dict[str, list[Document]]:
        """Find documents.

        Args:
            query: the question. One without a word leaves the ranking by nearness.
            query_embedding: of the question.
            filters: in place of, or merged with, the component's own.
            top_k: in place of the component's own; 0 finds none.

        Returns:
            ``documents``, best first, each with its fused score.
        """
        chosen, limit = self._chosen(filters, top_k)
        found = self.document_store._hybrid_retrieval(
            query, query_embedding, chosen, limit, fusion=self._fusion
        )
        return {"documents": found}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query: str,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Async version of `run`."""
        chosen, limit = self._chosen(filters, top_k)
        found = await self.document_store._hybrid_retrieval_async(
            query, query_embedding, chosen, limit, fusion=self._fusion
        )
        return {"documents": found}
