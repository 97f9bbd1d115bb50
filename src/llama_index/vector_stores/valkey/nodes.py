"""Between LlamaIndex's nodes and the core's records: exact both ways.

A record has the node's text, metadata and embedding (in float32) as its own, and the id of its source document as its
parent, so that no key of the metadata is taken for anything else. All the rest (type, relationships, templates, offsets,
media, …) is the payload, as LlamaIndex itself serialises it. Metadata is stored as LlamaIndex serialises it, too: a
tuple comes back as a list. Dates and datetimes are stored and filtered as text in ISO 8601 and come back as what they
were.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageDocument,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from pydantic_core import to_jsonable_python

from valkey_vector import InvalidInputError, Record
from valkey_vector.records.metadata import dump, load
from valkey_vector.records.plain_values import NotPlainError, check_moments

__all__ = ["to_node", "to_record"]

_logger = logging.getLogger(__name__)

_CORE: dict[str, type[BaseNode]] = {
    kind.class_name(): kind
    for kind in (TextNode, Node, Document, ImageDocument, ImageNode, IndexNode)
}
_missed: set[str] = set()
"""Classes that were told to be missing."""

_RESOURCES = ("text_resource", "image_resource", "audio_resource", "video_resource")
_KEPT_APART = {"id_", "embedding", "metadata"}
"""Of a node what the record has as its own."""

_MARK = b'{"llama_index":'
"""How the payloads of nodes begin. Other adapters have others."""


def to_record(node: BaseNode) -> Record:
    """The record of a node.

    Raises:
        InvalidInputError: it is no node, or something in it cannot be serialised; says what.
    """
    if not isinstance(node, BaseNode):
        raise InvalidInputError(f"a node is needed, not a {type(node).__name__}")
    try:
        check_moments(node.metadata)
    except NotPlainError as error:
        raise InvalidInputError(
            f"metadata {error.path!r} of node {node.node_id!r} is {error.what}; store {error.cure} instead"
        ) from None
    try:
        metadata = _serialised(node.metadata)
        rest = node.model_dump(mode="json", exclude=_KEPT_APART)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"node {node.node_id!r} cannot be serialised: {error}") from error
    rest.pop("class_name", None)
    content, place = _take_text(node, rest)
    for name in _RESOURCES:
        resource = getattr(node, name, None)
        if isinstance(resource, MediaResource) and resource.data is not None:
            rest[name]["data"] = resource.data.decode("ascii")  # base64; LlamaIndex leaves it out
    payload = {"class": _path(type(node)), "base": _base(node), "text": place, "node": rest}
    if typed := _typed(node, metadata):
        payload["typed"] = typed
    text = json.dumps({"llama_index": payload}, ensure_ascii=False, separators=(",", ":"))
    return Record(
        id=node.node_id,
        content=content,
        vector=node.embedding,
        metadata=metadata,
        parent=node.ref_doc_id or None,
        payload=text.encode("utf-8", "surrogatepass"),
    )


def to_node(record: Record, output_fields: Sequence[str] | None = None) -> BaseNode:
    """The node of a record that was read with its payload, and with its vector if that is wanted.

    Args:
        record: as `to_record` made it. A record of anybody else is a `TextNode`.
        output_fields: what the node is to bring beside its id, type and relationships: ``text``, ``embedding``,
            ``metadata`` for all of it, or its keys. None brings all there is.
    """
    stored = record.payload or b""
    own = stored.startswith(_MARK)
    payload = json.loads(stored)["llama_index"] if own else _foreign(record)
    data: dict[str, Any] = payload["node"]
    typed = load(payload["typed"].encode("utf-8")) if "typed" in payload else {}
    metadata = {
        # What was changed since then is not undone.
        key: typed[key] if key in typed and _serialised(typed[key]) == item else item
        for key, item in record.metadata.items()
    }
    text = record.content
    embedding = None if record.vector is None else np.asarray(record.vector).tolist()
    if output_fields is not None:
        wanted = set(output_fields)
        text = text if "text" in wanted else ""
        embedding = embedding if "embedding" in wanted else None
        if "metadata" not in wanted:
            metadata = {key: item for key, item in metadata.items() if key in wanted}
    match payload["text"]:
        case "text":
            data["text"] = text
        case "text_resource":
            data["text_resource"]["text"] = text
        case _:
            pass  # it has none
    kind = _class(payload["class"], payload["base"])
    return kind.from_dict({**data, "id_": record.id, "metadata": metadata, "embedding": embedding})


def _foreign(record: Record) -> dict[str, Any]:
    """The payload of a record that was not written by LlamaIndex."""
    node = TextNode()
    if record.parent is not None:
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=record.parent)
    relationships = node.model_dump(mode="json")["relationships"]
    return {
        "class": _path(TextNode),
        "base": TextNode.class_name(),
        "text": "text",
        "node": {"relationships": relationships},
    }


def _take_text(node: BaseNode, rest: dict[str, Any]) -> tuple[str, str | None]:
    """The node's text, taken out of its serialisation, and where it was; None if it has no text of its own."""
    match node:
        case TextNode():
            return rest.pop("text"), "text"
        case Node():
            rest.pop("text", None)  # which a Document has a second time
            if node.text_resource is None or node.text_resource.text is None:
                return "", None
            return rest["text_resource"].pop("text"), "text_resource"
        case _:
            return node.get_content(MetadataMode.NONE), None


def _serialised(metadata: Any) -> Any:
    return to_jsonable_python(metadata, inf_nan_mode="constants")


def _typed(node: BaseNode, metadata: Mapping[str, Any]) -> str | None:
    """The items that serialisation changes, with their types, as far as the core can keep them."""
    typed: dict[str, Any] = {}
    for key, item in node.metadata.items():
        if metadata.get(key) != item:
            try:
                dump({key: item}, "")
            except InvalidInputError:
                continue
            typed[key] = item
    return dump(typed, f"node {node.node_id!r}").decode("utf-8") if typed else None


def _base(node: BaseNode) -> str | None:
    """The nearest class of LlamaIndex's own."""
    names = {kind: name for name, kind in _CORE.items()}
    return next((names[kind] for kind in type(node).__mro__ if kind in names), None)


def _path(kind: type[BaseNode]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _class(path: str, base: str | None) -> type[BaseNode]:
    """The class of a node: its own if the program has it, else the nearest one of LlamaIndex."""
    nearest = _CORE.get(base or "", TextNode)
    if not path or _path(nearest) == path:
        return nearest
    for kind in _subclasses(BaseNode):
        if _path(kind) == path:
            return kind
    if path not in _missed:
        _missed.add(path)
        _logger.warning("nodes of %s are read as %s: import it first", path, nearest.__name__)
    return nearest


def _subclasses(kind: type[Any]) -> Iterator[type[BaseNode]]:
    for below in kind.__subclasses__():
        yield below
        yield from _subclasses(below)
