"""`ValkeyTextRetriever`: documents of a `ValkeyDocumentStore` by their words, as a component."""

from __future__ import annotations

from typing import Any, ClassVar

from haystack import Document, component

from haystack_integrations.components.retrievers.valkey.retriever import ValkeyRetriever

__all__ = ["ValkeyTextRetriever"]


@component
class ValkeyTextRetriever(ValkeyRetriever):
    """Finds the documents that have any of a question's words, the best by BM25.

    Args:
        document_store: where they are, made with ``full_text=True``.
        filters: only documents that match.
        top_k: how many, 0 or more.
        filter_policy: whether filters given to `run` replace these or are merged with them.

    Raises:
        ValueError: the store is another one, or without full text, or `top_k` is negative.
    """

    needs_full_text: ClassVar[bool] = True

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Find documents.

        Args:
            query: the question. No character in it has a meaning; one without a word finds none.
            filters: in place of, or merged with, the component's own.
            top_k: in place of the component's own; 0 finds none.

        Returns:
            ``documents``, best first, each with its BM25 score.
        """
        chosen, limit = self._chosen(filters, top_k)
        return {"documents": self.document_store._text_retrieval(query, chosen, limit)}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Async version of `run`."""
        chosen, limit = self._chosen(filters, top_k)
        return {"documents": await self.document_store._text_retrieval_async(query, chosen, limit)}
