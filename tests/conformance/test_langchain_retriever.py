"""LangChain's own test suite for retrievers, complete, on both engines and for every search type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyRetriever
from servers import Server


class _Suite(RetrieversIntegrationTests):
    __test__ = False

    engine: str
    settings: dict[str, Any]

    @pytest.fixture(autouse=True)
    def _filled(self, request: pytest.FixtureRequest, index_name: str) -> Iterator[None]:
        server: Server = request.getfixturevalue(f"{self.engine}_server")
        settings: Any = {"engine": self.engine, "full_text": True}
        with opened(TableEmbeddings(), index_name, url=server.url, **settings) as store:
            store.add_documents([Document(f"the text {n}", id=str(n)) for n in range(9)])
            self._parameters = {"index": store.index, "embedding": store.embeddings}
            yield

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return ValkeyRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {**self._parameters, **self.settings}

    @property
    def retriever_query_example(self) -> str:
        return "the text 4"


SIMILARITY: dict[str, Any] = {}
THRESHOLD: dict[str, Any] = {"search_type": "similarity_score_threshold", "score_threshold": 0.0}
MMR: dict[str, Any] = {"search_type": "mmr"}
TEXT: dict[str, Any] = {"search_type": "text"}
HYBRID: dict[str, Any] = {"search_type": "hybrid"}
WEIGHTED: dict[str, Any] = {"search_type": "hybrid", "alpha": 0.5}


class TestNativeSimilarity(_Suite):
    __test__ = True
    engine, settings = "native", SIMILARITY


class TestNativeThreshold(_Suite):
    __test__ = True
    engine, settings = "native", THRESHOLD


class TestNativeMmr(_Suite):
    __test__ = True
    engine, settings = "native", MMR


class TestNativeText(_Suite):
    __test__ = True
    engine, settings = "native", TEXT


class TestNativeHybrid(_Suite):
    __test__ = True
    engine, settings = "native", HYBRID


class TestNativeWeighted(_Suite):
    __test__ = True
    engine, settings = "native", WEIGHTED


class TestSearchSimilarity(_Suite):
    __test__ = True
    engine, settings = "search", SIMILARITY


class TestSearchThreshold(_Suite):
    __test__ = True
    engine, settings = "search", THRESHOLD


class TestSearchMmr(_Suite):
    __test__ = True
    engine, settings = "search", MMR


class TestSearchText(_Suite):
    __test__ = True
    engine, settings = "search", TEXT


class TestSearchHybrid(_Suite):
    __test__ = True
    engine, settings = "search", HYBRID


class TestSearchWeighted(_Suite):
    __test__ = True
    engine, settings = "search", WEIGHTED
