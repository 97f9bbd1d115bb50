"""LlamaIndex's key-value, document, index and chat stores, with and without a URL."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core.data_structs import IndexDict, IndexGraph
from llama_index.core.ingestion import IngestionCache
from llama_index.core.llms import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.core.memory import ChatMemoryBuffer, ChatSummaryMemoryBuffer
from llama_index.core.schema import Document, ImageNode, IndexNode, MediaResource, Node, TextNode
from llama_index.core.storage.chat_store import SimpleChatStore
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.storage.kvstore import SimpleKVStore

from llama_index.storage.chat_store.valkey import ValkeyChatStore
from llama_index.storage.docstore.valkey import ValkeyDocumentStore
from llama_index.storage.index_store.valkey import ValkeyIndexStore
from llama_index.storage.kvstore.valkey import ValkeyKVStore
from llamaindex_stores import SERVERS, node, settings_of
from round_trips import CommandLog
from servers import Server
from valkey_vector import Connection, InvalidInputError


@pytest.fixture(params=SERVERS)
def kvstore(request: pytest.FixtureRequest, index_name: str) -> Iterator[ValkeyKVStore]:
    made = ValkeyKVStore(**settings_of(request.param, request), namespace=index_name)
    yield made
    made.close()


@pytest.fixture(params=SERVERS)
def chats(request: pytest.FixtureRequest, index_name: str) -> Iterator[ValkeyChatStore]:
    made = ValkeyChatStore(**settings_of(request.param, request), namespace=index_name)
    yield made
    made.close()


collections = st.sampled_from(["data", "docstore/data", "{a}:b"])
keys = st.sampled_from(["a", "b", "é:\n", "{}", ""])
dicts = st.dictionaries(
    st.text(max_size=3),
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5),
        st.lists(st.integers() | st.text(max_size=3), max_size=3),
    ),
    max_size=3,
)  # fmt: skip
steps = st.one_of(
    st.tuples(st.just("put"), keys, dicts, collections),
    st.tuples(st.just("put_all"), st.lists(st.tuples(keys, dicts), max_size=5), collections),
    st.tuples(st.just("get"), keys, collections),
    st.tuples(st.just("get_all"), collections),
    st.tuples(st.just("delete"), keys, collections),
)


def test_the_key_value_store_does_what_the_one_in_memory_does(kvstore: ValkeyKVStore) -> None:
    @settings(suppress_health_check=list(HealthCheck))
    @given(st.lists(steps, max_size=15), st.booleans())
    def check(performed: list[Any], awaited: bool) -> None:
        for collection in ("data", "docstore/data", "{a}:b"):
            for key in kvstore.get_all(collection):
                assert kvstore.delete(key, collection)
        simple = SimpleKVStore()
        for method, *arguments in performed:
            if awaited:
                answer = asyncio.run(getattr(kvstore, f"a{method}")(*arguments))
            else:
                answer = getattr(kvstore, method)(*arguments)
            assert answer == getattr(simple, method)(*arguments)

    check()


def test_a_dict_that_holds_itself_or_is_too_deep_is_refused(kvstore: ValkeyKVStore) -> None:
    itself: dict[str, Any] = {}
    itself["again"] = itself
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"d": deep}
    for value in (itself, {"list": [itself]}, deep):
        with pytest.raises(InvalidInputError, match="contains itself, or is nested too deeply"):
            kvstore.put("k", value)
        with pytest.raises(InvalidInputError, match="contains itself, or is nested too deeply"):
            kvstore.put_all([("k", value)])
    assert kvstore.get("k") is None


def test_the_default_collection_is_data(kvstore: ValkeyKVStore) -> None:
    kvstore.put("k", {"n": 1})
    assert kvstore.get_all() == kvstore.get_all("data") == {"k": {"n": 1}}
    kvstore.put_all([("k", {"n": 2})])
    assert kvstore.get("k") == {"n": 2}
    assert kvstore.delete("k")
    assert kvstore.get("k") is None


def test_values_are_put_in_batches(kvstore: ValkeyKVStore, commands: CommandLog) -> None:
    kvstore.put("warm", {})
    pairs = [(f"k{n}", {"n": n}) for n in range(250)]
    for batch_size, trips in ((100, 3), (1000, 1), (50, 5)):
        commands.clear()
        kvstore.put_all(pairs, "c", batch_size=batch_size)
        assert len(commands.round_trips) == trips
    commands.clear()
    assert kvstore.get_all("c") == dict(pairs)
    assert len(commands.round_trips) == 1
    assert not {"KEYS", "SCAN"} & set(commands.names())


def test_what_json_lacks_is_kept_or_serialised_as_pydantic_does(kvstore: ValkeyKVStore) -> None:
    at = datetime(2024, 1, 31, tzinfo=UTC)
    kvstore.put("k", {"at": at, "pair": (1, {"x": at}), "path": Path("/a"), "of": {1: [at]}})
    assert kvstore.get("k") == {
        "at": at,
        "pair": [1, {"x": "2024-01-31T00:00:00Z"}],
        "path": "/a",
        "of": {"1": ["2024-01-31T00:00:00Z"]},
    }
    with pytest.raises(InvalidInputError, match=r"value of 'k'.*object"):
        kvstore.put("k", {"x": object()})


def test_an_ingestion_cache_keeps_nodes(kvstore: ValkeyKVStore) -> None:
    cache = IngestionCache(cache=kvstore, collection="cache")
    nodes = [node("a", source="d", metadata={"x": [1]}), Document(text="d"), Node()]
    cache.put("key", nodes)
    assert cache.get("key") == nodes
    assert cache.get("other") is None
    cache.clear()
    assert cache.get("key") is None


def test_stores_share_a_passed_store_or_create_their_own(server_url: str, index_name: str) -> None:
    with Connection.open(server_url) as connection:
        kvstore = ValkeyKVStore(connection=connection, namespace=index_name)
        assert kvstore.client is connection
        ValkeyDocumentStore(kvstore).add_documents([TextNode(id_="a", text="x")])
        again = ValkeyDocumentStore(ValkeyKVStore(server_url, namespace=index_name))
        assert again.get_document("a") == TextNode(id_="a", text="x")
        assert ValkeyDocumentStore(kvstore, namespace="other").docs == {}
        assert ValkeyIndexStore(connection=connection, namespace=index_name).index_structs() == []
        for kind in (ValkeyDocumentStore, ValkeyIndexStore):
            with pytest.raises(ValueError, match="not both"):
                kind(kvstore, url=server_url)
        with pytest.raises(ValueError, match="not both"):
            ValkeyKVStore(server_url, connection=connection)


def test_documents_and_nodes_are_returned_unchanged(kvstore: ValkeyKVStore) -> None:
    store, simple = ValkeyDocumentStore(kvstore), SimpleDocumentStore()
    at = datetime(2024, 1, 31, tzinfo=UTC)
    written = [
        Document(id_="d", text="whole", metadata={"at": at, "doc_id": "x"}),
        *(node(f"n{n}", source="d", metadata={"n": n}) for n in range(5)),
        Node(id_="m", text_resource=MediaResource(text="x", url="http://example.org/x")),  # type: ignore[arg-type]
        ImageNode(id_="i", image_url="http://example.org/i.png"),
        IndexNode(id_="x", index_id="idx", text="t"),
    ]
    for each in (store, simple):
        each.add_documents(written)
        each.set_document_hash("d", "hash")
        each.delete_document("n3")
    assert store.docs == simple.docs
    assert store.get_nodes(["n1", "m"]) == simple.get_nodes(["n1", "m"])
    assert store.get_all_ref_doc_info() == simple.get_all_ref_doc_info()
    assert store.get_document_hash("d") == "hash"
    assert store.get_all_document_hashes() == simple.get_all_document_hashes()
    assert not store.document_exists("n3")
    with pytest.raises(ValueError, match="n3 not found"):
        store.get_document("n3")
    with pytest.raises(ValueError, match="n1 already exists"):
        store.add_documents([node("n1")], allow_update=False)
    for each in (store, simple):
        each.delete_ref_doc("d")
    assert store.docs == simple.docs


async def test_documents_are_awaited(kvstore: ValkeyKVStore) -> None:
    store = ValkeyDocumentStore(kvstore)
    nodes = [node(f"n{n}", source="d") for n in range(20)]
    await store.async_add_documents(nodes)
    assert await store.aget_nodes(["n3", "n1"]) == [nodes[3], nodes[1]]
    assert await store.aref_doc_exists("d")
    await store.aset_document_hash("d", "hash")
    assert await store.aget_document_hash("d") == "hash"
    await store.adelete_document("n0")
    assert not await store.adocument_exists("n0")


def test_documents_are_written_in_batches(kvstore: ValkeyKVStore, commands: CommandLog) -> None:
    store = ValkeyDocumentStore(kvstore, batch_size=50)
    commands.clear()
    store.add_documents([TextNode(text=str(n)) for n in range(100)])
    assert len(commands.round_trips) <= 5  # two batches of texts, two of hashes; and the connection


def test_structures_of_indexes_are_returned_unchanged(kvstore: ValkeyKVStore) -> None:
    store = ValkeyIndexStore(kvstore)
    first = IndexDict(index_id="a", summary="é", nodes_dict={"n": "m"})
    second = IndexGraph(index_id="b", all_nodes={1: "x"})
    store.add_index_struct(first)
    assert store.get_index_struct() == first
    store.add_index_struct(second)
    assert store.get_index_struct("b") == second
    assert sorted(found.index_id for found in store.index_structs()) == ["a", "b"]
    store.delete_index_struct("a")
    assert store.get_index_struct("a") is None


MESSAGES = [
    ChatMessage(role=MessageRole.USER, content="é\x00\n"),
    ChatMessage(
        role=MessageRole.ASSISTANT, content=None, additional_kwargs={"tool_calls": [{"id": 1}]}
    ),
    ChatMessage(role=MessageRole.TOOL, blocks=[TextBlock(text="a"), ImageBlock(image=b"\x00\xff")]),
    ChatMessage(
        role=MessageRole.SYSTEM,
        content="",
        additional_kwargs={"score": float("inf"), "at": datetime(2024, 1, 31, tzinfo=UTC)},
    ),
]


def test_messages_are_returned_unchanged(chats: ValkeyChatStore) -> None:
    chats.set_messages("c", MESSAGES)
    assert chats.get_messages("c") == MESSAGES
    chats.add_message("c", MESSAGES[0])
    assert chats.get_messages("c") == [*MESSAGES, MESSAGES[0]]
    assert chats.delete_last_message("c") == MESSAGES[0]
    assert chats.delete_message("c", 1) == MESSAGES[1]
    assert chats.delete_messages("c") == [MESSAGES[0], *MESSAGES[2:]]
    assert chats.delete_messages("c") is None


messages = st.integers(0, 9).map(lambda n: ChatMessage(content=f"m{n}"))
chat_steps = st.one_of(
    st.tuples(st.just("set_messages"), keys, st.lists(messages, max_size=4)),
    st.tuples(st.just("get_messages"), keys),
    st.tuples(st.just("add_message"), keys, messages),
    st.tuples(st.just("delete_messages"), keys),
    st.tuples(st.just("delete_message"), keys, st.integers(0, 4)),
    st.tuples(st.just("delete_last_message"), keys),
    st.tuples(st.just("get_keys")),
)


def test_the_chat_store_does_what_the_one_in_memory_does(chats: ValkeyChatStore) -> None:
    twins = {"add_message": "async_add_message"}

    @settings(suppress_health_check=list(HealthCheck))
    @given(st.lists(chat_steps, max_size=15), st.booleans())
    def check(performed: list[Any], awaited: bool) -> None:
        for key in chats.get_keys():
            chats.delete_messages(key)
        simple = SimpleChatStore()
        for method, *arguments in performed:
            if awaited:
                name = twins.get(method, f"a{method}")
                answer = asyncio.run(getattr(chats, name)(*arguments))
            else:
                answer = getattr(chats, method)(*arguments)
            try:
                expected = getattr(simple, method)(*copy.deepcopy(arguments))
            except IndexError:  # the last message of an empty conversation
                expected = None
            assert answer == expected

    check()


def test_a_message_goes_to_its_place(chats: ValkeyChatStore) -> None:
    for text, place in [("b", None), ("d", None), ("a", 0), ("c", 2), ("e", 9)]:
        chats.add_message("c", ChatMessage(content=text), place)
    assert [message.content for message in chats.get_messages("c")] == ["a", "b", "c", "d", "e"]


def test_conversations_are_found_by_their_whole_names(chats: ValkeyChatStore) -> None:
    names = ["session:1", "session:10", "session:1*", "{session:1}", "1"]
    for name in names:
        chats.add_message(name, ChatMessage(content=name))
    chats.delete_messages("session:1")
    assert chats.get_keys() == names[1:]
    assert [chats.get_messages(name)[0].content for name in names[1:]] == names[1:]


def test_each_change_of_a_conversation_is_one_round_trip(
    chats: ValkeyChatStore, commands: CommandLog
) -> None:
    chats.get_keys()
    commands.clear()
    chats.set_messages("c", MESSAGES)
    chats.add_message("c", MESSAGES[0])
    chats.delete_message("c", 0)
    chats.delete_last_message("c")
    chats.get_messages("c")
    chats.get_keys()
    chats.delete_messages("c")
    assert len(commands.round_trips) == 7
    assert not {"KEYS", "SCAN"} & set(commands.names())


def test_order_is_kept_when_many_speak_at_once(chats: ValkeyChatStore) -> None:
    def speak(speaker: int) -> None:
        for n in range(30):
            chats.add_message("c", ChatMessage(content=f"{speaker} {n}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(speak, range(8)))
    said = [str(message.content).split() for message in chats.get_messages("c")]
    for speaker in range(8):
        assert [int(n) for who, n in said if who == str(speaker)] == list(range(30))


def test_many_tasks_speak_at_once_in_one_loop_after_another(chats: ValkeyChatStore) -> None:
    async def speak(speaker: int) -> None:
        for n in range(10):
            await chats.async_add_message("c", ChatMessage(content=f"{speaker} {n}"))

    async def everybody(first: int) -> list[ChatMessage]:
        await asyncio.gather(*(speak(first + n) for n in range(10)))
        return await chats.aget_messages("c")

    for round in range(2):
        said = [str(m.content).split() for m in asyncio.run(everybody(10 * round))]
        for speaker in range(10 * (round + 1)):
            assert [int(n) for who, n in said if who == str(speaker)] == list(range(10))


def test_a_memory_lives_in_the_store(chats: ValkeyChatStore) -> None:
    for n in range(4):
        memory = ChatMemoryBuffer.from_defaults(
            token_limit=1000, chat_store=chats, chat_store_key="alice"
        )
        memory.put(ChatMessage(content=f"message {n}"))
    assert [message.content for message in memory.get()] == [f"message {n}" for n in range(4)]
    memory.reset()
    assert chats.get_messages("alice") == []


@pytest.mark.parametrize("kind", [ChatMemoryBuffer, ChatSummaryMemoryBuffer])
def test_a_memory_is_written_down_and_loaded_with_its_store(
    native_server: Server, index_name: str, kind: Any
) -> None:
    with closing(ValkeyChatStore(native_server.url, namespace=index_name)) as chats:
        memory = kind(token_limit=1000, chat_store=chats, chat_store_key="alice")
        memory.put(ChatMessage(content="hello"))
        for loaded in (kind.from_string(memory.to_string()), kind.from_dict(memory.to_dict())):
            assert isinstance(loaded.chat_store, ValkeyChatStore)
            assert loaded.chat_store.namespace == index_name
            assert [message.content for message in loaded.get_all()] == ["hello"]
            loaded.chat_store.close()


def test_what_is_no_message_is_refused(chats: ValkeyChatStore) -> None:
    with pytest.raises(InvalidInputError, match="must be a ChatMessage, not a str"):
        chats.add_message("c", "text")  # type: ignore[arg-type]
    bad = ChatMessage(content="x", additional_kwargs={"x": object()})
    with pytest.raises(InvalidInputError, match="serialized"):
        chats.set_messages("c", [MESSAGES[0], bad])
    assert chats.get_keys() == []


def test_the_chat_store_is_written_down_without_its_password(server_url: str) -> None:
    store = ValkeyChatStore("valkey://me:hunter2@localhost:1/3", namespace="n")
    for text in (repr(store), store.to_json(), store.model_dump_json()):
        assert "hunter2" not in text
    described = store.to_dict()
    assert described == {
        "url": "valkey://me@localhost:1/3", "namespace": "n", "class_name": "ValkeyChatStore",
    }  # fmt: skip
    assert ValkeyChatStore.from_dict(described).to_dict() == described
    assert pickle.loads(pickle.dumps(store)).client.settings.password == "hunter2"  # noqa: S301 - our own
    with Connection.open(server_url) as connection:
        shared = ValkeyChatStore(connection=connection)
        with pytest.raises(ValueError, match="create it with url="):
            shared.to_dict()
