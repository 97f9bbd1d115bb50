"""LlamaIndex's vector store: what goes in comes back, is found, and is removed; with and without a URL."""

from __future__ import annotations

import copy
import enum
import logging
import math
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageDocument,
    ImageNode,
    IndexNode,
    MediaResource,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from llama_index.vector_stores.valkey import ValkeyVectorStore
from llamaindex_stores import DIMENSION, SERVERS, node, settings_of, vector_of
from round_trips import CommandLog
from valkey_vector import (
    Connection,
    F,
    IndexMismatchError,
    IndexNotFoundError,
    InvalidInputError,
    Record,
)


@pytest.fixture(params=SERVERS)
def store(request: pytest.FixtureRequest, index_name: str) -> Iterator[ValkeyVectorStore]:
    settings = settings_of(request.param, request)
    if request.param != "embedded":
        settings["engine"] = request.param
    made = ValkeyVectorStore(index_name=index_name, dimension=DIMENSION, **settings)
    yield made
    made.index.drop()
    made.close()


def only(key: str, value: Any, operator: FilterOperator = FilterOperator.EQ) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])


def near(text: str, k: int = 10, **fields: Any) -> VectorStoreQuery:
    return VectorStoreQuery(query_embedding=vector_of(text), similarity_top_k=k, **fields)


def ids_of(found: VectorStoreQueryResult | list[BaseNode]) -> list[str]:
    nodes = found.nodes if isinstance(found, VectorStoreQueryResult) else found
    return [one.node_id for one in nodes or []]


class OwnNode(TextNode):
    """A node of an application."""

    shelf: str = ""

    @classmethod
    def class_name(cls) -> str:
        return "TextNode"  # also in the way of those who go by names


SOURCE = Document(id_="whole", text="the whole text", metadata={"title": "t"})
RELATED = {
    NodeRelationship.SOURCE: SOURCE.as_related_node_info(),
    NodeRelationship.PREVIOUS: RelatedNodeInfo(node_id="before", metadata={"n": 1}, hash="x"),
    NodeRelationship.CHILD: [RelatedNodeInfo(node_id="c1"), RelatedNodeInfo(node_id="c2")],
}
METADATA: dict[str, Any] = {
    "doc_id": "mine", "ref_doc_id": "mine, too", "document_id": 5, "_node_content": "{}", "_node_type": "x",
    "content": "c", "id": "i", "vector": [1], "text": "t", "embedding": None, "parent": "p", "payload": "q",
    "nested": {"a": [1, {"b": None}], "doc_id": "n"}, "list": ["a", 1, True], "empty": [], "big": 10**30, "é\n": " ",
}  # fmt: skip
NODES: list[BaseNode] = [
    TextNode(
        text="a text",
        metadata=METADATA,
        relationships=RELATED,
        excluded_embed_metadata_keys=["id"],
        excluded_llm_metadata_keys=["text"],
        metadata_template="{key}={value}",
        metadata_separator="; ",
        text_template="{content} {metadata_str}",
        start_char_idx=3,
        end_char_idx=9,
        mimetype="text/markdown",
    ),
    TextNode(text=""),
    TextNode(text="ä\x00\n😀"),
    Node(
        text_resource=MediaResource(text="seen", mimetype="text/plain", path=Path("/a/b.txt")),
        image_resource=MediaResource(data=b"\x00\x01\xff no text", mimetype="image/png"),
        audio_resource=MediaResource(url="http://example.org/a.mp3"),  # type: ignore[arg-type]
        video_resource=MediaResource(embeddings={"dense": [0.5]}, path=Path("v.mp4")),
        extra_info={"n": 1},
    ),
    Node(image_resource=MediaResource(data=b"only an image")),
    Node(text_resource=MediaResource(text="")),
    Node(text_resource=MediaResource(path=Path("x.bin"))),
    Node(),
    SOURCE,
    Document(text_resource=MediaResource(text="d", data=b"raw")),
    ImageDocument(image_resource=MediaResource(path=Path("i.png")), text="of an image"),
    ImageNode(image="aGk=", image_mimetype="image/png", text="caption", text_embedding=[0.1]),
    IndexNode(text="to an index", index_id="idx"),
    IndexNode(text="to a node", index_id="idx", obj=TextNode(id_="inner", text="inner")),
    OwnNode(text="own", shelf="upper"),
]


