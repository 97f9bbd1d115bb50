"""Stores with full text, and text and hybrid searches of `ValkeyRetriever`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import ConfigurableField

from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyRetriever, ValkeyVectorStore
from round_trips import CommandLog
from valkey_vector import (
    ConfigurationError,
    F,
    FullText,
    IndexMismatchError,
    InvalidInputError,
    ReciprocalRank,
    Weighted,
)

TABLE = {
    "Foxes run over hills.": [1.0, 0.0, 0.0],
    "A dog sleeps.": [0.9, 0.1, 0.0],
    "Dogs and foxes.": [0.0, 1.0, 0.0],
    "Hills and dogs, dogs, dogs.": [0.0, 0.0, 1.0],
    "Nothing of the kind.": [0.5, 0.5, 0.0],
    "a running fox": [1.0, 0.0, 0.1],
    "dogs": [0.0, 0.0, 1.0],
    "many dogs": [1.0, 0.0, 0.0],
    "the": [0.0, 1.0, 0.1],
    "@n:[0 9] | * -{foxes}": [0.0, 1.0, 0.0],
    "wolf": [1.0, 0.0, 0.0],
}
STORED = list(TABLE)[:5]
ASKED = list(TABLE)[5:]

TEXT: list[dict[str, Any]] = [
    {"search_type": "text"},
    {"search_type": "text", "k": 1},
    {"search_type": "text", "k": 9, "filter": {"n": {"$gt": 0}}},
]
HYBRID: list[dict[str, Any]] = [
    {"search_type": "hybrid"},
    {"search_type": "hybrid", "k": 2, "filter": F("n") > 1},
    {"search_type": "hybrid", "k": 3, "alpha": 0.3, "ef_runtime": 50},
    {"search_type": "hybrid", "alpha": 0, "k": 9},
    {"search_type": "hybrid", "alpha": 1.0, "vector_field": "vector"},
]
SETTINGS = TEXT + HYBRID


@pytest.fixture
def embedding() -> TableEmbeddings:
    return TableEmbeddings(TABLE, size=3)


@pytest.fixture
def store(
    embedding: TableEmbeddings, index_name: str, server_url: str, engine_name: str
) -> Iterator[ValkeyVectorStore]:
    settings: Any = {"engine": engine_name, "full_text": True}
    with opened(embedding, index_name, url=server_url, **settings) as store:
        store.add_documents(
            [Document(text, id=str(n), metadata={"n": n}) for n, text in enumerate(STORED)]
        )
        embedding.calls.clear()
        yield store


@pytest.fixture
def retriever(store: ValkeyVectorStore) -> ValkeyRetriever:
    return ValkeyRetriever.from_store(store)


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("settings", SETTINGS)
def test_it_finds_what_the_index_finds(
    store: ValkeyVectorStore, retriever: ValkeyRetriever, settings: dict[str, Any], asked: str
) -> None:
    k, filter, alpha = settings.get("k", 4), settings.get("filter"), settings.get("alpha")
    if settings["search_type"] == "text":
        hits = store.index.search_text(asked, k=k, filter=filter)
    else:
        fusion = ReciprocalRank() if alpha is None else Weighted(alpha)
        hits = store.index.search_hybrid(TABLE[asked], asked, k=k, filter=filter, fusion=fusion)
    expected = [
        Document(hit.record.content, id=hit.record.id, metadata=dict(hit.record.metadata))
        for hit in hits
    ]
    assert ValkeyRetriever.from_store(store, **settings).invoke(asked) == expected
    assert retriever.invoke(asked, **settings) == expected


def test_words_are_found_in_every_form_and_the_best_come_first(retriever: ValkeyRetriever) -> None:
    assert ids(retriever.invoke("a running fox", search_type="text")) == ["0", "2"]
    assert ids(retriever.invoke("dogs", search_type="text")) == ["3", "1", "2"]
    assert retriever.invoke("the", search_type="text") == []
    assert retriever.invoke("wolf", search_type="text") == []


def test_what_looks_like_syntax_is_words(retriever: ValkeyRetriever) -> None:
    assert ids(retriever.invoke("@n:[0 9] | * -{foxes}", search_type="text")) == ["2", "0"]


def test_alpha_weighs_the_vector_against_the_words(retriever: ValkeyRetriever) -> None:
    found = {
        alpha: ids(retriever.invoke("many dogs", search_type="hybrid", alpha=alpha, k=1))
        for alpha in (None, 0, 1)
    }
    assert found == {None: ["1"], 0: ["3"], 1: ["0"]}
    nearest = retriever.invoke("the")
    assert retriever.invoke("the", search_type="hybrid") == nearest  # no word to search for


@pytest.mark.parametrize("settings", SETTINGS)
async def test_awaited_and_in_batches_it_finds_the_same_and_embeds_only_what_it_must(
    retriever: ValkeyRetriever, embedding: TableEmbeddings, settings: dict[str, Any]
) -> None:
    number = 0 if settings["search_type"] == "text" else 1
    expected = [retriever.invoke(text, **settings) for text in ASKED]
    assert any(expected)
    assert embedding.calls == ["embed_query"] * number * len(ASKED)
    embedding.calls.clear()
    assert [await retriever.ainvoke(text, **settings) for text in ASKED] == expected
    assert await retriever.abatch(ASKED, **settings) == expected
    assert embedding.calls == ["aembed_query"] * number * 2 * len(ASKED)
    embedding.calls.clear()
    assert retriever.batch(ASKED, **settings) == expected
    assert embedding.calls == ["embed_query"] * number * len(ASKED)


@pytest.mark.parametrize("settings", SETTINGS)
async def test_settings_can_be_configured(
    retriever: ValkeyRetriever, settings: dict[str, Any]
) -> None:
    fields = {name: ConfigurableField(id=name) for name in settings}
    configured = retriever.configurable_fields(**fields).with_config(configurable=settings)
    expected = retriever.invoke("a running fox", **settings)
    assert configured.invoke("a running fox") == expected
    assert await configured.ainvoke("a running fox") == expected
    assert configured.batch(["a running fox"]) == [expected]
    assert await configured.abatch(["a running fox"]) == [expected]


@pytest.mark.parametrize("search_type", ["text", "hybrid"])
async def test_a_batch_has_the_round_trips_of_one_search(
    retriever: ValkeyRetriever, commands: CommandLog, search_type: str
) -> None:
    settings: dict[str, Any] = {"search_type": search_type}
    for _ in range(2):
        retriever.invoke(
            "dogs", **settings
        )  # in a cluster, counts are kept from the second search on
    commands.clear()
    retriever.invoke("dogs", **settings)
    alone = len(commands.round_trips)
    # A graph that finds fewer than it looks for is checked for others in one more (see `engines.search_nearest`).
    assert 0 < alone <= (3 if search_type == "hybrid" else 2)
    commands.clear()
    retriever.batch(["dogs"] * 12, **settings)
    assert len(commands.round_trips) == alone
    commands.clear()
    await retriever.abatch(["dogs"] * 12, **settings)
    assert len(commands.round_trips) == alone


def test_a_search_by_words_needs_no_embedding(store: ValkeyVectorStore) -> None:
    retriever = ValkeyRetriever(index=store.index, search_type="text")
    assert ids(retriever.invoke("dogs")) == ["3", "1", "2"]
    assert [ids(found) for found in retriever.batch(["dogs", "wolf"])] == [["3", "1", "2"], []]
    with pytest.raises(ValueError, match="'hybrid' needs an embedding"):
        retriever.invoke("dogs", search_type="hybrid")


async def test_a_text_that_fails_in_a_batch_fails_alone(
    store: ValkeyVectorStore, embedding: TableEmbeddings
) -> None:
    retriever = ValkeyRetriever.from_store(store, search_type="hybrid", k=1)
    embedding.table["short"] = [1.0]
    texts = ["dogs", "short", "wolf"]
    for found in (
        retriever.batch(texts, return_exceptions=True),
        await retriever.abatch(texts, return_exceptions=True),
    ):
        assert [type(one) for one in found] == [list, InvalidInputError, list]
        assert [ids(found[0]), ids(found[2])] == [["3"], ["0"]]
    with pytest.raises(InvalidInputError, match="dimension"):
        retriever.batch(texts)


@pytest.mark.parametrize("search_type", ["text", "hybrid"])
async def test_an_index_without_full_text_raises_a_clear_error(
    embedding: TableEmbeddings,
    index_name: str,
    server_url: str,
    engine_name: str,
    search_type: str,
) -> None:
    settings: Any = {"engine": engine_name}
    with opened(embedding, index_name, url=server_url, **settings) as plain:
        plain.add_texts(["dogs"])
        retriever = ValkeyRetriever.from_store(plain, search_type=search_type)
        with pytest.raises(ConfigurationError, match="full_text"):
            retriever.invoke("dogs")
        with pytest.raises(ConfigurationError, match="full_text"):
            await retriever.ainvoke("dogs")
        (found,) = retriever.batch(["dogs"], return_exceptions=True)
        assert isinstance(found, ConfigurationError)


async def test_full_text_is_a_setting_of_every_constructor(
    embedding: TableEmbeddings, index_name: str, server_url: str, engine_name: str
) -> None:
    german = FullText(language="german", stop_words=("hunde",))
    settings: Any = {"url": server_url, "engine": engine_name}
    documents = [Document("Hunde schlafen.", id="1")]
    made = {
        "a": ValkeyVectorStore.from_texts(
            ["dogs"], embedding, ids=["1"], index_name=f"{index_name}-a", full_text=True, **settings
        ),
        "b": await ValkeyVectorStore.afrom_documents(
            documents, embedding, index_name=f"{index_name}-b", full_text=german, **settings
        ),
        "c": ValkeyVectorStore.from_texts(
            ["dogs"], embedding, index_name=f"{index_name}-c", full_text=False, **settings
        ),
    }
    expected = {"a": FullText(), "b": german, "c": None}
    for name, store in made.items():
        with (
            store,
            ValkeyVectorStore.from_existing_index(
                embedding, f"{index_name}-{name}", **settings
            ) as there,
            await ValkeyVectorStore.afrom_existing_index(
                embedding, f"{index_name}-{name}", full_text=expected[name] or False, **settings
            ) as agreed,
        ):
            assert store.index.schema.full_text == expected[name]
            assert there.index.schema.full_text == agreed.index.schema.full_text == expected[name]
            if name == "b":
                search = ValkeyRetriever.from_store(there, search_type="text")
                assert ids(search.invoke("schlafe")) == ["1"]
                assert search.invoke("Hunde") == []
            with pytest.raises(IndexMismatchError, match="full_text"):
                ValkeyVectorStore.from_existing_index(
                    embedding,
                    f"{index_name}-{name}",
                    full_text=FullText(language="french"),
                    **settings,
                )


def test_the_retriever_of_the_store_has_the_search_types_of_langchain(
    store: ValkeyVectorStore,
) -> None:
    assert ids(store.as_retriever(search_type="mmr").invoke("dogs"))[0] == "3"
    for search_type in ("text", "hybrid"):
        with pytest.raises(ValueError, match=f"ValkeyRetriever.*{search_type}"):
            store.as_retriever(search_type=search_type)
