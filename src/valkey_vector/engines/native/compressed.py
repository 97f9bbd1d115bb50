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

__all__ = ["Compressed", "kernel"]

Codes: TypeAlias = NDArray[np.int8]
Kernel: TypeAlias = Callable[[Codes, Codes], NDArray[Any]]
"""A function that returns the exact products of rows with a query, both 8-bit integers."""

_LEVELS = 127
_ROUNDING = 64 * float(np.finfo(np.float32).eps)
"""Upper bound for the relative rounding error of float32 lengths and products."""

_Item = TypeVar("_Item", bound=np.generic)

_EXACT_ROUNDING = 1e-14
"""Upper bound for the relative rounding error of exact distances, within which they count as ties."""

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
        self, rows: NDArray[np.intp], norms: Float32Array, vector: Float32Array, k: int
    ) -> NDArray[np.intp] | None:
        """Return the rows that can be among the k nearest of some rows; None if a bound is not finite.

        Args:
            rows: the rows to compare, more than k.
            norms: the lengths of all covered rows.
            vector: the query vector.
            k: number of neighbors, >= 1.
        """
        query = vector.astype(np.float64)
        length = float(np.linalg.norm(query))
        step = float(np.abs(query).max()) / _LEVELS or 1.0
        codes = np.rint(query / step)
        rest = float(np.linalg.norm(query - step * codes)) * (1 + _ROUNDING)
        used = self._covered
        chosen: Any = slice(None) if len(rows) == used else rows
        with np.errstate(over="ignore", invalid="ignore"):
            counts = self._products(self._codes[:used], codes.astype(np.int8))[chosen]
            products = counts.astype(np.float32) * (self._scales[:used][chosen] * np.float32(step))
            doubt = self._errors[:used][chosen] * np.float32(length + rest)
            sizes = norms[chosen]
            match self._metric:
                case Metric.COSINE:
                    doubt += np.float32(rest + _ROUNDING * length)
                    rough = -products
                case Metric.IP:
                    doubt += sizes * np.float32(rest + _ROUNDING * length)
                    doubt += np.float32(_EXACT_ROUNDING)
                    rough = -products
                case Metric.L2:
                    doubt += sizes * (
                        np.float32(rest + _ROUNDING * length) + np.float32(_ROUNDING) * sizes
                    )
                    doubt = 2 * doubt + np.float32(_EXACT_ROUNDING * length * length)
                    rough = sizes * sizes - 2 * products
                case _:
                    assert_never(self._metric)
            bounds = rough + doubt
        if not np.isfinite(bounds).all():
            return None
        bound = np.partition(bounds, k - 1)[k - 1]
        possible: NDArray[np.intp] = rows[rough - doubt <= bound]
        return possible


def _extended(values: NDArray[_Item], room: int) -> NDArray[_Item]:
    """Return a copy of the array with `room` rows; memory of new rows is not used before they are set."""
    larger = np.zeros((room, *values.shape[1:]), values.dtype)
    larger[: len(values)] = values
    return larger
