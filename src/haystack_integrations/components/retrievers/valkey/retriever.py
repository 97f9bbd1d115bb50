"""`ValkeyRetriever`: base of the retrievers, with their common settings and serialization."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from haystack import default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy
from haystack.document_stores.types.filter_policy import apply_filter_policy

from haystack_integrations.document_stores.valkey import ValkeyDocumentStore
from valkey_vector import Consistency, ReadOptions
from valkey_vector.query.read_options import check_read_options, merge_read_options

__all__ = ["ValkeyRetriever"]


class ValkeyRetriever:
    """Base of the retriever components.

    Haystack's decorator creates the component class again, so subclasses name this class instead of ``super()``.

    Args:
        document_store: store to retrieve from.
        filters: return only documents that match.
        top_k: maximum number of documents, 0 or more.
        filter_policy: replace these filters with those passed to ``run``, or merge both.
        return_embedding: also return the embeddings of the documents.
        consistency: ``strict``, ``partial`` or ``loose`` (see `ReadOptions`). None: that of the store.
        timeout: seconds for a run, > 0. None: that of the store.

    Raises:
        ValueError: if the store is not a `ValkeyDocumentStore`, lacks a required `full_text`, or `top_k` is negative.
    """

    needs_full_text: ClassVar[bool] = False

    def __init__(
        self,
        *,
        document_store: ValkeyDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
        return_embedding: bool = False,
        consistency: Consistency | None = None,
        timeout: float | None = None,
    ) -> None:
        if not isinstance(document_store, ValkeyDocumentStore):
            raise ValueError(  # noqa: TRY004 - Haystack's contract
                f"document_store must be a ValkeyDocumentStore, not {type(document_store).__name__}"
            )
        if self.needs_full_text and not document_store.full_text:
            raise ValueError(
                f"a {type(self).__name__} needs a new index with full text: ValkeyDocumentStore(…, full_text=True)"
            )
        _check_top_k(top_k)
        check_read_options("strict" if consistency is None else consistency, timeout)
        self.consistency = consistency
        self.timeout = timeout
        self.document_store = document_store
        self.filters = filters or {}
        self.top_k = top_k
        self.return_embedding = return_embedding
        self.filter_policy = (
            filter_policy
            if isinstance(filter_policy, FilterPolicy)
            else FilterPolicy.from_str(filter_policy)
        )

    def to_dict(self) -> dict[str, Any]:
        """Serialize the component to a dict."""
        return default_to_dict(
            self,
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
            return_embedding=self.return_embedding,
            consistency=self.consistency,
            timeout=self.timeout,
            document_store=self.document_store.to_dict(),
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Create a component from the dict of `to_dict`."""
        parameters = dict(data["init_parameters"])
        store = parameters["document_store"]
        if isinstance(store, dict):
            parameters["document_store"] = ValkeyDocumentStore.from_dict(store)
        return default_from_dict(cls, {**data, "init_parameters": parameters})

    def close(self) -> None:
        """Close the store's connection, as `Pipeline.close` does for every component. The next run connects again."""
        self.document_store.close()

    async def close_async(self) -> None:
        """Async version of `close`."""
        await self.document_store.close_async()

    def _chosen(
        self, filters: dict[str, Any] | None, top_k: int | None
    ) -> tuple[dict[str, Any] | None, int]:
        """Return the filters and the limit of one run."""
        limit = self.top_k if top_k is None else top_k
        _check_top_k(limit)
        if not filters:  # neither policy has anything to do
            return self.filters, limit
        return apply_filter_policy(self.filter_policy, self.filters, filters), limit

    def _reads(self, consistency: Consistency | None, timeout: float | None) -> ReadOptions:
        """Return the read options of one run, without those that are the store's."""
        consistency = self.consistency if consistency is None else consistency
        timeout = self.timeout if timeout is None else timeout
        if consistency is None and timeout is None:
            return {}
        return merge_read_options({"consistency": consistency, "timeout": timeout})

    def _returned(self, return_embedding: bool | None) -> bool:
        """Return True if one run returns embeddings."""
        return self.return_embedding if return_embedding is None else return_embedding


def _check_top_k(top_k: int) -> None:
    if top_k < 0:
        raise ValueError(f"top_k must not be negative, not {top_k}")
