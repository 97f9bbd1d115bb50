"""Vectors of the documents of an attached index, and queries, in the element type of an attribute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from valkey_vector.attached.attributes import ELEMENT_TYPES, VectorAttribute, attribute_name
from valkey_vector.records.record import Vector
from valkey_vector.records.vectors import (
    FloatArray,
    check_vector,
    element_size,
    rounded,
    rounded_query,
    unpack_vector,
)

__all__ = ["query_vector", "vector_of"]


def query_vector(vector: Vector, attribute: VectorAttribute, index: str) -> FloatArray:
    """Check a query, and round it to the element type of the attribute.

    Args:
        vector: finite floats, as many as the dimension of the attribute.
        attribute: a vector attribute of one of `valkey_vector.attached.attributes.ELEMENT_TYPES`.
        index: name of the index, for errors.

    Returns:
        The rounded vector: float64 for FLOAT64, otherwise float32.

    Raises:
        InvalidInputError: the vector has another dimension, or a value that the element type cannot hold.
    """
    checked = check_vector(vector, attribute.dimension, "the query", index)
    if attribute.data_type == "FLOAT64":
        return rounded(vector, "FLOAT64")
    return rounded_query(checked, attribute.data_type, f"attribute {attribute_name(attribute)!r}")


def vector_of(found: Mapping[str, Any], attribute: VectorAttribute) -> FloatArray | None:
    """Return a document's vector if the server can have indexed it, otherwise None.

    Args:
        found: stored values by identifier: the bytes of a hash field, or the matches of a JSON path.
        attribute: a vector attribute.
    """
    raw = found.get(attribute.identifier)
    if attribute.data_type not in ELEMENT_TYPES:
        return None
    if isinstance(raw, bytes):
        if len(raw) != element_size(attribute.data_type) * attribute.dimension:
            return None
        vector = unpack_vector(raw, attribute.data_type)
    else:
        numbers = raw[0] if isinstance(raw, list) and len(raw) == 1 else raw
        if not isinstance(numbers, list) or len(numbers) != attribute.dimension:
            return None
        if not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers):
            return None
        vector = rounded(numbers, attribute.data_type)
    return vector if np.isfinite(vector).all() else None
