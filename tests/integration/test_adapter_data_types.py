"""Stores of the frameworks on an index of FLOAT16: by the schema where they take one, otherwise by an index that exists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from haystack import Document
from llama_index.core.graph_stores.types import EntityNode
from llama_index.core.vector_stores.types import VectorStoreQuery

import haystack_stores
from langchain_stores import TableEmbeddings, opened
from llama_index.graph_stores.valkey import ValkeyPropertyGraphStore
from llama_index.vector_stores.valkey import ValkeyVectorStore
from llamaindex_stores import DIMENSION, node, vector_of
from servers import Server
from valkey_vector import Connection, Index

VECTOR = [0.1, 0.2, 0.3, 0.4]
ROUNDED = np.array(VECTOR, "<f2").astype(float).tolist()


def stored_bytes(connection: Connection, key: str) -> Any:
    return connection.execute("HSTRLEN", key, "vector")


def test_langchain_takes_the_type_from_its_schema(native_server: Server, index_name: str) -> None:
    settings: dict[str, Any] = {"url": native_server.url, "schema": {"data_type": "float16"}}
    embedding = TableEmbeddings(size=16)
    with opened(embedding, index_name, **settings) as store:
        store.add_texts(["one", "two"], [{"n": 1}, {"n": 2}], ids=["1", "2"])
        assert stored_bytes(store.index.connection, f"{index_name}:1") == 32
        ((found, score),) = store.similarity_search_with_score("one", k=1, filter={"n": 1})
        assert found.page_content == "one"
        assert score == pytest.approx(1, abs=1e-12)
        mmr = store.max_marginal_relevance_search("two", k=2, fetch_k=2)
        assert [each.page_content for each in mmr] == ["two", "one"]


def test_llama_index_takes_the_type_from_its_schema(native_server: Server, index_name: str) -> None:
    store = ValkeyVectorStore(
        index_name=index_name, url=native_server.url, index_schema={"data_type": "float16"}
    )
    store.add([node("a"), node("b")])
    assert stored_bytes(store.index.connection, f"{index_name}:a") == 2 * DIMENSION
    result = store.query(VectorStoreQuery(query_embedding=vector_of("a"), similarity_top_k=1))
    assert result.ids == ["a"]
    (found,) = store.get_nodes(["a"])
    assert found.embedding is None or found.embedding == vector_of("a")  # exact in FLOAT16
    store.close()


def test_haystack_uses_an_index_of_the_type_that_exists(
    native_server: Server, index_name: str
) -> None:
    with Connection.open(native_server.url) as connection:
        Index.open(
            index_name, connection=connection, schema={"dimension": 4, "data_type": "float16"}
        ).create()
        with haystack_stores.opener(url=native_server.url, index_name=index_name) as make:
            store = make()
            embedding = [float(np.float32(number)) for number in VECTOR]
            store.write_documents([Document(id="a", content="x", embedding=embedding)])
            assert stored_bytes(connection, f"{index_name}:a") == 8
            (found,) = store.filter_documents()
            assert found.embedding == ROUNDED


def test_a_property_graph_on_an_index_of_the_type_is_consistent(
    native_server: Server, index_name: str
) -> None:
    with Connection.open(native_server.url) as connection:
        Index.open(
            index_name, connection=connection, schema={"dimension": 4, "data_type": "float16"}
        ).create()
        store = ValkeyPropertyGraphStore(connection=connection, index_name=index_name)
        store.upsert_nodes([EntityNode(name="ann", label="person", embedding=VECTOR)])
        assert all(report.ok for report in store.verify())
