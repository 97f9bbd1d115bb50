"""Lossless conversion between LlamaIndex's nodes and the core's records.

The text, metadata and embedding (float32) of a node become those of the record. The id of the source document becomes
the parent of the record, so no metadata key is reserved. Everything else (type, relationships, templates, offsets,
media, …) is stored in the payload, as LlamaIndex serializes it, without what has its default. So the payload never repeats
the text or the id of the source, and a plain `TextNode` has none. Metadata is also stored as LlamaIndex serializes it: a
tuple is restored as a list. Dates and datetimes are stored and filtered as ISO 8601 text and restored as dates.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
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
    RelatedNodeInfo,
    TextNode,
)
from pydantic_core import to_jsonable_python

from llama_index.vector_stores.valkey.simple_nodes import (
    DEFAULTS,
    SOURCE,
    only_source,
    simple_record,
)
from valkey_vector import InvalidInputError, Record
from valkey_vector.records.instances import are_alike, filler
from valkey_vector.records.json_decoding import decode_json
from valkey_vector.records.metadata import dump, load
from valkey_vector.records.plain_values import NotPlainError, check_moments

__all__ = ["to_node", "to_nodes", "to_record"]

_logger = logging.getLogger(__name__)

_CORE: dict[str, type[BaseNode]] = {
    kind.class_name(): kind
    for kind in (TextNode, Node, Document, ImageDocument, ImageNode, IndexNode)
}
_PLAIN = TextNode.class_name()
_missed: set[str] = set()
"""Missing classes that were already logged."""

_SOURCE = str(SOURCE.value)

_RELATED_DEFAULTS: dict[str, Any] = {
    "node_type": None,
    "metadata": {},
    "hash": None,
    "class_name": "RelatedNodeInfo",
}
"""Likewise for the node of a relationship."""

_RESOURCES = ("text_resource", "image_resource", "audio_resource", "video_resource")
_RECORD_FIELDS = {"id_", "embedding", "metadata"}
"""Fields of a node that are stored outside the payload."""

_OF_RECORD = frozenset(_RECORD_FIELDS | {"text"})
"""Likewise for a `TextNode`."""

_MARK = b'{"llama_index":'
"""First bytes of a node's payload. Other adapters use others."""


def to_record(node: BaseNode) -> Record:
    """Convert a node to a record.

    Raises:
        InvalidInputError: if it is not a node, or a value in it cannot be serialized. Names the value.
    """
    simple = simple_record(node) if type(node) is TextNode and _is_fillable() else None
    if simple is not None:
        return simple
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
        content, place, rest = _content_and_rest(node)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"node {node.node_id!r} cannot be serialized: {error}") from error
    parent = node.ref_doc_id or None
    return Record(
        id=node.node_id,
        content=content,
        vector=node.embedding,
        metadata=metadata,
        parent=parent,
        payload=_payload(node, rest, place, parent, _typed(node, metadata)),
    )


def _content_and_rest(node: BaseNode) -> tuple[str, str | None, dict[str, Any]]:
    """Return the text, the field it was in (None without a field), and the other serialized fields."""
    if type(node) is TextNode:
        # Only the fields that `_compact` would keep: to serialize all of them takes longer than everything else.
        changed = _changed_fields(node)
        rest = node.model_dump(mode="json", include=changed) if changed else {}
        rest.pop("class_name", None)
        return node.text, "text", rest
    rest = node.model_dump(mode="json", exclude=_RECORD_FIELDS)
    rest.pop("class_name", None)
    content, place = _take_text(node, rest)
    for name in _RESOURCES:
        resource = getattr(node, name, None)
        if isinstance(resource, MediaResource) and resource.data is not None:
            rest[name]["data"] = resource.data.decode("ascii")  # base64; LlamaIndex omits it
    return content, place, rest


