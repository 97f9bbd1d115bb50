"""Exact search over any number of documents: compare page by page, keep the nearest, or all that are near enough."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from valkey_vector.connection.pipelines import Steps
from valkey_vector.engines.base import Near, Row
from valkey_vector.records.vectors import unpack_vector
from valkey_vector.schema.similarity import distances
from valkey_vector.storage.catalog import vector_name
from valkey_vector.storage.record_version import VERSION

__all__ = ["Fetching", "RangeUnavailableError", "compared", "has_what_was_compared", "measured"]

_ROUNDS = 3
"""How often documents are compared again because some of the best ones changed before they were fetched."""


class RangeUnavailableError(Exception):
    """The engine has no search by distance of its own after all. Handled by who asked, never shown."""


class Fetching(Protocol):
    """What fetches documents: an engine."""

    def fetching(self, ids: Sequence[str], fields: Sequence[str]) -> Steps[list[Row | None]]:
        """Documents by id, in that order; None for one that is not there."""
        ...


def compared(
    engine: Fetching,
    pages: Callable[[], Iterable[Sequence[Row]]],
    near: Near,
    fields: Sequence[str],
    *,
    k: int | None,
    radius: float = math.inf,
) -> Steps[list[Row]]:
    """Measure every row that has the vector, and return the k nearest, or all, up to a radius; nearest first, ties by id.

    The rows are fetched after they were measured. One that changed in between is measured again, and as a document that is
    now farther away, or gone, leaves its place to another one, all are compared again, a few times at most.

    Args:
        engine: fetches the documents.
        pages: gives all rows to compare, each time it is called.
        near: to what.
        fields: those to fetch.
        k: how many; None for all.
        radius: only those up to this distance.
    """
    for attempt in range(1, _ROUNDS + 1):
        best = _nearest(pages(), near, k, radius, lean=True)
        rows = yield from engine.fetching([row.id for row in best], fields)
        there = [
            Row(row.id, row.fields, seen.distance)
            for seen, row in zip(best, rows, strict=True)
            if row is not None
            and row.version == seen.version
            and has_what_was_compared(row, near, fields)
        ]
        if len(there) == len(best):
            return there
        if attempt == _ROUNDS:
            break
    unchanged = {row.id for row in there}
    others = [row.id for row in best if row.id not in unchanged]
    return sorted(
        [*there, *(yield from _measured_now(engine, others, near, fields, radius))], key=_nearness
    )[:k]


def measured(
    pages: Iterable[Sequence[Row]], near: Near, *, k: int | None, radius: float = math.inf
) -> list[Row]:
    """The nearest ones of rows that have the vector among their fields, with their distances; nearest first, ties by id."""
    return _nearest(pages, near, k, radius, lean=False)


def has_what_was_compared(row: Row, near: Near, fields: Sequence[str]) -> bool:
    """False for a document that was written without the vector since it was compared, as far as that was fetched."""
    name = vector_name(near.field.name)
    return name not in fields or name in row.fields


def _measured_now(
    engine: Fetching, ids: Sequence[str], near: Near, fields: Sequence[str], radius: float
) -> Steps[list[Row]]:
    """Documents by id, measured by the vector that is fetched with their other fields."""
    name = vector_name(near.field.name)
    found = yield from engine.fetching(ids, list(dict.fromkeys([*fields, name])))
    rows = [row for row in found if row is not None]
    return _nearest([rows], near, None, radius, lean=False)


def _nearest(
    pages: Iterable[Sequence[Row]], near: Near, k: int | None, radius: float, *, lean: bool
) -> list[Row]:
    """The nearest rows with their distances, nearest first, ties by id; `lean`: with no more fields than the version."""
    name = vector_name(near.field.name)
    size = 4 * near.vector.size
    nearest: list[Row] = []
    for page in pages:
        rows = [row for row in page if len(row.fields.get(name, b"")) == size]
        if rows:
            stacked = np.stack([unpack_vector(row.fields[name]) for row in rows])
            away = distances(stacked, near.vector, near.field.metric).tolist()
            nearest += [
                Row(row.id, _version(row), distance) if lean else replace(row, distance=distance)
                for distance, row in zip(away, rows, strict=True)
                if distance <= radius
            ]
            if k is not None:
                nearest = heapq.nsmallest(k, nearest, key=_nearness)
    return sorted(nearest, key=_nearness)


def _version(row: Row) -> dict[str, bytes]:
    return {} if row.version is None else {VERSION: row.version}


def _nearness(row: Row) -> tuple[float, str]:
    return row.distance, row.id
