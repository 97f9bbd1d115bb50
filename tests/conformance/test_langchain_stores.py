"""LangChain's own test suites for byte stores and document indexes, complete, on both engines."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterator

import pytest
from langchain_core.indexing import DocumentIndex
from langchain_core.stores import BaseStore
from langchain_tests.integration_tests import BaseStoreAsyncTests, BaseStoreSyncTests
from langchain_tests.integration_tests.indexer import (
    AsyncDocumentIndexTestSuite,
    DocumentIndexerTestSuite,
)

from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyByteStore, ValkeyDocumentIndex
from servers import Server


class _ByteStores:
    engine: str

    @pytest.fixture
    def kv_store(
        self, request: pytest.FixtureRequest, index_name: str
    ) -> Iterator[BaseStore[str, bytes]]:
        server: Server = request.getfixturevalue(f"{self.engine}_server")
        with ValkeyByteStore(index_name, url=server.url) as store:
            yield store

    @pytest.fixture
    def three_values(self) -> tuple[bytes, bytes, bytes]:
        return b"foo", b"", bytes(range(256))


class TestByteStoreNative(_ByteStores, BaseStoreSyncTests[bytes]):
    engine = "native"


class TestByteStoreSearch(_ByteStores, BaseStoreSyncTests[bytes]):
    engine = "search"


class TestAsyncByteStoreNative(_ByteStores, BaseStoreAsyncTests[bytes]):
    engine = "native"


class TestAsyncByteStoreSearch(_ByteStores, BaseStoreAsyncTests[bytes]):
    engine = "search"


class _DocumentIndex(DocumentIndexerTestSuite):
    __test__ = False
    engine: str

    @pytest.fixture
    def index(
        self, request: pytest.FixtureRequest, index_name: str
    ) -> Generator[DocumentIndex, None, None]:
        server: Server = request.getfixturevalue(f"{self.engine}_server")
        with opened(TableEmbeddings(), index_name, url=server.url) as store:
            yield ValkeyDocumentIndex(vectorstore=store)


class TestDocumentIndexNative(_DocumentIndex):
    __test__ = True
    engine = "native"


class TestDocumentIndexSearch(_DocumentIndex):
    __test__ = True
    engine = "search"


class _AsyncDocumentIndex(AsyncDocumentIndexTestSuite):
    __test__ = False
    engine: str

    @pytest.fixture
    async def index(
        self, request: pytest.FixtureRequest, index_name: str
    ) -> AsyncGenerator[DocumentIndex, None]:
        server: Server = request.getfixturevalue(f"{self.engine}_server")
        with opened(TableEmbeddings(), index_name, url=server.url) as store:
            yield ValkeyDocumentIndex(vectorstore=store)


class TestAsyncDocumentIndexNative(_AsyncDocumentIndex):
    __test__ = True
    engine = "native"


class TestAsyncDocumentIndexSearch(_AsyncDocumentIndex):
    __test__ = True
    engine = "search"
