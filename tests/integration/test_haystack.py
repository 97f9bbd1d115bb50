"""`ValkeyDocumentStore` and `ValkeyEmbeddingRetriever`: what Haystack's own tests do not ask."""

from __future__ import annotations

import asyncio
import inspect
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from haystack import Document, Pipeline, component
from haystack.components.writers import DocumentWriter
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy, FilterPolicy
from haystack.errors import FilterError
from haystack.utils import Secret

from haystack_integrations.components.retrievers.valkey import (
    ValkeyEmbeddingRetriever,
    ValkeyHybridRetriever,
    ValkeyTextRetriever,
)
from haystack_integrations.components.retrievers.valkey.retriever import ValkeyRetriever
from haystack_integrations.document_stores.valkey import (
    ValkeyDocumentStore,
    ValkeyDocumentStoreError,
)
from haystack_stores import MakeStore, opener
from haystack_versions import AwaitedPipeline
from servers import start_server
from valkey_vector import ValkeyVectorError


@pytest.fixture
def make_store(server_url: str, index_name: str, engine_name: str) -> Iterator[MakeStore]:
    with opener(url=server_url, index_name=index_name, engine=engine_name) as make:
        yield make


@pytest.fixture
def store(make_store: MakeStore) -> ValkeyDocumentStore:
    return make_store()


def compass() -> list[Document]:
    return [
        Document(id="opposite", content="opposite", embedding=[-1.0, 0, 0, 0], meta={"n": 1}),
        Document(id="same", content="same", embedding=[2.0, 0, 0, 0], meta={"n": 2}),
        Document(id="across", content="across", embedding=[0, 1.0, 0, 0], meta={"n": 3}),
        Document(id="plain", content="without an embedding", meta={"n": 4}),
    ]


DOCUMENTS = [
    Document(id="nothing"),
    Document(id="empty", content=""),
    Document(id="exact", content="x", embedding=[0.1, 1 / 3, 1e-300, -2.5]),
    Document(id="single", content="x", embedding=[0.5, 1.0, -2.0, 0.0]),
    Document(id="blob", blob=ByteStream(b"\x00\xff bytes", meta={"a": [1]}, mime_type="image/png")),
    Document(id="sparse", sparse_embedding=SparseEmbedding([1, 5], [0.1, 2.5]), content="s"),
    Document(
        id="all\n*", content="é\x00", meta={"a": {"b": [1, {"c": None}]}, "id": 5, "content": "m", "": 1.5},
        embedding=[0.1, 0.2, 0.3, 0.4], blob=ByteStream(b""), sparse_embedding=SparseEmbedding([], []),
    ),
]  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS, ids=[document.id for document in DOCUMENTS])
def test_a_document_is_returned_exactly(store: ValkeyDocumentStore, document: Document) -> None:
    store.write_documents([document])
    assert store.filter_documents() == [document]
    assert store.filter_documents({"field": "id", "operator": "==", "value": document.id}) == [
        document
    ]


@pytest.mark.parametrize(
    ("metric", "scores"),
    [
        ("cosine", [1.0, 0.0, -1.0]),
        ("l2", [0.5, 1 / (1 + 2**0.5), 1 / 3]),
        ("ip", [2.0, 0.0, -1.0]),
    ],
)
def test_scores_are_higher_for_what_is_nearer(
    make_store: MakeStore, metric: str, scores: list[float]
) -> None:
    store = make_store(distance_metric=metric)
    store.write_documents(compass())
    found = store._embedding_retrival([1.0, 0, 0, 0])
    assert [document.id for document in found] == ["same", "across", "opposite"]
    assert [document.score for document in found] == pytest.approx(scores, abs=1e-6)
    assert found[0].embedding == [2.0, 0, 0, 0]
    bare = store._embedding_retrieval([1.0, 0, 0, 0], with_embedding=False)
    assert [document.embedding for document in bare] == [None, None, None]


