"""LangChain's own test suite for vector stores, complete, on both engines and with both algorithms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from langchain_valkey import ValkeyVectorStore
from servers import Server


class _Suite(VectorStoreIntegrationTests):
    __test__ = False

    engine: str
    algorithm: str

    @pytest.fixture
    def vectorstore(self, request: pytest.FixtureRequest, index_name: str) -> Iterator[VectorStore]:
        server: Server = request.getfixturevalue(f"{self.engine}_server")
        store = ValkeyVectorStore(
            self.get_embeddings(),
            index_name=index_name,
            url=server.url,
            engine="search" if self.engine == "search" else "native",
            algorithm=self.algorithm,
        )
        yield store
        store.index.drop()
        store.index.close()


class TestNativeHnsw(_Suite):
    __test__ = True
    engine = "native"
    algorithm = "HNSW"


class TestNativeFlat(_Suite):
    __test__ = True
    engine = "native"
    algorithm = "FLAT"


class TestSearchHnsw(_Suite):
    __test__ = True
    engine = "search"
    algorithm = "HNSW"


class TestSearchFlat(_Suite):
    __test__ = True
    engine = "search"
    algorithm = "FLAT"