@pytest.mark.parametrize(
    "given", NODES, ids=[f"{type(n).__name__} {i}" for i, n in enumerate(NODES)]
)
@pytest.mark.parametrize("embedded", [True, False], ids=["with embedding", "without"])
def test_a_node_comes_back_as_it_was(
    store: ValkeyVectorStore, given: BaseNode, embedded: bool
) -> None:
    written = given.model_copy(update={"embedding": vector_of("x") if embedded else None})
    before = written.model_copy(deep=True)
    assert store.add([written]) == [given.node_id]
    assert written == before
    (found,) = store.get_nodes([given.node_id])
    assert type(found) is type(given)
    assert found == written
    assert found.hash == given.hash
    assert found.ref_doc_id == given.ref_doc_id
    result = store.query(near("x"))
    assert result.ids == ([given.node_id] if embedded else [])
    if embedded:
        assert result.nodes == [given.model_copy(update={"embedding": None})]
        assert result.similarities == pytest.approx([1.0], abs=1e-5)


class Colour(str, enum.Enum):  # noqa: UP042 - what users have, and what formats otherwise
    RED = "red"


def test_metadata_that_json_lacks_is_filtered_as_llamaindex_writes_it(
    store: ValkeyVectorStore,
) -> None:
    given = {
        "day": date(2024, 1, 31), "at": datetime(2024, 1, 31, 12, tzinfo=UTC), "days": [date(2024, 1, 31)],
        "pair": (1, 2), "colour": Colour.RED, "id": UUID(int=1), "path": Path("/a"), "inf": math.inf, "of": {1: "x"},
    }  # fmt: skip
    store.add([node("n", metadata=given)])
    (found,) = store.get_nodes(["n"])
    assert found.metadata == {
        **given, "pair": [1, 2], "id": str(UUID(int=1)), "path": "/a", "of": {"1": "x"},
    }  # fmt: skip
    assert type(found.metadata["colour"]) is str
    for key, value in [("day", "2024-01-31"), ("at", "2024-01-31T12:00:00Z"), ("colour", "red")]:
        assert ids_of(store.query(near("n", filters=only(key, value)))) == ["n"]
    assert ids_of(store.get_nodes(filters=only("day", "2024-02", FilterOperator.LT))) == ["n"]
    store.index.update_metadata(["n"], {"day": "2025-01-01"})
    assert store.get_nodes(["n"])[0].metadata["day"] == "2025-01-01"
    assert store.get_nodes(["n"])[0].metadata["at"] == given["at"]


def test_what_cannot_be_stored_is_refused_by_name_and_nothing_is_stored(
    store: ValkeyVectorStore,
) -> None:
    bad: list[Any] = [
        node("bad", metadata={"x": object()}),
        node("bad", text="\ud800", embedding=vector_of("x")),
        node("bad", metadata={"x": "\ud800"}),
        node("bad", embedding=[1.0, math.nan, *([0.0] * (DIMENSION - 2))]),
        node("bad", embedding=[1.0]),
        IndexNode(id_="bad", index_id="i", obj=object()),
    ]
    for one in bad:
        with pytest.raises(ValueError, match="bad"):
            store.add([node("good"), one])
    with pytest.raises(InvalidInputError, match="node is needed, not a str"):
        store.add(["text"])  # type: ignore[list-item]
    assert store.get_nodes() == []


def test_an_embedding_of_another_dimension_is_refused(store: ValkeyVectorStore) -> None:
    store.add([node("n")])
    with pytest.raises(InvalidInputError, match="m"):
        store.add([node("m", embedding=[1.0, 2.0])])
    with pytest.raises(InvalidInputError, match="query"):
        store.query(VectorStoreQuery(query_embedding=[1.0, 2.0]))


