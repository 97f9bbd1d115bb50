"""The byte store where LangChain uses one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_core.documents import Document
from langchain_core.stores import InMemoryByteStore

from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyByteStore
from round_trips import CommandLog
from valkey_vector import Connection, InvalidInputError

TEXTS = ["a", "b", "a", "", "ü", "a" * 1000]


@pytest.fixture
def store(server_url: str, index_name: str) -> Iterator[ValkeyByteStore]:
    with ValkeyByteStore(index_name, url=server_url) as opened_store:
        yield opened_store


def backed(
    embedding: TableEmbeddings, store: ValkeyByteStore | InMemoryByteStore, namespace: str = "m"
) -> CacheBackedEmbeddings:
    return CacheBackedEmbeddings.from_bytes_store(
        embedding, store, namespace=namespace, query_embedding_cache=True, key_encoder="sha256"
    )


async def test_cached_embeddings_are_what_they_are_without_a_cache(store: ValkeyByteStore) -> None:
    embedding = TableEmbeddings()
    cached, memory = backed(embedding, store), backed(TableEmbeddings(), InMemoryByteStore())
    expected = TableEmbeddings().embed_documents(TEXTS)
    for _ in range(2):
        assert cached.embed_documents(TEXTS) == memory.embed_documents(TEXTS) == expected
        assert await cached.aembed_documents(TEXTS) == expected
        assert cached.embed_query("a") == await cached.aembed_query("a") == expected[0]
    assert embedding.calls == ["embed_documents"]


def test_models_of_different_namespaces_never_meet(store: ValkeyByteStore) -> None:
    small, large = (
        backed(TableEmbeddings(size=2), store, "m"),
        backed(TableEmbeddings(), store, "m*"),
    )
    assert len(small.embed_documents(["a"])[0]) == 2
    assert len(large.embed_documents(["a"])[0]) == 16
    assert len(small.embed_documents(["a"])[0]) == 2


def test_a_vector_store_takes_cached_embeddings(
    store: ValkeyByteStore, server_url: str, index_name: str
) -> None:
    embedding = TableEmbeddings()
    for _ in range(2):
        with opened(backed(embedding, store), index_name, url=server_url) as vectors:
            vectors.add_documents([Document("a", id="1")])
            assert vectors.similarity_search("a", k=1)[0].id == "1"
    assert embedding.calls == ["embed_documents"]


def test_a_batch_is_one_round_trip(store: ValkeyByteStore, commands: CommandLog) -> None:
    keys = [f"{n}" for n in range(1000)]
    store.mget(keys)
    commands.clear()
    store.mset([(key, b"") for key in keys])
    store.mget(keys)
    store.mdelete(keys)
    assert len(commands.round_trips) == 3


@pytest.mark.parametrize("other", ["*", "?", ":", "a", ".", "_", "/"])
async def test_stores_and_prefixes_never_access_keys_of_others(
    server_url: str, index_name: str, other: str
) -> None:
    with Connection.open(server_url) as connection:
        mine = ValkeyByteStore(index_name, connection=connection)
        theirs = ValkeyByteStore(index_name + other, connection=connection)
        mine.mset([("key", b"mine")])
        theirs.mset([("key", b"theirs"), (f"{other}key", b"theirs")])
        assert list(mine.yield_keys()) == [key async for key in mine.ayield_keys()] == ["key"]
        assert list(mine.yield_keys(prefix=other)) == []
        assert [key async for key in theirs.ayield_keys(prefix=other)] == [f"{other}key"]
        theirs.mdelete(["key", f"{other}key", "nothing"])
        assert await mine.amget(["key"]) == [b"mine"]


def test_what_is_no_bytes_is_refused_before_anything_is_stored(store: ValkeyByteStore) -> None:
    with pytest.raises(InvalidInputError, match="'b'"):
        store.mset([("a", b"1"), ("b", "text")])  # type: ignore[list-item]
    assert store.mget(["a"]) == [None]