async def test_retrieval_takes_filters_and_limits(store: ValkeyDocumentStore) -> None:
    store.write_documents(compass())
    wanted = {"field": "meta.n", "operator": ">", "value": 1}
    for found in (
        store._embedding_retrival([1.0, 0, 0, 0], wanted, 1),
        await store._embedding_retrival_async([1.0, 0, 0, 0], wanted, 1),
    ):
        assert [document.id for document in found] == ["same"]
    assert store._embedding_retrieval([1.0, 0, 0, 0], limit=0) == []
    with pytest.raises(ValueError, match="negative"):
        store._embedding_retrieval([1.0, 0, 0, 0], limit=-1)


def test_more_than_ten_documents_are_filtered_retrieved_and_counted(
    store: ValkeyDocumentStore,
) -> None:
    documents = [
        Document(id=str(n), content=f"{n}", embedding=[1.0, n, 0, 0], meta={"n": n})
        for n in range(250)
    ]
    assert store.write_documents(documents) == 250
    assert store.filter_documents() == documents
    assert len(store._embedding_retrieval([1.0, 0, 0, 0], limit=200)) == 200
    wanted = {"field": "meta.n", "operator": "<", "value": 100}
    assert store.count_documents_by_filter(wanted) == 100


def test_an_id_that_occurs_twice_in_a_call_is_as_written_one_after_the_other(
    store: ValkeyDocumentStore,
) -> None:
    twice = [Document(id="1", content="first"), Document(id="2"), Document(id="1", content="last")]
    with pytest.raises(DuplicateDocumentError, match="'1'"):
        store.write_documents(twice, DuplicatePolicy.FAIL)
    assert store.count_documents() == 0
    assert store.write_documents(twice, DuplicatePolicy.SKIP) == 2
    assert {document.id: document.content for document in store.filter_documents()} == {
        "1": "first",
        "2": None,
    }
    assert store.write_documents(twice, DuplicatePolicy.OVERWRITE) == 3
    assert (
        store.filter_documents({"field": "id", "operator": "==", "value": "1"})[0].content == "last"
    )


@pytest.mark.parametrize("policy", [DuplicatePolicy.SKIP, DuplicatePolicy.FAIL])
def test_of_many_threads_that_write_a_document_one_succeeds(
    store: ValkeyDocumentStore, policy: DuplicatePolicy
) -> None:
    store.write_documents([Document(id="there")])
    start = Barrier(8)

    def write(number: int) -> int:
        start.wait(10)
        try:
            return store.write_documents([Document(id="new", content=str(number))], policy)
        except DuplicateDocumentError:
            return 0

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(write, range(8))) == 1


@pytest.mark.parametrize("wrong", ["text", None, (), {}, [None], [{"id": "1"}], [Document(), "x"]])
async def test_anything_but_a_list_of_documents_is_a_value_error(
    store: ValkeyDocumentStore, wrong: Any
) -> None:
    with pytest.raises(ValueError, match="documents"):
        store.write_documents(wrong)
    with pytest.raises(ValueError, match="documents"):
        await store.write_documents_async(wrong)
    assert store.count_documents() == 0


@pytest.mark.parametrize(
    "bad",
    [
        Document(id="bad", embedding=[1.0, 2.0]),
        Document(id="bad", embedding=[float("nan")] * 4),
        Document(id="bad", embedding=["a"] * 4),  # type: ignore[list-item]
        Document(id="bad", meta={"k": object()}),
    ],
)
def test_a_document_that_cannot_be_stored_is_named_and_none_is_written(
    store: ValkeyDocumentStore, bad: Document
) -> None:
    with pytest.raises(ValkeyDocumentStoreError, match="'bad'") as caught:
        store.write_documents([Document(id="good"), bad])
    assert isinstance(caught.value.__cause__, ValkeyVectorError)
    assert store.count_documents() == 0


