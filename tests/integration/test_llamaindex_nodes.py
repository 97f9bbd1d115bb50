"""LlamaIndex's nodes of any class are returned unchanged; nodes that cannot be stored are refused."""

from __future__ import annotations

import enum
import json
import logging
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
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
from llama_index.core.vector_stores.types import (
    FilterOperator,
    VectorStoreQuery,
)

from llama_index.vector_stores.valkey import ValkeyVectorStore
from llamaindex_stores import (
    DIMENSION,
    SERVERS,
    ids_of,
    near,
    node,
    only,
    opened,
    vector_of,
)
from valkey_vector import (
    InvalidInputError,
    Record,
)


@pytest.fixture(params=SERVERS)
def store(request: pytest.FixtureRequest, index_name: str) -> Iterator[ValkeyVectorStore]:
    with opened(request.param, request, index_name) as made:
        yield made


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
def test_a_node_is_returned_unchanged(
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
    with pytest.raises(InvalidInputError, match="must be a BaseNode, not a str"):
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


def payload_of(store: ValkeyVectorStore, given: BaseNode) -> bytes | None:
    store.add([given])
    (record,) = store.index.get([given.node_id], with_payloads=True)
    assert record is not None
    return record.payload


def test_a_plain_node_stores_nothing_beside_its_text_metadata_and_source(
    store: ValkeyVectorStore,
) -> None:
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="whole")}
    given = TextNode(id_="n", text="the text", metadata={"a": 1}, relationships=source)
    assert payload_of(store, given) is None
    assert store.get_nodes(["n"]) == [given]


def test_what_a_node_stores_beside_its_record_has_no_default_and_repeats_no_text(
    store: ValkeyVectorStore,
) -> None:
    source = {NodeRelationship.SOURCE: SOURCE.as_related_node_info()}
    given = TextNode(id_="n", text="the text", relationships=source, start_char_idx=3)
    payload = payload_of(store, given)
    assert payload is not None
    stored = json.loads(payload)["llama_index"]
    assert stored == {
        "node": {
            "relationships": {
                "1": {
                    "node_id": "whole",
                    "node_type": "4",
                    "metadata": {"title": "t"},
                    "hash": SOURCE.hash,
                }
            },
            "start_char_idx": 3,
        }
    }


OLD_DETAILS = (
    b""""excluded_embed_metadata_keys":[],"excluded_llm_metadata_keys":[],"relationships":"""
)
OLD_TEXT_NODE = (
    b"""{"llama_index":{"class":"llama_index.core.schema.TextNode","base":"TextNode","text":"text","node":{"""
    + OLD_DETAILS
    + b"""{"1":{"node_id":"s","node_type":null,"metadata":{},"hash":null,"class_name":"RelatedNodeInfo"}},"""
    b""""metadata_template":"{key}: {value}","metadata_separator":"\\n","mimetype":"text/plain","""
    b""""start_char_idx":null,"end_char_idx":null,"text_template":"{metadata_str}\\n\\n{content}"}}}"""
)
OLD_DOCUMENT = (
    b"""{"llama_index":{"class":"llama_index.core.schema.Document","base":"Document","text":"text_resource","node":{"""
    + OLD_DETAILS
    + b"""{},"metadata_template":"{key}: {value}","metadata_separator":"\\n","""
    b""""text_resource":{"embeddings":null,"path":null,"url":null,"mimetype":null},"image_resource":null,"""
    b""""audio_resource":null,"video_resource":null,"text_template":"{metadata_str}\\n\\n{content}"}}}"""
)


def test_nodes_that_repeat_their_defaults_are_read(store: ValkeyVectorStore) -> None:
    store.index.upsert(
        [
            Record(id="n", content="x", metadata={"a": 1}, parent="s", payload=OLD_TEXT_NODE),
            Record(id="d", content="y", payload=OLD_DOCUMENT),
        ]
    )
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="s")}
    assert store.get_nodes(["n", "d"]) == [
        TextNode(id_="n", text="x", metadata={"a": 1}, relationships=source),
        Document(id_="d", text="y"),
    ]


class OtherDefaults(TextNode):
    """A node whose defaults are not LlamaIndex's own."""

    text_template: str = "{content}!"
    mimetype: str = "text/html"


def test_a_class_with_defaults_of_its_own_keeps_values_that_are_llamaindexs_defaults(
    store: ValkeyVectorStore,
) -> None:
    usual, own = TextNode(), OtherDefaults(id_="own", text="t")
    given = OtherDefaults(
        id_="n", text="t", text_template=usual.text_template, mimetype=usual.mimetype
    )
    store.add([given, own])
    assert store.get_nodes(["n", "own"]) == [given, own]


def test_foreign_records_are_read_as_text_nodes(store: ValkeyVectorStore) -> None:
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


def test_a_class_that_was_removed_is_read_as_the_closest_class_of_llamaindex(
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
