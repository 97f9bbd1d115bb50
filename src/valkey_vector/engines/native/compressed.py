"""Vectors as 8-bit integers: a first pass over all rows with a proven error bound, a quarter of the memory to read.

A vector ``x`` is ``s * c + e``: a scale, integers from -127 to 127, and the remainder. The query is ``t * d + f``. Then
``x @ q`` is ``s * t * (c @ d)``, which integers compute exactly, up to ``|e| |q| + |s * c| |f|``. So the rows that can be
among the nearest are known, and only these are compared exactly.

The products need SIMD instructions for 8-bit integers, which NumPy does not use. They come from the package numkong (extra
``simd``); without it, there is no first pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from importlib import import_module
from typing import Any, TypeAlias, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.native.two_threads import in_two_threads
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

_GREATEST = float(np.finfo(np.float32).max)
"""Bound of the distances before k rows are known. It is finite, because rows that are left out have the distance inf."""

_Item = TypeVar("_Item", bound=np.generic)

_EXACT_ROUNDING = 1e-14
"""Upper bound for the relative rounding error of exact distances, within which they count as ties."""

_SPARSE = 4
"""If fewer than one row in this many is selected, gathering their codes is faster than reading all."""

_FEW_BARRED = 16
"""If fewer than one row in this many is left out, setting their distances by position is faster than by a mask."""

_GROUPED = 64
"""Numbers of which only the least is partitioned at first."""

_BOUNDS = 32_768
"""Largest number of rows whose bounds are computed at a time."""

_SHARED = 16_384
"""Number of rows from which on two threads compare them in less time than one."""

_BLOCK = 128
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
        if used > self._covered:
            scratch = np.empty((min(_BLOCK, used - self._covered), vectors.shape[1]), np.float32)
            for start in range(self._covered, used, _BLOCK):
                rows = slice(start, min(used, start + _BLOCK))
                self._compress(rows, vectors[rows], norms[rows], scratch[: rows.stop - start])
        self._covered = used

    def _compress(
        self, rows: slice, vectors: Float32Array, norms: Float32Array, scratch: Float32Array
    ) -> None:
        """Compress some rows. `scratch`: an array of their shape, so that no memory is allocated for each step."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            greatest = np.maximum(vectors.max(axis=1), -vectors.min(axis=1))
            steps = greatest / np.float32(_LEVELS)
            factors = np.float32(_LEVELS) / greatest
            factors[~np.isfinite(factors)] = 0
            codes = np.rint(np.multiply(vectors, factors[:, np.newaxis], out=scratch), out=scratch)
            np.copyto(self._codes[rows], codes, casting="unsafe")
            codes *= steps[:, np.newaxis]
            rest = np.subtract(vectors, codes, out=scratch)
            errors = np.sqrt(np.einsum("ij,ij->i", rest, rest)) * np.float32(1.001)
            errors += np.float32(_ROUNDING) * norms
            if self._metric is Metric.COSINE:  # those of vectors of length 1
                lengths = np.where(norms == 0, np.float32(1), norms)
                steps, errors = steps / lengths, errors / lengths
            self._scales[rows], self._errors[rows] = steps, errors

    def candidates(
        self, selected: Mask, norms: Float32Array, vector: Float32Array, k: int
    ) -> Rows | None:
        """Return the rows that can be among the k nearest of some rows, in any order; None if a bound is not finite.

        Args:
            selected: a mask of the rows to compare, more than k.
            norms: the lengths of all covered rows.
            vector: the query vector.
            k: number of neighbors, >= 1.
        """
        query = _Query(vector, self._metric)
        found = _Found(query, k)
        # Gathering few rows is faster than reading all.
        few = np.count_nonzero(selected) * _SPARSE < self._covered
        rows = np.flatnonzero(selected) if few else None
        blocks = _blocks(self._covered if rows is None else len(rows))
        in_two_threads(partial(self._compare, found, selected, rows, norms), blocks)
        if found.unbounded:
            return None
        possible, rough = found.rows()
        doubt = query.doubt(self._errors.take(possible), norms.take(possible))
        among: Rows = possible[rough - doubt <= kth_smallest(rough + doubt, k)]
        return among

    def _compare(
        self,
        found: _Found,
        selected: Mask,
        rows: Rows | None,
        norms: Float32Array,
        part: slice,
    ) -> None:
        """Add the rows of one block that can be among the k nearest.

        The greatest doubt of the block serves for all of its rows, which leaves out nearly as many: each number that is
        computed for all rows takes time.

        Args:
            found: the query, and the rows found so far.
            selected: a mask of the rows to compare.
            rows: the same rows; None to read all.
            norms: the lengths of all rows.
            part: the block, of `rows` or of all.
        """
        query = found.query
        left_out: Mask | None = None
        if rows is None:
            codes, scales, errors = self._codes[part], self._scales[part], self._errors[part]
            norms = norms[part]
            if not selected[part].all():
                left_out = ~selected[part]
        else:
            some = rows[part]  # `take` is several times faster than an index array
            codes, scales = self._codes.take(some, axis=0), self._scales.take(some)
            errors, norms = self._errors.take(some), norms.take(some)
        with np.errstate(over="ignore", invalid="ignore"):
            rough = self._products(codes, query.codes).astype(np.float32, copy=False)
            rough *= scales * np.float32(-query.scale)
            if self._metric is Metric.L2:
                rough *= 2
                rough += norms * norms
            doubt: Any = query.doubt(errors.max(), norms.max())
            if not np.isfinite(rough.sum() + doubt):
                # A row is too long for these bounds, or all together.
                doubt = query.doubt(errors, norms)
                unbounded = ~np.isfinite(rough + doubt)
                if left_out is not None:
                    unbounded &= ~left_out
                    rough[left_out] = doubt[left_out] = 0
                if unbounded.any():
                    found.unbounded = True
                    return
            if left_out is not None:
                _bar(rough, left_out)
            at = found.possible(rough, doubt)
        found.add(at + part.start if rows is None else rows[part][at], rough[at])