def test_the_first_node_of_an_index_must_tell_the_dimension(
    server_url: str, index_name: str, engine_name: Any
) -> None:
    store = ValkeyVectorStore(server_url, index_name=index_name, engine=engine_name)
    with pytest.raises(ValueError, match="give dimension="):
        store.add([node("n", embedding=None)])
    store.add([node("n", embedding=None), node("m")])
    assert ids_of(store.get_nodes()) == ["n", "m"]
    store.close()


def test_of_an_id_written_twice_the_last_node_stays(store: ValkeyVectorStore) -> None:
    assert store.add([]) == []
    assert store.add([node("n", "first"), node("m"), node("n", "second")]) == ["n", "m", "n"]
    assert [found.get_content() for found in store.get_nodes(["n", "m"])] == ["second", "m"]
    store.add([node("n", "third", metadata={"new": 1})])
    assert ids_of(store.get_nodes(filters=only("new", 1))) == ["n"]
    assert store.index.count() == 2


def test_a_node_with_a_time_to_live_goes(store: ValkeyVectorStore) -> None:
    store.add([node("short")], ttl=0.2)
    store.add([node("long")])
    assert ids_of(store.get_nodes(["short"])) == ["short"]
    assert store.client.execute("PTTL", f"{store.index_name}:short") <= 200


@pytest.fixture
def library(store: ValkeyVectorStore) -> ValkeyVectorStore:
    """Twelve chunks of three documents; one of none."""
    store.add(
        [
            node(f"n{n}", source=f"doc{n % 3}", metadata={"n": n, "even": n % 2 == 0})
            for n in range(12)
        ]
    )
    store.add([node("lone", metadata={"n": 100, "doc_id": "doc0"})])
    return store


def test_restrictions_hold_together(library: ValkeyVectorStore) -> None:
    def found(**fields: Any) -> set[str]:
        return set(ids_of(library.query(near("n0", 20, **fields))))

    everything = {f"n{n}" for n in range(12)} | {"lone"}
    assert found() == everything
    assert found(doc_ids=["doc0"]) == {"n0", "n3", "n6", "n9"}
    assert found(doc_ids=["doc0", "doc1", "none"]) == {
        "n0", "n3", "n6", "n9", "n1", "n4", "n7", "n10",
    }  # fmt: skip
    assert found(doc_ids=[]) == set()
    assert found(node_ids=[]) == everything  # what an index sends whose store has the texts
    assert found(node_ids=[], doc_ids=[]) == set()
    assert found(node_ids=["n0", "n1", "missing"]) == {"n0", "n1"}
    assert found(node_ids=["n0", "n1"], doc_ids=["doc0"]) == {"n0"}
    assert found(doc_ids=["doc0"], filters=only("n", 3, FilterOperator.GT)) == {"n6", "n9"}
    assert found(
        node_ids=["n6", "n3"], doc_ids=["doc0"], filters=only("n", 3, FilterOperator.GT)
    ) == {"n6"}
    assert found(filters=MetadataFilters(filters=[])) == everything
    assert found(filters=only("even", 1)) == {f"n{n}" for n in range(0, 12, 2)}
    assert found(filters=only("doc_id", "doc0")) == {"n0", "n3", "n6", "n9", "lone"}
    assert found(filters=only("ref_doc_id", "doc0")) == {"n0", "n3", "n6", "n9"}
    assert len(library.query(near("n0", 5)).ids or []) == 5


def test_similarities_are_higher_the_nearer(library: ValkeyVectorStore) -> None:
    result = library.query(near("n0", 20))
    assert result.ids is not None
    assert result.ids[0] == "n0"
    assert result.similarities == sorted(result.similarities or [], reverse=True)
    assert result.similarities[0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("L2", [1.0, 1 / 2]), ("IP", [2.0, 1.0]), ("COSINE", [1.0, 1 / math.sqrt(2)])],
)
def test_every_metric_has_its_similarity(
    server_url: str, index_name: str, engine_name: Any, metric: str, expected: list[float]
) -> None:
    store = ValkeyVectorStore(server_url, index_name=index_name, engine=engine_name, metric=metric)
    store.add([node("a", embedding=[1.0, 1.0]), node("b", embedding=[1.0, 0.0])])
    query = VectorStoreQuery(query_embedding=[1.0, 1.0], similarity_top_k=2)
    result = store.query(query)
    assert result.ids == ["a", "b"]
    assert result.similarities == pytest.approx(expected, abs=1e-6)
    query.mode = VectorStoreQueryMode.MMR
    assert ids_of(store.query(query, mmr_threshold=1)) == ["a", "b"]
    store.close()


