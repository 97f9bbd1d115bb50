"""Values that could not be returned unchanged are refused by name; a foreign entry does not hide its neighbors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from llama_index.core.data_structs import IndexDict
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import Document, TextNode

from langchain_valkey import ValkeyChatMessageHistory
from llama_index.storage.chat_store.valkey import ValkeyChatStore
from llama_index.storage.docstore.valkey import ValkeyDocumentStore
from llama_index.storage.index_store.valkey import ValkeyIndexStore
from llama_index.storage.kvstore.valkey import ValkeyKVStore
from llama_index.vector_stores.valkey import ValkeyVectorStore
from valkey_vector import Index, InvalidInputError, Record, ServerError
from valkey_vector.stores.collections import BUCKETS, Collections, bucket_of
from valkey_vector.stores.sequences import Sequences

DAMAGED = [b"\xff\xfe", b"{", b"[1]", b'{"a":{"$datetime":"soon"}}', b"{" + b'"a":{' * 100_000]


@pytest.fixture
def collections(server_url: str, index_name: str) -> Iterator[Collections]:
    with Collections(index_name, url=server_url) as made:
        yield made


@pytest.fixture
def sequences(server_url: str, index_name: str) -> Iterator[Sequences]:
    with Sequences(index_name, url=server_url) as made:
        yield made


@pytest.fixture
def kvstore(server_url: str, index_name: str) -> Iterator[ValkeyKVStore]:
    made = ValkeyKVStore(server_url, namespace=index_name)
    yield made
    made.close()


@pytest.fixture
def chats(server_url: str, index_name: str) -> Iterator[ValkeyChatStore]:
    made = ValkeyChatStore(server_url, namespace=index_name)
    yield made
    made.close()


def damage(collections: Collections, collection: str, key: str, stored: bytes) -> None:
    """Put something else under a key of a collection."""
    number = bucket_of(key, BUCKETS)
    hash = collections._keyspace.key(f"{number}:{collection}")
    collections.connection.execute("HSET", hash, key, stored)


@pytest.mark.parametrize("stored", DAMAGED, ids=range(len(DAMAGED)))
def test_a_foreign_object_does_not_hide_its_collection(
    collections: Collections, stored: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    collections.put_many("c", [(f"k{n}", {"n": n}) for n in range(20)])
    damage(collections, "c", "k7", stored)
    expected = {f"k{n}": {"n": n} for n in range(20) if n != 7}
    assert collections.get_all("c") == expected
    assert "the value of 'k7' in collection 'c' cannot be read" in caplog.text
    with pytest.raises(ServerError, match="the value of 'k7' in collection 'c'"):
        collections.get("c", "k7")
    assert collections.delete("c", "k7")


@pytest.mark.parametrize("stored", DAMAGED, ids=range(len(DAMAGED)))
def test_a_foreign_item_does_not_hide_its_sequence(
    sequences: Sequences, stored: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    sequences.append("s", [{"n": n} for n in range(3)])
    sequences.connection.execute("RPUSH", sequences._keys("s")[1], stored)
    sequences.append("s", [{"n": 4}])
    assert sequences.read("s") == [{"n": 0}, {"n": 1}, {"n": 2}, {"n": 4}]
    assert "item 3 of sequence 's' cannot be read" in caplog.text
    with pytest.raises(ServerError, match="item 3 of sequence 's'"):
        sequences.pop("s", 3)
    assert sequences.pop("s") == {"n": 4}
    sequences.connection.execute("RPUSH", sequences._keys("s")[1], stored)
    assert sequences.remove("s") == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert sequences.names() == []


def test_a_list_of_objects_is_checked_before_the_first_is_stored(collections: Collections) -> None:
    items: list[tuple[str, dict[str, Any]]] = [(f"k{n}", {"n": n}) for n in range(10)]
    with pytest.raises(InvalidInputError, match=r"'when' of the value of 'bad' in collection 'c'"):
        collections.put_many("c", [*items, ("bad", {"when": pd.NaT})], batch_size=2)
    assert collections.get_all("c") == {}


def test_llamaindexes_key_value_store_refuses_values_it_could_not_return_unchanged(
    kvstore: ValkeyKVStore,
) -> None:
    kvstore.put("good", {"when": pd.Timestamp("2024-01-31")}, "c")
    for value in ({"when": pd.NaT}, {"deep": [{"when": pd.NaT}]}):
        with pytest.raises(InvalidInputError, match=r"when' of the value of 'bad'.*NaTType"):
            kvstore.put("bad", value, "c")
        with pytest.raises(InvalidInputError, match="when' of the value of 'bad'"):
            kvstore.put_all([("new", {}), ("bad", value)], "c", batch_size=1)
    with pytest.raises(InvalidInputError, match="nanoseconds"):
        kvstore.put("bad", {"when": pd.Timestamp("2024-01-31 00:00:00.000000001")}, "c")
    assert kvstore.get_all("c") == {"good": {"when": pd.Timestamp("2024-01-31")}}
    kvstore.put("nan", {"x": float("nan")}, "c")
    assert str(kvstore.get("nan", "c")) == "{'x': nan}"


def test_llamaindexes_document_store_refuses_documents_it_could_not_return_unchanged(
    kvstore: ValkeyKVStore, collections: Collections, caplog: pytest.LogCaptureFixture
) -> None:
    store = ValkeyDocumentStore(kvstore)
    store.add_documents([Document(id_="good", text="x")])
    bad = TextNode(id_="bad", text="x", metadata={"when": pd.NaT})
    with pytest.raises(InvalidInputError, match="'bad'"):
        store.add_documents([TextNode(id_="new", text="x"), bad])
    assert set(store.docs) == {"good"}
    damage(collections, "docstore/data", "odd", b'{"__type__":"?","__data__":{}}')
    damage(collections, "docstore/data", "broken", b"\xff")
    store.add_documents([TextNode(id_="other", text="x")])
    assert set(store.docs) == {"good", "other"}
    assert "'odd'" in caplog.text
    assert "'broken'" in caplog.text


def test_llamaindexes_chat_store_refuses_messages_it_could_not_return_unchanged(
    chats: ValkeyChatStore, caplog: pytest.LogCaptureFixture
) -> None:
    bad = ChatMessage("bad", additional_kwargs={"when": pd.NaT})
    calls: list[Callable[[], None]] = [
        lambda: chats.add_message("c", bad),
        lambda: chats.set_messages("c", [ChatMessage("a"), bad]),
    ]
    for call in calls:
        with pytest.raises(InvalidInputError, match=r"when' of (a )?message .*conversation 'c'"):
            call()
    assert chats.get_messages("c") == []
    chats.set_messages("c", [ChatMessage("a"), ChatMessage("b")])
    sequences: Sequences = chats._sequences
    sequences.insert("c", 1, {"role": "nobody", "blocks": 3})
    assert [message.content for message in chats.get_messages("c")] == ["a", "b"]
    assert "omitting message 1 of conversation 'c'" in caplog.text
    with pytest.raises(ServerError, match="message 1 of conversation 'c'"):
        chats.delete_message("c", 1)
    removed = chats.delete_messages("c")
    assert [message.content for message in removed or []] == ["a", "b"]


def test_langchains_history_refuses_messages_it_could_not_return_unchanged(
    server_url: str, index_name: str
) -> None:
    with ValkeyChatMessageHistory("s", namespace=index_name, url=server_url) as history:
        bad = HumanMessage("x", additional_kwargs={"when": pd.NaT})
        with pytest.raises(InvalidInputError, match="message 1 for session 's': a HumanMessage"):
            history.add_messages([AIMessage("good"), bad])
        assert history.messages == []


def test_llamaindexes_vector_store_refuses_nodes_it_could_not_return_unchanged(
    server_url: str, index_name: str, engine_name: Any
) -> None:
    store = ValkeyVectorStore(server_url, index_name=index_name, engine=engine_name)
    bad = TextNode(id_="bad", text="x", embedding=[1.0, 0.0], metadata={"when": pd.NaT})
    with pytest.raises(InvalidInputError, match=r"metadata 'when' of node 'bad' is a NaTType"):
        store.add([TextNode(id_="good", text="x", embedding=[1.0, 0.0]), bad])
    assert store.index.count() == 0
    store.close()


def test_a_damaged_record_is_named(index: Index) -> None:
    index.upsert([Record(id=id, content=id, metadata={"n": 1}) for id in "ab"])
    index.connection.execute("HSET", f"{index.name}:b", "content", b"\xff")
    with pytest.raises(ServerError, match="record 'b' cannot be read"):
        index.get(["a", "b"])
    index.connection.execute("HSET", f"{index.name}:b", "content", b"", "metadata", b"{")
    with pytest.raises(ServerError, match="record 'b' cannot be read"):
        index.get(["a", "b"])
    assert index.get(["a"])[0] is not None


@pytest.mark.parametrize("namespace", [None, "shared"])
async def test_documents_and_index_structures_of_one_namespace_keep_apart(
    kvstore: ValkeyKVStore, namespace: str | None
) -> None:
    documents = ValkeyDocumentStore(kvstore, namespace=namespace)
    structures = ValkeyIndexStore(kvstore, namespace=namespace)
    documents.add_documents([Document(id_="same", text="text")])
    structures.add_index_struct(IndexDict(index_id="same", summary="s"))
    assert list(documents.docs) == ["same"]
    assert documents.get_document("same") is not None
    (found,) = structures.index_structs()
    assert (found.index_id, found.summary) == ("same", "s")
    assert (await structures.async_index_structs()) == [found]
    assert structures.get_index_struct("same") == await structures.aget_index_struct("same")
    structures.delete_index_struct("same")
    assert await structures.aget_index_struct("same") is None
    assert list(documents.docs) == ["same"]


@pytest.fixture
def stored_before(collections: Collections) -> Callable[[str, str], None]:
    """Stores a structure as earlier versions did, under an id in a namespace."""

    def store(namespace: str, id: str) -> None:
        struct = IndexDict(index_id=id, summary="before")
        item = {"__type__": struct.get_type(), "__data__": struct.to_json()}
        collections.put(f"{namespace}/data", id, json.loads(json.dumps(item)))

    return store


async def test_structures_that_earlier_versions_stored_are_there(
    kvstore: ValkeyKVStore, stored_before: Callable[[str, str], None]
) -> None:
    for id in ("old", "changed", "gone"):
        stored_before("shared", id)
    documents = ValkeyDocumentStore(kvstore, namespace="shared")
    documents.add_documents([Document(id_="d", text="text")])
    assert list(documents.docs) == ["d"]
    structures = ValkeyIndexStore(kvstore, namespace="shared")
    structures.add_index_struct(IndexDict(index_id="changed", summary="now"))
    await structures.adelete_index_struct("gone")
    for store in (structures, ValkeyIndexStore(kvstore, namespace="shared")):
        found = {struct.index_id: struct.summary for struct in store.index_structs()}
        assert found == {"old": "before", "changed": "now"}
        old = await store.aget_index_struct("old")
        assert old is not None
        assert old.summary == "before"
    stored_before("index_store", "default")
    assert ValkeyIndexStore(kvstore).get_index_struct() is not None
