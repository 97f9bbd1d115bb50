"""Lossless conversion between LlamaIndex's nodes and the core's records.

The text, metadata and embedding (float32) of a node become those of the record. The id of the source document becomes
the parent of the record, so no metadata key is reserved. Everything else (type, relationships, templates, offsets,
media, …) is stored in the payload, as LlamaIndex serializes it. Metadata is also stored as LlamaIndex serializes it: a
tuple is restored as a list. Dates and datetimes are stored and filtered as ISO 8601 text and restored as dates.
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
"""Missing classes that were already logged."""

_RESOURCES = ("text_resource", "image_resource", "audio_resource", "video_resource")
_RECORD_FIELDS = {"id_", "embedding", "metadata"}
"""Fields of a node that are stored outside the payload."""

_MARK = b'{"llama_index":'
"""First bytes of a node's payload. Other adapters use others."""


def to_record(node: BaseNode) -> Record:
    """Convert a node to a record.

    Raises:
        InvalidInputError: if it is not a node, or a value in it cannot be serialized. Names the value.
    """
    if not isinstance(node, BaseNode):
        raise InvalidInputError(f"a node must be a BaseNode, not a {type(node).__name__}")
    try:
        check_moments(node.metadata)
    except NotPlainError as error:
        raise InvalidInputError(
            f"metadata {error.path!r} of node {node.node_id!r} is {error.what}; store {error.cure} instead"
        ) from None
    try:
        metadata = _serialized(node.metadata)
        rest = node.model_dump(mode="json", exclude=_RECORD_FIELDS)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"node {node.node_id!r} cannot be serialized: {error}") from error
    rest.pop("class_name", None)
    content, place = _take_text(node, rest)
    for name in _RESOURCES:
        resource = getattr(node, name, None)
        if isinstance(resource, MediaResource) and resource.data is not None:
            rest[name]["data"] = resource.data.decode("ascii")  # base64; LlamaIndex omits it
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
    """Convert a record to a node.

    Args:
        record: record of `to_record`, read with its payload. A record that another adapter wrote becomes a `TextNode`.
        output_fields: parts to return besides id, type and relationships: ``text``, ``embedding``, ``metadata`` (all of
            it) or single metadata keys. None returns everything that was read.
    """
    stored = record.payload or b""
    own = stored.startswith(_MARK)
    payload = json.loads(stored)["llama_index"] if own else _foreign(record)
    data: dict[str, Any] = payload["node"]
    typed = load(payload["typed"].encode("utf-8")) if "typed" in payload else {}
    metadata = {
        # A value that was changed after the node was stored keeps the change.
        key: typed[key] if key in typed and _serialized(typed[key]) == item else item
        for key, item in record.metadata.items()
    }
    text = record.content
    embedding = None if record.vector is None else np.asarray(record.vector).tolist()
    if output_fields is not None:
        requested = set(output_fields)
        text = text if "text" in requested else ""
        embedding = embedding if "embedding" in requested else None
        if "metadata" not in requested:
            metadata = {key: item for key, item in metadata.items() if key in requested}
    match payload["text"]:
        case "text":
            data["text"] = text
        case "text_resource":
            data["text_resource"]["text"] = text
        case _:
            pass  # the node has no text
    kind = _class(payload["class"], payload["base"])
    return kind.from_dict({**data, "id_": record.id, "metadata": metadata, "embedding": embedding})


def _foreign(record: Record) -> dict[str, Any]:
    """Return a payload for a record that LlamaIndex did not write."""
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
    """Remove the text from a serialized node. Return it and the field it was in, or None without a field."""
    match node:
        case TextNode():
            return rest.pop("text"), "text"
        case Node():
            rest.pop("text", None)  # a Document contains it twice
            if node.text_resource is None or node.text_resource.text is None:
                return "", None
            return rest["text_resource"].pop("text"), "text_resource"
        case _:
            return node.get_content(MetadataMode.NONE), None


def _serialized(metadata: Any) -> Any:
    return to_jsonable_python(metadata, inf_nan_mode="constants")


def _typed(node: BaseNode, metadata: Mapping[str, Any]) -> str | None:
    """Return the metadata that serialization changes, with its types, as far as the core can store it."""
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
    """Return the name of the closest base class that LlamaIndex defines."""
    names = {kind: name for name, kind in _CORE.items()}
    return next((names[kind] for kind in type(node).__mro__ if kind in names), None)


def _path(kind: type[BaseNode]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _class(path: str, base: str | None) -> type[BaseNode]:
    """Return the class of a node if it is imported, otherwise its closest base class in LlamaIndex."""
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
