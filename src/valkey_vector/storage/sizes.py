"""How many bytes records are in a request: exactly once they are encoded, and about before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from valkey_vector.storage.layout import Prepared

__all__ = ["estimated_size", "prepared_size"]

_OVERHEAD = 200
"""Bytes of a record's key, field names and version."""


def prepared_size(document: Prepared) -> int:
    """About the bytes that a record takes in a request. Texts of its words are counted in characters."""
    size = _OVERHEAD + len(document.content) + len(document.metadata)
    size += len(document.vector or b"") + len(document.payload or b"")
    size += sum(len(packed) for _, packed in document.vectors)
    size += sum(len(value) for _, value in document.declared)
    return size + sum(map(len, document.text)) + sum(map(len, document.items.tokens))


def estimated_size(record: Any, texts: int) -> int:
    """The bytes of a record that was not checked yet, of any object at all: good enough to bound what is encoded at once.

    Args:
        record: what a caller passed.
        texts: how often its text is stored, with its words and stems.
    """
    content, payload = getattr(record, "content", ""), getattr(record, "payload", None)
    size = _OVERHEAD + texts * _length(content) + _length(payload) + _vector(record, "vector")
    metadata = getattr(record, "metadata", None)
    if isinstance(metadata, Mapping):
        size += sum(map(_length, metadata.values()))
    vectors = getattr(record, "vectors", None)
    if isinstance(vectors, Mapping):
        size += sum(4 * _length(vector) for vector in vectors.values())
    return size


def _vector(record: Any, name: str) -> int:
    return 4 * _length(getattr(record, name, None))


def _length(value: Any) -> int:
    """Of text, bytes or a sequence; a list in metadata counts with what is in it."""
    if isinstance(value, list) and value and isinstance(value[0], str | list):
        return sum(map(_length, value))
    try:
        return len(value)
    except TypeError:
        return 0