class _Found:
    """The rows that can be among the k nearest, by what was compared so far. Several threads can add rows.

    Args:
        query: the query.
        k: number of neighbors, >= 1.

    Attributes:
        query: the query.
        unbounded: True if the bounds of a row are not finite.
    """

    def __init__(self, query: _Query, k: int) -> None:
        self.query = query
        self.unbounded = False
        self._k = k
        self._bound = _GREATEST
        self._blocks: list[tuple[Rows, Float32Array]] = []

    def possible(self, rough: Float32Array, doubt: Any) -> Rows:
        """Return the positions in a block that can be among the k nearest.

        Args:
            rough: approximate distances; inf for rows that are not selected.
            doubt: how far they can be from the distances: a number for each, or one for all.
        """
        if self._bound == _GREATEST and len(rough) >= self._k:
            self._bound = min(_GREATEST, kth_smallest(rough + doubt, self._k))
        at: Rows = np.flatnonzero(rough - doubt <= self._bound)
        if len(at) >= self._k:
            highest = rough[at] + (doubt[at] if np.ndim(doubt) else doubt)
            # Any k rows give a valid bound, so it does not matter which of two threads sets it.
            self._bound = min(self._bound, kth_smallest(highest, self._k))
        return at

    def add(self, rows: Rows, rough: Float32Array) -> None:
        """Add rows with their approximate distances."""
        self._blocks.append((rows, rough))

    def rows(self) -> tuple[Rows, Float32Array]:
        """All rows that were added, with their approximate distances."""
        rows, rough = zip(*self._blocks, strict=True)
        return np.concatenate(rows), np.concatenate(rough)


class _Query:
    """A query vector as integers, its length, and that of the remainder.

    Args:
        vector: the query vector.
        metric: the metric of the field.
    """

    def __init__(self, vector: Float32Array, metric: Metric) -> None:
        self._metric = metric
        exact = vector.astype(np.float64)
        self._length = float(np.linalg.norm(exact))
        self.scale = float(np.abs(exact).max()) / _LEVELS or 1.0
        codes = np.rint(exact / self.scale)
        self._rest = float(np.linalg.norm(exact - self.scale * codes)) * (1 + _ROUNDING)
        self.codes: Codes = codes.astype(np.int8)

    def doubt(self, errors: Any, norms: Any) -> Any:
        """Return how far approximate distances can be from the distances, up to what is the same for all rows.

        Args:
            errors: the lengths of the remainders of rows, or one length.
            norms: the lengths of the rows, or one length.
        """
        length, rest = np.float32(self._length), np.float32(self._rest)
        doubt = errors * (length + rest)
        of_query = rest + np.float32(_ROUNDING) * length
        with np.errstate(over="ignore", invalid="ignore"):
            match self._metric:
                case Metric.COSINE:
                    return doubt + of_query
                case Metric.IP:
                    return doubt + norms * of_query + np.float32(_EXACT_ROUNDING)
                case Metric.L2:
                    doubt = doubt + norms * (of_query + np.float32(_ROUNDING) * norms)
                    return 2 * doubt + np.float32(_EXACT_ROUNDING * self._length**2)
                case _:
                    assert_never(self._metric)


def _bar(rough: Float32Array, left_out: Mask) -> None:
    """Set the approximate distances of the rows that are left out to inf."""
    at = np.flatnonzero(left_out)
    if len(at) * _FEW_BARRED < len(rough):  # such as rows that were overwritten
        rough[at] = np.inf
        return
    # The maximum with inf or -inf: a third of the time of setting them by a mask.
    barred = left_out.astype(np.float32) - np.float32(0.5)
    barred *= np.float32(np.inf)
    np.maximum(rough, barred, out=rough)


def _blocks(size: int) -> list[slice]:
    """Divide rows into equal blocks whose bounds stay in the cache of the processor: one, or an even number."""
    number = 1 if size < _SHARED else 2 * math.ceil(size / (2 * _BOUNDS))
    step = max(1, math.ceil(size / number))
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


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
