"""Consistency and timeout in the adapters: per call and per store, with a warning for a result that may be partial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from haystack import Document
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

from haystack_integrations.components.retrievers.valkey import (
    ValkeyEmbeddingRetriever,
    ValkeyHybridRetriever,
    ValkeyTextRetriever,
)
from haystack_stores import opener
from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyRetriever, ValkeyVectorStore
from llama_index.vector_stores import valkey as llama_index_valkey
from llamaindex_stores import DIMENSION, node, vector_of
from servers import StandInServer
from valkey_vector import (
    Connection,
    InvalidInputError,
    PartialResultWarning,
    RequestTimeoutError,
    ServerError,
)

PARTIAL: Any = {"consistency": "partial"}
LATE: Any = {"timeout": 1e-6}
WORDS = [f"fox number {n}" for n in range(30)]


@pytest.fixture
def connection(lossy_cluster: StandInServer) -> Iterator[Connection]:
    with Connection.open(lossy_cluster.url) as connection:
        yield connection


@pytest.fixture
def langchain(connection: Connection, index_name: str) -> Iterator[ValkeyVectorStore]:
    with opened(TableEmbeddings(), index_name, connection=connection, full_text=True) as store:
        store.add_texts(WORDS)
        yield store


async def test_the_langchain_store_takes_them_per_call(
    langchain: ValkeyVectorStore, lossy_cluster: StandInServer
) -> None:
    whole = langchain.similarity_search("fox", k=30, **PARTIAL)
    assert len(whole) == 30
    lossy_cluster.stand_in.state.shard_lost = True
    with pytest.raises(ServerError):
        langchain.similarity_search("fox", k=30)
    with pytest.warns(PartialResultWarning):
        assert 0 < len(langchain.similarity_search("fox", k=30, **PARTIAL)) < 30
    with pytest.warns(PartialResultWarning):
        assert 0 < len(await langchain.asimilarity_search("fox", k=30, **PARTIAL)) < 30
    with pytest.warns(PartialResultWarning):
        assert langchain.max_marginal_relevance_search("fox", k=3, **PARTIAL)
    with pytest.warns(PartialResultWarning):
        assert await langchain.amax_marginal_relevance_search("fox", k=3, **PARTIAL)
    with pytest.warns(PartialResultWarning):
        assert langchain.similarity_search_with_relevance_scores("fox", k=3, **PARTIAL)
    with pytest.raises(RequestTimeoutError):
        langchain.similarity_search("fox", **LATE)
    retriever = langchain.as_retriever(search_kwargs={"k": 30, **PARTIAL})
    with pytest.warns(PartialResultWarning) as warned:
        assert 0 < len(retriever.invoke("fox")) < 30
    assert [each.filename for each in warned] == [__file__]


def test_the_langchain_store_takes_them_for_every_call(
    langchain: ValkeyVectorStore, connection: Connection, lossy_cluster: StandInServer
) -> None:
    name = langchain.index.name
    lossy_cluster.stand_in.state.shard_lost = True
    with opened(TableEmbeddings(), name, connection=connection, **PARTIAL) as store:
        with pytest.warns(PartialResultWarning):
            assert store.similarity_search("fox", k=3)
        with pytest.raises(ServerError):
            store.similarity_search("fox", k=3, consistency="strict")
        with pytest.warns(PartialResultWarning):
            assert ValkeyRetriever.from_store(store, k=3).invoke("fox")
    with (
        opened(TableEmbeddings(), name, connection=connection, **LATE) as store,
        pytest.raises(RequestTimeoutError),
    ):
        store.similarity_search("fox")
    unset: Any = {"consistency": None, "timeout": None}
    with (
        opened(TableEmbeddings(), name, connection=connection, **LATE, **PARTIAL) as store,
        pytest.raises(RequestTimeoutError),
    ):
        store.similarity_search("fox", **unset)
    wrong: Any = {"consistency": "eventual"}
    with pytest.raises(InvalidInputError):
        ValkeyVectorStore(TableEmbeddings(), connection=connection, **wrong)


@pytest.mark.parametrize("search_type", ["similarity", "mmr", "text", "hybrid"])
async def test_the_langchain_retriever_takes_them_as_settings(
    langchain: ValkeyVectorStore, lossy_cluster: StandInServer, search_type: Any
) -> None:
    retriever = ValkeyRetriever.from_store(langchain, search_type=search_type, k=5, timeout=20.0)
    assert len(retriever.invoke("fox")) == 5
    lossy_cluster.stand_in.state.shard_lost = True
    with pytest.raises(ServerError):
        retriever.invoke("fox")
    with pytest.warns(PartialResultWarning):
        assert retriever.invoke("fox", **PARTIAL)
    with pytest.warns(PartialResultWarning):
        assert await retriever.ainvoke("fox", **PARTIAL)
    with pytest.warns(PartialResultWarning):
        assert all(retriever.batch(["fox", "number"], **PARTIAL))
    with pytest.raises(RequestTimeoutError):
        retriever.invoke("fox", **LATE)
    with pytest.raises(ValueError, match="timeout"):
        retriever.invoke("fox", timeout=0)


@pytest.mark.parametrize(
    "mode",
    [
        VectorStoreQueryMode.DEFAULT,
        VectorStoreQueryMode.MMR,
        VectorStoreQueryMode.TEXT_SEARCH,
        VectorStoreQueryMode.HYBRID,
    ],
)
async def test_the_llama_index_store_takes_them_per_query_and_for_all(
    connection: Connection,
    index_name: str,
    lossy_cluster: StandInServer,
    mode: VectorStoreQueryMode,
) -> None:
    store = llama_index_valkey.ValkeyVectorStore(
        index_name=index_name, connection=connection, dimension=DIMENSION, full_text=True
    )
    store.add([node(f"n{n}", text) for n, text in enumerate(WORDS)])
    query = VectorStoreQuery(
        query_embedding=vector_of("fox"), query_str="fox", similarity_top_k=5, mode=mode
    )
    assert len(store.query(query, **PARTIAL).ids or ()) == 5
    lossy_cluster.stand_in.state.shard_lost = True
    with pytest.raises(ServerError):
        store.query(query)
    with pytest.warns(PartialResultWarning):
        assert store.query(query, **PARTIAL).ids
    with pytest.warns(PartialResultWarning):
        assert (await store.aquery(query, **PARTIAL)).ids
    with pytest.raises(RequestTimeoutError):
        store.query(query, **LATE)
    lenient = llama_index_valkey.ValkeyVectorStore(
        lossy_cluster.url, index_name=index_name, **PARTIAL
    )
    with closing(lenient.index):
        with pytest.warns(PartialResultWarning):
            assert lenient.query(query).ids
        with pytest.warns(PartialResultWarning):
            assert 0 < len(lenient.get_nodes()) < 30
        with pytest.raises(ServerError):
            lenient.query(query, consistency="strict")
        assert lenient.to_dict()["consistency"] == "partial"
        copied = llama_index_valkey.ValkeyVectorStore.from_dict(lenient.to_dict())
        assert (copied.consistency, copied.timeout) == ("partial", None)


async def test_haystack_retrievers_take_them_per_run_and_as_settings(
    index_name: str, lossy_cluster: StandInServer
) -> None:
    with opener(url=lossy_cluster.url, index_name=index_name, full_text=True) as make:
        store = make()
        store.write_documents(
            [Document(id=f"{n}", content=text, embedding=[1.0, n, 0, 0])
             for n, text in enumerate(WORDS)]
        )  # fmt: skip
        here = [1.0, 0.0, 0.0, 0.0]
        inputs: dict[Any, dict[str, Any]] = {
            ValkeyEmbeddingRetriever: {"query_embedding": here},
            ValkeyTextRetriever: {"query": "fox"},
            ValkeyHybridRetriever: {"query": "fox", "query_embedding": here},
        }
        assert len(make(**PARTIAL).filter_documents()) == 30
        lossy_cluster.stand_in.state.shard_lost = True
        for kind, given in inputs.items():
            retriever = kind(document_store=store, top_k=5)
            with pytest.raises(Exception, match="OOM"):
                retriever.run(**given)
            with pytest.warns(PartialResultWarning):
                assert retriever.run(**given, **PARTIAL)["documents"]
            with pytest.warns(PartialResultWarning):
                assert (await retriever.run_async(**given, **PARTIAL))["documents"]
            with pytest.raises(Exception, match="its timeout of"):
                retriever.run(**given, **LATE)
            lenient = kind(document_store=store, top_k=5, timeout=20.0, **PARTIAL)
            with pytest.warns(PartialResultWarning):
                assert lenient.run(**given)["documents"]
            described = lenient.to_dict()["init_parameters"]
            assert (described["consistency"], described["timeout"]) == ("partial", 20.0)
            copied = kind.from_dict(lenient.to_dict())
            assert (copied.consistency, copied.timeout) == ("partial", 20.0)
            with pytest.raises(InvalidInputError):
                kind(document_store=store, timeout=-1)
        lenient_store = make(**PARTIAL)
        with pytest.warns(PartialResultWarning):
            assert 0 < len(lenient_store.filter_documents()) < 30
        with pytest.warns(PartialResultWarning):
            assert 0 < lenient_store.count_documents() < 30
        assert lenient_store.to_dict()["init_parameters"]["consistency"] == "partial"