def test_what_is_asked_for_is_brought(library: ValkeyVectorStore) -> None:
    def brought(*fields: str) -> BaseNode:
        (found,) = library.query(near("n0", 1, output_fields=list(fields))).nodes or []
        assert found.node_id == "n0"
        assert found.ref_doc_id == "doc0"
        return found

    (plain,) = library.query(near("n0", 1)).nodes or []
    assert plain == node("n0", source="doc0", metadata={"n": 0, "even": True}, embedding=None)
    everything = brought("text", "metadata", "embedding")
    assert everything == node("n0", source="doc0", metadata={"n": 0, "even": True})
    bare = brought("embedding")
    assert (bare.get_content(), bare.metadata, bare.embedding) == ("", {}, vector_of("n0"))
    assert brought("n", "unknown").metadata == {"n": 0}
    assert brought("text").get_content() == "n0"
    assert brought().metadata == {}


def test_nodes_are_removed_by_their_source(library: ValkeyVectorStore) -> None:
    library.delete("doc0")
    library.delete("never there")
    assert set(ids_of(library.get_nodes())) == {
        "n1", "n2", "n4", "n5", "n7", "n8", "n10", "n11", "lone",
    }  # fmt: skip


@pytest.mark.parametrize(
    "source", ["*", "a*", "doc|1", "{x}", "é ü", "a b", "-", "@tags:{x}", "x" * 3000]
)
def test_any_source_is_removed_alone(store: ValkeyVectorStore, source: str) -> None:
    store.add([node("a", source=source), node("b", source=f"{source}!"), node("c", source="other")])
    store.add([node("d", metadata={"ref_doc_id": source, "doc_id": source, "parent": source})])
    store.delete(source)
    assert ids_of(store.get_nodes()) == ["b", "c", "d"]


def test_a_source_of_more_nodes_than_a_search_brings_is_removed_whole(
    server_url: str, index_name: str, engine_name: Any
) -> None:
    store = ValkeyVectorStore(server_url, index_name=index_name, engine=engine_name)
    store.add([node(f"n{n}", source="big", embedding=[1.0, float(n)]) for n in range(10_500)])
    store.add([node("rest", source="small", embedding=[1.0, 1.0])])
    store.delete("big")
    assert ids_of(store.get_nodes()) == ["rest"]
    store.close()


def test_nodes_are_removed_by_id_and_filter(library: ValkeyVectorStore) -> None:
    library.delete_nodes(["n0", "missing"])
    library.delete_nodes(["n1", "n2"], only("n", 2))
    library.delete_nodes(filters=only("n", 8, FilterOperator.GTE))
    assert ids_of(library.get_nodes()) == ["n1", "n3", "n4", "n5", "n6", "n7"]
    library.delete_nodes([])
    library.delete_nodes([], only("n", 1))
    for filters in (None, MetadataFilters(filters=[])):
        with pytest.raises(ValueError, match="clear"):
            library.delete_nodes(filters=filters)
    assert library.index.count() == 6
    library.clear()
    assert library.get_nodes() == []
    assert library.index.exists()


def test_nodes_are_got_by_id_and_filter(library: ValkeyVectorStore) -> None:
    assert ids_of(library.get_nodes(["n5", "missing", "n1", "n5"])) == ["n5", "n1", "n5"]
    assert ids_of(library.get_nodes(["n5", "n1"], only("n", 5))) == ["n5"]
    assert ids_of(library.get_nodes(["n5", "n1"], only("n", 9, FilterOperator.LT))) == ["n5", "n1"]
    assert library.get_nodes([]) == []
    assert library.get_nodes([], only("n", 1)) == []
    assert ids_of(library.get_nodes(filters=only("n", 2, FilterOperator.LTE))) == ["n0", "n1", "n2"]


