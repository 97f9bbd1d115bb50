"""Exact search over any number of documents: compare page by page, keep the nearest, or all that are near enough."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence

import numpy as np

from valkey_vector.catalog import vector_name
from valkey_vector.engines.base import Near, Row
from valkey_vector.ranking import distances
from valkey_vector.vectors import unpack_vector

__all__ = ["nearest_of"]


def nearest_of(
    pages: Iterable[Sequence[Row]], near: Near, k: int | None, radius: float = math.inf
) -> list[tuple[float, str]]:
    """Of the rows that have the vector the k nearest, or all, up to a radius: (distance, id), nearest first, ties by id."""
    name = vector_name(near.field.name)
    nearest: list[tuple[float, str]] = []
    for page in pages:
        rows = [row for row in page if name in row.fields]
        if rows:
            stacked = np.stack([unpack_vector(row.fields[name]) for row in rows])
            measured = distances(stacked, near.vector, near.field.metric).tolist()
            found = zip(measured, (row.id for row in rows), strict=True)
            nearest.extend(pair for pair in found if pair[0] <= radius)
            if k is not None:
                nearest = heapq.nsmallest(k, nearest)
    return sorted(nearest)
