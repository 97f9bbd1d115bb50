"""Vectors in the element types of a server: convert queries, and decode the vectors of documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valkey_vector.attached.attributes import VectorAttribute, attribute_name
from valkey_vector.errors import InvalidInputError
from valkey_vector.records.record import Vector
from valkey_vector.records.vectors import check_vector

__all__ = ["FloatArray", "packed", "query_vector", "vector_of"]

FloatArray = NDArray[np.floating[Any]]

_STORED: Mapping[str, np.dtype[Any]] = {
    "FLOAT32": np.dtype("<f4"),
    "FLOAT16": np.dtype("<f2"),
    "BFLOAT16": np.dtype("<u2"),
    "FLOAT64": np.dtype("<f8"),
}


def query_vector(vector: Vector, attribute: VectorAttribute, index: str) -> FloatArray:
    """Check a query, and round it to the element type of the attribute.

    Args:
        vector: finite floats, as many as the dimension of the attribute.
        attribute: a vector attribute of one of `valkey_vector.attached.definition.ELEMENT_TYPES`.
        index: name of the index, for errors.

    Returns:
        The rounded vector: float64 for FLOAT64, otherwise float32.

    Raises:
        InvalidInputError: the vector has another dimension, or a value that the element type cannot hold.
    """
    checked = check_vector(vector, attribute.dimension, "the query", index)
    rounded = _rounded(vector if attribute.data_type == "FLOAT64" else checked, attribute.data_type)
    if not np.isfinite(rounded).all():
        raise InvalidInputError(
            f"the query has a value beyond {attribute.data_type}, "
            f"the element type of attribute {attribute_name(attribute)!r}"
        )
    return rounded


def packed(vector: FloatArray, data_type: str) -> bytes:
    """Return a vector that `query_vector` rounded as bytes in an element type."""
    if data_type == "BFLOAT16":
        return (vector.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return vector.astype(_STORED[data_type]).tobytes()


def vector_of(found: Mapping[str, Any], attribute: VectorAttribute) -> FloatArray | None:
    """Return a document's vector if the server can have indexed it, otherwise None.

    Args:
        found: stored values by identifier: the bytes of a hash field, or the matches of a JSON path.
        attribute: a vector attribute.
    """
    raw = found.get(attribute.identifier)
    if attribute.data_type not in _STORED:
        return None
    if isinstance(raw, bytes):
        vector = _unpacked(raw, attribute)
    else:
        numbers = raw[0] if isinstance(raw, list) and len(raw) == 1 else raw
        if not isinstance(numbers, list) or len(numbers) != attribute.dimension:
            return None
        if not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers):
            return None
        vector = _rounded(numbers, attribute.data_type)
    return vector if vector is not None and np.isfinite(vector).all() else None


def _unpacked(raw: bytes, attribute: VectorAttribute) -> FloatArray | None:
    stored = _STORED[attribute.data_type]
    if len(raw) != stored.itemsize * attribute.dimension:
        return None
    vector = np.frombuffer(raw, dtype=stored)
    match attribute.data_type:
        case "BFLOAT16":
            return (vector.astype("<u4") << 16).view("<f4")
        case "FLOAT16":
            return vector.astype("<f4")
        case _:
            return vector


def _rounded(vector: Any, data_type: str) -> FloatArray:
    """Round numbers to an element type. Values beyond its range become infinite."""
    with np.errstate(over="ignore"):
        try:
            exact = np.asarray(vector, dtype="<f8")
        except OverflowError:  # an integer beyond float64
            return np.array([np.inf])
        match data_type:
            case "FLOAT64":
                return exact
            case "FLOAT16":
                return exact.astype("<f4").astype("<f2").astype("<f4")
            case "BFLOAT16":
                return _to_bfloat16(exact.astype("<f4"))
            case _:
                return exact.astype("<f4")


def _to_bfloat16(vector: FloatArray) -> FloatArray:
    """Round float32 to the nearest bfloat16, ties to even."""
    bits = vector.view("<u4").astype("<u8")
    bits += 0x7FFF + ((bits >> 16) & 1)
    return (bits & 0xFFFF0000).astype("<u4").view("<f4")
