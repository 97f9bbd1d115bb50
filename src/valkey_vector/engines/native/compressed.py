"""Vectors as 8-bit integers: a first pass over all rows with a proven error bound, a quarter of the memory to read.

A vector ``x`` is ``s * c + e``: a scale, integers from -127 to 127, and the remainder. The query is ``t * d + f``. Then
``x @ q`` is ``s * t * (c @ d)``, which integers compute exactly, up to ``|e| |q| + |s * c| |f|``. So the rows that can be
among the nearest are known, and only these are compared exactly.

The products need SIMD instructions for 8-bit integers, which NumPy does not use. They come from the package numkong (extra
``simd``); without it, there is no first pass.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeAlias, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from valkey_vector.records.vectors import Float32Array
from valkey_vector.schema.schema import Metric

__all__ = ["Compressed", "Mask", "Rows", "kernel", "kth_smallest"]

Codes: TypeAlias = NDArray[np.int8]
Mask: TypeAlias = NDArray[np.bool_]
Rows: TypeAlias = NDArray[np.intp]
Kernel: TypeAlias = Callable[[Codes, Codes], NDArray[Any]]
"""A function that returns the exact products of rows with a query, both 8-bit integers."""

_LEVELS = 127
_ROUNDING = 64 * float(np.finfo(np.float32).eps)
"""Upper bound for the relative rounding error of float32 lengths and products."""

_Item = TypeVar("_Item", bound=np.generic)

_EXACT_ROUNDING = 1e-14
"""Upper bound for the relative rounding error of exact distances, within which they count as ties."""

_SPARSE = 4
"""If fewer than one row in this many is selected, gathering their codes is faster than reading all."""

_GROUPED = 64
"""Numbers of which only the least is partitioned at first."""

_BLOCK = 512
"""Rows that are compressed at a time, so that they stay in the cache of the processor."""


@lru_cache(maxsize=1)
def kernel() -> Kernel | None:
    """The products of numkong; None if it is not installed."""
    try:
        numkong = import_module("numkong")
    except ImportError:
        return None

    def products(codes: Codes, query: Codes) -> NDArray[Any]:
        return np.asarray(numkong.cdist(query[np.newaxis], codes, metric="dot")).reshape(-1)

    return products


class Compressed:
    """The compressed rows of one vector field. Not thread-safe.

    Args:
        metric: the metric of the field; for COSINE, vectors of length 1 are compressed.
        dimension: length of the vectors.
        products: computes products of integers.
    """

    def __init__(self, metric: Metric, dimension: int, products: Kernel) -> None:
        self._metric = metric
        self._products = products
        self._covered = 0
        self._codes: Codes = np.zeros((0, dimension), dtype=np.int8)
        self._scales: Float32Array = np.zeros(0, dtype=np.float32)
        self._errors: Float32Array = np.zeros(0, dtype=np.float32)

    def cover(self, vectors: Float32Array, norms: Float32Array, room: int) -> None:
        """Compress the rows that were added since the last call.

        Args:
            vectors: all rows in use.
            norms: their lengths.
            room: number of rows to allocate, if there are more rows than before.
        """
        used = len(vectors)
        if used > len(self._codes):
            self._codes = _extended(self._codes, room)
            self._scales = _extended(self._scales, room)
            self._errors = _extended(self._errors, room)
        for start in range(self._covered, used, _BLOCK):
            end = min(used, start + _BLOCK)
            self._compress(slice(start, end), vectors[start:end], norms[start:end])
        self._covered = used

    def _compress(self, rows: slice, vectors: Float32Array, norms: Float32Array) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            if self._metric is Metric.COSINE:
                lengths = np.where(norms == 0, np.float32(1), norms)
                vectors = np.divide(vectors, lengths[:, np.newaxis], dtype=np.float32)
            scales = np.abs(vectors).max(axis=1) / np.float32(_LEVELS)
            scales[scales == 0] = 1
            codes = np.nan_to_num(np.rint(vectors / scales[:, np.newaxis]))
            rest = np.linalg.norm(vectors - scales[:, np.newaxis] * codes, axis=1)
            self._codes[rows] = codes
            self._scales[rows] = scales
            self._errors[rows] = rest * 1.001 + _ROUNDING * np.linalg.norm(vectors, axis=1)

    def candidates(
        self, selected: Mask, norms: Float32Array, vector: Float32Array, k: int
    ) -> Rows | None:
        """Return the rows that can be among the k nearest of some rows; None if a bound is not finite.

        Args:
            selected: a mask of the rows to compare, more than k.
            norms: the lengths of all covered rows.
            vector: the query vector.
            k: number of neighbors, >= 1.
        """
        if np.count_nonzero(selected) * _SPARSE < self._covered:
            # Gathering the rows is faster than reading all.
            rows = np.flatnonzero(selected)
            bounds = self._bounds(rows, norms.take(rows), vector)
            if not all(np.isfinite(bound).all() for bound in bounds):
                return None
            lowest, highest = bounds
            among: Rows = rows[lowest <= kth_smallest(highest, k)]
            return among
        lowest, highest = self._bounds(None, norms, vector)
        if not all((np.isfinite(bound) | ~selected).all() for bound in (lowest, highest)):
            return None
        highest[~selected] = np.inf
        possible: Rows = np.flatnonzero((lowest <= kth_smallest(highest, k)) & selected)
        return possible

    def _bounds(
        self, rows: Rows | None, norms: Float32Array, vector: Float32Array
    ) -> tuple[Float32Array, Float32Array]:
        """Return bounds of the distances of rows, all covered ones for None, up to what is the same for all of them.

        Args:
            rows: the rows.
            norms: their lengths.
            vector: the query vector.
        """
        query = vector.astype(np.float64)
        length = float(np.linalg.norm(query))
        step = float(np.abs(query).max()) / _LEVELS or 1.0
        steps = np.rint(query / step)
        rest = float(np.linalg.norm(query - step * steps)) * (1 + _ROUNDING)
        used = self._covered
        codes, scales, errors = self._codes[:used], self._scales[:used], self._errors[:used]
        if rows is not None:
            codes = codes.take(rows, axis=0)
            scales, errors = scales.take(rows), errors.take(rows)
        with np.errstate(over="ignore", invalid="ignore"):
            counts = self._products(codes, steps.astype(np.int8))
            products = counts.astype(np.float32)
            products *= scales * np.float32(step)
            doubt = errors * np.float32(length + rest)
            match self._metric:
                case Metric.COSINE:
                    doubt += np.float32(rest + _ROUNDING * length)
                    rough = np.negative(products, out=products)
                case Metric.IP:
                    doubt += norms * np.float32(rest + _ROUNDING * length)
                    doubt += np.float32(_EXACT_ROUNDING)
                    rough = np.negative(products, out=products)
                case Metric.L2:
                    doubt += norms * (
                        np.float32(rest + _ROUNDING * length) + np.float32(_ROUNDING) * norms
                    )
                    doubt = 2 * doubt + np.float32(_EXACT_ROUNDING * length * length)
                    rough = norms * norms - 2 * products
                case _:
                    assert_never(self._metric)
            return rough - doubt, rough + doubt


def kth_smallest(values: NDArray[np.floating[Any]], k: int) -> float:
    """Return the k-th smallest of some numbers, none of which is NaN.

    The k-th smallest minimum of groups is at least as great, so only the numbers up to it are partitioned: a tenth of the
    time of a partition of all.
    """
    whole = len(values) // _GROUPED * _GROUPED
    if whole >= _GROUPED * k:
        least = values[:whole].reshape(_GROUPED, -1).min(axis=0)
        values = values[values <= np.partition(least, k - 1)[k - 1]]
    return float(np.partition(values, k - 1)[k - 1])


def _extended(values: NDArray[_Item], room: int) -> NDArray[_Item]:
    """Return a copy of the array with `room` rows; memory of new rows is not used before they are set."""
    larger = np.zeros((room, *values.shape[1:]), values.dtype)
    larger[: len(values)] = values
    return larger
