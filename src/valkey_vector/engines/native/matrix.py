"""One vector field of the native engine's replica: its vectors as rows of an array, searched exactly."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from valkey_vector.records.vectors import Float32Array, unpack_vector
from valkey_vector.schema.schema import Metric, VectorField
from valkey_vector.schema.similarity import distances

__all__ = ["Mask", "Matrix", "Rows", "resized"]

_ROUNDING = 32 * float(np.finfo(np.float32).eps)
"""How far a float32 product of two vectors may be off, relative to their lengths; generously."""

_SPARSE = 10
"""Where fewer than one row in this many is selected, gathering those is cheaper than multiplying all."""

Rows: TypeAlias = NDArray[np.intp]
Mask: TypeAlias = NDArray[np.bool_]
_Item = TypeVar("_Item", bound=np.generic)


class Matrix:
    """Vectors by row; a row without one is all zeros.

    Args:
        field: whose vectors.
        room: for how many rows.
    """

    def __init__(self, field: VectorField, room: int) -> None:
        self._metric = field.metric
        self._vectors: Float32Array = np.zeros((room, field.dimension), dtype=np.float32)
        self._norms: Float32Array = np.zeros(room, dtype=np.float32)
        self._present: Mask = np.zeros(room, dtype=np.bool_)

    def put(self, row: int, packed: bytes | None) -> None:
        """Set the vector of a row, if it is one: as many finite floats as the field has."""
        if packed is None or len(packed) != self._vectors.itemsize * self._vectors.shape[1]:
            return
        vector = unpack_vector(packed)
        with np.errstate(over="ignore", invalid="ignore"):
            norm = np.sqrt(np.dot(vector, vector))
        if not np.isfinite(norm) and not np.isfinite(vector).all():
            return
        self._vectors[row], self._norms[row], self._present[row] = vector, norm, True

    def present(self, used: int) -> Mask:
        """Which of the first rows have a vector."""
        return self._present[:used]

    def keep(self, rows: Rows | slice, room: int) -> None:
        """Keep some rows, in their order, with room for more."""
        self._vectors = resized(self._vectors[rows], room)
        self._norms = resized(self._norms[rows], room)
        self._present = resized(self._present[rows], room)

    def nearest(
        self, rows: Rows, used: int, vector: Float32Array, k: int
    ) -> tuple[Rows, NDArray[np.float64]]:
        """At least the k nearest out of some rows, and their distances; `used`: rows that are in use at all."""
        chosen = rows[self._candidates(rows, used, vector, k)]
        return chosen, distances(self._vectors[chosen], vector, self._metric)

    def distances(self, rows: Rows, vector: Float32Array) -> NDArray[np.float64]:
        """The distances of rows."""
        return distances(self._vectors[rows], vector, self._metric)

    def _candidates(self, rows: Rows, used: int, vector: Float32Array, k: int) -> Mask | slice:
        """Which rows can be among the k nearest: found in float32, with room for its rounding.

        The few that remain are then measured in double precision.
        """
        if k >= len(rows):
            return slice(None)
        length = float(np.linalg.norm(vector))
        norms = self._norms[rows]
        rough: NDArray[np.floating[Any]]
        with np.errstate(over="ignore", invalid="ignore"):
            if len(rows) * _SPARSE < used:
                product = self._vectors[rows] @ vector
            else:
                product = (self._vectors[:used] @ vector)[rows]
            longest = float(np.max(norms))
            match self._metric:
                case Metric.COSINE:
                    rough = -product / np.where(norms == 0, np.float32(1), norms)
                    doubt = _ROUNDING * length
                case Metric.IP:
                    rough = -product
                    doubt = _ROUNDING * length * longest
                case Metric.L2:
                    rough = norms * norms - 2 * product
                    doubt = _ROUNDING * longest * (longest + 2 * length)
                case _:
                    assert_never(self._metric)
        bound = float(np.partition(rough, k - 1)[k - 1])
        if not np.isfinite(rough).all():
            return slice(None)
        return rough <= bound + 2 * doubt


def resized(values: NDArray[_Item], room: int, fill: float = 0) -> NDArray[_Item]:
    """The array with room for more rows."""
    larger = np.full((room, *values.shape[1:]), fill, dtype=values.dtype)
    larger[: len(values)] = values
    return larger
