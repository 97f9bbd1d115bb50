"""`ValkeyRetriever`: its search types, settings for one call, configuration, batches and callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.runnables import ConfigurableField, RunnablePassthrough
from pydantic import ValidationError

from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyRetriever, ValkeyVectorStore
from round_trips import CommandLog
from servers import start_server
from valkey_vector import (
    F,
    FilterError,
    Flat,
    InvalidInputError,
    Metric,
    Record,
    Schema,
    ValkeyVectorError,
    VectorField,
)

SIZE = 40


@pytest.fixture
def embedding() -> TableEmbeddings:
    return TableEmbeddings()


@pytest.fixture
def store(
    embedding: TableEmbeddings, index_name: str, server_url: str, engine_name: str
) -> Iterator[ValkeyVectorStore]:
    settings: Any = {"engine": engine_name}
    with opened(embedding, index_name, url=server_url, algorithm="FLAT", **settings) as store:
        store.add_documents(
            [Document(f"text {n}", id=str(n), metadata={"n": n}) for n in range(SIZE)]
        )
        embedding.calls.clear()
        yield store


@pytest.fixture
def retriever(store: ValkeyVectorStore) -> ValkeyRetriever:
    return ValkeyRetriever.from_store(store)


SETTINGS: list[dict[str, Any]] = [
    {},
    {"k": 7},
    {"filter": {"n": {"$lt": 10}}},
    {"filter": F("n") >= 30, "k": 20},
    {"search_type": "mmr", "k": 3, "fetch_k": 10, "lambda_mult": 0.2},
    {"search_type": "similarity_score_threshold", "score_threshold": 0.2, "k": 30},
    {"search_type": "similarity_score_threshold", "score_threshold": 0.0, "k": 30},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_finds_what_the_retriever_of_the_store_finds(
    store: ValkeyVectorStore, settings: dict[str, Any]
) -> None:
    search_type = settings.get("search_type", "similarity")
    rest = {name: value for name, value in settings.items() if name != "search_type"}
    expected = store.as_retriever(search_type=search_type, search_kwargs=rest).invoke("text 5")
    made = ValkeyRetriever.from_store(store, **settings)
    assert made.invoke("text 5") == expected
    called = ValkeyRetriever.from_store(store).invoke("text 5", **settings)
    assert called == expected
    assert expected[0].id == "5" or "filter" in settings


@pytest.mark.parametrize("settings", SETTINGS)
async def test_awaited_it_finds_the_same_and_awaits_the_embedding(
    retriever: ValkeyRetriever, embedding: TableEmbeddings, settings: dict[str, Any]
) -> None:
    expected = retriever.invoke("text 5", **settings)
    embedding.calls.clear()
    assert await retriever.ainvoke("text 5", **settings) == expected
    assert embedding.calls == ["aembed_query"]


def test_without_k_all_that_score_enough_are_found(
    store: ValkeyVectorStore, retriever: ValkeyRetriever
) -> None:
    scored = store.similarity_search_with_relevance_scores("text 5", k=SIZE)
    enough = [document for document, score in scored if score >= 0.1]
    assert 4 < len(enough) < SIZE
    wanted: dict[str, Any] = {"search_type": "similarity_score_threshold", "score_threshold": 0.1}
    assert retriever.invoke("text 5", k=None, **wanted) == enough


def test_settings_can_be_configured(retriever: ValkeyRetriever) -> None:
    configurable = retriever.configurable_fields(
        k=ConfigurableField(id="k"),
        filter=ConfigurableField(id="filter"),
        search_type=ConfigurableField(id="search_type"),
        alpha=ConfigurableField(id="alpha"),
    )
    wanted: dict[str, Any] = {
        "k": 2,
        "filter": {"n": {"$gt": 35}},
        "search_type": "mmr",
        "alpha": 1,
    }
    found = configurable.with_config(configurable=wanted).invoke("text 5")
    assert len(found) == 2
    assert all(document.metadata["n"] > 35 for document in found)
    assert len(configurable.invoke("text 5")) == 4


def test_it_is_a_link_of_a_chain(retriever: ValkeyRetriever) -> None:
    chain: Any = RunnablePassthrough() | retriever | (lambda found: [one.id for one in found])
    assert chain.invoke("text 9")[0] == "9"
    assert [ids[0] for ids in chain.batch(["text 1", "text 2"])] == ["1", "2"]


@pytest.mark.parametrize("settings", SETTINGS)
async def test_a_batch_finds_what_single_calls_find(
    retriever: ValkeyRetriever, settings: dict[str, Any]
) -> None:
    texts = [f"text {n}" for n in range(12)]
    expected = [retriever.invoke(text, **settings) for text in texts]
    assert retriever.batch(texts, **settings) == expected
    assert await retriever.abatch(texts, **settings) == expected
    assert retriever.batch([]) == []
    assert await retriever.abatch([]) == []


async def test_a_batch_is_one_round_trip(
    retriever: ValkeyRetriever, commands: CommandLog, embedding: TableEmbeddings
) -> None:
    texts = [f"text {n}" for n in range(30)]
    retriever.invoke("warm")
    commands.clear()
    embedding.calls.clear()
    retriever.batch(texts)
    assert len(commands.round_trips) == 1
    commands.clear()
    await retriever.abatch(texts)
    assert len(commands.round_trips) == 1
    assert embedding.calls == ["embed_query"] * 30 + ["aembed_query"] * 30


class Notes(BaseCallbackHandler):
    """Records the callbacks of LangChain."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[int] = []
        self.failed: list[str] = []

    def on_retriever_start(self, serialized: Any, query: str, *, run_id: UUID, **more: Any) -> None:
        self.started.append(query)

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **more: Any) -> None:
        self.ended.append(len(documents))

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **more: Any) -> None:
        self.failed.append(str(error))


