"""`ValkeyEmbeddingRetriever`: documents of a `ValkeyDocumentStore` by embedding, as a component."""

from __future__ import annotations

from typing import Any

from haystack import Document, component

from haystack_integrations.components.retrievers.valkey.retriever import ValkeyRetriever

__all__ = ["ValkeyEmbeddingRetriever"]


@component
class ValkeyEmbeddingRetriever(ValkeyRetriever):
    """Finds the documents nearest to an embedding.

    Args:
        document_store: where they are.
        filters: only documents that match.
        top_k: how many, 0 or more.
        filter_policy: whether filters given to `run` replace these or are merged with them.

    Raises:
        ValueError: the store is another one, or `top_k` is negative.
    """

    @component.output_types(documents=list[Document])
    def run(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Find documents.

        Args:
            query_embedding: of the question.
            filters: in place of, or merged with, the component's own.
            top_k: in place of the component's own; 0 finds none.

        Returns:
            ``documents``, nearest first, each with its score.
        """
        chosen, limit = self._chosen(filters, top_k)
        found = self.document_store._embedding_retrieval(query_embedding, chosen, limit)
        return {"documents": found}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Async version of `run`."""
        chosen, limit = self._chosen(filters, top_k)
        found = await self.document_store._embedding_retrieval_async(query_embedding, chosen, limit)
        return {"documents": found}
