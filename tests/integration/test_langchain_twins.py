"""Every method of `ValkeyVectorStore` has an async version that does the same and does not block the event loop."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.documents import Document

from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyVectorStore
from valkey_vector import F, Index


@pytest.fixture
def embedding() -> TableEmbeddings:
    return TableEmbeddings()


@pytest.fixture
def store(
    embedding: TableEmbeddings, server_url: str, index_name: str, engine_name: str
) -> Iterator[ValkeyVectorStore]:
    with opened(embedding, index_name, url=server_url, engine=engine_name) as store:
        store.add_texts([f"text {n}" for n in range(30)], [{"n": n} for n in range(30)])
        embedding.calls.clear()
        yield store


def methods(cls: type) -> dict[str, Any]:
    return {
        name: member
        for name, member in inspect.getmembers(cls, inspect.isroutine)
        if not name.startswith("_")
    }


def awaited(member: Any) -> bool:
    return inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)


@pytest.mark.parametrize("cls", [ValkeyVectorStore, Index])
def test_every_method_has_an_async_version_with_the_same_parameters(cls: type) -> None:
    found = methods(cls)
    synchronous = {name for name in found if not awaited(found[name])} - {"as_retriever", "open"}
    assert len(synchronous) > 10
    for name in synchronous:
        twin = found[f"a{name}"]
        assert awaited(twin), name
        ours, theirs = inspect.signature(found[name]), inspect.signature(twin)
        assert list(ours.parameters.values()) == list(theirs.parameters.values()), name
        assert twin.__doc__, name


SEARCHES: list[tuple[str, dict[str, Any]]] = [
    ("similarity_search", {"query": "text 7", "k": 3}),
    ("similarity_search", {"query": "text 7", "k": 3, "filter": {"n": {"$gt": 9}}, "ef_runtime": 50}),
    ("similarity_search_with_score", {"query": "text 7", "filter": F("n") < 5}),
    ("similarity_search_with_relevance_scores", {"query": "text 7", "k": 2}),
    ("max_marginal_relevance_search", {"query": "text 7", "k": 3, "lambda_mult": 0.2}),
    ("search", {"query": "text 7", "search_type": "mmr", "filter": {"n": {"$lt": 9}}}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "arguments"), SEARCHES)
async def test_the_async_search_finds_the_same_and_awaits_the_embedding(
    store: ValkeyVectorStore, embedding: TableEmbeddings, method: str, arguments: dict[str, Any]
) -> None:
    expected = getattr(store, method)(**arguments)
    assert expected
    assert embedding.calls == ["embed_query"]
    embedding.calls.clear()
    assert await getattr(store, f"a{method}")(**arguments) == expected
    assert embedding.calls == ["aembed_query"]


@pytest.mark.parametrize(
    "method",
    [
        "similarity_search_by_vector",
        "similarity_search_with_score_by_vector",
        "max_marginal_relevance_search_by_vector",
    ],
)
async def test_the_async_search_by_vector_finds_the_same(
    store: ValkeyVectorStore, embedding: TableEmbeddings, method: str
) -> None:
    vector = embedding.vector("text 3")
    expected = getattr(store, method)(vector, k=3, filter={"n": {"$ne": 3}})
    assert len(expected) == 3
    assert await getattr(store, f"a{method}")(vector, k=3, filter={"n": {"$ne": 3}}) == expected
    assert embedding.calls == []


async def test_async_additions_await_the_embedding(
    store: ValkeyVectorStore, embedding: TableEmbeddings
) -> None:
    await store.aadd_texts(["a", "b"])
    await store.aadd_documents([Document("c")])
    assert embedding.calls == ["aembed_documents", "aembed_documents"]
    assert await store.index.acount() == 33


async def test_the_event_loop_keeps_running_while_the_server_is_busy(
    store: ValkeyVectorStore,
) -> None:
    vector = [1.0] * 16
    longest = 0.0
    ended = asyncio.Event()

    async def watch() -> None:
        nonlocal longest
        while not ended.is_set():
            began = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - began)

    watcher = asyncio.create_task(watch())
    connection = store.index.connection
    for_a_second = ["CLIENT", "PAUSE", "1000", "ALL"]
    if connection.capabilities.cluster:
        connection.execute_on_primaries(*for_a_second)
    else:
        connection.execute(*for_a_second)
    asked = time.monotonic()
    await asyncio.gather(
        store.asimilarity_search_by_vector(vector),
        store.aadd_texts(["more"]),
        store.aget_by_ids(["x"]),
        store.adelete(["x"]),
    )
    waited = time.monotonic() - asked
    ended.set()
    await watcher
    assert waited > 0.4, "the server was not busy, so this shows nothing"
    assert longest < waited / 2
