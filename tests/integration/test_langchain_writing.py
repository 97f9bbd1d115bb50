"""`ValkeyVectorStore`: what it stores, deletes and refuses, synchronously and awaited."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.documents import Document

from langchain_stores import TableEmbeddings, opened
from langchain_valkey import PartialAddError, ValkeyVectorStore
from valkey_vector import DuplicateIdError, F, IndexNotFoundError, InvalidInputError, Metric, Schema


@pytest.fixture
def embedding() -> TableEmbeddings:
    return TableEmbeddings()


@pytest.fixture
def store(
    embedding: TableEmbeddings, server_url: str, index_name: str, engine_name: str
) -> Iterator[ValkeyVectorStore]:
    with opened(embedding, index_name, url=server_url, engine=engine_name) as store:
        yield store


@pytest.fixture
def settings(server_url: str, index_name: str, engine_name: str) -> dict[str, Any]:
    return {"index_name": index_name, "url": server_url, "engine": engine_name}


def contents(store: ValkeyVectorStore) -> dict[str, str]:
    return {record.id: record.content for record in store.index.select()}


def test_ids_are_the_passed_or_generated_ones(store: ValkeyVectorStore) -> None:
    ids = store.add_texts(["a", "b", "c"], ids=["1", None, "3"])
    assert ids[0] == "1"
    assert ids[2] == "3"
    assert ids[1] not in ("", None)
    assert contents(store) == dict(zip(ids, "abc", strict=True))
    assert len(set(store.add_texts(["a", "a"]))) == 2
    assert store.index.count() == 5


def test_documents_are_stored_as_they_are_and_not_changed(store: ValkeyVectorStore) -> None:
    metadata = {
        "id": 1, "content": "c", "text": "t", "vector": [1], "metadata": {"x": None}, "page_content": 2,
    }  # fmt: skip
    documents = [
        Document("one", id="1", metadata=metadata),
        Document("two", metadata={"n": 2}),
    ]
    before = [document.model_copy(deep=True) for document in documents]
    ids = store.add_documents(documents)
    assert documents == before
    assert ids[0] == "1"
    assert store.get_by_ids(["1"]) == [documents[0]]
    (found,) = store.similarity_search("one", k=1)
    assert found == documents[0]
    assert store.get_by_ids([ids[1]])[0].metadata == {"n": 2}


def test_passed_ids_take_precedence_over_those_of_documents(store: ValkeyVectorStore) -> None:
    assert store.add_documents([Document("one", id="own")], ids=["given"]) == ["given"]
    assert contents(store) == {"given": "one"}


def test_any_iterable_of_texts_will_do(store: ValkeyVectorStore) -> None:
    metadatas = [{"n": n} for n in range(250)]
    ids = store.add_texts((f"text {n}" for n in range(250)), metadatas, batch_size=60)
    assert list(contents(store)) == ids
    assert store.index.count(F("n") >= 200) == 50


def test_all_is_embedded_in_one_call_before_anything_is_stored(
    store: ValkeyVectorStore, embedding: TableEmbeddings
) -> None:
    store.add_texts(["a"] * 300)
    assert embedding.calls == ["embed_documents"]
    embedding.calls.clear()
    assert store.add_texts([]) == []
    assert store.add_documents([]) == []
    assert embedding.calls == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": "text"}, "texts must be a list"),
        ({"texts": ["a", b"b"]}, "text 1 is a bytes"),
        ({"texts": ["a", None]}, "text 1 is a NoneType"),
        ({"texts": ["a", "b"], "metadatas": [{}]}, "1 metadatas were passed for 2 texts"),
        ({"texts": ["a"], "ids": ["1", "2"]}, "2 ids were passed for 1 texts"),
        ({"texts": ["a"], "ids": "1"}, "ids must be a list"),
        ({"texts": ["a", "b"], "ids": ["1", "1"]}, "'1' occurs more than once"),
        ({"texts": ["a"], "ids": [""]}, "non-empty"),
        ({"texts": ["a"], "ids": [7]}, "non-empty text, not 7"),
    ],
)
async def test_what_does_not_fit_is_refused_before_it_is_embedded(
    store: ValkeyVectorStore, embedding: TableEmbeddings, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        store.add_texts(**arguments)
    with pytest.raises(InvalidInputError, match=message):
        await store.aadd_texts(**arguments)
    assert embedding.calls == []
    assert not store.index.exists()


@pytest.mark.parametrize(
    ("texts", "metadata", "table"),
    [
        (["a", "b"], {"k": object()}, {}),
        (["a", "bad"], {}, {"bad": [1.0, 2.0]}),
        (["a", "bad"], {}, {"bad": [float("nan")] * 16}),
    ],
)
async def test_what_cannot_be_stored_is_refused_before_any_of_it_is_stored(
    settings: dict[str, Any],
    texts: list[str],
    metadata: dict[str, Any],
    table: dict[str, list[float]],
) -> None:
    with opened(TableEmbeddings(table), **settings) as store:
        with pytest.raises(InvalidInputError):
            store.add_texts(texts, [{}, metadata])
        with pytest.raises(InvalidInputError):
            await store.aadd_texts(texts, [{}, metadata])
        assert not store.index.exists()


def test_an_embedding_that_returns_too_few_vectors_raises_an_error(
    settings: dict[str, Any],
) -> None:
    class Forgetful(TableEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return super().embed_documents(texts)[:-1]

    with (
        opened(Forgetful(), **settings) as store,
        pytest.raises(InvalidInputError, match="2 vectors for 3 texts"),
    ):
        store.add_texts(["a", "b", "c"])


async def test_policies_and_time_to_live_are_kept(store: ValkeyVectorStore) -> None:
    store.add_texts(["first"], ids=["1"])
    store.add_texts(["skipped", "new"], ids=["1", "2"], policy="SKIP")
    assert contents(store) == {"1": "first", "2": "new"}
    with pytest.raises(DuplicateIdError):
        await store.aadd_texts(["x", "y"], ids=["3", "1"], policy="FAIL")
    assert contents(store) == {"1": "first", "2": "new"}
    await store.aadd_documents([Document("over", id="1")])
    store.add_documents([Document("soon gone", id="4")], ttl=0.3)
    assert len(contents(store)) == 3
    await asyncio.sleep(0.6)
    assert contents(store) == {"1": "over", "2": "new"}
    assert "soon gone" not in [found.page_content for found in store.similarity_search("soon gone")]


@pytest.mark.parametrize("awaited", [False, True])
async def test_stores_are_created_from_texts_documents_and_existing_indexes(
    settings: dict[str, Any], awaited: bool
) -> None:
    embedding = TableEmbeddings()
    documents = [Document("c", id="3", metadata={"n": 3})]
    if awaited:
        first = await ValkeyVectorStore.afrom_texts(
            ["a", "b"], embedding, [{"n": 1}, {"n": 2}], ids=["1", "2"], metric="L2", **settings
        )
        second = await ValkeyVectorStore.afrom_documents(documents, embedding, **settings)
        third = await ValkeyVectorStore.afrom_existing_index(embedding, **settings)
    else:
        first = ValkeyVectorStore.from_texts(
            ["a", "b"], embedding, [{"n": 1}, {"n": 2}], ids=["1", "2"], metric="L2", **settings
        )
        second = ValkeyVectorStore.from_documents(documents, embedding, **settings)
        third = ValkeyVectorStore.from_existing_index(embedding, **settings)
    with first, second, third:
        assert contents(third) == {"1": "a", "2": "b", "3": "c"}
        assert third.index.metric.value == "L2"
        (found,) = third.similarity_search("b", k=1, filter={"n": {"$gt": 1}})
        assert found.id == "2"


async def test_an_existing_index_must_exist(settings: dict[str, Any]) -> None:
    with pytest.raises(IndexNotFoundError):
        ValkeyVectorStore.from_existing_index(TableEmbeddings(), **settings)
    with pytest.raises(IndexNotFoundError):
        await ValkeyVectorStore.afrom_existing_index(TableEmbeddings(), **settings)


def test_a_schema_can_be_passed(settings: dict[str, Any]) -> None:
    schema = Schema(dimension=3, metric=Metric.IP)
    with opened(TableEmbeddings(size=3), schema=schema, **settings) as store:
        store.add_texts(["a"])
        assert store.index.metric.value == "IP"


async def test_deleting_by_id_and_by_filter(store: ValkeyVectorStore) -> None:
    store.add_texts(list("abcdef"), [{"n": n} for n in range(6)], ids=list("123456"))
    assert store.delete(["1", "unknown"]) is True
    assert await store.adelete(["2"]) is True
    assert store.delete(filter={"n": 2}) is True
    assert await store.adelete(filter=F("n") == 3) is True
    assert set(contents(store)) == {"5", "6"}


async def test_an_empty_list_deletes_nothing(store: ValkeyVectorStore) -> None:
    store.add_texts(["a"])
    store.delete([])
    await store.adelete([])
    store.delete(ids=[], filter=None)
    assert store.index.count() == 1


@pytest.mark.parametrize("filter", [None, {}])
async def test_a_filter_that_matches_everything_by_accident_deletes_nothing(
    store: ValkeyVectorStore, filter: Any
) -> None:
    store.add_texts(["a"])
    with pytest.raises(InvalidInputError, match="would delete every document"):
        store.delete(filter=filter)
    with pytest.raises(InvalidInputError, match="would delete every document"):
        await store.adelete(filter=filter)
    assert store.index.count() == 1


async def test_ids_and_filter_together_are_refused(store: ValkeyVectorStore) -> None:
    store.add_texts(["a"], ids=["1"])
    for ids in (["1"], []):
        with pytest.raises(InvalidInputError, match="ids or filter"):
            store.delete(ids, filter={"n": 1})
        with pytest.raises(InvalidInputError, match="ids or filter"):
            await store.adelete(ids, filter={"n": 1})
    assert store.index.count() == 1


async def test_deleting_all_is_what_langchain_documents_and_is_never_silent(
    store: ValkeyVectorStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "langchain_valkey")
    store.add_texts(["a", "b", "c"])
    assert store.delete() is True
    assert "all 3 documents" in caplog.text
    assert store.index.count() == 0
    caplog.clear()
    store.add_texts(["a"])
    assert await store.adelete(None) is True
    assert "all 1 documents" in caplog.text
    assert contents(store) == {}


async def test_documents_come_in_the_order_of_their_ids(store: ValkeyVectorStore) -> None:
    store.add_texts(["a", "b"], ids=["1", "2"])
    for found in (store.get_by_ids(["2", "x", "1"]), await store.aget_by_ids(["2", "x", "1"])):
        assert [document.page_content for document in found] == ["b", "a"]


def test_what_was_not_stored_is_named_with_the_ids_that_complete_it(
    store: ValkeyVectorStore, index_name: str
) -> None:
    store.add_texts(["zero"], ids=["0"])
    store.index.connection.execute("SADD", f"{index_name}:7", "not a document")
    texts = [f"text {n}" for n in range(20)]
    given = [str(n) if n % 2 else None for n in range(20)]
    with pytest.raises(PartialAddError) as caught:
        store.add_texts(texts, ids=given, batch_size=1)
    error = caught.value
    assert "7" in error.failed
    assert len(error.ids) == 20
    assert error.written + len(error.failed) + len(error.pending) == 20
    store.index.connection.execute("DEL", f"{index_name}:7")
    assert store.add_texts(texts, ids=error.ids) == error.ids
    assert store.index.count() == 21