def test_ids_that_are_not_stored_are_logged(
    store: ValkeyDocumentStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    store.write_documents([Document(id="1")])
    store.delete_documents(["1", "2", "3"])
    assert "2 of 3 documents" in caplog.text
    assert store.count_documents() == 0
    caplog.clear()
    store.delete_documents([])
    assert caplog.text == ""


def test_deleting_by_no_filter_is_refused(store: ValkeyDocumentStore) -> None:
    store.write_documents([Document(id="1")])
    with pytest.raises(ValueError, match="delete_all_documents"):
        store.delete_by_filter({})
    assert store.count_documents() == 1


def test_metadata_is_summarised_with_lists_and_nested_items(store: ValkeyDocumentStore) -> None:
    store.write_documents(
        [
            Document(id="1", meta={"tags": ["a", "b"], "x": {"y": 3}, "mixed": 1, "f": 1}),
            Document(
                id="2", meta={"tags": ["b"], "x": {"y": 5}, "mixed": "s", "f": 1.5, "none": None}
            ),
        ]
    )
    info = {name: kind["type"] for name, kind in store.get_metadata_fields_info().items()}
    assert info == {"tags": "keyword", "x": "object", "mixed": "mixed", "f": "float"}
    assert store.get_metadata_field_min_max("meta.x.y") == {"min": 3, "max": 5}
    assert store.get_metadata_field_unique_values("tags") == (["a", "b"], 2)
    with pytest.raises(ValueError, match="'mixed'"):
        store.get_metadata_field_min_max("mixed")


def test_an_outage_raises_and_never_reads_as_an_empty_store() -> None:
    with start_server() as server:
        store = ValkeyDocumentStore([(server.host, server.port)], embedding_dim=4, retry_attempts=0)
        store.write_documents(compass())
        server.kill()
        wanted = {"field": "meta.n", "operator": ">", "value": 1}
        uses: list[Callable[[], object]] = [
            store.count_documents,
            store.filter_documents,
            lambda: store.write_documents([Document()]),
            lambda: store.delete_documents(["1"]),
            store.delete_all_documents,
            lambda: store.delete_by_filter(wanted),
            lambda: store.update_by_filter(wanted, {"a": 1}),
            lambda: store.count_documents_by_filter(wanted),
            store.get_metadata_fields_info,
            lambda: store._embedding_retrival([1.0, 0, 0, 0]),
        ]
        for use in uses:
            with pytest.raises(ValkeyDocumentStoreError) as caught:
                use()
            assert isinstance(caught.value.__cause__, ConnectionError)
        store.close()


@pytest.mark.parametrize(
    "settings", [{"index_name": "a b"}, {"url": "http://host"}, {"engine": "fast"}]
)
def test_a_setting_that_the_core_refuses_is_a_store_error_that_names_it(
    settings: dict[str, Any],
) -> None:
    store = ValkeyDocumentStore(**settings)
    for use in (store.count_documents, store.filter_documents, store.delete_all_documents):
        with pytest.raises(ValkeyDocumentStoreError, match=r"a b|begin with one of|fast"):
            use()


def test_another_dimension_than_the_indexs_is_a_store_error(make_store: MakeStore) -> None:
    make_store().write_documents([Document(id="1", embedding=[1.0, 0, 0, 0])])
    with pytest.raises(ValkeyDocumentStoreError, match="dimension"):
        make_store(embedding_dim=5).count_documents()


def test_nothing_is_connected_before_the_first_operation() -> None:
    store = ValkeyDocumentStore([("nowhere.invalid", 1)])
    ValkeyEmbeddingRetriever(document_store=store)
    store.to_dict()
    store.close()


async def test_the_store_works_in_a_second_event_loop_and_after_closing(
    store: ValkeyDocumentStore,
) -> None:
    await store.write_documents_async(compass())

    def count() -> int:
        return asyncio.run(store.count_documents_async())

    assert await asyncio.to_thread(count) == 4
    assert await asyncio.to_thread(count) == 4
    await store.close_async()
    assert store.count_documents() == 4


def test_the_private_server_needs_no_url_but_its_own() -> None:
    store = ValkeyDocumentStore(url="embedded://", embedding_dim=4, index_name="private")
    store.write_documents(compass())
    assert store.count_documents() == 4
    store.delete_all_documents()
    store.close()


def test_every_operation_has_an_async_version_with_the_same_parameters() -> None:
    found = dict(inspect.getmembers(ValkeyDocumentStore, inspect.isfunction))
    operations = [
        name
        for name in found
        if not name.startswith("__")
        and not name.endswith("_async")
        and name not in ("to_dict", "_done", "_metadata", "_ranked")
    ]
    assert len(operations) >= 14
    for name in operations:
        twin = found[f"{name}_async"]
        assert inspect.iscoroutinefunction(twin), name
        assert inspect.signature(twin) == inspect.signature(found[name]), name


# -- embeddings, names and existence --------------------------------------------------------------------


async def test_retrievers_return_embeddings_only_on_request(make_store: MakeStore) -> None:
    store = make_store(full_text=True)
    store.write_documents(compass())
    by_embedding: dict[str, Any] = {"query_embedding": [2.0, 0, 0, 0]}
    by_text: dict[str, Any] = {"query": "same"}
    retrievers: list[tuple[type[ValkeyRetriever], dict[str, Any]]] = [
        (ValkeyEmbeddingRetriever, by_embedding),
        (ValkeyTextRetriever, by_text),
        (ValkeyHybridRetriever, by_text | by_embedding),
    ]
    for kind, question in retrievers:
        bare: Any = kind(document_store=store, top_k=1)
        full: Any = kind(document_store=store, top_k=1, return_embedding=True)
        for retriever, asked, returned in (
            (bare, None, False),
            (bare, True, True),
            (full, None, True),
            (full, False, False),
        ):
            for answer in (
                retriever.run(**question, return_embedding=asked),
                await retriever.run_async(**question, return_embedding=asked),
            ):
                (document,) = answer["documents"]
                assert document.id == "same"
                assert document.embedding == ([2.0, 0, 0, 0] if returned else None)
        assert type(full).from_dict(full.to_dict()).return_embedding
        old = bare.to_dict()
        del old["init_parameters"]["return_embedding"]
        assert not type(bare).from_dict(old).return_embedding


def test_a_store_for_another_embedding_model_is_refused(make_store: MakeStore) -> None:
    make_store(embedding_model="small").write_documents(compass())
    with pytest.raises(ValkeyDocumentStoreError, match="'small'"):
        make_store(embedding_model="large").count_documents()
    assert make_store(embedding_model="small").count_documents() == 4


def test_an_index_that_must_exist_is_not_created(make_store: MakeStore) -> None:
    store = make_store(must_exist=True)
    for operation in (store.count_documents, lambda: store.write_documents(compass())):
        with pytest.raises(ValkeyDocumentStoreError, match="there is no index"):
            operation()
    make_store().write_documents(compass())
    assert store.count_documents() == 4
    loaded = ValkeyDocumentStore.from_dict(store.to_dict())
    assert loaded.to_dict()["init_parameters"]["must_exist"] is True


# -- serialization ----------------------------------------------------------------------------------


def pipeline(store: ValkeyDocumentStore) -> Pipeline:
    made = Pipeline()
    made.add_component("writer", DocumentWriter(store))
    made.add_component(
        "retriever",
        ValkeyEmbeddingRetriever(
            document_store=store,
            filters={"field": "meta.n", "operator": ">", "value": 1},
            top_k=2,
            filter_policy=FilterPolicy.MERGE,
        ),
    )
    return made


@pytest.mark.parametrize("fields", [None, {"category": str, "priority": int}])
def test_a_pipeline_survives_being_written_down(
    make_store: MakeStore, fields: dict[str, Any] | None
) -> None:
    store = make_store(metadata_fields=fields, algorithm="FLAT")
    store.write_documents(compass())
    text = pipeline(store).dumps()
    loaded = Pipeline.loads(text)
    assert loaded.dumps() == text
    retriever = loaded.get_component("retriever")
    writer = loaded.get_component("writer")
    assert isinstance(retriever, ValkeyEmbeddingRetriever)
    assert isinstance(writer, DocumentWriter)
    found = retriever.run(query_embedding=[1.0, 0, 0, 0])
    assert [document.id for document in found["documents"]] == ["same", "across"]
    assert retriever.filter_policy is FilterPolicy.MERGE
    assert retriever.document_store._metadata_fields == fields
    retriever.document_store.close()
    writer.document_store.close()  # type: ignore[attr-defined]


def test_every_setting_survives_being_written_down() -> None:
    store = ValkeyDocumentStore(
        [("a", 1), ("b", 2)],
        cluster_mode=True,
        use_tls=True,
        username=Secret.from_env_var("A_USER"),
        password=None,
        request_timeout=1,
        retry_attempts=2,
        retry_base_delay_ms=3,
        retry_exponent_base=4,
        batch_size=5,
        index_name="i",
        distance_metric="l2",
        embedding_dim=6,
        metadata_fields={"a": str},
        engine="search",
        algorithm="FLAT",
        full_text=True,
    )
    data = store.to_dict()
    again = ValkeyDocumentStore.from_dict(data)
    assert again.to_dict() == data
    assert again._settings == store._settings
    assert set(data["init_parameters"]) == set(inspect.signature(ValkeyDocumentStore).parameters)


def test_no_secret_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALKEY_PASSWORD", "hunter2")
    assert "hunter2" not in str(ValkeyDocumentStore().to_dict())
    with pytest.raises(ValueError, match="token"):
        ValkeyDocumentStore(password=Secret.from_token("hunter2")).to_dict()
    with pytest.raises(ValueError, match="URL contains a password") as caught:
        ValkeyDocumentStore(url="valkey://user:hunter2@host").to_dict()
    assert "hunter2" not in str(caught.value)


def test_the_settings_of_the_documented_constructor_are_used() -> None:
    store = ValkeyDocumentStore(
        [("h", 7000)], request_timeout=800, retry_attempts=5, retry_base_delay_ms=20,
        retry_exponent_base=3, batch_size=10, password=Secret.from_token("p"), use_tls=True,
    )  # fmt: skip
    settings = store._settings.connect().settings
    assert [str(address) for address in settings.addresses] == ["h:7000"]
    assert settings.request_timeout == pytest.approx(1.0)  # 800 ms and 20 for each of a batch
    assert (settings.retries, settings.retry_delay, settings.retry_factor) == (5, 0.02, 3)
    assert settings.password == "p"
    assert settings.tls is not None
    default = ValkeyDocumentStore()._settings.connect().settings
    assert [str(address) for address in default.addresses] == ["localhost:6379"]
    assert default.cluster is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"distance_metric": "dot"},
        {"nodes_list": [("h", 1)], "url": "valkey://h"},
        {"use_tls": True, "url": "valkey://h"},
        {"cluster_mode": True, "url": "valkey://h"},
        {"full_text": {"language": "english"}},
    ],
)
def test_a_wrong_setting_is_a_value_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"distance_metric|not both|valkeys://|full_text"):
        ValkeyDocumentStore(**wrong)


