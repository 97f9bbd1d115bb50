"""LangChain's adapter where a user's natural first attempt failed, or failed only after everything was paid for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.indexing import index

from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyRecordManager, ValkeyRetriever, ValkeyVectorStore
from valkey_vector import ConfigurationError, FullText, InvalidInputError
from valkey_vector.schema.schema import NumericField, Schema

ID = UUID("12345678-1234-5678-1234-567812345678")


class Color(Enum):
    RED = "red"


@pytest.fixture
def embedding() -> TableEmbeddings:
    return TableEmbeddings()


@pytest.fixture
def settings(server_url: str, index_name: str, engine_name: str) -> dict[str, Any]:
    return {"index_name": index_name, "url": server_url, "engine": engine_name}


@pytest.fixture
def store(embedding: TableEmbeddings, settings: dict[str, Any]) -> Iterator[ValkeyVectorStore]:
    with opened(embedding, **settings) as store:
        yield store


# -- adding ------------------------------------------------------------------------------------------


def test_an_index_of_langchain_may_have_large_batches(
    store: ValkeyVectorStore, server_url: str, index_name: str
) -> None:
    documents = [Document(f"text {n}", metadata={"source": "s"}) for n in range(20)]
    with ValkeyRecordManager(index_name, url=server_url) as manager:
        done = index(
            documents, manager, store, batch_size=20_000, cleanup="full", key_encoder="blake2b"
        )
        assert done["num_added"] == store.index.count() == 20
        manager.delete_keys(manager.list_keys())


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"ttl": -1}, InvalidInputError, "ttl .*-1"),
        ({"ttl": "60"}, InvalidInputError, "ttl .*'60'"),
        ({"policy": "replace"}, ConfigurationError, "'replace'"),
        ({"batch_size": 0}, ConfigurationError, "batch_size .*0"),
        ({"batch_size": 1.5}, ConfigurationError, "batch_size"),
        ({"on_invalid": "ignore"}, ConfigurationError, "on_invalid .*'ignore'"),
        ({"metadatas": [{}, {"k": object()}]}, InvalidInputError, "'k' .*object"),
        ({"metadatas": [{}, "text"]}, InvalidInputError, "is a str, not a dict"),
        ({"metadatas": [{}, {"n": "two"}]}, InvalidInputError, "'n' .*declares it"),
        ({"texts": ["a", "\ud800"]}, InvalidInputError, "surrogate"),
    ],
)
async def test_what_is_wrong_is_found_before_anything_is_embedded(
    embedding: TableEmbeddings,
    settings: dict[str, Any],
    options: dict[str, Any],
    error: type[Exception],
    named: str,
) -> None:
    schema = Schema(fields=(NumericField("n"),))
    with opened(embedding, schema=schema, **settings) as store:
        given = {"texts": ["a", "b"], **options}
        with pytest.raises(error, match=named):
            store.add_texts(**given)
        with pytest.raises(error, match=named):
            await store.aadd_texts(**given)
        with pytest.raises(error, match=named):
            store.add_embeddings(embeddings=[[1.0], [2.0]], **given)
        assert embedding.calls == []
        assert not store.index.exists()


async def test_numpys_scalars_are_stored_as_pythons(store: ValkeyVectorStore) -> None:
    given = {
        "int": np.int64(2**53 + 1), "float": np.float32(0.1), "half": np.float16(0.5), "bool": np.bool_(True),
        "nested": {"list": [np.int8(-1), {"x": np.uint64(2**64 - 1)}]},
    }  # fmt: skip
    (id,) = store.add_texts(["a"], [given])
    (other,) = await store.aadd_texts(["b"], [given])
    expected = {
        "int": 2**53 + 1, "float": float(np.float32(0.1)), "half": 0.5, "bool": True,
        "nested": {"list": [-1, {"x": 2**64 - 1}]},
    }  # fmt: skip
    for found in store.get_by_ids([id, other]):
        assert found.metadata == expected
        assert [type(found.metadata[key]) for key in ("int", "float", "bool")] == [int, float, bool]
    nearest, *_ = store.similarity_search("a", filter={"half": 0.5, "bool": True})
    assert nearest.id == id
    assert isinstance(given["int"], np.int64)


INVALID = {
    "uuid": ID, "set": {2, 1}, "tuple": (1, ID), "color": Color.RED, "price": Decimal("1.50"),
    "array": np.array([[1, 2]]), "bytes": b"x", "day": date(2024, 1, 31), 5: "five",
    "at": datetime(2024, 1, 31, 12, tzinfo=UTC),
}  # fmt: skip
COERCED = {
    "uuid": str(ID), "set": [1, 2], "tuple": [1, str(ID)], "color": "red", "price": "1.50",
    "array": [[1, 2]], "bytes": "b'x'", "day": date(2024, 1, 31), "5": "five",
    "at": datetime(2024, 1, 31, 12, tzinfo=UTC),
}  # fmt: skip


async def test_what_metadata_cannot_hold_is_raised_coerced_or_skipped(
    store: ValkeyVectorStore, embedding: TableEmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ["a", "b", "c"]
    metadatas: list[Any] = [{"n": 1}, INVALID, {"n": 3}]
    with pytest.raises(InvalidInputError, match="uuid"):
        store.add_texts(texts, [{}, {"uuid": ID}, {}])
    assert embedding.calls == []
    ids = store.add_texts(texts, metadatas, on_invalid="coerce")
    assert [found.metadata for found in store.get_by_ids(ids)] == [{"n": 1}, COERCED, {"n": 3}]
    caplog.set_level(logging.WARNING)
    documents = [Document(t, metadata=m) for t, m in zip("abc", ({}, {"u": ID}, {}), strict=True)]
    kept = await store.aadd_documents(documents, ids=["1", "2", "3"], on_invalid="skip")
    assert kept == ["1", "3"]
    assert [found.page_content for found in store.get_by_ids(["1", "2", "3"])] == ["a", "c"]
    assert "text 1 is skipped" in caplog.text
    assert "'u'" in caplog.text
    assert store.add_texts(["b"], [{"u": ID}], on_invalid="skip") == []


async def test_precomputed_vectors_are_stored(
    store: ValkeyVectorStore, embedding: TableEmbeddings
) -> None:
    rows = np.eye(16, dtype=np.float32)
    ids = store.add_embeddings(["a", "b"], rows[:2], [{"n": 1}, {"n": 2}], ids=["1", None])
    assert ids[0] == "1"
    assert await store.aadd_embeddings(["c"], [rows[2].tolist()], ids=["3"]) == ["3"]
    skipped = store.add_embeddings(
        ["d", "e"], rows[3:5], [{"u": ID}, {}], ids=["4", "5"], on_invalid="skip"
    )
    assert skipped == ["5"]
    assert embedding.calls == []
    for position, text in ((0, "a"), (1, "b"), (2, "c"), (4, "e")):
        ((found, score),) = store.similarity_search_with_score_by_vector(rows[position], k=1)
        assert found.page_content == text
        assert score == pytest.approx(1)
    with pytest.raises(InvalidInputError, match="1 vectors for 2 texts"):
        store.add_embeddings(["a", "b"], rows[:1])


async def test_a_collection_is_deleted_with_its_index(store: ValkeyVectorStore) -> None:
    for delete in (store.delete_collection, store.adelete_collection):
        store.add_texts(["a"])
        result = delete()
        if result is not None:
            await result
        assert not store.index.exists()
        assert store.similarity_search("a") == []


# -- words for what is meant -------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["text-embedding-3-small", None, object()])
def test_an_embedding_that_is_none_is_named_with_the_cure(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Embeddings, not .*init_embeddings"):
        ValkeyVectorStore(wrong)


@pytest.mark.parametrize("kind", ["text", "hybrid"])
def test_the_retriever_that_has_more_search_types_is_named(
    embedding: TableEmbeddings, settings: dict[str, Any], kind: Any
) -> None:
    with opened(embedding, full_text=FullText(), **settings) as store:
        store.add_texts(["some text"], ids=["1"])
        with pytest.raises(ValueError, match=f"ValkeyRetriever.*search_type='{kind}'"):
            store.as_retriever(search_type=kind)
        retriever = ValkeyRetriever.from_store(store, search_type=kind)
        assert [found.id for found in retriever.invoke("text")] == ["1"]


async def test_filters_names_filter(store: ValkeyVectorStore) -> None:
    store.add_texts(["a"])
    named = "takes filter=.*not filters="
    for method in (
        "similarity_search", "similarity_search_with_score", "max_marginal_relevance_search",
        "similarity_search_with_relevance_scores",
    ):  # fmt: skip
        with pytest.raises(TypeError, match=named):
            getattr(store, method)("a", filters={"n": 1})
        with pytest.raises(TypeError, match=named):
            await getattr(store, f"a{method}")("a", filters={"n": 1})
    with pytest.raises(TypeError, match=named):
        store.as_retriever(search_kwargs={"filters": {"n": 1}})
    with pytest.raises(TypeError, match="fliter"):
        store.similarity_search("a", fliter={"n": 1})  # type: ignore[call-arg]