def test_a_node_without_an_embedding_is_found_by_all_but_vectors(store: ValkeyVectorStore) -> None:
    store.add([node("with", source="d"), node("without", source="d", embedding=None)])
    assert ids_of(store.query(near("without"))) == ["with"]
    assert [found.embedding for found in store.get_nodes(["without"])] == [None]
    store.delete_nodes(["with"])
    assert ids_of(store.get_nodes(filters=only("ref_doc_id", "d"))) == ["without"]
    store.delete("d")
    assert store.get_nodes() == []


def test_what_was_never_written_is_empty(store: ValkeyVectorStore) -> None:
    assert store.query(near("x")) == VectorStoreQueryResult(nodes=[], similarities=[], ids=[])
    mmr = near("x", mode=VectorStoreQueryMode.MMR)
    assert store.query(mmr) == VectorStoreQueryResult(nodes=[], similarities=[], ids=[])
    assert store.get_nodes() == []
    store.delete("x")
    store.delete_nodes(["x"])
    store.clear()


@pytest.mark.parametrize(
    "mode",
    sorted(set(VectorStoreQueryMode) - {VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR}),
)
def test_another_mode_is_refused(library: ValkeyVectorStore, mode: VectorStoreQueryMode) -> None:
    with pytest.raises(ValueError, match=f"{mode.value}.*default and mmr"):
        library.query(near("n0", mode=mode, query_str="n0"))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"query_embedding": None}, "query_embedding"),
        ({"embedding_field": "other"}, "embedding_field"),
        ({"similarity_top_k": 0}, "whole number"),
        ({"similarity_top_k": 0, "mode": "mmr"}, "whole number"),
        ({"mode": "fuzzy"}, "fuzzy"),
        ({"mode": "mmr", "mmr_threshold": 1.5}, "mmr_threshold"),
        ({"filters": MetadataFilters.model_construct(filters=["x"], condition=None)}, "str"),
    ],
)
def test_a_query_that_cannot_be_answered_is_refused(
    library: ValkeyVectorStore, fields: dict[str, Any], named: str
) -> None:
    query = near("n0")
    for name, value in fields.items():
        setattr(query, name, value)
    with pytest.raises(ValueError, match=named):
        library.query(query)


def test_a_keyword_that_means_nothing_is_refused(library: ValkeyVectorStore) -> None:
    with pytest.raises(TypeError, match="mmr_threshold"):
        library.query(near("n0"), mmr_threshold=0.5)
    mmr = near("n0", mode=VectorStoreQueryMode.MMR)
    with pytest.raises(TypeError, match="tenant"):
        library.query(mmr, tenant="a")
    with pytest.raises(ValueError, match="not both"):
        library.query(mmr, mmr_prefetch_k=5, mmr_prefetch_factor=2)


def test_the_threshold_of_mmr_arrives_both_ways(library: ValkeyVectorStore) -> None:
    simple = SimpleVectorStore()
    simple.add(library.get_nodes())

    def same(by_query: float | None, expected: float | None, **keywords: Any) -> None:
        query = near("question", 6, mode=VectorStoreQueryMode.MMR, mmr_threshold=by_query)
        answer, reference = (
            library.query(query, **keywords),
            simple.query(query, mmr_threshold=expected),
        )
        assert answer.ids == reference.ids
        assert answer.similarities == pytest.approx(reference.similarities, abs=1e-5)

    same(None, 0.5)
    same(0.1, 0.1)
    same(0.1, 0.9, mmr_threshold=0.9)
    same(0.1, 0.5, mmr_threshold=None)
    same(None, 1.0, mmr_threshold=1.0)
    same(1.0, 1.0)


def test_mmr_chooses_among_as_many_as_told(library: ValkeyVectorStore) -> None:
    ranked = ids_of(library.query(near("n0", 20)))
    query = near("n0", 3, mode=VectorStoreQueryMode.MMR, mmr_threshold=0.0)
    for keywords, of in (({"mmr_prefetch_k": 4}, 4), ({"mmr_prefetch_factor": 2}, 6)):
        vectors = [vector_of(id) for id in ranked[:of]]
        _, expected = get_top_k_mmr_embeddings(
            vector_of("n0"),
            vectors,
            similarity_top_k=3,
            embedding_ids=ranked[:of],
            mmr_threshold=0.0,
        )
        assert library.query(query, **keywords).ids == expected


