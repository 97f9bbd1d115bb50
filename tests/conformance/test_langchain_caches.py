"""LangChain's own test suites for caches, complete, for both caches on both engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langchain_core.caches import BaseCache
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite

from langchain_stores import TableEmbeddings
from langchain_valkey import ValkeyCache, ValkeySemanticCache
from servers import Server
from valkey_vector.index.settings import EngineChoice


class _Exact:
    engine: str

    @pytest.fixture
    def cache(self, request: pytest.FixtureRequest, index_name: str) -> Iterator[BaseCache]:
        server: Server = request.getfixturevalue(f"{self.engine}_server")
        with ValkeyCache(index_name, url=server.url, on_error="raise") as cache:
            yield cache


class _Semantic:
    engine: EngineChoice

    @pytest.fixture
    def cache(self, request: pytest.FixtureRequest, index_name: str) -> Iterator[BaseCache]:
        server: Server = request.getfixturevalue(f"{self.engine}_server")
        embedding = TableEmbeddings()
        with ValkeySemanticCache(
            embedding, index_name, url=server.url, engine=self.engine, on_error="raise"
        ) as cache:
            yield cache
            cache.cache.drop()


class TestExactNative(_Exact, SyncCacheTestSuite):
    engine = "native"


class TestExactSearch(_Exact, SyncCacheTestSuite):
    engine = "search"


class TestAsyncExactNative(_Exact, AsyncCacheTestSuite):
    engine = "native"


class TestAsyncExactSearch(_Exact, AsyncCacheTestSuite):
    engine = "search"


class TestSemanticNative(_Semantic, SyncCacheTestSuite):
    engine = "native"


class TestSemanticSearch(_Semantic, SyncCacheTestSuite):
    engine = "search"


class TestAsyncSemanticNative(_Semantic, AsyncCacheTestSuite):
    engine = "native"


class TestAsyncSemanticSearch(_Semantic, AsyncCacheTestSuite):
    engine = "search"
