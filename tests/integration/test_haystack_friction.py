"""Haystack's adapter where a user's natural first attempt failed: splitters, closing, filters, settings, copies."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from haystack import Document, Pipeline
from haystack.components.preprocessors import DocumentSplitter
from haystack.components.writers import DocumentWriter
from haystack.errors import FilterError
from haystack.utils import Secret

from haystack_integrations.components.caching.valkey import (
    ValkeySemanticCache,
    ValkeySemanticCacheChecker,
    ValkeySemanticCacheWriter,
)
from haystack_integrations.components.retrievers.valkey import (
    ValkeyEmbeddingRetriever,
    ValkeyHybridRetriever,
    ValkeyTextRetriever,
)
from haystack_integrations.document_stores.valkey import (
    ValkeyDocumentStore,
    ValkeyDocumentStoreError,
)
from haystack_stores import MakeStore, opener
from haystack_versions import (
    FunctionTextEmbedder,
    close_pipeline,
    close_pipeline_async,
)


@pytest.fixture
def make_store(server_url: str, index_name: str, engine_name: str) -> Iterator[MakeStore]:
    with opener(url=server_url, index_name=index_name, engine=engine_name) as make:
        yield make


# -- documents ---------------------------------------------------------------------------------------


def test_documents_of_a_splitter_with_overlap_are_stored_with_lists(make_store: MakeStore) -> None:
    store = make_store()
    splitter = DocumentSplitter(split_by="word", split_length=3, split_overlap=1)
    text = Document(id="text", content="one two three four five six seven")
    parts = splitter.run(documents=[text])["documents"]
    assert isinstance(parts[0].meta["_split_overlap"][0]["range"], tuple)
    assert store.write_documents(parts) == len(parts)
    read = {document.id: document for document in store.filter_documents()}
    for part in parts:
        overlaps = [
            {**one, "range": list(one["range"])} for one in part.meta.get("_split_overlap") or []
        ]
        assert read[part.id].meta["_split_overlap"] == overlaps
        assert read[part.id].content == part.content
    assert isinstance(parts[0].meta["_split_overlap"][0]["range"], tuple)


def test_tuples_become_lists_at_any_depth_and_in_updates(make_store: MakeStore) -> None:
    store = make_store()
    store.write_documents([Document(id="1", meta={"a": ({"b": (1, (2,))},), "n": 1})])
    chosen = {"field": "meta.n", "operator": "==", "value": 1}
    assert store.update_by_filter(chosen, {"c": ("x", "y")}) == 1
    (read,) = store.filter_documents()
    assert read.meta == {"a": [{"b": [1, [2]]}], "n": 1, "c": ["x", "y"]}


def test_metadata_that_contains_itself_is_refused(make_store: MakeStore) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValkeyDocumentStoreError, match="deep"):
        make_store().write_documents([Document(id="1", meta={"a": endless})])


# -- closing -----------------------------------------------------------------------------------------


async def test_closing_a_pipeline_closes_the_stores_connection(make_store: MakeStore) -> None:
    store = make_store(full_text=True)
    retrievers: list[Any] = [
        kind(document_store=store)
        for kind in (ValkeyEmbeddingRetriever, ValkeyTextRetriever, ValkeyHybridRetriever)
    ]
    for number, retriever in enumerate(retrievers):
        made = Pipeline()
        made.add_component("retriever", retriever)
        store.write_documents([Document(id=str(number), content="word", embedding=[1.0, 0, 0, 0])])
        assert store._index is not None
        close_pipeline(made)
        assert store._index is None
        assert store.count_documents() == number + 1
        await close_pipeline_async(made)
        assert store._index is None


async def test_closing_the_components_of_a_cache_closes_its_connection(
    server_url: str, index_name: str
) -> None:
    cache = ValkeySemanticCache(FunctionTextEmbedder(), name=index_name, url=server_url)
    for component in (ValkeySemanticCacheChecker(cache), ValkeySemanticCacheWriter(cache)):
        assert cache.core.count() == 0
        await component.close_async()
        assert cache._connection is None


# -- filters -----------------------------------------------------------------------------------------


def test_a_wrong_filter_is_also_a_value_error_that_explains_filters(
    make_store: MakeStore,
) -> None:
    store = make_store()
    uses: list[Callable[[], object]] = [
        lambda: store.filter_documents({"tenant": "x"}),
        lambda: store.count_documents_by_filter({"tenant": "x"}),
        lambda: store.delete_by_filter({"tenant": "x"}),
        lambda: ValkeyEmbeddingRetriever(document_store=store).run([1.0, 0, 0, 0], {"tenant": "x"}),
    ]
    for use in uses:
        with pytest.raises(ValueError, match=r"\{'tenant': 'x'\}.*\"field\".*\"operator\""):
            use()
        with pytest.raises(FilterError):
            use()


# -- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"metadata_fields": {"a": "string"}}, r"metadata_fields .*'a' to 'string'"),
        ({"metadata_fields": {"a": float}}, r"metadata_fields .*float"),
        ({"metadata_fields": {1: str}}, r"metadata_fields .*1"),
        ({"metadata_fields": ["a"]}, r"metadata_fields .*\['a'\]"),
        ({"nodes_list": ["host:6379"]}, r'nodes_list .*\("localhost", 6379\).*host:6379'),
        ({"nodes_list": "host:6379"}, r"nodes_list .*host:6379"),
        ({"nodes_list": []}, "nodes_list"),
        ({"nodes_list": [("host", "6379")]}, r"port of 'host' .*'6379'"),
        ({"nodes_list": [("host", 0)]}, "port of 'host'"),
        ({"batch_size": 0}, r"batch_size .*0"),
        ({"batch_size": 20_000}, "batch_size"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"embedding_dim": 0}, "embedding_dim"),
        ({"embedding_dim": "768"}, "embedding_dim"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"request_timeout": "5"}, "request_timeout"),
        ({"retry_attempts": -1}, "retry_attempts"),
        ({"retry_base_delay_ms": None}, "retry_base_delay_ms"),
        ({"retry_exponent_base": 0}, "retry_exponent_base"),
        ({"cluster_mode": "yes"}, "cluster_mode"),
        ({"use_tls": 1}, "use_tls"),
        ({"url": 6379}, "url"),
    ],
)
def test_a_wrong_setting_is_named_when_the_store_is_created(
    wrong: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        ValkeyDocumentStore(**wrong)


def test_a_secret_that_is_plain_text_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="password must be a Secret") as caught:
        ValkeyDocumentStore(password="hunter2")  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)


def test_the_environment_names_the_server_where_no_setting_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def location(**settings: Any) -> str:
        return ValkeyDocumentStore(**settings)._settings.connect().settings.location

    monkeypatch.delenv("VALKEY_URL", raising=False)
    assert location() == "valkey://localhost:6379"
    monkeypatch.setenv("VALKEY_URL", "valkey://elsewhere:7001/2")
    assert location() == "valkey://elsewhere:7001/2"
    assert location(nodes_list=[("host", 1)]) == "valkey://host:1"
    assert location(url="valkey://other") == "valkey://other:6379"
    assert location(use_tls=True) == "valkeys://localhost:6379"
    assert location(cluster_mode=True) == "valkey://localhost:6379"
    secret = Secret.from_token("hunter2")
    settings = ValkeyDocumentStore(password=secret)._settings.connect().settings
    assert settings.password == "hunter2"
    # It belongs to where the store runs, so it is not written down.
    assert ValkeyDocumentStore().to_dict()["init_parameters"]["url"] is None


def test_a_store_named_by_the_environment_is_the_one_at_that_url(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch, server_url: str
) -> None:
    make_store().write_documents([Document(id="1")])
    monkeypatch.setenv("VALKEY_URL", server_url)
    assert make_store(url=None).count_documents() == 1


# -- copies ------------------------------------------------------------------------------------------


def pickled(one: Any) -> Any:
    return pickle.loads(pickle.dumps(one))  # noqa: S301 - made a moment ago


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_store_that_is_in_use_can_be_copied(
    make_store: MakeStore, copied: Callable[[Any], Any]
) -> None:
    store = make_store()
    store.write_documents([Document(id="1", embedding=[1.0, 0, 0, 0])])
    again: ValkeyDocumentStore = copied(store)
    assert again.to_dict() == store.to_dict()
    assert again.index is not store.index
    assert again.index.connection is not store.index.connection
    again.close()
    assert store.count_documents() == 1
    writer: DocumentWriter = copied(DocumentWriter(store))
    writer.run(documents=[Document(id="2")])
    writer.document_store.close()  # type: ignore[attr-defined]
    assert store.count_documents() == 2


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_cache_that_is_in_use_can_be_copied(
    server_url: str, index_name: str, copied: Callable[[Any], Any]
) -> None:
    cache = ValkeySemanticCache(FunctionTextEmbedder(), name=index_name, url=server_url)
    ValkeySemanticCacheWriter(cache).run("question", ["answer"])
    again: ValkeySemanticCache = copied(cache)
    assert again.to_dict() == cache.to_dict()
    (reply,) = ValkeySemanticCacheChecker(again).run("question")["replies"]
    assert reply.text == "answer"
    for one in (again, cache):
        one.close()
