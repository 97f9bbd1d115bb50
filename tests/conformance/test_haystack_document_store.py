"""Haystack's own tests for document stores, complete, synchronous and asynchronous, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

import pytest
from haystack import Document
from haystack.document_stores.types import DocumentStore
from haystack.testing import document_store as suites
from haystack.testing import document_store_async as async_suites
from haystack.testing.document_store_async import AsyncDocumentStore

from haystack_integrations.document_stores.valkey import ValkeyDocumentStore


@pytest.fixture
def document_store(
    server_url: str, index_name: str, engine_name: str
) -> Iterator[ValkeyDocumentStore]:
    store = ValkeyDocumentStore(
        url=server_url,
        index_name=index_name,
        engine=engine_name,  # type: ignore[arg-type]
        embedding_dim=768,
    )
    yield store
    store.close()


class TestDocumentStore(
    suites.CountDocumentsTest,
    suites.WriteDocumentsTest,
    suites.DeleteDocumentsTest,
    suites.FilterDocumentsTest,
    suites.DeleteAllTest,
    suites.DeleteByFilterTest,
    suites.UpdateByFilterTest,
    suites.CountDocumentsByFilterTest,
    suites.CountUniqueMetadataByFilterTest,
    suites.GetMetadataFieldsInfoTest,
    suites.GetMetadataFieldMinMaxTest,
    suites.GetMetadataFieldUniqueValuesTest,
):
    def test_write_documents(self, document_store: DocumentStore) -> None:
        """Without a policy documents are overwritten."""
        first, second = Document(id="1", content="a"), Document(id="1", content="b")
        assert document_store.write_documents([first]) == 1
        assert document_store.write_documents([second]) == 1
        self.assert_documents_are_equal(document_store.filter_documents(), [second])


class TestDocumentStoreAsync(
    async_suites.CountDocumentsAsyncTest,
    async_suites.WriteDocumentsAsyncTest,
    async_suites.DeleteDocumentsAsyncTest,
    async_suites.FilterDocumentsAsyncTest,
    async_suites.DeleteAllAsyncTest,
    async_suites.DeleteByFilterAsyncTest,
    async_suites.UpdateByFilterAsyncTest,
    async_suites.CountDocumentsByFilterAsyncTest,
    async_suites.CountUniqueMetadataByFilterAsyncTest,
    async_suites.GetMetadataFieldsInfoAsyncTest,
    async_suites.GetMetadataFieldMinMaxAsyncTest,
    async_suites.GetMetadataFieldUniqueValuesAsyncTest,
):
    async def test_write_documents_async(self, document_store: AsyncDocumentStore) -> None:
        """Without a policy documents are overwritten."""
        first, second = Document(id="1", content="a"), Document(id="1", content="b")
        assert await document_store.write_documents_async([first]) == 1
        assert await document_store.write_documents_async([second]) == 1
        assert await document_store.filter_documents_async() == [second]

    async def test_count_not_empty_async(self, document_store: AsyncDocumentStore) -> None:
        """As the suite has it; that of Haystack 2.28 lacks the `self` of a method."""
        await document_store.write_documents_async([Document(content=str(n)) for n in range(3)])
        assert await document_store.count_documents_async() == 3


def test_the_suites_are_complete() -> None:
    def of(cls: type) -> set[str]:
        return {name for name in dir(cls) if name.startswith("test_")}

    counts = (75, 36) if version("haystack-ai").startswith("2.") else (83, 44)
    for module, ours, count in (
        (suites, TestDocumentStore, counts[0]),
        (async_suites, TestDocumentStoreAsync, counts[1]),
    ):
        demanded = [
            cls
            for name, cls in vars(module).items()
            if isinstance(cls, type) and name.endswith("Test")
        ]
        assert set().union(*map(of, demanded)) == of(ours)
        assert len(of(ours)) >= count
