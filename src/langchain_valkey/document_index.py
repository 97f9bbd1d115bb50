"""`ValkeyDocumentIndex`: LangChain's document index, over `ValkeyVectorStore`."""

# Complete signatures, where the base class takes any keyword: see `searching`.
# mypy: disable-error-code="override"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.indexing import DeleteResponse, DocumentIndex, UpsertResponse
from pydantic import ConfigDict, Field

from langchain_valkey.vectorstore import ValkeyVectorStore
from valkey_vector import InvalidInputError

__all__ = ["ValkeyDocumentIndex"]


class ValkeyDocumentIndex(DocumentIndex):
    """Documents that are stored, fetched and deleted by id, and retrieved by similarity.

    Attributes:
        vectorstore: where they are; close it when done.
        k: how many documents a retrieval brings.
        search_kwargs: further arguments of `ValkeyVectorStore.similarity_search`, such as a `filter`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    vectorstore: ValkeyVectorStore
    k: int = Field(default=4, ge=1)
    search_kwargs: dict[str, Any] = Field(default_factory=dict)

    def upsert(self, items: Sequence[Document], /, **options: Any) -> UpsertResponse:
        """Embed documents and store them; one without an id gets one that is generated.

        Args:
            items: what to store; they are not changed.
            options: `ttl`, `policy`, `batch_size` and `progress` of `ValkeyVectorStore.add_documents`.

        Returns:
            The ids, in the order of the items. None failed: LangChain's `index` ignores those that are
            reported as failed, so a failure raises.

        Raises:
            InvalidInputError, DuplicateIdError, PartialAddError: as `ValkeyVectorStore.add_documents`.
        """
        return {"succeeded": self.vectorstore.add_documents(items, **options), "failed": []}

    async def aupsert(self, items: Sequence[Document], /, **options: Any) -> UpsertResponse:
        """`upsert`, awaited."""
        return {"succeeded": await self.vectorstore.aadd_documents(items, **options), "failed": []}

    def delete(self, ids: Sequence[str] | None = None) -> DeleteResponse:
        """Delete documents by id.

        Args:
            ids: which; unknown ones are no error, and an empty list deletes nothing.

        Returns:
            How many were there.

        Raises:
            InvalidInputError: no ids are given.
        """
        return _deleted(self.vectorstore.index.delete(_given(ids)))

    async def adelete(self, ids: Sequence[str] | None = None) -> DeleteResponse:
        """`delete`, awaited."""
        return _deleted(await self.vectorstore.index.adelete(_given(ids)))

    def get(self, ids: Sequence[str], /) -> list[Document]:
        """Documents by id, in the order of the ids; those that are not stored are left out."""
        return self.vectorstore.get_by_ids(ids)

    async def aget(self, ids: Sequence[str], /) -> list[Document]:
        """`get`, awaited."""
        return await self.vectorstore.aget_by_ids(ids)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - the base class passes it
    ) -> list[Document]:
        return self.vectorstore.similarity_search(query, self.k, **self.search_kwargs)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002 - the base class passes it
    ) -> list[Document]:
        return await self.vectorstore.asimilarity_search(query, self.k, **self.search_kwargs)


def _given(ids: Sequence[str] | None) -> Sequence[str]:
    if ids is None:
        raise InvalidInputError("delete needs ids; the vector store's delete() deletes everything")
    return ids


def _deleted(count: int) -> DeleteResponse:
    return {"num_deleted": count, "num_failed": 0, "failed": []}