class Stubborn(TableEmbeddings):
    """Embeds anything but one text."""

    def vector(self, text: str) -> list[float]:
        if text == "no":
            raise RuntimeError("no vector for that")
        return [1.0] * 3 if text == "short" else super().vector(text)


async def test_a_text_that_fails_fails_alone_and_callbacks_are_notified(
    store: ValkeyVectorStore,
) -> None:
    retriever = ValkeyRetriever(index=store.index, embedding=Stubborn())
    texts = ["text 1", "no", "short", "text 2"]
    for awaited in (False, True):
        notes = Notes()
        config: Any = {"callbacks": [notes]}
        if awaited:
            found: list[Any] = await retriever.abatch(texts, config, return_exceptions=True)
        else:
            found = retriever.batch(texts, config, return_exceptions=True)
        assert [type(one) for one in found] == [list, RuntimeError, InvalidInputError, list]
        assert [found[0][0].id, found[3][0].id] == ["1", "2"]
        assert notes.started == texts
        assert notes.ended == [4, 4]
        assert len(notes.failed) == 2
        with pytest.raises(RuntimeError, match="no vector"):
            await retriever.abatch(texts) if awaited else retriever.batch(texts)


def test_an_outage_is_every_texts_own(
    embedding: TableEmbeddings, index_name: str, engine_name: str
) -> None:
    with (
        start_server(search=engine_name == "search") as server,
        opened(embedding, index_name, url=server.url) as store,
    ):
        store.add_texts(["a"])
        server.stop()
        retriever = ValkeyRetriever.from_store(store)
        found: list[Any] = retriever.batch(["a", "b"], return_exceptions=True)
        assert all(isinstance(one, ValkeyVectorError) for one in found)
        with pytest.raises(ValkeyVectorError):
            retriever.batch(["a", "b"])


def test_another_vector_of_the_documents_can_be_searched(
    embedding: TableEmbeddings, store: ValkeyVectorStore, index_name: str, server_url: str
) -> None:
    schema = Schema(dimension=2, vectors=(VectorField("title", 16, Metric.COSINE, Flat()),))
    with opened(embedding, f"{index_name}-titles", url=server_url, schema=schema) as other:
        other.index.upsert(
            [
                Record(id=str(n), content="…", vectors={"title": embedding.vector(f"title {n}")})
                for n in range(5)
            ]
        )
        retriever = ValkeyRetriever.from_store(other, vector_field="title", k=1)
        assert retriever.invoke("title 3")[0].id == "3"
        assert retriever.invoke("title 3", search_type="mmr")[0].id == "3"


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"fliter": {"n": 1}}, TypeError, "fliter"),
        ({"index": 1}, TypeError, "index"),
        ({"k": 0}, ValidationError, "k"),
        ({"k": None}, ValidationError, "k may be None"),
        (
            {"k": None, "search_type": "similarity_score_threshold", "score_threshold": 0},
            ValidationError,
            "k may be None",
        ),
        ({"search_type": "magic"}, ValidationError, "magic"),
        ({"search_type": "similarity_score_threshold"}, ValidationError, "score_threshold"),
        ({"score_threshold": 1.5}, ValidationError, "score_threshold"),
        ({"lambda_mult": -1}, ValidationError, "lambda_mult"),
        ({"search_type": "hybrid", "alpha": 1.5}, ValidationError, "alpha"),
        ({"search_type": "hybrid", "k": None}, ValidationError, "k may be None"),
        ({"search_type": "text", "k": None}, ValidationError, "k may be None"),
        ({"search_type": "hybrid", "vector_field": "title"}, ValidationError, "'title'"),
        ({"filter": {"n": {"$nope": 1}}}, ValueError, "nope"),
    ],
)
def test_an_invalid_setting_is_refused(
    retriever: ValkeyRetriever, settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        retriever.invoke("text 1", **settings)
    with pytest.raises(error, match=words):
        retriever.batch(["text 1"], **settings)


def test_a_retriever_that_could_not_search_is_not_created(store: ValkeyVectorStore) -> None:
    with pytest.raises(ValidationError, match="needs an embedding"):
        ValkeyRetriever(index=store.index)
    with pytest.raises(ValidationError, match="fliter"):
        ValkeyRetriever.from_store(store, fliter={"n": 1})
    with pytest.raises((ValidationError, FilterError), match="nope"):
        ValkeyRetriever.from_store(store, filter={"n": {"$nope": 1}})
