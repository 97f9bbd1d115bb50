"""LangChain's `index` in every mode, over the vector store and the document index, against its parts in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_stores import TableEmbeddings, opened
from langchain_valkey import (
    ValkeyDocumentIndex,
    ValkeyRecordManager,
    ValkeyVectorStore,
)
from servers import start_server
from valkey_vector import Connection, ConnectionLostError, InvalidInputError, WritePolicy

Cleanup: TypeAlias = Literal["incremental", "full", "scoped_full"] | None
CLEANUPS: list[Cleanup] = [None, "incremental", "full", "scoped_full"]


def document(text: str, source: str) -> Document:
    return Document(text, metadata={"source": source, "length": len(text)})


# What a user's folder holds from run to run: files come, change, are cut down, go, and come back.
RUNS = [
    [document(f"{name} part {n}", name) for name in ("one", "two", "three") for n in range(4)],
    [document(f"{name} part {n}", name) for name in ("one", "two", "three") for n in range(4)],
    [document(f"one part {n}", "one") for n in range(2)] + [document("two changed", "two")],
    [document("three part 0", "three"), document("three part 0", "three")],
    [],
    [document(f"{name} part {n}", name) for name in ("one", "four") for n in range(9)],
]


@pytest.fixture
def store(server_url: str, index_name: str) -> Iterator[ValkeyVectorStore]:
    with opened(TableEmbeddings(), index_name, url=server_url) as opened_store:
        yield opened_store


@pytest.fixture
def manager(server_url: str, index_name: str) -> Iterator[ValkeyRecordManager]:
    with ValkeyRecordManager(index_name, url=server_url) as opened_manager:
        opened_manager.create_schema()
        yield opened_manager


def contents(store: ValkeyVectorStore) -> list[str]:
    return sorted(record.content for record in store.index.select())


@pytest.mark.parametrize("cleanup", CLEANUPS)
@pytest.mark.parametrize("destination", ["vector store", "document index"])
@pytest.mark.parametrize("batch_size", [2, 100])
def test_every_mode_does_what_it_does_in_memory(
    store: ValkeyVectorStore,
    manager: ValkeyRecordManager,
    cleanup: Cleanup,
    destination: str,
    batch_size: int,
) -> None:
    ours = store if destination == "vector store" else ValkeyDocumentIndex(vectorstore=store)
    theirs, memory = InMemoryVectorStore(TableEmbeddings()), InMemoryRecordManager("memory")
    settings: dict[str, Any] = {
        "cleanup": cleanup,
        "source_id_key": "source",
        "batch_size": batch_size,
        "cleanup_batch_size": 3,
        "key_encoder": "blake2b",
    }
    for run in RUNS:
        expected = index(run, memory, theirs, **settings)
        assert index(run, manager, ours, **settings) == expected
        assert contents(store) == sorted(d["text"] for d in theirs.store.values())
        assert sorted(manager.list_keys()) == sorted(memory.list_keys())
    assert index(RUNS[0], manager, ours, **settings, force_update=True) == index(
        RUNS[0], memory, theirs, **settings, force_update=True
    )


@pytest.mark.parametrize("cleanup", CLEANUPS)
@pytest.mark.parametrize("destination", ["vector store", "document index"])
async def test_every_mode_does_it_awaited(
    store: ValkeyVectorStore, manager: ValkeyRecordManager, cleanup: Cleanup, destination: str
) -> None:
    ours = store if destination == "vector store" else ValkeyDocumentIndex(vectorstore=store)
    theirs, memory = InMemoryVectorStore(TableEmbeddings()), InMemoryRecordManager("memory")
    settings: dict[str, Any] = {
        "cleanup": cleanup,
        "source_id_key": "source",
        "batch_size": 3,
        "key_encoder": "sha256",
    }
    await manager.acreate_schema()
    for run in RUNS:
        assert await aindex(run, manager, ours, **settings) == await aindex(
            run, memory, theirs, **settings
        )
        assert contents(store) == sorted(d["text"] for d in theirs.store.values())


def test_two_managers_of_one_namespace_are_one_and_of_two_are_two(
    store: ValkeyVectorStore, manager: ValkeyRecordManager, server_url: str, index_name: str
) -> None:
    settings: dict[str, Any] = {"cleanup": None, "key_encoder": "sha256"}
    index(RUNS[0], manager, store, **settings)
    with ValkeyRecordManager(index_name, url=server_url) as same:
        assert index(RUNS[0], same, store, **settings)["num_skipped"] == 12
    with ValkeyRecordManager(f"{index_name}*", url=server_url) as other:
        assert other.list_keys() == []
        assert index(RUNS[0], other, store, **settings)["num_added"] == 12


def test_what_was_not_stored_is_not_recorded_and_the_next_run_completes_it(index_name: str) -> None:
    with (
        start_server() as server,
        start_server() as memory,
        Connection.open(server.url, retries=0) as connection,
        ValkeyRecordManager(index_name, url=memory.url) as manager,
        opened(TableEmbeddings(), index_name, connection=connection) as store,
    ):
        ours = ValkeyDocumentIndex(vectorstore=store)
        settings: dict[str, Any] = {"cleanup": "full", "key_encoder": "sha256"}
        index([document("old", "old")], manager, ours, **settings)
        server.kill()
        with pytest.raises(ConnectionLostError):
            index(RUNS[0], manager, ours, **settings)
        assert len(manager.list_keys()) == 1
        server.restart()
        index(RUNS[0], manager, ours, **settings)
        assert contents(store) == sorted(d.page_content for d in RUNS[0])


def test_a_document_index_retrieves_by_similarity(store: ValkeyVectorStore) -> None:
    documents = [Document(f"text {n}", id=f"{n}", metadata={"n": n}) for n in range(6)]
    one = ValkeyDocumentIndex(vectorstore=store, k=2, search_kwargs={"filter": {"n": {"$gt": 3}}})
    assert one.upsert(documents)["succeeded"] == [f"{n}" for n in range(6)]
    found = one.invoke("text 5")
    assert found[0] == documents[5]
    assert {d.id for d in found} == {"4", "5"}


async def test_a_document_index_awaits_the_embedding(store: ValkeyVectorStore) -> None:
    one = ValkeyDocumentIndex(vectorstore=store, k=1)
    await one.aupsert([Document("text", id="1")])
    assert [d.id for d in await one.ainvoke("text")] == ["1"]
    embedding = store.embeddings
    assert isinstance(embedding, TableEmbeddings)
    assert embedding.calls == ["aembed_documents", "aembed_query"]


def test_a_document_index_accepts_the_stores_options_and_no_others(
    store: ValkeyVectorStore,
) -> None:
    one = ValkeyDocumentIndex(vectorstore=store)
    one.upsert([Document("a", id="1")], ttl=60, batch_size=10)
    one.upsert([Document("b", id="1")], policy=WritePolicy.SKIP)
    assert [d.page_content for d in one.get(["1", "nothing"])] == ["a"]
    with pytest.raises(TypeError):
        one.upsert([Document("a", id="1")], tll=60)
    with pytest.raises(InvalidInputError, match="delete needs ids"):
        one.delete()
    assert one.delete([])["num_deleted"] == 0
    assert one.delete(["1", "1", "2"])["num_deleted"] == 1
