"""The rows that can be among the k nearest, by approximate distances with bounds of their errors."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from valkey_vector.records.vectors import Float32Array

__all__ = ["PossibleRows", "Rows", "kth_smallest"]

Rows: TypeAlias = NDArray[np.intp]

_GREATEST = float(np.finfo(np.float32).max)
"""Bound of the distances before k rows are known. It is finite, because rows that are left out have the distance inf."""

_GROUPED = 64
"""Numbers of which only the least is partitioned at first."""


class PossibleRows:
    """The rows that can be among the k nearest, by what was compared so far. Several threads can add rows.

    Args:
        k: number of neighbors, >= 1.

    Attributes:
        unbounded: True if the bounds of a row are not finite.
    """

    def __init__(self, k: int) -> None:
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
