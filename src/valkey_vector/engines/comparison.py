"""Exact search over any number of documents: compare page by page, keep the nearest."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

import numpy as np

from valkey_vector.document import VECTOR
from valkey_vector.engines.base import Row
from valkey_vector.ranking import distances
from valkey_vector.schema import Metric
from valkey_vector.vectors import Float32Array, unpack_vector

__all__ = ["nearest_of"]


def nearest_of(
    pages: Iterable[Sequence[Row]], vector: Float32Array, k: int, metric: Metric
) -> list[tuple[float, str]]:
    """The k nearest of the rows that have a vector: (distance, id), nearest first, ties by id."""
    nearest: list[tuple[float, str]] = []
    for page in pages:
        rows = [row for row in page if VECTOR in row.fields]
        if rows:
            stacked = np.stack([unpack_vector(row.fields[VECTOR]) for row in rows])
            measured = distances(stacked, vector, metric).tolist()
            nearest.extend(zip(measured, (row.id for row in rows), strict=True))
            nearest = heapq.nsmallest(k, nearest)
    return nearest