def test_mmr_heeds_restrictions_and_output_fields(library: ValkeyVectorStore) -> None:
    query = near(
        "n0", 3, mode=VectorStoreQueryMode.MMR, doc_ids=["doc1"], output_fields=["embedding"]
    )
    result = library.query(query)
    assert set(result.ids or []) < {"n1", "n4", "n7", "n10"}
    assert [found.embedding for found in result.nodes or []] == [
        vector_of(id) for id in result.ids or []
    ]
    query.output_fields = None
    assert all(found.embedding is None for found in library.query(query).nodes or [])


def test_a_query_is_one_round_trip_that_brings_no_vectors(
    server_url: str, index_name: str, engine_name: Any, commands: CommandLog
) -> None:
    store = ValkeyVectorStore(server_url, index_name=index_name, engine=engine_name)
    store.add([node(f"n{n}", source=f"d{n % 2}", metadata={"n": n}) for n in range(20)])
    store.query(near("n0"))
    commands.clear()
    filters = MetadataFilters(
        filters=[
            MetadataFilter(key="n", value=[1, 2, 3], operator=FilterOperator.IN),
            MetadataFilters(filters=[MetadataFilter(key="n", value=2)], condition="not"),  # type: ignore[arg-type]
        ]
    )
    assert set(ids_of(store.query(near("n0", 2, filters=filters, doc_ids=["d1"])))) == {"n1", "n3"}
    assert len(commands.round_trips) == 1
    (command,) = commands.round_trips[0]
    if engine_name == "search":
        returned = command[command.index(b"RETURN") :]
        assert b"vector" not in returned
    commands.clear()
    store.delete("d0")
    assert "KEYS" not in commands.names()
    assert "FT.INFO" not in commands.names()
    store.close()


def test_a_range_of_dates_as_text_is_found_among_few_candidates(
    server_url: str, index_name: str, engine_name: Any, commands: CommandLog
) -> None:
    store = ValkeyVectorStore(server_url, index_name=index_name, engine=engine_name)
    first = date(2020, 1, 1)
    store.add(
        [
            node(f"n{n}", metadata={"day": f"{first + timedelta(days=n)}T12:00:00Z"})
            for n in range(3000)
        ]
    )
    store.query(near("n0"))
    commands.clear()
    filters = MetadataFilters(
        filters=[
            MetadataFilter(key="day", value="2024-02-01", operator=FilterOperator.GTE),
            MetadataFilter(key="day", value="2024-02-03", operator=FilterOperator.LT),
        ]
    )
    found = store.query(near("n0", filters=filters, output_fields=["day"]))
    assert sorted(each.metadata["day"] for each in found.nodes or []) == [
        "2024-02-01T12:00:00Z", "2024-02-02T12:00:00Z",
    ]  # fmt: skip
    assert len(commands.round_trips) <= 3
    store.close()


def test_persisting_asks_nothing_of_the_server(
    library: ValkeyVectorStore, commands: CommandLog
) -> None:
    commands.clear()
    library.persist("somewhere.json")
    assert commands.names() == []


def test_records_of_others_are_read_as_text_nodes(store: ValkeyVectorStore) -> None:
    store.index.upsert(
        [
            Record(id="a", content="text", vector=vector_of("a"), metadata={"n": 1}, parent="p"),
            Record(id="b", payload=b'{"blob": 1}\x00\xff'),  # as Haystack's
        ]
    )
    found, bare = store.get_nodes(["a", "b"])
    assert type(found) is TextNode
    assert (found.text, found.metadata, found.ref_doc_id) == ("text", {"n": 1}, "p")
    assert found.embedding == vector_of("a")
    assert bare == TextNode(id_="b")


