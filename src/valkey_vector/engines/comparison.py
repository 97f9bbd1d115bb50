"""Exact search over any number of documents: compare page by page, keep the nearest, or all that are near enough."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from valkey_vector.catalog import vector_name
from valkey_vector.engines.base import Near, Row
from valkey_vector.engines.steps import Steps
from valkey_vector.ranking import distances
from valkey_vector.vectors import unpack_vector

__all__ = ["Fetching", "compared", "has_what_was_compared"]


class Fetching(Protocol):
    """What brings documents: an engine."""

    def fetching(self, ids: Sequence[str], fields: Sequence[str]) -> Steps[list[Row | None]]:
        """Documents by id, in that order; None for one that is not there."""
        ...


def compared(
    engine: Fetching,
    pages: Iterable[Sequence[Row]],
    near: Near,
    fields: Sequence[str],
    *,
    k: int | None,
    radius: float = math.inf,
) -> Steps[list[Row]]:
    """Measure every row that has the vector, and bring the k nearest, or all, up to a radius; nearest first, ties by id."""
    best = _nearest(pages, near, k, radius)
    brought = yield from engine.fetching([id for _, id in best], fields)
    return [
        Row(row.id, row.fields, distance)
        for (distance, _), row in zip(best, brought, strict=True)
        if row is not None and has_what_was_compared(row, near, fields)
    ]


def has_what_was_compared(row: Row, near: Near, fields: Sequence[str]) -> bool:
    """False for a document that was written without the vector since it was compared, as far as that was brought."""
    name = vector_name(near.field.name)
    return name not in fields or name in row.fields


def _nearest(
    pages: Iterable[Sequence[Row]], near: Near, k: int | None, radius: float
) -> list[tuple[float, str]]:
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