@pytest.mark.parametrize(
    ("url", "user", "password"),
    [
        ("valkey://h", "ann", "hunter2"),
        ("valkey://bob:other@h", "bob", "other"),
        ("valkey://:other@h", None, "other"),
        ("embedded://", None, None),
    ],
)
def test_the_secrets_are_those_of_a_url_that_has_none(
    url: str, user: str | None, password: str | None
) -> None:
    secrets: dict[str, Any] = {
        "username": Secret.from_token("ann"),
        "password": Secret.from_token("hunter2"),
    }
    settings = ValkeyDocumentStore(url=url, **secrets)._settings.connect().settings
    assert (settings.username, settings.password) == (user, password)


# -- the retriever -----------------------------------------------------------------------------------


async def test_the_retriever_merges_or_replaces_filters(store: ValkeyDocumentStore) -> None:
    store.write_documents(compass())
    own = {"field": "id", "operator": "!=", "value": "opposite"}
    given = {"field": "meta.n", "operator": "<", "value": 3}
    for policy, expected in (("replace", ["same", "opposite"]), ("merge", ["same"])):
        retriever = ValkeyEmbeddingRetriever(
            document_store=store, filters=own, filter_policy=policy
        )
        for found in (
            retriever.run([1.0, 0, 0, 0], filters=given),
            await retriever.run_async([1.0, 0, 0, 0], filters=given),
        ):
            assert [document.id for document in found["documents"]] == expected
    assert retriever.run([1.0, 0, 0, 0], top_k=0) == {"documents": []}
    assert len(retriever.run([1.0, 0, 0, 0], top_k=1)["documents"]) == 1