def test_a_class_that_is_gone_is_read_as_the_nearest_of_llamaindex(
    store: ValkeyVectorStore, caplog: pytest.LogCaptureFixture
) -> None:
    def made() -> ImageNode:
        class Gone(ImageNode):
            shelf: str = "x"

        return Gone(id_="g", image_url="http://example.org/x.png")

    store.add([made()])
    record = store.index.get(["g"], with_payloads=True)[0]
    assert record is not None
    assert record.payload is not None
    store.index.upsert(
        [Record(id="g", payload=record.payload.replace(b"Gone", store.index_name.encode()))]
    )
    with caplog.at_level(logging.WARNING):
        (found,) = store.get_nodes(["g"])
        store.get_nodes(["g"])
    assert type(found) is ImageNode
    assert found.image_url == "http://example.org/x.png"
    assert caplog.text.count(store.index_name) == 1


def test_settings_are_those_of_an_index(server_url: str, index_name: str, engine_name: Any) -> None:
    with pytest.raises(IndexNotFoundError):
        ValkeyVectorStore(server_url, index_name=index_name, must_exist=True)
    made = ValkeyVectorStore(
        server_url, index_name=index_name, engine=engine_name, dimension=2, metric="l2", algorithm="FLAT",
        embedding_model="m",
    )  # fmt: skip
    made.index.create()
    info = made.index.info()
    assert (info.dimension, info.metric, info.engine) == (2, "L2", engine_name)
    again = ValkeyVectorStore(server_url, index_name=index_name, must_exist=True)
    assert again.index.metric == "L2"
    other = ValkeyVectorStore(server_url, index_name=index_name, metric="IP")
    with pytest.raises(IndexMismatchError, match="metric"):
        other.get_nodes(["x"])
    shaped = ValkeyVectorStore(
        server_url, index_name=index_name, index_schema={"dimension": 3, "metric": "L2"}
    )
    with pytest.raises(IndexMismatchError, match="dimension"):
        shaped.get_nodes(["x"])
    for store in (made, again, other, shaped):
        store.close()
    bad: list[dict[str, Any]] = [
        {"metric": "x"}, {"engine": "x"}, {"index_name": "a:b"}, {"url": "http://x"},
    ]  # fmt: skip
    for wrong in bad:
        with pytest.raises(ValueError, match=r"x|a:b|begins"):
            ValkeyVectorStore(**wrong)


def test_the_store_is_written_down_without_its_password(index_name: str) -> None:
    url = "valkey://me:hunter2@localhost:1/3"
    store = ValkeyVectorStore(
        url, index_name=index_name, metric="ip", index_schema={"dimension": 3}
    )
    for text in (
        repr(store),
        str(store),
        store.to_json(),
        str(store.to_dict()),
        store.model_dump_json(),
    ):
        assert "hunter2" not in text
    described = store.to_dict()
    assert described["url"] == "valkey://me@localhost:1/3"
    assert described["class_name"] == "ValkeyVectorStore"
    again = ValkeyVectorStore.from_dict(described)
    assert again.to_dict() == described
    assert ValkeyVectorStore.from_json(store.to_json()).to_dict() == described
    replaced = ValkeyVectorStore.from_dict(described, url="valkey://me:other@localhost:1/3")
    assert replaced.client.settings.password == "other"
    copied: Callable[[ValkeyVectorStore], ValkeyVectorStore]
    for copied in (lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy, copy.copy):  # noqa: S301 - our own
        assert copied(store).client.settings.password == "hunter2"
        assert copied(store).to_dict() == described


def test_a_store_on_a_given_connection_is_not_written_down(
    server_url: str, index_name: str
) -> None:
    with Connection.open(server_url) as connection:
        store = ValkeyVectorStore(connection=connection, index_name=index_name)
        assert store.client is connection
        store.add([node("n")])
        with pytest.raises(ValueError, match="make it with url="):
            store.to_dict()
        copied = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own
        assert ids_of(copied.get_nodes()) == ["n"]
        store.close()
        assert store.index.count(F.id == "n") == 1
    with pytest.raises(ValueError, match="not both"):
        ValkeyVectorStore("valkey://x", connection=connection)
