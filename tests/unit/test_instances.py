"""Objects of the frameworks that are created without their constructors equal those of the constructors."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import date
from typing import Any, Self

import pytest
from langchain_core.documents import Document as LangChainDocument
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from pydantic import BaseModel, ValidationError

from haystack_integrations.document_stores.valkey import documents as haystack_documents
from langchain_valkey import documents as langchain_documents
from llama_index.vector_stores.valkey import nodes as llamaindex_nodes
from llama_index.vector_stores.valkey.simple_nodes import simple_record
from valkey_vector import Hit, Record
from valkey_vector.records.instances import are_alike, filler

METADATA = {"topic": "käse", "year": 2024, "list": [1, {"a": None}], "flag": True}

Convert = Callable[[Record], Any]

CONVERSIONS: dict[str, tuple[Any, Convert]] = {
    "langchain": (langchain_documents, langchain_documents.to_document),
    "langchain, scored": (
        langchain_documents,
        lambda record: langchain_documents.scored_documents([Hit(record=record, score=0.25)])[0][0],
    ),
    "haystack": (
        haystack_documents,
        lambda record: haystack_documents.from_hits([Hit(record=record, score=0.25)])[0],
    ),
    "llama_index": (llamaindex_nodes, llamaindex_nodes.to_node),
    "llama_index, found": (
        llamaindex_nodes,
        lambda record: llamaindex_nodes.to_nodes([record], ["text", "metadata"])[0],
    ),
}

RECORDS = [
    Record(id="a", content="text", metadata=METADATA),
    Record(id="a"),
    Record(id="ü", content="\x00", metadata={"": ""}, parent="source", vector=[0.5, 1.0]),
]


@pytest.fixture(params=list(CONVERSIONS))
def adapter(request: pytest.FixtureRequest) -> tuple[Any, Convert]:
    """The module of an adapter, and its conversion of a record."""
    return CONVERSIONS[request.param]


def test_the_installed_frameworks_allow_it(adapter: tuple[Any, Convert]) -> None:
    module, _ = adapter
    assert module._is_fillable()


@pytest.mark.parametrize("record", RECORDS)
def test_an_object_equals_that_of_the_constructor(
    adapter: tuple[Any, Convert], record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, convert = adapter
    quick = convert(record)
    monkeypatch.setattr(module, "_is_fillable", lambda: False)
    constructed = convert(record)
    assert are_alike(constructed, quick)
    assert quick == constructed
    assert repr(quick) == repr(constructed)
    assert str(quick) == str(constructed)
    assert copy.deepcopy(quick) == constructed
    assert pickle.loads(pickle.dumps(quick)) == constructed  # noqa: S301 - its own bytes
    if isinstance(quick, BaseModel):
        assert quick.model_dump() == constructed.model_dump()
        assert quick.model_dump_json() == constructed.model_dump_json()
        assert quick.model_dump(exclude_unset=True) == constructed.model_dump(exclude_unset=True)
        assert quick.model_fields_set == constructed.model_fields_set
    else:
        assert quick.to_dict() == constructed.to_dict()


def test_objects_share_no_state(adapter: tuple[Any, Convert]) -> None:
    _, convert = adapter
    record = RECORDS[2]
    first, second = convert(record), convert(record)
    shared = {id(value) for value in vars(first).values() if isinstance(value, list | dict | set)}
    assert shared.isdisjoint(id(value) for value in vars(second).values())
    if isinstance(first, BaseModel):
        assert first.model_fields_set is not second.model_fields_set
    assert all(value is not record.metadata for value in vars(first).values())


SOURCE = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="source")}


@pytest.mark.parametrize(
    ("node", "is_simple"),
    [
        (TextNode(id_="a", text="text", metadata={"topic": "käse", "year": 2024}), True),
        (TextNode(id_="a", embedding=[0.5, 1.0], relationships=SOURCE), True),
        (TextNode(id_="a", metadata={"none": None, "flag": True, "number": 0.5}), True),
        (TextNode(id_="a", metadata={"list": [1]}), False),
        (TextNode(id_="a", metadata={"when": date(2024, 5, 1)}), False),
        (TextNode(id_="a", excluded_llm_metadata_keys=["topic"]), False),
        (TextNode(id_="a", start_char_idx=0), False),
        (TextNode(id_="a", text_template="{content}"), False),
        (
            TextNode(
                id_="a", relationships={NodeRelationship.NEXT: RelatedNodeInfo(node_id="next")}
            ),
            False,
        ),
        (
            TextNode(
                id_="a",
                relationships={
                    NodeRelationship.SOURCE: RelatedNodeInfo(node_id="s", metadata={"page": 1})
                },
            ),
            False,
        ),
    ],
)
def test_a_simple_node_becomes_the_same_record_without_serialization(
    node: TextNode, is_simple: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, created = simple_record(node), llamaindex_nodes.to_record(node)
    monkeypatch.setattr(llamaindex_nodes, "_is_fillable", lambda: False)
    serialized = llamaindex_nodes.to_record(node)
    assert created == serialized
    assert quick == (serialized if is_simple else None)
    restored = llamaindex_nodes.to_node(created)
    assert restored == node


def test_an_assignment_to_a_node_is_validated() -> None:
    node = llamaindex_nodes.to_node(RECORDS[2])
    node.relationships = {NodeRelationship.NEXT: node.as_related_node_info()}
    with pytest.raises(ValidationError):
        node.id_ = 3  # type: ignore[assignment]


def test_another_state_is_noticed() -> None:
    made = LangChainDocument(id="a", page_content="b", metadata={})
    fields = {"id": "a", "metadata": {}, "page_content": "b", "type": "Document"}
    given = {"id", "metadata", "page_content"}
    fill = filler(LangChainDocument)
    assert are_alike(made, fill(dict(fields), set(given)))
    assert not are_alike(made, fill(dict(fields), given - {"id"}))
    assert not are_alike(made, fill({**fields, "new": 1}, set(given)))
    assert not are_alike(made, fill({**fields, "id": "c"}, set(given)))
    assert not are_alike(made, fill(dict(reversed(fields.items())), given))
    assert not are_alike(made, TextNode())


def test_a_class_that_creates_its_instances_itself_is_not_filled() -> None:
    class Own:
        def __new__(cls) -> Self:
            return super().__new__(cls)

    assert not are_alike(Own(), filler(Own)({}, set()))
