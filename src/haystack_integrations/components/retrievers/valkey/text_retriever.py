"""`ValkeyTextRetriever`: component that retrieves documents by BM25."""

from __future__ import annotations

from typing import Any, ClassVar

from haystack import Document, component

from haystack_integrations.components.retrievers.valkey.retriever import ValkeyRetriever
from valkey_vector import Consistency

__all__ = ["ValkeyTextRetriever"]


@component
class ValkeyTextRetriever(ValkeyRetriever):
    """Retrieve the documents with any term of a question, ranked by BM25.

    The stop words of the store's language (``how``, ``do``) are not searched, unless the question has no other words.

    Args:
        document_store: store to retrieve from, created with ``full_text=True``.
        filters: return only documents that match.
        top_k: maximum number of documents, 0 or more.
        filter_policy: replace these filters with those passed to `run`, or merge both.
        return_embedding: also return the embeddings of the documents. They make a reply several times as large.
        consistency: ``strict``, ``partial`` or ``loose`` (see `ReadOptions`). None: that of the store.
        timeout: seconds for a run, > 0. None: that of the store.

    Raises:
        ValueError: if the store is not a `ValkeyDocumentStore` with `full_text`, or `top_k` is negative.
    """

    needs_full_text: ClassVar[bool] = True

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        return_embedding: bool | None = None,
        *,
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> dict[str, list[Document]]:
        """Retrieve documents.

        Args:
            query: the question. It has no query syntax. Without terms, it finds nothing.
            filters: replace the filters of the component, or are merged with them (`filter_policy`).
            top_k: replaces the `top_k` of the component.
            return_embedding: replaces the `return_embedding` of the component.
            consistency: replaces the `consistency` of the component. A result that may lack documents issues a
                `PartialResultWarning`.
            timeout: replaces the `timeout` of the component.

        Returns:
            ``documents``, best first, each with its BM25 score.
        """
        chosen, limit = self._chosen(filters, top_k)
        found = self.document_store._text_retrieval(
            query,
            chosen,
            limit,
            with_embedding=self._returned(return_embedding),
            **self._reads(consistency, timeout),
        )
        return {"documents": found}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query: str,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        return_embedding: bool | None = None,
        *,
        consistency: Consistency | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the server gets it, too
    ) -> dict[str, list[Document]]:
        """Async version of `run`."""
        chosen, limit = self._chosen(filters, top_k)
        found = await self.document_store._text_retrieval_async(
            query,
            chosen,
            limit,
            with_embedding=self._returned(return_embedding),
            **self._reads(consistency, timeout),
        )
        return {"documents": found}
