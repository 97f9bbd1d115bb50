"""Simple text nodes, whose records need no payload: their defaults, and their conversion without serialization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

from valkey_vector import Record
from valkey_vector.records.plain_values import are_plain
from valkey_vector.records.record import new_record

__all__ = ["DEFAULTS", "SOURCE", "only_source", "simple_record"]

SOURCE = NodeRelationship.SOURCE

DEFAULTS: dict[str, Any] = {
    "excluded_embed_metadata_keys": [],
    "excluded_llm_metadata_keys": [],
    "relationships": {},
    "metadata_template": "{key}: {value}",
    "metadata_separator": "\n",
    "text_template": "{metadata_str}\n\n{content}",
    "mimetype": "text/plain",
    "start_char_idx": None,
    "end_char_idx": None,
    "image_resource": None,
    "audio_resource": None,
    "video_resource": None,
}
"""Values that are not stored. Part of the stored format: do not change them, whatever the defaults of LlamaIndex are."""

_OTHERS = [name for name in TextNode.model_fields if name in DEFAULTS and name != "relationships"]
"""The other fields of a `TextNode`; see `_is_fillable`."""

_TEXT = frozenset({str})


def simple_record(node: TextNode) -> Record | None:
    """Convert a node that needs no payload, and whose metadata serialization does not change; None for other nodes."""
    fields = node.__dict__
    metadata: dict[str, Any] = fields["metadata"]
    if type(metadata) is not dict or not _TEXT.issuperset(map(type, metadata)):
        return None
    if not are_plain(metadata.values()) or any(fields[name] != DEFAULTS[name] for name in _OTHERS):
        return None
    parent: str | None = None
    if relationships := fields["relationships"]:
        parent = only_source(relationships)
        if not parent:
            return None
    return new_record(
        fields["id_"], fields["text"], fields["embedding"], metadata, parent, None, {}
    )


def only_source(relationships: Mapping[NodeRelationship, Any]) -> str | None:
    """Return the id of the source if the relationships hold nothing else; otherwise None."""
    if len(relationships) != 1:
        return None
    source = relationships.get(SOURCE)
    if type(source) is not RelatedNodeInfo or source.__pydantic_extra__:
        return None
    plain = source.node_type is None and source.hash is None and not source.metadata
    return source.node_id if plain else None
