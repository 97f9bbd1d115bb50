"""Vectors as the server stores them: checks before they are sent, and their element types.

Checks are needed because the server stores an invalid vector without an error. The library computes in float32. An index
stores float32, or half of its bytes: FLOAT16 or BFLOAT16, to which vectors are rounded once, when they are written.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from valkey_vector.errors import InvalidInputError
from valkey_vector.records.record import Vector

__all__ = [
    "DATA_TYPES",
    "DataType",
    "Float32Array",
    "FloatArray",
    "check_vector",
    "check_vectors",
    "checked_vector",
    "element_size",
    "narrowed",
    "pack_vector",
    "packed_vectors",
    "quickly_packed",
    "rounded",
    "rounded_query",
    "unpack_vector",
    "widened",
    "wrong_dimension",
]

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.floating[Any]]

DataType: TypeAlias = Literal["FLOAT32", "FLOAT16", "BFLOAT16"]
"""Element type of the vectors of an index."""

DATA_TYPES: tuple[DataType, ...] = get_args(DataType)

_WIRE = np.dtype("<f4")

_STORED: Mapping[str, np.dtype[Any]] = {
    "FLOAT32": _WIRE,
    "FLOAT16": np.dtype("<f2"),
    "BFLOAT16": np.dtype("<u2"),
    "FLOAT64": np.dtype("<f8"),
}
"""Elements in the bytes of a hash field. NumPy has no bfloat16: it is the upper half of a float32."""

_LARGEST: Mapping[str, str] = {"FLOAT16": "65,504", "BFLOAT16": "3.38e38"}


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
    vectors: Sequence[Vector],
    dimension: int | None,
    owners: Sequence[str],
    index: str = "",
    data_type: DataType = "FLOAT32",
) -> list[bytes]:
    """Check embeddings as `check_vectors` does, and encode each in an element type.

    Raises:
        InvalidInputError: as `check_vectors`, or the type cannot hold a value.
    """
    exact = _packed_vectors(vectors, dimension, owners, index)
    return exact if data_type == "FLOAT32" else narrowed(exact, data_type, owners)


def _packed_vectors(
    vectors: Sequence[Vector], dimension: int | None, owners: Sequence[str], index: str
) -> list[bytes]:
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
        return check_vectors([vector], dimension, [owner])[0]  # type: ignore[no-any-return]  # NumPy's type of a row
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
    return vector if isinstance(vector, np.ndarray) else np.asarray(vector, dtype=_WIRE)


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


def element_size(data_type: str) -> int:
    """Number of bytes of one component."""
    return _STORED[data_type].itemsize


def rounded(vector: Any, data_type: str) -> FloatArray:
    """Round numbers to an element type, ties to even. Values beyond its range become infinite.

    Args:
        vector: numbers.
        data_type: FLOAT32, FLOAT16, BFLOAT16 or FLOAT64.

    Returns:
        The rounded numbers: float64 for FLOAT64, otherwise float32, to which they are rounded first.
    """
    with np.errstate(over="ignore"):
        try:
            given = vector if isinstance(vector, np.ndarray) else np.asarray(vector, dtype="<f8")
            exact: FloatArray = given
        except OverflowError:  # an integer beyond float64
            return np.array([np.inf])
        match data_type:
            case "FLOAT16":
                return exact.astype(_WIRE).astype("<f2").astype(_WIRE)
            case "BFLOAT16":
                bits = exact.astype(_WIRE).view("<u4").astype("<u8")
                bits += 0x7FFF + ((bits >> 16) & 1)
                return (bits & 0xFFFF0000).astype("<u4").view(_WIRE)
            case _:
                return exact.astype(_STORED[data_type])


def rounded_query(query: Float32Array, data_type: str, type_of: str) -> Float32Array:
    """Round a checked query to the element type of the vectors that it is compared with.

    Args:
        query: finite numbers.
        data_type: FLOAT32, FLOAT16 or BFLOAT16.
        type_of: what has the type, for the error.

    Raises:
        InvalidInputError: the type cannot hold a value.
    """
    if data_type == "FLOAT32":
        return query
    vector = rounded(query, data_type)
    if not np.isfinite(vector).all():
        raise InvalidInputError(
            f"the query has a value beyond {data_type}, the element type of {type_of}, whose largest number is "
            f"{_LARGEST[data_type]}: scale the vectors"
        )
    return vector


def narrowed(exact: Sequence[bytes], data_type: DataType, owners: Sequence[str]) -> list[bytes]:
    """Round packed float32 vectors of one length to an element type.

    Raises:
        InvalidInputError: the type cannot hold a value; the message names the owner of the vector.
    """
    if not exact:
        return []
    rows = rounded(unpack_vector(b"".join(exact)).reshape(len(exact), -1), data_type)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        owner = owners[int(np.argmin(finite))]
        raise InvalidInputError(
            f"the vector of {owner} holds a value beyond {data_type}, the element type of the index, whose largest number "
            f"is {_LARGEST[data_type]}: scale the vectors, or use another data_type"
        )
    whole = pack_vector(rows, data_type)
    size = len(whole) // len(exact)
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def pack_vector(vector: FloatArray, data_type: str) -> bytes:
    """Return a vector that `rounded` returned as bytes of an element type."""
    if data_type == "BFLOAT16":
        return (vector.astype(_WIRE, copy=False).view("<u4") >> 16).astype("<u2").tobytes()
    return vector.astype(_STORED[data_type], copy=False).tobytes()


def unpack_vector(data: bytes, data_type: str = "FLOAT32") -> NDArray[Any]:
    """Decode a vector from the bytes of an element type: float64 for FLOAT64, otherwise float32.

    Raises:
        ValueError: the number of bytes is not a multiple of the type's.
    """
    vector = np.frombuffer(data, dtype=_STORED[data_type])
    match data_type:
        case "BFLOAT16":
            return (vector.astype("<u4") << 16).view(_WIRE)
        case "FLOAT16":
            return vector.astype(_WIRE)
        case _:
            return vector


def widened(data: bytes, data_type: DataType) -> bytes:
    """Return a stored vector as bytes of float32. Bytes that hold no vector of the type stay as they are."""
    if data_type == "FLOAT32" or len(data) % element_size(data_type):
        return data
    return unpack_vector(data, data_type).tobytes()


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