def test_the_retriever_takes_no_other_store_and_no_negative_count() -> None:
    with pytest.raises(ValueError, match="InMemoryDocumentStore"):
        ValkeyEmbeddingRetriever(document_store=InMemoryDocumentStore())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="top_k"):
        ValkeyEmbeddingRetriever(document_store=ValkeyDocumentStore(), top_k=-1)


@component
class Embedder:
    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        return {"embedding": [1.0, 0, 0, 0] if text == "east" else [0, 1.0, 0, 0]}


async def test_a_pipeline_runs_and_is_awaited(store: ValkeyDocumentStore) -> None:
    store.write_documents(compass())
    made = AwaitedPipeline()
    made.add_component("embedder", Embedder())
    made.add_component("retriever", ValkeyEmbeddingRetriever(document_store=store, top_k=1))
    made.connect("embedder.embedding", "retriever.query_embedding")
    for answer in (
        await asyncio.to_thread(made.run, {"embedder": {"text": "north"}}),
        await made.run_async({"embedder": {"text": "north"}}),
    ):
        assert [document.id for document in answer["retriever"]["documents"]] == ["across"]


# -- filters and installation ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"field": "meta.n", "operator": "~", "value": 1},
        {"field": "meta.n", "value": 1},
        {"field": "meta.n", "operator": "=="},
        {"operator": "XOR", "conditions": []},
        {"operator": "AND"},
        {"operator": "AND", "conditions": {"a": 1}},
        {"conditions": []},
        {"field": "meta.n", "operator": "in", "value": (1, 2)},
        {"field": "meta.n", "operator": ">", "value": "text"},
        {"field": "meta.n", "operator": "<", "value": [1]},
        {"field": "meta.n", "operator": "==", "value": object()},
        {"field": "embedding", "operator": "==", "value": [1.0]},
        {"field": 5, "operator": "==", "value": 1},
        ["AND"],
    ],
)
def test_a_filter_that_is_not_understood_is_haystacks_filter_error(
    store: ValkeyDocumentStore, wrong: Any
) -> None:
    for use in (
        lambda: store.filter_documents(wrong),
        lambda: store.delete_by_filter(wrong),
        lambda: store._embedding_retrieval([1.0, 0, 0, 0], wrong),
    ):
        with pytest.raises(FilterError):
            use()


def test_beside_the_existing_integration_the_import_error_names_the_cure(tmp_path: Path) -> None:
    other = tmp_path / "valkey_haystack-1.0.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: valkey-haystack\nVersion: 1.0.0\n"
    )
    program = (
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "import haystack_integrations.document_stores.valkey\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert (
        "ImportError: valkey-haystack 1.0.0 is installed together with valkey-vector"
        in ended.stderr
    )
    assert "pip uninstall valkey-haystack" in ended.stderr
