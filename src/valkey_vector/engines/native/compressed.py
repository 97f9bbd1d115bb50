"""Vectors as 8-bit integers: a first pass over all rows with a proven error bound, a quarter of the memory to read.

Nearly all rows have their integers in the memory of the vectors (see `valkey_vector.engines.native.split_vectors`).

A vector ``x`` is ``s * c + e``: a scale, integers from -127 to 127, and the remainder. The query is ``t * d + f``. Then
``x @ q`` is ``s * t * (c @ d)``, which integers compute exactly, up to ``|e| |q| + |s * c| |f|``. So the rows that can be
among the nearest are known, and only these are compared exactly.

The products need SIMD instructions for 8-bit integers, which NumPy does not use. They come from the package numkong (extra
``simd``); without it, there is no first pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from typing import Any, TypeAlias, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.native.freed_memory import return_freed_memory
from valkey_vector.engines.native.possible_rows import PossibleRows, Rows, kth_smallest
from valkey_vector.engines.native.split_vectors import Codes, SplitVectors
from valkey_vector.engines.native.two_threads import in_two_threads
from valkey_vector.records.vectors import Float32Array
from valkey_vector.schema.schema import Metric

__all__ = ["Compressed", "Mask", "Rows", "kernel", "kth_smallest"]

Mask: TypeAlias = NDArray[np.bool_]
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

_FEW_BARRED = 16
"""If fewer than one row in this many is left out, setting their distances by position is faster than by a mask."""

_BOUNDS = 32_768
"""Largest number of rows whose bounds are computed at a time."""

_SHARED = 16_384
"""Number of rows from which on two threads compare them in less time than one."""

_MANY_SPLIT = 20_000
"""Rows that are split at once from which on the memory of this work is returned to the operating system."""

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
        self._split = SplitVectors(dimension)
        # The codes of the rows that are not split, and what one code of each stands for.
        self._codes: Codes = np.zeros((0, dimension), dtype=np.int8)
        self._steps: Float32Array = np.zeros(0, dtype=np.float32)
        self._scales: Float32Array = np.zeros(0, dtype=np.float32)
        self._errors: Float32Array = np.zeros(0, dtype=np.float32)

    def cover(self, vectors: Float32Array, norms: Float32Array, used: int) -> None:
        """Compress the rows that were added since the last call, and split whole blocks of them.

        Args:
            vectors: the array with all rows. Only `exact` reads it correctly afterwards.
            norms: the lengths of all rows.
            used: number of rows in use.
        """
        room, before = len(vectors), self._split.rows
        self._split.finish(vectors)
        if used > len(self._scales):
            self._scales = _extended(self._scales, room)
            self._errors = _extended(self._errors, room)
        while self._covered < used:
            first = self._split.rows
            end = first + self._split.block
            if self._split.possible:
                wanted, stop = self._split.block, min(used, end)
            else:
                wanted, stop = room - first, used
            if wanted > len(self._codes):
                self._codes = _extended(self._codes, wanted)
                self._steps = _extended(self._steps, wanted)
            self._compress_all(vectors, norms, slice(max(self._covered, first), stop))
            if stop == end and self._split.possible:
                self._split.add(vectors, self._codes, self._steps)
            self._covered = stop  # after an interruption, the next call compresses the block again
        if self._split.rows - before >= _MANY_SPLIT:
            # The codes of earlier blocks are in the memory of the vectors now.
            self._codes = _extended(self._codes[: used - self._split.rows], len(self._codes))
            return_freed_memory()

    def _compress_all(self, vectors: Float32Array, norms: Float32Array, rows: slice) -> None:
        """Compress rows, a few at a time."""
        scratch = np.empty((min(_BLOCK, rows.stop - rows.start), vectors.shape[1]), np.float32)
        for start in range(rows.start, rows.stop, _BLOCK):
            part = slice(start, min(rows.stop, start + _BLOCK))
            self._compress(part, vectors[part], norms[part], scratch[: part.stop - start])

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
            own = slice(rows.start - self._split.rows, rows.stop - self._split.rows)
            np.copyto(self._codes[own], codes, casting="unsafe")
            self._steps[own] = steps
            codes *= steps[:, np.newaxis]
            rest = np.subtract(vectors, codes, out=scratch)
            errors = np.sqrt(np.einsum("ij,ij->i", rest, rest)) * np.float32(1.001)
            errors += np.float32(_ROUNDING) * norms
            if self._metric is Metric.COSINE:  # those of vectors of length 1
                lengths = np.where(norms == 0, np.float32(1), norms)
                steps, errors = steps / lengths, errors / lengths
            self._scales[rows], self._errors[rows] = steps, errors

    def exact(self, vectors: Float32Array, rows: Rows) -> Float32Array:
        """Return the vectors of some rows.

        Args:
            vectors: the array with all rows.
            rows: the rows, in any order.
        """
        self._split.finish(vectors)
        is_split = rows < self._split.rows
        if is_split.all():
            return self._split.exact(vectors, rows)
        found = vectors.take(rows, axis=0)
        if is_split.any():
            found[is_split] = self._split.exact(vectors, rows[is_split])
        return found

    def candidates(
        self,
        selected: Mask,
        vectors: Float32Array,
        norms: Float32Array,
        vector: Float32Array,
        k: int,
    ) -> Rows | None:
        """Return the rows that can be among the k nearest of some rows, in any order; None if a bound is not finite.

        Args:
            selected: a mask of the rows to compare, more than k.
            vectors: the array with all rows.
            norms: the lengths of all covered rows.
            vector: the query vector.
            k: number of neighbors, >= 1.
        """
        query = _Query(vector, self._metric)
        found = PossibleRows(k)
        # Gathering few rows is faster than reading all.
        few = np.count_nonzero(selected) * _SPARSE < self._covered
        rows = np.flatnonzero(selected) if few else None
        blocks = _blocks(self._covered if rows is None else len(rows))
        compared = _Compared(query, selected, rows, vectors, norms)
        in_two_threads(partial(self._compare, found, compared), blocks)
        if found.unbounded:
            return None
        possible, rough = found.rows()
        doubt = query.doubt(self._errors.take(possible), norms.take(possible))
        among: Rows = possible[rough - doubt <= kth_smallest(rough + doubt, k)]
        return among

    def _compare(self, found: PossibleRows, compared: _Compared, part: slice) -> None:
        """Add the rows of one block that can be among the k nearest.

        The greatest doubt of the block serves for all of its rows, which leaves out nearly as many: each number that is
        computed for all rows takes time.

        Args:
            found: the rows found so far.
            compared: the query, and the rows to compare.
            part: the block, of `compared.rows` or of all rows.
        """
        selected, rows = compared.selected, compared.rows
        vectors, norms = compared.vectors, compared.norms
        query = compared.query
        left_out: Mask | None = None
        if rows is None:
            codes = self._codes_of(vectors, part)
            scales, errors, norms = self._scales[part], self._errors[part], norms[part]
            if not selected[part].all():
                left_out = ~selected[part]
        else:
            some = rows[part]  # `take` is several times faster than an index array
            codes = self._chosen_codes(vectors, some)
            scales, errors, norms = (
                self._scales.take(some),
                self._errors.take(some),
                norms.take(some),
            )
        with np.errstate(over="ignore", invalid="ignore"):
            rough = self._rough(codes, len(scales), query.codes)
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

    def _rough(self, codes: Iterable[Codes], size: int, query: Codes) -> Float32Array:
        """Multiply codes of `size` rows with those of the query."""
        rough, end = np.empty(size, dtype=np.float32), 0
        for part in codes:
            start, end = end, end + len(part)
            rough[start:end] = self._products(part, query)
        return rough

    def _codes_of(self, vectors: Float32Array, part: slice) -> list[Codes]:
        """Return the codes of a range of rows, without copying them."""
        border = self._split.rows
        codes = list(self._split.parts(vectors, slice(part.start, min(part.stop, border))))
        if part.stop > border:
            codes.append(self._codes[max(part.start - border, 0) : part.stop - border])
        return codes

    def _chosen_codes(self, vectors: Float32Array, rows: Rows) -> list[Codes]:
        """Return the codes of some rows, ascending."""
        split = int(np.searchsorted(rows, self._split.rows))
        codes = [self._split.codes(vectors, rows[:split])] if split else []
        if split < len(rows):
            codes.append(self._codes.take(rows[split:] - self._split.rows, axis=0))
        return codes


@dataclass(frozen=True, slots=True)
class _Compared:
    """The query and the rows of one comparison.

    Attributes:
        query: the query.
        selected: a mask of the rows to compare.
        rows: the same rows; None to read all.
        vectors: the array with all rows.
        norms: the lengths of all rows.
    """

    query: _Query
    selected: Mask
    rows: Rows | None
    vectors: Float32Array
    norms: Float32Array


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


def _extended(values: NDArray[_Item], room: int) -> NDArray[_Item]:
    """Return a copy of the array with `room` rows; memory of new rows is not used before they are set."""
    larger = np.zeros((room, *values.shape[1:]), values.dtype)
    larger[: len(values)] = values
    return larger
