"""LlamaIndex's vector store: nodes are got and removed; settings, copies and what is written down of it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilters,
)

from llama_index.vector_stores.valkey import ValkeyVectorStore
from llamaindex_stores import (
    SERVERS,
    fill,
    ids_of,
    near,
    node,
    only,
    opened,
)
from round_trips import CommandLog
from valkey_vector import (
    Connection,
    F,
    IndexMismatchError,
    IndexNotFoundError,
    InvalidInputError,
)


@pytest.fixture(params=SERVERS)
def store(request: pytest.FixtureRequest, index_name: str) -> Iterator[ValkeyVectorStore]:
    with opened(request.param, request, index_name) as made:
        yield made


@pytest.fixture
def library(store: ValkeyVectorStore) -> ValkeyVectorStore:
    fill(store)
    return store


def test_nodes_are_removed_by_their_source(library: ValkeyVectorStore) -> None:
    library.delete("doc0")
    library.delete("never there")
    assert set(ids_of(library.get_nodes())) == {
        "n1", "n2", "n4", "n5", "n7", "n8", "n10", "n11", "lone",
    }  # fmt: skip


@pytest.mark.parametrize("source", [None, 5, ["doc0"]], ids=str)
def test_a_source_that_is_no_text_removes_and_finds_nothing(
    library: ValkeyVectorStore, source: Any
) -> None:
    there = ids_of(library.get_nodes())
    with pytest.raises(InvalidInputError, match="source document must be text"):
        library.delete(source)
    with pytest.raises(InvalidInputError, match="source document must be text"):
        library.query(near("n0", doc_ids=["doc0", source]))
    assert ids_of(library.get_nodes()) == there


@pytest.mark.parametrize(
    "source", ["*", "a*", "doc|1", "{x}", "é ü", "a b", "-", "@tags:{x}", "x" * 3000]
)
def test_any_source_is_removed_alone(store: ValkeyVectorStore, source: str) -> None:
    store.add([node("a", source=source), node("b", source=f"{source}!"), node("c", source="other")])
    store.add([node("d", metadata={"ref_doc_id": source, "doc_id": source, "parent": source})])
    store.delete(source)
    assert ids_of(store.get_nodes()) == ["b", "c", "d"]


def test_a_source_of_more_nodes_than_a_search_returns_is_removed_completely(
    server_url: str, index_name: str, engine_name: Any
) -> None:
    store = ValkeyVectorStore(server_url, index_name=index_name, engine=engine_name)
    store.add([node(f"n{n}", source="big", embedding=[1.0, float(n)]) for n in range(10_500)])
    store.add([node("rest", source="small", embedding=[1.0, 1.0])])
    store.delete("big")
    assert ids_of(store.get_nodes()) == ["rest"]
    store.close()


def test_nodes_are_removed_by_id_and_filter(library: ValkeyVectorStore) -> None:
    library.delete_nodes(["n0", "missing"])
    library.delete_nodes(["n1", "n2"], only("n", 2))
    library.delete_nodes(filters=only("n", 8, FilterOperator.GTE))
    assert ids_of(library.get_nodes()) == ["n1", "n3", "n4", "n5", "n6", "n7"]
    library.delete_nodes([])
    library.delete_nodes([], only("n", 1))
    for filters in (None, MetadataFilters(filters=[])):
        with pytest.raises(ValueError, match="clear"):
            library.delete_nodes(filters=filters)
    assert library.index.count() == 6
    library.clear()
    assert library.get_nodes() == []
    assert library.index.exists()


def test_nodes_are_got_by_id_and_filter(library: ValkeyVectorStore) -> None:
    assert ids_of(library.get_nodes(["n5", "missing", "n1", "n5"])) == ["n5", "n1", "n5"]
    assert ids_of(library.get_nodes(["n5", "n1"], only("n", 5))) == ["n5"]
    assert ids_of(library.get_nodes(["n5", "n1"], only("n", 9, FilterOperator.LT))) == ["n5", "n1"]
    assert library.get_nodes([]) == []
    assert library.get_nodes([], only("n", 1)) == []
    assert ids_of(library.get_nodes(filters=only("n", 2, FilterOperator.LTE))) == ["n0", "n1", "n2"]


def test_a_node_without_an_embedding_is_found_by_all_but_vectors(store: ValkeyVectorStore) -> None:
    store.add([node("with", source="d"), node("without", source="d", embedding=None)])
    assert ids_of(store.query(near("without"))) == ["with"]
    assert [found.embedding for found in store.get_nodes(["without"])] == [None]
    store.delete_nodes(["with"])
    assert ids_of(store.get_nodes(filters=only("ref_doc_id", "d"))) == ["without"]
    store.delete("d")
    assert store.get_nodes() == []


def test_persisting_sends_no_request(library: ValkeyVectorStore, commands: CommandLog) -> None:
    commands.clear()
    library.persist("somewhere.json")
    assert commands.names() == []


def test_settings_are_those_of_an_index(server_url: str, index_name: str, engine_name: Any) -> None:
    with pytest.raises(IndexNotFoundError):
        ValkeyVectorStore(server_url, index_name=index_name, must_exist=True)
    made = ValkeyVectorStore(
        server_url, index_name=index_name, engine=engine_name, dimension=2, metric="l2", algorithm="FLAT",
        embedding_model="m",
    )  # fmt: skip
    made.index.create()
    info = made.index.info()
    assert (info.dimension, info.metric, info.engine) == (2, "L2", engine_name)
    again = ValkeyVectorStore(server_url, index_name=index_name, must_exist=True)
    assert again.index.metric == "L2"
    other = ValkeyVectorStore(server_url, index_name=index_name, metric="IP")
    with pytest.raises(IndexMismatchError, match="metric"):
        other.get_nodes(["x"])
    shaped = ValkeyVectorStore(
        server_url, index_name=index_name, index_schema={"dimension": 3, "metric": "L2"}
    )
    with pytest.raises(IndexMismatchError, match="dimension"):
        shaped.get_nodes(["x"])
    for store in (made, again, other, shaped):
        store.close()
    bad: list[dict[str, Any]] = [
        {"metric": "x"}, {"engine": "x"}, {"index_name": "a:b"}, {"url": "http://x"},
    ]  # fmt: skip
    for wrong in bad:
        with pytest.raises(ValueError, match=r"x|a:b|begins"):
            ValkeyVectorStore(**wrong)


def test_the_store_is_written_down_without_its_password(index_name: str) -> None:
    url = "valkey://me:hunter2@localhost:1/3"
    store = ValkeyVectorStore(
        url, index_name=index_name, metric="ip", index_schema={"dimension": 3}
    )
    for text in (
        repr(store),
        str(store),
        store.to_json(),
        str(store.to_dict()),
        store.model_dump_json(),
    ):
        assert "hunter2" not in text
    described = store.to_dict()
    assert described["url"] == "valkey://me@localhost:1/3"
    assert described["class_name"] == "ValkeyVectorStore"
    again = ValkeyVectorStore.from_dict(described)
    assert again.to_dict() == described
    assert ValkeyVectorStore.from_json(store.to_json()).to_dict() == described
    replaced = ValkeyVectorStore.from_dict(described, url="valkey://me:other@localhost:1/3")
    assert replaced.client.settings.password == "other"
    copied: Callable[[ValkeyVectorStore], ValkeyVectorStore]
    for copied in (lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy, copy.copy):  # noqa: S301 - our own
        assert copied(store).client.settings.password == "hunter2"
        assert copied(store).to_dict() == described


def test_a_store_on_a_shared_connection_is_not_serialized(server_url: str, index_name: str) -> None:
    with Connection.open(server_url) as connection:
        store = ValkeyVectorStore(connection=connection, index_name=index_name)
        assert store.client is connection
        store.add([node("n")])
        with pytest.raises(ValueError, match="create it with url="):
            store.to_dict()
        copied = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own
        assert ids_of(copied.get_nodes()) == ["n"]
        store.close()
        assert store.index.count(F.id == "n") == 1
    with pytest.raises(ValueError, match="not both"):
        ValkeyVectorStore("valkey://x", connection=connection)
