"""The exact nearest neighbors of some vectors, computed here while the vectors of an index are read page by page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from valkey_vector.records.vectors import Float32Array
from valkey_vector.schema.schema import Metric
from valkey_vector.schema.similarity import distances

__all__ = ["ExactNeighbors"]

_TOLERANCE = 1e-6
"""The server computes distances in single precision; relative to distances above 1."""


class ExactNeighbors:
    """The `k` nearest neighbors of each query among all vectors that were added, and all others that are equally near.

    Only the candidates are kept, so any number of vectors can be added.

    Args:
        queries: the vectors to compare, one a row.
        own: for each query the id of its record, which is not its own neighbor; None for a query that is not stored.
        k: number of neighbors, >= 1.
        metric: metric of the vectors.
    """

    def __init__(
        self, queries: Float32Array, own: Sequence[str | None], k: int, metric: Metric
    ) -> None:
        self._queries = queries
        self._own = own
        self._k = k
        self._metric = metric
        self._ids: list[list[str]] = [[] for _ in own]
        self._distances: list[NDArray[np.float64]] = [np.empty(0) for _ in own]

    def add(self, ids: Sequence[str], vectors: Float32Array) -> None:
        """Compare vectors, one a row, with every query."""
        if not ids:
            return
        for number, query in enumerate(self._queries):
            found = distances(vectors, query, self._metric)
            keep = found <= self._limit(number)
            if (own := self._own[number]) in ids:
                keep[ids.index(own)] = False
            self._ids[number] += [ids[at] for at in np.flatnonzero(keep).tolist()]
            self._distances[number] = np.concatenate([self._distances[number], found[keep]])
            self._prune(number)

    def found(self) -> list[frozenset[str]]:
        """The neighbors of each query. More than `k` where several are equally near: each of them is right."""
        return [frozenset(ids) for ids in self._ids]

    def _limit(self, number: int) -> float:
        """The distance up to which a vector is one of the nearest so far."""
        known = self._distances[number]
        if len(known) < self._k:
            return np.inf
        last = float(np.partition(known, self._k - 1)[self._k - 1])
        return last + _TOLERANCE * max(1.0, abs(last))

    def _prune(self, number: int) -> None:
        near = self._distances[number] <= self._limit(number)
        if not near.all():
            self._ids[number] = [self._ids[number][at] for at in np.flatnonzero(near).tolist()]
            self._distances[number] = self._distances[number][near]
