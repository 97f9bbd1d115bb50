"""Checks of embeddings before they are sent: the server stores an invalid one without an error."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valkey_vector.errors import InvalidInputError
from valkey_vector.records.record import Vector

__all__ = [
    "Float32Array",
    "check_vector",
    "check_vectors",
    "checked_vector",
    "packed_vectors",
    "quickly_packed",
    "unpack_vector",
    "wrong_dimension",
]

Float32Array = NDArray[np.float32]

_WIRE = np.dtype("<f4")


def check_vectors(
    vectors: Sequence[Vector], dimension: int | None, owners: Sequence[str], index: str = ""
) -> Float32Array:
    """Convert embeddings to one float32 array, and check each of them.

    Args:
        vectors: embeddings, all of the same length.
        dimension: required length; None requires the length of the first one.
        owners: name of each vector in an error (``record 'a'``).
        index: name of the index; empty if there is none yet.

    Returns:
        An array of shape (len(vectors), dimension), little-endian float32.

    Raises:
        InvalidInputError: a vector has another length, is not numeric, or holds NaN, infinity or a value beyond
            float32. Valkey-Search stores such a vector and never returns it.
    """
    for vector, owner in zip(vectors, owners, strict=True):
        _check_shape(vector, dimension, owner, index)
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
        # All of them have the same wrong shape: each is a list of lists.
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


def packed_vectors(
    vectors: Sequence[Vector], dimension: int | None, owners: Sequence[str], index: str = ""
) -> list[bytes]:
    """Check embeddings as `check_vectors` does, and encode each as little-endian float32."""
    packed = quickly_packed(vectors, dimension)
    if packed is not None:
        return packed
    return [row.tobytes() for row in check_vectors(vectors, dimension, owners, index)]


def quickly_packed(vectors: Sequence[Vector], dimension: int | None) -> list[bytes] | None:
    """Encode lists of floats and arrays of floats. None if any vector may be invalid, or needs `check_vectors`."""
    packed: list[bytes] = []
    from_arrays: list[bytes] = []
    with np.errstate(over="ignore"):
        for vector in vectors:
            if type(vector) is list:
                one = _packed(vector)
            elif type(vector) is np.ndarray and vector.ndim == 1 and vector.dtype.kind == "f":
                one = vector.astype(_WIRE, copy=False).tobytes()
                from_arrays.append(one)
            else:
                return None
            if not one or (dimension is not None and len(one) != 4 * dimension):
                return None
            dimension = len(one) // 4
            packed.append(one)
    finite = np.isfinite(np.frombuffer(b"".join(from_arrays), dtype=_WIRE)).all()
    return packed if finite else None


def check_vector(
    vector: Vector, dimension: int | None, owner: str, index: str = ""
) -> Float32Array:
    """Check one embedding, as `check_vectors` does; returns an array of shape (dimension,)."""
    if type(vector) is list and (dimension is None or len(vector) == dimension):
        packed = _packed(vector)
        if packed is not None:
            return np.frombuffer(packed, dtype=_WIRE)
    _check_shape(vector, dimension, owner, index)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            row: Float32Array = np.asarray(vector, dtype=_WIRE)
            # Not finite if any number is not; a square beyond float32 is checked again below.
            squared = row.dot(row) if row.ndim == 1 else math.nan
    except (TypeError, ValueError, OverflowError):
        _check_numeric(vector, owner)
        raise
    if not math.isfinite(squared) and (row.ndim != 1 or not np.isfinite(row).all()):
        return check_vectors([vector], dimension, [owner])[0]  # type: ignore[no-any-return]
    return row


def _packed(vector: list[float]) -> bytes | None:
    """Encode a list of finite floats: three times as fast as NumPy. None for anything else, also for a valid vector."""
    try:
        total = sum(vector)
        # The sum is a float only if all are plain numbers, and finite only if all are.
        if type(total) is not float or not math.isfinite(total):
            return None
        return _packer(len(vector))(*vector)
    except (TypeError, ValueError, OverflowError, struct.error):
        return None


@lru_cache(maxsize=64)
def _packer(dimension: int) -> Callable[..., bytes]:
    return struct.Struct(f"<{dimension}f").pack


def checked_vector(vector: Vector) -> Float32Array:
    """Return a vector that `check_vector` returned before, for the type checker. No copy."""
    return np.asarray(vector, dtype=_WIRE)


def wrong_dimension(found: int, dimension: int, owner: str, index: str) -> InvalidInputError:
    """Create the error for a vector whose length differs from the index's dimension.

    Args:
        found: length of the vector.
        dimension: required length.
        owner: name of the vector in the error (``record 'a'``).
        index: name of the index; empty if the first vector of the call sets the dimension.
    """
    wrong = f"the vector of {owner} has {found} dimensions, the index has {dimension}"
    if not index:
        return InvalidInputError(wrong)
    return InvalidInputError(
        f"{wrong}. Index {index!r} was most likely filled with another embedding model: use that model, or another "
        "index for this one"
    )


def unpack_vector(data: bytes) -> Float32Array:
    """Decode a vector from a hash field: little-endian float32."""
    return np.frombuffer(data, dtype=_WIRE)


def _check_shape(vector: Vector, dimension: int | None, owner: str, index: str) -> None:
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
        raise wrong_dimension(len(vector), dimension, owner, index)


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
