"""Exact search over one vector field of the native engine's replica."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.native.page import Column
from valkey_vector.records.vectors import Float32Array, unpack_vector
from valkey_vector.schema.schema import Metric, VectorField
from valkey_vector.schema.similarity import distances

__all__ = ["Mask", "Matrix", "Rows", "resized"]

_ROUNDING = 32 * float(np.finfo(np.float32).eps)
"""Upper bound for the error of a float32 inner product, relative to the lengths of the vectors."""

_SPARSE = 10
"""If fewer than one row in this many is selected, gathering them is cheaper than multiplying all."""

Rows: TypeAlias = NDArray[np.intp]
Mask: TypeAlias = NDArray[np.bool_]
_Item = TypeVar("_Item", bound=np.generic)


class Matrix:
    """The vectors of one field by row; a row without a vector holds zeros.

    Args:
        field: the vector field.
        room: number of rows to allocate.
    """

    def __init__(self, field: VectorField, room: int) -> None:
        self._metric = field.metric
        self._vectors: Float32Array = np.zeros((room, field.dimension), dtype=np.float32)
        self._norms: Float32Array = np.zeros(room, dtype=np.float32)
        self._present: Mask = np.zeros(room, dtype=np.bool_)

    def put(self, rows: Rows, column: Column, positions: Rows) -> None:
        """Set vectors; ignore bytes that are not a finite vector of the field's dimension.

        Args:
            rows: the rows to set.
            column: the vectors of a page of documents.
            positions: for each row the position of its document in the page.
        """
        size = self._vectors.itemsize * self._vectors.shape[1]
        fitting = column.present[positions] & (column.lengths[positions] == size)
        rows, positions = rows[fitting], positions[fitting]
        if not len(rows):
            return
        starts = column.starts[positions]
        if len(column.data) % size == 0 and not (starts % size).any():
            vectors = unpack_vector(column.data).reshape(-1, self._vectors.shape[1])[starts // size]
        else:
            vectors = np.stack([unpack_vector(column.at(each)) for each in positions.tolist()])
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.linalg.norm(vectors, axis=1)
        finite = np.isfinite(norms) | np.isfinite(vectors).all(axis=1)
        rows = rows[finite]
        self._vectors[rows], self._norms[rows] = vectors[finite], norms[finite]
        self._present[rows] = True

    def present(self, used: int) -> Mask:
        """A mask of the first `used` rows: True for a row with a vector."""
        return self._present[:used]

    def retain(self, rows: Rows | slice, room: int) -> None:
        """Retain some rows in their order, and allocate `room` rows."""
        self._vectors = resized(self._vectors[rows], room)
        self._norms = resized(self._norms[rows], room)
        self._present = resized(self._present[rows], room)

    def nearest(
        self, rows: Rows, used: int, vector: Float32Array, k: int
    ) -> tuple[Rows, NDArray[np.float64]]:
        """Return at least the k nearest of some rows with their distances.

        Args:
            rows: the rows to compare.
            used: number of rows in use.
            vector: the query vector.
            k: number of neighbors, >= 1.
        """
        chosen = rows[self._candidates(rows, used, vector, k)]
        return chosen, distances(self._vectors[chosen], vector, self._metric)

    def distances(self, rows: Rows, vector: Float32Array) -> NDArray[np.float64]:
        """Compute the distances of rows in double precision."""
        return distances(self._vectors[rows], vector, self._metric)

    def _candidates(self, rows: Rows, used: int, vector: Float32Array, k: int) -> Mask | slice:
        """Select the rows that can be among the k nearest, in float32 with a margin for rounding errors.

        The caller computes the distances of these few in double precision.
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
                    margin = _ROUNDING * length
                case Metric.IP:
                    rough = -product
                    margin = _ROUNDING * length * longest
                case Metric.L2:
                    rough = norms * norms - 2 * product
                    margin = _ROUNDING * longest * (longest + 2 * length)
                case _:
                    assert_never(self._metric)
        bound = float(np.partition(rough, k - 1)[k - 1])
        if not np.isfinite(rough).all():
            return slice(None)
        return rough <= bound + 2 * margin


def resized(values: NDArray[_Item], room: int, fill: float = 0) -> NDArray[_Item]:
    """Return a copy of the array with `room` rows."""
    shape = (room, *values.shape[1:])
    # Memory of zeros is not used before something is written to it.
    larger = np.full(shape, fill, values.dtype) if fill else np.zeros(shape, values.dtype)
    larger[: len(values)] = values
    return larger
