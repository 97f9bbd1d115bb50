"""Exact search over one vector field of the native engine's replica."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.native.compressed import Compressed, Mask, Rows, kernel, kth_smallest
from valkey_vector.records.vectors import Float32Array, element_size, unpack_vector
from valkey_vector.schema.schema import Metric, VectorField
from valkey_vector.schema.similarity import distances

__all__ = ["Mask", "Matrix", "Rows", "resized"]

_ROUNDING = 32 * float(np.finfo(np.float32).eps)
"""Upper bound for the error of a float32 inner product, relative to the lengths of the vectors."""

_SPARSE = 2
"""If at most one row in this many is selected, gathering them is faster than multiplying all."""

_GATHERED = 256
"""Rows that are gathered at a time, so that they stay in the cache of the processor."""

_FEW_PER_NEIGHBOR = 10
"""Selected rows for each neighbor up to which they are compared without a first pass."""

_EXACT_ROUNDING = 1e-14
"""Upper bound for the relative rounding error of exact distances, within which they count as ties."""

_SHORTEST = 1e-15
"""Products with shorter vectors may underflow in float32, so they are compared in double precision."""

_FEW = 500
"""Selected rows up to which they are compared without a first pass."""

_LARGE = 8_000
"""Number of rows in use from which on a compressed first pass is faster, above all while other programs use the processors."""

_FIRST_SEARCHES = 2
"""Searches without a compressed first pass: compressing all rows takes as long as several of them."""

_Item = TypeVar("_Item", bound=np.generic)


class Matrix:
    """The vectors of one field by row, in float32 whatever their type on the server; a row without a vector holds zeros.

    Args:
        field: the vector field.
        room: number of rows to allocate.
    """

    def __init__(self, field: VectorField, room: int) -> None:
        self._metric = field.metric
        self._stored = field.data_type
        self._vectors: Float32Array = np.zeros((room, field.dimension), dtype=np.float32)
        self._norms: Float32Array = np.zeros(room, dtype=np.float32)
        self._present: Mask = np.zeros(room, dtype=np.bool_)
        self._compressed: Compressed | None = None
        self._searches = 0

    def put(self, rows: Rows, packed: Sequence[bytes]) -> None:
        """Set the vectors of rows, ascending; ignore bytes that are not a finite vector of the field's dimension."""
        dimension = self._vectors.shape[1]
        size = element_size(self._stored) * dimension
        if set(map(len, packed)) != {size}:
            fitting = [at for at, each in enumerate(packed) if len(each) == size]
            rows, packed = rows[fitting], [packed[at] for at in fitting]
        vectors = unpack_vector(b"".join(packed), self._stored).reshape(-1, dimension)
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))  # no array of the squares
        if not np.isfinite(norms).all():
            finite = np.isfinite(vectors).all(axis=1)
            rows, vectors, norms = rows[finite], vectors[finite], norms[finite]
            norms[np.isinf(norms)] = np.nan
        # Lengths that underflow or overflow: with a NaN among them, no bound is finite.
        if (short := norms < _SHORTEST).any():
            norms[short & vectors.any(axis=1)] = np.nan
        chosen: Any = rows
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
            chosen = slice(int(rows[0]), int(rows[-1]) + 1)  # ascending: faster than an array
        self._vectors[chosen], self._norms[chosen], self._present[chosen] = vectors, norms, True

    def present(self, used: int) -> Mask:
        """A mask of the first `used` rows: True for a row with a vector."""
        return self._present[:used]

    def retain(self, rows: Rows | slice, room: int) -> None:
        """Retain some rows in their order, and allocate `room` rows."""
        if not isinstance(rows, slice):
            self._compressed = None
        self._vectors = resized(self._vectors[rows], room)
        self._norms = resized(self._norms[rows], room)
        self._present = resized(self._present[rows], room)

    def nearest(
        self, selected: Mask, vector: Float32Array, k: int
    ) -> tuple[Rows, NDArray[np.float64]]:
        """Return at least the k nearest of some rows with their distances.

        Args:
            selected: a mask of all rows in use: True for each row to compare. Rows without a vector are left out.
            vector: the query vector.
            k: number of neighbors, >= 1.
        """
        used = len(selected)
        selected = selected & self._present[:used]
        rows = self._possible(selected, vector, k)
        if rows is None:
            rows = np.flatnonzero(selected)
        if not len(rows):
            return rows, np.zeros(0)
        chosen = rows[self._candidates(rows, used, vector, k)]
        return chosen, distances(self._vectors[chosen], vector, self._metric)

    def _possible(self, selected: Mask, vector: Float32Array, k: int) -> Rows | None:
        """Return the rows that can be among the k nearest, by their compressed vectors; None if that is not faster."""
        self._searches += 1
        used = len(selected)
        if used < _LARGE or self._searches <= _FIRST_SEARCHES:
            return None
        if np.count_nonzero(selected) < max(_FEW, _FEW_PER_NEIGHBOR * k):
            return None
        if self._compressed is None:
            products = kernel()
            if products is None:
                return None
            self._compressed = Compressed(self._metric, self._vectors.shape[1], products)
        self._compressed.cover(self._vectors[:used], self._norms[:used], len(self._vectors))
        return self._compressed.candidates(selected, self._norms[:used], vector, k)

    def within(
        self, rows: Rows, vector: Float32Array, radius: float
    ) -> tuple[Rows, NDArray[np.float64]]:
        """Return those of some rows that are up to a distance, with their distances. Few are computed at a time."""
        found: list[tuple[Rows, NDArray[np.float64]]] = [(rows[:0], np.zeros(0))]
        for start in range(0, len(rows), _GATHERED):
            part = rows[start : start + _GATHERED]
            exact = self.distances(part, vector)
            near = exact <= radius
            if near.any():
                found.append((part[near], exact[near]))
        chosen, exact = (np.concatenate(each) for each in zip(*found, strict=True))
        return chosen, exact

    def distances(self, rows: Rows, vector: Float32Array) -> NDArray[np.float64]:
        """Compute the distances of rows in double precision."""
        return distances(self._vectors[rows], vector, self._metric)

    def _candidates(self, rows: Rows, used: int, vector: Float32Array, k: int) -> Mask | slice:
        """Select the rows that can be among the k nearest, in float32 with a margin for rounding errors.

        The caller computes the distances of these few in double precision.
        """
        if k >= len(rows):
            return slice(None)
        length = float(np.linalg.norm(vector.astype(np.float64)))
        if length < _SHORTEST and vector.any():
            return slice(None)
        norms = self._norms[rows]
        rough: NDArray[np.floating[Any]]
        with np.errstate(over="ignore", invalid="ignore"):
            product = self._products(rows, used, vector)
            longest = float(np.max(norms))
            match self._metric:
                case Metric.COSINE:
                    rough = -product / np.where(norms == 0, np.float32(1), norms)
                    margin = _ROUNDING * length
                case Metric.IP:
                    rough = -product
                    margin = _ROUNDING * length * longest + _EXACT_ROUNDING
                case Metric.L2:
                    rough = norms * norms - 2 * product
                    margin = _ROUNDING * longest * (longest + 2 * length)
                    margin += _EXACT_ROUNDING * length * length
                case _:
                    assert_never(self._metric)
        if not (np.isfinite(rough).all() and np.isfinite(margin)):
            return slice(None)
        return rough <= kth_smallest(rough, k) + 2 * margin

    def _products(self, rows: Rows, used: int, vector: Float32Array) -> Float32Array:
        """Multiply some of the rows in use with a vector, in float32."""
        products: Float32Array
        if len(rows) * _SPARSE > used:
            products = (self._vectors[:used] @ vector)[rows]
            return products
        products = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), _GATHERED):
            part = rows[start : start + _GATHERED]
            products[start : start + len(part)] = self._vectors.take(part, axis=0) @ vector
        return products


def resized(values: NDArray[_Item], room: int, fill: float = 0) -> NDArray[_Item]:
    """Return a copy of the array with `room` rows."""
    shape = (room, *values.shape[1:])
    # Memory of zeros is not used before something is written to it.
    larger = np.full(shape, fill, values.dtype) if fill else np.zeros(shape, values.dtype)
    larger[: len(values)] = values
    return larger
