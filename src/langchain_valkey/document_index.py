"""`ValkeyDocumentIndex`: LangChain document index on Valkey, over `ValkeyVectorStore`."""

# The base class accepts any keyword; these methods list theirs. See `searching`.
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
    """Store, fetch and delete documents by id, and retrieve them by similarity.

    Attributes:
        vectorstore: vector store that holds the documents. Close it when you no longer need it.
        k: number of documents to retrieve, at least 1.
        search_kwargs: additional arguments of `ValkeyVectorStore.similarity_search`, such as `filter`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    vectorstore: ValkeyVectorStore
    k: int = Field(default=4, ge=1)
    search_kwargs: dict[str, Any] = Field(default_factory=dict)

    def upsert(self, items: Sequence[Document], /, **options: Any) -> UpsertResponse:
        """Embed documents and store them. A missing id is generated.

        Args:
            items: documents to store. They are not modified.
            options: `ttl`, `policy`, `batch_size` and `progress` of `ValkeyVectorStore.add_documents`.

        Returns:
            The ids, in the order of the items. ``failed`` is always empty: LangChain's `index` ignores it, so a
            failure raises.

        Raises:
            InvalidInputError, DuplicateIdError, PartialAddError: as `ValkeyVectorStore.add_documents`.
        """
        return {"succeeded": self.vectorstore.add_documents(items, **options), "failed": []}

    async def aupsert(self, items: Sequence[Document], /, **options: Any) -> UpsertResponse:
        """Async version of `upsert`."""
        return {"succeeded": await self.vectorstore.aadd_documents(items, **options), "failed": []}

    def delete(self, ids: Sequence[str] | None = None) -> DeleteResponse:
        """Delete documents by id.

        Args:
            ids: ids of the documents to delete. Unknown ids are ignored; an empty list deletes nothing.

        Returns:
            The number of deleted documents.

        Raises:
            InvalidInputError: if `ids` is None.
        """
        return _deleted(self.vectorstore.index.delete(_required(ids)))

    async def adelete(self, ids: Sequence[str] | None = None) -> DeleteResponse:
        """Async version of `delete`."""
        return _deleted(await self.vectorstore.index.adelete(_required(ids)))

    def get(self, ids: Sequence[str], /) -> list[Document]:
        """Return documents by id, in the order of the ids. Ids that are not stored are omitted."""
        return self.vectorstore.get_by_ids(ids)

    async def aget(self, ids: Sequence[str], /) -> list[Document]:
        """Async version of `get`."""
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


def _required(ids: Sequence[str] | None) -> Sequence[str]:
    if ids is None:
        raise InvalidInputError("delete needs ids; the vector store's delete() deletes everything")
    return ids


def _deleted(count: int) -> DeleteResponse:
    return {"num_deleted": count, "num_failed": 0, "failed": []}
