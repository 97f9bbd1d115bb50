"""Haystack's retrievers by text and by both: in pipelines, awaited, written down, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from haystack import Document, Pipeline, component
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import FilterPolicy
from haystack.errors import FilterError

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
from haystack_versions import AwaitedPipeline
from round_trips import CommandLog
from servers import start_server
from valkey_vector import ReciprocalRank, Weighted

Run = Callable[[], dict[str, list[Document]]]

EAST = [1.0, 0.0, 0.0, 0.0]
DOCUMENTS = [
    Document(id="fox", content="The quick fox runs.", embedding=[0.0, 1.0, 0, 0], meta={"n": 1}),
    Document(id="dog", content="A lazy dog sleeps here.", embedding=EAST, meta={"n": 2}),
    Document(id="both", content="A fox and a dog.", embedding=[1.0, 0.5, 0, 0], meta={"n": 3}),
    Document(id="bare", content="Foxes: running, running", meta={"n": 4}),
    Document(id="nothing", meta={"n": 5}),
]
BELOW_FOUR = {"field": "meta.n", "operator": "<", "value": 4}


@pytest.fixture
def make_store(server_url: str, index_name: str, engine_name: str) -> Iterator[MakeStore]:
    with opener(url=server_url, index_name=index_name, engine=engine_name, full_text=True) as make:
        yield make


@pytest.fixture
def store(make_store: MakeStore) -> ValkeyDocumentStore:
    made = make_store()
    made.write_documents(DOCUMENTS)
    return made


def ids(found: dict[str, list[Document]]) -> list[str]:
    return [document.id for document in found["documents"]]


# -- by text ------------------------------------------------------------------------------------------


async def test_text_finds_the_cores_hits_as_whole_documents(store: ValkeyDocumentStore) -> None:
    hits = store.index.search_text("running fox", k=10)
    retriever = ValkeyTextRetriever(document_store=store, return_embedding=True)
    for found in (retriever.run("running fox"), await retriever.run_async("running fox")):
        documents = found["documents"]
        assert [(document.id, document.score) for document in documents] == [
            (hit.record.id, hit.score) for hit in hits
        ]
        assert ids(found) == ["bare", "fox", "both"]
        scores = [document.score or 0 for document in documents]
        assert scores == sorted(scores, reverse=True)
        assert min(scores) > 0
        written = {document.id: document for document in DOCUMENTS}
        for document in documents:
            assert document.content == written[document.id].content
            assert document.meta == written[document.id].meta
            assert document.embedding == written[document.id].embedding


@pytest.mark.parametrize("query", ["", "the and", "@n:[1 2] | *", "unheard"])
def test_text_is_only_ever_words(store: ValkeyDocumentStore, query: str) -> None:
    assert ValkeyTextRetriever(document_store=store).run(query) == {"documents": []}


def test_text_search_returns_embeddings_only_on_request(store: ValkeyDocumentStore) -> None:
    found = store._text_retrieval("fox", with_embedding=False)
    found += store._hybrid_retrieval("fox", EAST, with_embedding=False)
    assert [document.embedding for document in found] == [None] * len(found)
    assert found


# -- by both ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [None, 0.0, 0.3, 1])
async def test_hybrid_finds_the_cores_hits(store: ValkeyDocumentStore, alpha: float | None) -> None:
    fusion = ReciprocalRank() if alpha is None else Weighted(alpha)
    hits = store.index.search_hybrid(EAST, "fox", k=10, fusion=fusion)
    retriever = ValkeyHybridRetriever(document_store=store, alpha=alpha)
    for found in (retriever.run("fox", EAST), await retriever.run_async("fox", EAST)):
        assert [(document.id, document.score) for document in found["documents"]] == [
            (hit.record.id, hit.score) for hit in hits
        ]
        assert set(ids(found)) == {"fox", "dog", "both", "bare"}
    assert ids(found)[0] == ("dog" if alpha == 1 else "both")


def test_a_hybrid_search_without_a_term_ranks_by_similarity(store: ValkeyDocumentStore) -> None:
    found = ValkeyHybridRetriever(document_store=store).run("the", EAST)
    near = ValkeyEmbeddingRetriever(document_store=store).run(EAST)
    assert ids(found) == ids(near) == ["dog", "both", "fox"]


def test_a_search_is_two_round_trips(
    store: ValkeyDocumentStore, commands: CommandLog, engine_name: str
) -> None:
    text = ValkeyTextRetriever(document_store=store)
    hybrid = ValkeyHybridRetriever(document_store=store)
    for _ in range(2):
        text.run("fox")  # in a cluster, counts are kept from the second search on
    # A graph that finds fewer than it looks for, as here, is checked for others in one more.
    runs: list[tuple[Run, int]] = [
        (lambda: text.run("dog"), 2),
        (lambda: hybrid.run("dog", EAST), 3 if engine_name == "search" else 2),
    ]
    for run, trips in runs:
        commands.clear()
        run()
        assert len(commands.round_trips) == trips


# -- both retrievers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ValkeyTextRetriever, ValkeyHybridRetriever])
async def test_filters_are_merged_or_replaced_and_limits_kept(
    store: ValkeyDocumentStore, kind: type
) -> None:
    question = asked(kind)
    own = {"field": "id", "operator": "!=", "value": "both"}
    for policy, expected in (("replace", {"fox", "both", "dog"}), ("merge", {"fox", "dog"})):
        retriever = kind(document_store=store, filters=own, filter_policy=policy)
        for found in (
            retriever.run(**question, filters=BELOW_FOUR),
            await retriever.run_async(**question, filters=BELOW_FOUR),
        ):
            assert set(ids(found)) == expected
    assert "both" not in ids(retriever.run(**question))
    assert retriever.run(**question, top_k=0) == {"documents": []}
    assert len(ids(retriever.run(**question, top_k=1))) == 1
    with pytest.raises(ValueError, match="top_k"):
        retriever.run(**question, top_k=-1)
    with pytest.raises(FilterError):
        retriever.run(**question, filters={"field": "meta.n", "operator": "~", "value": 1})


def asked(kind: type) -> dict[str, Any]:
    near: dict[str, Any] = {"query_embedding": EAST} if kind is ValkeyHybridRetriever else {}
    return {"query": "fox dog", **near}


@pytest.mark.parametrize("kind", [ValkeyTextRetriever, ValkeyHybridRetriever])
def test_an_unsuitable_store_is_refused_when_the_component_is_created(kind: type) -> None:
    with pytest.raises(ValueError, match="InMemoryDocumentStore"):
        kind(document_store=InMemoryDocumentStore())
    with pytest.raises(ValueError, match=rf"{kind.__name__} needs .*full_text=True"):
        kind(document_store=ValkeyDocumentStore())
    with pytest.raises(ValueError, match="top_k"):
        kind(document_store=ValkeyDocumentStore(full_text=True), top_k=-1)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), True, "0.5"])
def test_an_alpha_that_is_no_weight_is_refused(alpha: Any) -> None:
    with pytest.raises(ValueError, match="alpha"):
        ValkeyHybridRetriever(document_store=ValkeyDocumentStore(full_text=True), alpha=alpha)


def test_another_embedding_than_the_indexs_is_a_store_error(store: ValkeyDocumentStore) -> None:
    with pytest.raises(ValkeyDocumentStoreError, match="2 dimensions, the index has 4"):
        ValkeyHybridRetriever(document_store=store).run("fox", [1.0, 0.0])


def test_an_index_without_full_text_raises_a_clear_error_and_one_with_it_serves_all(
    make_store: MakeStore, store: ValkeyDocumentStore
) -> None:
    plain = make_store(full_text=False)  # of the same index, which has it
    assert plain.count_documents() == len(DOCUMENTS)
    assert ids(ValkeyEmbeddingRetriever(document_store=plain).run(EAST))[0] == "dog"
    plain.delete_all_documents(recreate_index=True)
    plain.write_documents(DOCUMENTS)
    with pytest.raises(ValkeyDocumentStoreError, match="full_text=True"):
        plain._text_retrieval("fox")
    later = make_store()  # asks for what the index has not
    with pytest.raises(ValkeyDocumentStoreError, match="full_text"):
        ValkeyTextRetriever(document_store=later).run("fox")


def test_an_outage_never_reads_as_finding_nothing() -> None:
    with start_server() as server:
        settings: dict[str, Any] = {"embedding_dim": 4, "retry_attempts": 0, "full_text": True}
        store = ValkeyDocumentStore([(server.host, server.port)], **settings)
        store.write_documents(DOCUMENTS)
        text = ValkeyTextRetriever(document_store=store)
        hybrid = ValkeyHybridRetriever(document_store=store)
        server.kill()
        runs: list[Run] = [lambda: text.run("fox"), lambda: hybrid.run("fox", EAST)]
        for run in runs:
            with pytest.raises(ValkeyDocumentStoreError) as caught:
                run()
            assert isinstance(caught.value.__cause__, ConnectionError)
        store.close()


# -- pipelines ----------------------------------------------------------------------------------------


@component
class Embedder:
    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        return {"embedding": EAST if "east" in text else [0.0, 1.0, 0.0, 0.0]}


async def test_a_hybrid_pipeline_writes_searches_and_runs_async(make_store: MakeStore) -> None:
    store = make_store()
    indexing = Pipeline()
    indexing.add_component("writer", DocumentWriter(store))
    indexing.run({"writer": {"documents": DOCUMENTS}})
    made = AwaitedPipeline()
    made.add_component("embedder", Embedder())
    made.add_component("hybrid", ValkeyHybridRetriever(document_store=store, top_k=1))
    made.add_component("text", ValkeyTextRetriever(document_store=store, filters=BELOW_FOUR))
    made.connect("embedder.embedding", "hybrid.query_embedding")
    question = {
        "embedder": {"text": "sleeping dogs, east"},
        "hybrid": {"query": "sleeping dogs, east"},
        "text": {"query": "sleeping"},
    }
    for answer in (await asyncio.to_thread(made.run, question), await made.run_async(question)):
        assert ids(answer["hybrid"]) == ["dog"]
        assert ids(answer["text"]) == ["dog"]


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_a_pipeline_survives_being_written_down(
    store: ValkeyDocumentStore, alpha: float | None
) -> None:
    made = Pipeline()
    shared: dict[str, Any] = {
        "document_store": store,
        "top_k": 2,
        "filter_policy": FilterPolicy.MERGE,
    }
    made.add_component("hybrid", ValkeyHybridRetriever(**shared, alpha=alpha))
    made.add_component("text", ValkeyTextRetriever(**shared, filters=BELOW_FOUR))
    text = made.dumps()
    loaded = Pipeline.loads(text)
    assert loaded.dumps() == text
    hybrid = loaded.get_component("hybrid")
    assert isinstance(hybrid, ValkeyHybridRetriever)
    assert hybrid.alpha == alpha
    assert hybrid.filter_policy is FilterPolicy.MERGE
    assert hybrid.document_store.full_text
    question = {"hybrid": {"query": "fox", "query_embedding": EAST}, "text": {"query": "running"}}
    before, after = made.run(question), loaded.run(question)
    assert before == after
    assert len(ids(after["hybrid"])) == 2
    assert ids(after["text"]) == ["fox"]
    hybrid.document_store.close()
    loaded.get_component("text").document_store.close()  # type: ignore[attr-defined]


def test_a_store_that_was_written_down_before_has_no_full_text() -> None:
    data = ValkeyDocumentStore().to_dict()
    del data["init_parameters"]["full_text"]
    assert not ValkeyDocumentStore.from_dict(data).full_text
