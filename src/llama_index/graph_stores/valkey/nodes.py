"""Conversion of LlamaIndex's graph nodes and relations to bytes and to records of the vector index."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from llama_index.core.graph_stores.types import ChunkNode, EntityNode, LabelledNode, Relation

from valkey_vector import InvalidInputError, Record
from valkey_vector.records.metadata import dump, load

__all__ = [
    "has_embedding",
    "node_from",
    "node_to_bytes",
    "relation_from",
    "relation_to_bytes",
    "to_record",
]

_EMBEDDED, _PLAIN = b"+", b"-"
"""First byte of a stored node: with or without a record in the vector index."""


def node_to_bytes(node: LabelledNode) -> bytes:
    """Serialize a node without loss, including the exact embedding.

    Raises:
        InvalidInputError: if it is neither an `EntityNode` nor a `ChunkNode`, or a property cannot be restored.
    """
    stored: dict[str, Any] = {"label": node.label, "properties": dict(node.properties)}
    # Subclasses are rejected, because they would be restored as the base class.
    if type(node) is EntityNode:
        stored["name"] = node.name
    elif type(node) is ChunkNode:
        # Without its own id, a chunk uses the hash of its text, which differs in the next process.
        stored |= {"text": node.text, "id": node.id}
    else:
        raise InvalidInputError(
            f"a graph node must be an EntityNode or a ChunkNode, not a {type(node).__name__}"
        )
    if node.embedding is not None:
        packed = np.asarray(node.embedding, dtype="<f8").tobytes()
        stored["embedding"] = base64.b64encode(packed).decode()
    mark = _PLAIN if node.embedding is None else _EMBEDDED
    return mark + dump(stored, f"graph node {node.id!r}")


def node_from(data: bytes, id: str) -> LabelledNode:
    """Load a stored node. Empty data is an entity named `id` that only relations refer to."""
    if not data:
        return EntityNode(name=id)
    stored = load(data[1:])
    packed = stored.get("embedding")
    embedding = None
    if packed is not None:
        embedding = np.frombuffer(base64.b64decode(packed), dtype="<f8").tolist()
    common: dict[str, Any] = {
        "label": stored["label"],
        "properties": stored["properties"],
        "embedding": embedding,
    }
    if "name" in stored:
        return EntityNode(name=stored["name"], **common)
    return ChunkNode(text=stored["text"], id_=stored["id"], **common)


def has_embedding(data: bytes) -> bool:
    """Return True if the vector index has a record of a stored node."""
    return data.startswith(_EMBEDDED)


def to_record(node: LabelledNode) -> Record:
    """Return the record for the vector index: the embedding, and the properties for filters."""
    return Record(id=node.id, vector=node.embedding, metadata=dict(node.properties))


def relation_to_bytes(relation: Relation) -> bytes:
    """Serialize the properties of a relation.

    Raises:
        InvalidInputError: if a property cannot be restored.
    """
    name = f"relation {relation.source_id!r} {relation.label!r} {relation.target_id!r}"
    return dump(dict(relation.properties), name) if relation.properties else b""


def relation_from(triple: Sequence[str], data: bytes) -> Relation:
    """Load a stored relation."""
    subject, label, object = triple
    properties: Mapping[str, Any] = load(data) if data else {}
    return Relation(label=label, source_id=subject, target_id=object, properties=dict(properties))
