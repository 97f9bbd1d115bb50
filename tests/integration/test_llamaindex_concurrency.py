"""LlamaIndex's stores used by many concurrent tasks, in several event loops, which they never block."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.vector_stores.types import (
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from llama_index.storage.chat_store.valkey import ValkeyChatStore
from llama_index.storage.kvstore.valkey import ValkeyKVStore
from llama_index.vector_stores.valkey import ValkeyVectorStore
from llamaindex_stores import SERVERS, node, settings_of, vector_of
from round_trips import CommandLog

TASKS = 100


@pytest.fixture(params=SERVERS)
def store(request: pytest.FixtureRequest, index_name: str) -> Iterator[ValkeyVectorStore]:
    made = ValkeyVectorStore(index_name=index_name, **settings_of(request.param, request))
    yield made
    made.index.drop()
    made.close()


def query(text: str, **fields: Any) -> VectorStoreQuery:
    return VectorStoreQuery(query_embedding=vector_of(text), **fields)


async def read_and_write(store: ValkeyVectorStore, round: int) -> None:
    """A hundred queries while a hundred nodes are added; then each of these is found."""

    async def add(n: int) -> None:
        assert await store.async_add([node(f"{round}-{n}", source=f"s{n}")]) == [f"{round}-{n}"]

    async def ask(n: int) -> None:
        found = await store.aquery(query(f"base {n}", filters=only("base", n)))
        assert found.ids == [f"base {n}"]

    await asyncio.gather(*(task(n) for n in range(TASKS) for task in (add, ask)))
    answers = await asyncio.gather(*(store.aquery(query(f"{round}-{n}")) for n in range(TASKS)))
    assert [answer.ids for answer in answers] == [[f"{round}-{n}"] for n in range(TASKS)]


def only(key: str, value: Any) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value)])


def test_many_tasks_query_and_add_at_once_in_one_loop_after_another(
    store: ValkeyVectorStore,
) -> None:
    store.add([node(f"base {n}", metadata={"base": n}) for n in range(TASKS)])
    for round in range(2):
        asyncio.run(read_and_write(store, round))
    assert store.index.count() == 3 * TASKS


def test_loops_in_several_threads_use_one_store(store: ValkeyVectorStore) -> None:
    store.add([node(f"base {n}", metadata={"base": n}) for n in range(TASKS)])
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: asyncio.run(read_and_write(store, n)), range(3)))
    assert store.index.count() == 4 * TASKS


MESSAGE = ChatMessage(content="x")
Call = Callable[[Any], Coroutine[Any, Any, object]]
OF_VECTORS: dict[str, Call] = {
    "async_add": lambda s: s.async_add([node("n", source="d")]),
    "aquery": lambda s: s.aquery(query("n")),
    "aquery mmr": lambda s: s.aquery(query("n", mode=VectorStoreQueryMode.MMR)),
    "aget_nodes": lambda s: s.aget_nodes(["n"]),
    "adelete": lambda s: s.adelete("d"),
    "adelete_nodes": lambda s: s.adelete_nodes(["n"]),
    "aclear": lambda s: s.aclear(),
    "aclose": lambda s: s.aclose(),
}
OF_VALUES: dict[str, Call] = {
    "aput": lambda s: s.aput("k", {}),
    "aput_all": lambda s: s.aput_all([("k", {})]),
    "aget": lambda s: s.aget("k"),
    "aget_all": lambda s: s.aget_all(),
    "adrop": lambda s: s.adrop(),
    "adelete": lambda s: s.adelete("k"),
    "aclose": lambda s: s.aclose(),
}
OF_CHATS: dict[str, Call] = {
    "aset_messages": lambda s: s.aset_messages("k", [MESSAGE]),
    "async_add_message": lambda s: s.async_add_message("k", MESSAGE),
    "aget_messages": lambda s: s.aget_messages("k"),
    "adelete_message": lambda s: s.adelete_message("k", 0),
    "adelete_last_message": lambda s: s.adelete_last_message("k"),
    "aget_keys": lambda s: s.aget_keys(),
    "adelete_messages": lambda s: s.adelete_messages("k"),
    "adrop": lambda s: s.adrop(),
    "aclose": lambda s: s.aclose(),
}
KINDS: list[tuple[type[Any], dict[str, Call]]] = [
    (ValkeyVectorStore, OF_VECTORS),
    (ValkeyKVStore, OF_VALUES),
    (ValkeyChatStore, OF_CHATS),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind, _ in KINDS])


@each_kind
def test_no_command_is_sent_in_the_thread_of_the_loop(
    kind: tuple[type[Any], dict[str, Call]], server_url: str, index_name: str, commands: CommandLog
) -> None:
    made, calls = kind
    name = "index_name" if made is ValkeyVectorStore else "namespace"
    store = made(server_url, **{name: index_name})

    async def use() -> None:
        for name, call in calls.items():
            commands.clear()
            await call(store)
            assert bool(commands.threads) is (name != "aclose"), name
            assert threading.get_ident() not in commands.threads, name

    asyncio.run(use())


@each_kind
def test_no_asynchronous_method_is_left_to_the_framework(
    kind: tuple[type[Any], dict[str, Call]],
) -> None:
    """Calls the blocking method in the loop, or in the loop's own threads."""
    made, calls = kind
    asynchronous = {
        name
        for name, _ in inspect.getmembers(made, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert {name.split()[0] for name in calls} == asynchronous
    of_framework = [base for base in made.__mro__ if base.__module__.startswith("llama_index.core")]
    for name in asynchronous:
        assert all(getattr(made, name) is not getattr(base, name, None) for base in of_framework)
