"""Sizes of records in a request in bytes: accurate after encoding, estimated before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from valkey_vector.storage.layout import Prepared

__all__ = ["estimated_size", "prepared_size"]

_OVERHEAD = 200
"""Bytes of the key, field names and version of a record."""


def prepared_size(document: Prepared) -> int:
    """Size of an encoded record in a request, in bytes. Texts of its terms are counted in characters."""
    size = _OVERHEAD + len(document.content) + len(document.metadata)
    size += len(document.vector or b"") + len(document.payload or b"")
    for pairs in (document.vectors, document.declared):
        for _, value in pairs:
            size += len(value)
    if document.text:
        size += sum(map(len, document.text))
    return size + sum(map(len, document.items.tokens))


def estimated_size(record: Any, texts: int) -> int:
    """Estimated size of an unchecked record, in bytes. Accurate enough to limit the records that are encoded at once.

    Args:
        record: any object that a caller passed.
        texts: number of times that its text is stored, including its terms and stems.
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
    """Length of text, bytes or a sequence, including the items of a list in metadata."""
    if isinstance(value, list) and value and isinstance(value[0], str | list):
        return sum(map(_length, value))
    try:
        return len(value)
    except TypeError:
        return 0
