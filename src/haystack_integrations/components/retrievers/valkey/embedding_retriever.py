"""`ValkeyEmbeddingRetriever`: documents of a `ValkeyDocumentStore` by embedding, as a component."""

from __future__ import annotations

from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy
from haystack.document_stores.types.filter_policy import apply_filter_policy

from haystack_integrations.document_stores.valkey import ValkeyDocumentStore

__all__ = ["ValkeyEmbeddingRetriever"]


@component
class ValkeyEmbeddingRetriever:
    """Finds the documents nearest to an embedding.

    Args:
        document_store: where they are.
        filters: only documents that match.
        top_k: how many, 0 or more.
        filter_policy: whether filters given to `run` replace these or are merged with them.

    Raises:
        ValueError: the store is another one, or `top_k` is negative.
    """

    def __init__(
        self,
        *,
        document_store: ValkeyDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
    ) -> None:
        if not isinstance(document_store, ValkeyDocumentStore):
            raise ValueError(  # noqa: TRY004 - Haystack's contract
                f"document_store must be a ValkeyDocumentStore, not {type(document_store).__name__}"
            )
        _check_top_k(top_k)
        self.document_store = document_store
        self.filters = filters or {}
        self.top_k = top_k
        self.filter_policy = (
            filter_policy
            if isinstance(filter_policy, FilterPolicy)
            else FilterPolicy.from_str(filter_policy)
        )

    def to_dict(self) -> dict[str, Any]:
        """The component as a dict."""
        return default_to_dict(
            self,
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
            document_store=self.document_store.to_dict(),
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ValkeyEmbeddingRetriever:
        """The component that `to_dict` described."""
        parameters = dict(data["init_parameters"])
        store = parameters["document_store"]
        if isinstance(store, dict):
            parameters["document_store"] = ValkeyDocumentStore.from_dict(store)
        made: ValkeyEmbeddingRetriever = default_from_dict(
            cls, {**data, "init_parameters": parameters}
        )
        return made

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
        """`run`, awaited."""
        chosen, limit = self._chosen(filters, top_k)
        found = await self.document_store._embedding_retrieval_async(query_embedding, chosen, limit)
        return {"documents": found}

    def _chosen(
        self, filters: dict[str, Any] | None, top_k: int | None
    ) -> tuple[dict[str, Any] | None, int]:
        limit = self.top_k if top_k is None else top_k
        _check_top_k(limit)
        return apply_filter_policy(self.filter_policy, self.filters, filters), limit


def _check_top_k(top_k: int) -> None:
    if top_k < 0:
        raise ValueError(f"top_k must not be negative, not {top_k}")
