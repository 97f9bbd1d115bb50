"""Sizes of records in a request in bytes: accurate after encoding, estimated before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from valkey_vector.storage.layout import Prepared

__all__ = ["estimated_size", "prepared_size"]

_OVERHEAD = 200
"""Bytes of the key, field names and version of a record."""


_WITHOUT_LENGTH = frozenset({int, float, bool, type(None)})


def prepared_size(document: Prepared, texts: int) -> int:
    """Size of a checked record in a request, in bytes. The tokens of its metadata and its terms are estimated.

    Args:
        document: the record.
        texts: number of times that its texts are stored, including its terms and stems.
    """
    size = _OVERHEAD + texts * len(document.content) + (1 + texts) * len(document.metadata)
    size += len(document.vector or b"") + len(document.payload or b"")
    for _, vector in document.vectors:
        size += len(vector)
    for _, value in document.declared:
        size += len(value)
    return size


def estimated_size(record: Any, texts: int) -> int:
    """Estimated size of an unchecked record, in bytes. Accurate enough to limit the records that are encoded at once.

    Args:
        record: any object that a caller passed.
        texts: number of times that its text is stored, including its terms and stems.
    """
    content, payload = getattr(record, "content", ""), getattr(record, "payload", None)
    size = _OVERHEAD + 4 * _length(getattr(record, "vector", None))
    size += texts * (len(content) if type(content) is str else _length(content))
    if payload is not None:
        size += _length(payload)
    metadata = getattr(record, "metadata", None)
    if type(metadata) is dict or isinstance(metadata, Mapping):
        for value in metadata.values():
            kind = type(value)
            if kind is str:
                size += len(value)
            elif kind not in _WITHOUT_LENGTH:
                size += _length(value)
    vectors = getattr(record, "vectors", None)
    if vectors and isinstance(vectors, Mapping):
        size += sum(4 * _length(vector) for vector in vectors.values())
    return size


def _length(value: Any) -> int:
    """Length of text, bytes or a sequence, including the items of a list in metadata."""
    kind = type(value)
    if kind is str:
        return len(value)
    if kind in _WITHOUT_LENGTH:
        return 0
    if isinstance(value, list) and value and isinstance(value[0], str | list):
        return sum(map(_length, value))
    try:
        return len(value)
    except TypeError:
        return 0
