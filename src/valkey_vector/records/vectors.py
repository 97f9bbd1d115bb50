"""Check embeddings before they are sent: the server stores a bad one without a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valkey_vector.errors import InvalidInputError
from valkey_vector.records.record import Vector

__all__ = ["Float32Array", "check_vector", "check_vectors", "unpack_vector"]

Float32Array = NDArray[np.float32]

_WIRE = np.dtype("<f4")


def check_vectors(
    vectors: Sequence[Vector], dimension: int | None, owners: Sequence[str]
) -> Float32Array:
    """Turn embeddings into one float32 array, or say which one is wrong.

    Args:
        vectors: embeddings, all of the same length.
        dimension: the length they must have; None takes the first one's.
        owners: for each vector, how an error names it (``record 'a'``).

    Returns:
        An array of shape (len(vectors), dimension), little-endian float32.

    Raises:
        InvalidInputError: a vector has another length, is not numeric, holds NaN or infinity,
            or a value beyond float32. Valkey-Search stores such a vector and never finds it.
    """
    for vector, owner in zip(vectors, owners, strict=True):
        _check_shape(vector, dimension, owner)
        dimension = len(vector)
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(vectors, dtype=_WIRE)
    except (TypeError, ValueError, OverflowError):
        for vector, owner in zip(vectors, owners, strict=True):
            _check_numeric(vector, owner)
        raise
    if not len(vectors):
        return array.reshape(0, dimension or 0)
    if array.ndim != 2:
        # All of the same odd shape: each is a list of lists.
        raise InvalidInputError(
            f"the vector of {owners[0]} has shape {array.shape[1:]}, expected one dimension"
        )
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        owner = owners[int(np.argmin(finite))]
        raise InvalidInputError(
            f"the vector of {owner} holds NaN, infinity or a value beyond float32"
        )
    return array


def check_vector(vector: Vector, dimension: int | None, owner: str) -> Float32Array:
    """`check_vectors` for one: shape (dimension,)."""
    _check_shape(vector, dimension, owner)
    try:
        with np.errstate(over="ignore"):
            row: Float32Array = np.asarray(vector, dtype=_WIRE)
    except (TypeError, ValueError, OverflowError):
        _check_numeric(vector, owner)
        raise
    if row.ndim != 1 or not np.isfinite(row).all():
        return check_vectors([vector], dimension, [owner])[0]  # type: ignore[no-any-return]
    return row


def unpack_vector(data: bytes) -> Float32Array:
    """The vector stored in a hash field: little-endian float32."""
    return np.frombuffer(data, dtype=_WIRE)


def _check_shape(vector: Vector, dimension: int | None, owner: str) -> None:
    if isinstance(vector, (str, bytes)) or not hasattr(vector, "__len__"):
        raise InvalidInputError(
            f"the vector of {owner} is a {type(vector).__name__}, not a sequence of floats"
        )
    if getattr(vector, "ndim", 1) != 1:
        shape: Any = getattr(vector, "shape", None)
        raise InvalidInputError(f"the vector of {owner} has shape {shape}, expected one dimension")
    if len(vector) == 0:
        raise InvalidInputError(f"the vector of {owner} is empty")
    if dimension is not None and len(vector) != dimension:
        raise InvalidInputError(
            f"the vector of {owner} has {len(vector)} dimensions, the index has {dimension}"
        )


def _check_numeric(vector: Vector, owner: str) -> None:
    try:
        row = np.asarray(vector, dtype=_WIRE)
    except OverflowError:
        raise InvalidInputError(f"the vector of {owner} holds a value beyond float32") from None
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the vector of {owner} is not made of numbers: {error}") from None
    if row.ndim != 1:
        raise InvalidInputError(
            f"the vector of {owner} has shape {row.shape}, expected one dimension"
        )