def _changed_fields(node: TextNode) -> set[str]:
    """Return the names of the fields of a plain node that differ from the defaults and that no part of the record holds."""
    changed = {
        name
        for name, value in node.__dict__.items()
        if name not in _OF_RECORD and (name not in DEFAULTS or value != DEFAULTS[name])
    }
    if only_source(node.relationships):
        changed.discard("relationships")
    return changed


def _payload(
    node: BaseNode, rest: dict[str, Any], place: str | None, parent: str | None, typed: str | None
) -> bytes | None:
    """Encode what the other fields of the record do not hold and what differs from the defaults; None for nothing."""
    payload: dict[str, Any] = {}
    base = _base(type(node))
    if _path(type(node)) != _path(_CORE.get(base or "", TextNode)):
        payload["class"] = _path(type(node))
    if base != _PLAIN:
        payload["base"] = base
    if place != "text":
        payload["text"] = place
    if stored := _compact(rest, parent):
        payload["node"] = stored
    if typed is not None:
        payload["typed"] = typed
    if not payload:
        return None
    text = json.dumps({"llama_index": payload}, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _compact(rest: dict[str, Any], parent: str | None) -> dict[str, Any]:
    """Remove the defaults from a serialized node, and the relationship that only repeats the id of the source."""
    relationships = {
        kind: [_related(one) for one in other] if isinstance(other, list) else _related(other)
        for kind, other in rest.get("relationships", {}).items()
    }
    if relationships.get(_SOURCE) == {"node_id": parent}:
        del relationships[_SOURCE]
    return {
        name: value
        for name, value in {**rest, "relationships": relationships}.items()
        if name not in DEFAULTS or value != DEFAULTS[name]
    }


def _related(info: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in info.items()
        if name not in _RELATED_DEFAULTS or value != _RELATED_DEFAULTS[name]
    }


def to_nodes(records: Iterable[Record], output_fields: Sequence[str]) -> list[BaseNode]:
    """Convert records to nodes as `to_node` does."""
    all_but_embedding = "text" in output_fields and "metadata" in output_fields
    if not all_but_embedding or not _is_fillable():
        return [to_node(record, output_fields) for record in records]
    return [
        _filled(record.id, record.content, dict(record.metadata), None, record.parent)
        if record.payload is None and record.vector is None
        else to_node(record, output_fields)
        for record in records
    ]


def to_node(record: Record, output_fields: Sequence[str] | None = None) -> BaseNode:
    """Convert a record to a node.

    Args:
        record: record of `to_record`, read with its payload. A record that another adapter wrote becomes a `TextNode`.
        output_fields: parts to return besides id, type and relationships: ``text``, ``embedding``, ``metadata`` (all of
            it) or single metadata keys. None returns everything that was read.
    """
    payload = _stored(record)
    metadata = dict(record.metadata)
    if "typed" in payload:
        typed = load(payload["typed"].encode("utf-8"))
        for key, item in metadata.items():
            # A value that was changed after the node was stored keeps the change.
            if key in typed and _serialized(typed[key]) == item:
                metadata[key] = typed[key]
    text = record.content
    embedding = None if record.vector is None else np.asarray(record.vector).tolist()
    if output_fields is not None:
        text = text if "text" in output_fields else ""
        embedding = embedding if "embedding" in output_fields else None
        if "metadata" not in output_fields:
            metadata = {key: item for key, item in metadata.items() if key in output_fields}
    if not payload and _is_fillable():
        return _filled(record.id, text, metadata, embedding, record.parent)
    data: dict[str, Any] = payload.get("node", {})
    if record.parent is not None:
        relationships = data.get("relationships", {})
        if _SOURCE not in relationships:
            data["relationships"] = {_SOURCE: {"node_id": record.parent}, **relationships}
    match payload.get("text", "text"):
        case "text":
            data["text"] = text
        case "text_resource":
            data["text_resource"]["text"] = text
        case _:
            pass  # the node has no text
    kind = _class(payload.get("class", ""), payload.get("base", _PLAIN))
    data |= _own_defaults(kind, data)
    data |= {"id_": record.id, "metadata": metadata, "embedding": embedding}
    return TextNode(**data) if kind is TextNode else kind.from_dict(data)


def _filled(
    id: str, text: str, metadata: dict[str, Any], embedding: list[float] | None, parent: str | None
) -> TextNode:
    """Create a plain `TextNode` as its constructor does, without validating the values again."""
    attributes = _PLAIN_NODE.copy()
    attributes["id_"] = id
    attributes["embedding"] = embedding
    attributes["metadata"] = metadata
    attributes["excluded_embed_metadata_keys"] = []
    attributes["excluded_llm_metadata_keys"] = []
    attributes["text"] = text
    if parent is None:
        attributes["relationships"] = {}
        return _fill(attributes, {"id_", "text", "metadata", "embedding"})
    source: dict[str, Any] = {"node_id": parent, "node_type": None, "metadata": {}, "hash": None}
    attributes["relationships"] = {SOURCE: _fill_related(source, {"node_id"})}
    return _fill(attributes, {"id_", "text", "metadata", "embedding", "relationships"})


_fill, _fill_related = filler(TextNode), filler(RelatedNodeInfo)

_PLAIN_NODE: dict[str, Any] = {
    "id_": "",
    "embedding": None,
    "metadata": {},
    "excluded_embed_metadata_keys": [],
    "excluded_llm_metadata_keys": [],
    "relationships": {},
    "metadata_template": DEFAULTS["metadata_template"],
    "metadata_separator": DEFAULTS["metadata_separator"],
    "text": "",
    "mimetype": DEFAULTS["mimetype"],
    "start_char_idx": None,
    "end_char_idx": None,
    "text_template": DEFAULTS["text_template"],
}
"""Attributes of a plain node, in the order of its constructor. Each node gets its own lists and dicts."""


@cache
def _is_fillable() -> bool:
    """Return True if nodes of the installed LlamaIndex can be filled."""
    made = {"id_": "id", "text": "text", "metadata": {"key": 1}, "embedding": [1.0]}
    related = {"relationships": {_SOURCE: {"node_id": "source"}}}
    values = "id", "text", {"key": 1}, [1.0]
    return are_alike(TextNode(**made), _filled(*values, None)) and are_alike(
        TextNode(**made, **related), _filled(*values, "source")
    )


def _stored(record: Record) -> dict[str, Any]:
    """Decode the payload of a record; empty for a plain `TextNode`, and for a record that LlamaIndex did not write."""
    stored = record.payload
    if stored is None or not stored.startswith(_MARK):
        return {}
    try:
        decoded = decode_json(stored)
    except UnicodeDecodeError:  # a lone surrogate
        decoded = json.loads(stored)
    payload: dict[str, Any] = decoded["llama_index"]
    return payload


def _own_defaults(kind: type[BaseNode], data: dict[str, Any]) -> dict[str, Any]:
    """The defaults that were left out of a payload and for which the class has others."""
    other = _other_defaults(kind)
    return {name: value for name, value in other.items() if name not in data} if other else {}


@cache
def _other_defaults(kind: type[BaseNode]) -> dict[str, Any]:
    """Those of `DEFAULTS` that differ from the defaults of a class: of a user's class, or of another LlamaIndex."""
    return {
        name: value
        for name, value in DEFAULTS.items()
        if name in kind.model_fields
        and kind.model_fields[name].get_default(call_default_factory=True, validated_data={})
        != value
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
    if metadata == node.metadata:
        return None
    typed: dict[str, Any] = {}
    for key, item in node.metadata.items():
        if metadata.get(key) != item:
            try:
                dump({key: item}, "")
            except InvalidInputError:
                continue
            typed[key] = item
    return dump(typed, f"node {node.node_id!r}").decode("utf-8") if typed else None


@cache
def _base(kind: type[BaseNode]) -> str | None:
    """Return the name of the closest base class that LlamaIndex defines."""
    names = {known: name for name, known in _CORE.items()}
    return next((names[each] for each in kind.__mro__ if each in names), None)


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
