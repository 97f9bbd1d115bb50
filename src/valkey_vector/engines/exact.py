"""Exact vector search over any number of documents: compute distances page by page, keep the nearest."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from valkey_vector.connection.pipelines import Pipelined
from valkey_vector.engines.base import Near
from valkey_vector.records.vectors import unpack_vector
from valkey_vector.schema.similarity import distances
from valkey_vector.storage.catalog import vector_name
from valkey_vector.storage.record_version import VERSION
from valkey_vector.storage.rows import Row

__all__ = ["Fetching", "RangeUnavailableError", "compared", "has_what_was_compared", "measured"]

_ROUNDS = 3
"""Maximum number of comparisons if some of the best documents change before they are fetched."""


class RangeUnavailableError(Exception):
    """The engine cannot run this range search. Internal: the caller falls back to KNN requests."""


class Fetching(Protocol):
    """The part of an engine that fetches documents."""

    def fetching(self, ids: Sequence[str], fields: Sequence[str]) -> Pipelined[list[Row | None]]:
        """Fetch documents by id, in that order; None for a missing document."""
        ...


def compared(
    engine: Fetching,
    pages: Callable[[], Iterable[Sequence[Row]]],
    near: Near,
    fields: Sequence[str],
    *,
    k: int | None,
    radius: float = math.inf,
) -> Pipelined[list[Row]]:
    """Compare every row that has the vector; return the k nearest, or all, up to a radius, nearest first, ties by id.

    The fields are fetched after the comparison. If a document changed or was removed in between, all rows are compared
    again, at most three times.

    Args:
        engine: fetches the documents.
        pages: returns all rows to compare, on each call.
        near: the query vector.
        fields: hash fields to fetch.
        k: number of rows; None for all.
        radius: largest distance to return.
    """
    for attempt in range(1, _ROUNDS + 1):
        best = _nearest(pages(), near, k, radius, lean=True)
        rows = yield from engine.fetching([row.id for row in best], fields)
        unchanged = [
            Row(row.id, row.fields, seen.distance)
            for seen, row in zip(best, rows, strict=True)
            if row is not None
            and row.version == seen.version
            and has_what_was_compared(row, near, fields)
        ]
        if len(unchanged) == len(best):
            return unchanged
        if attempt == _ROUNDS:
            break
    unchanged_ids = {row.id for row in unchanged}
    others = [row.id for row in best if row.id not in unchanged_ids]
    return sorted(
        [*unchanged, *(yield from _measured_now(engine, others, near, fields, radius))],
        key=_by_distance,
    )[:k]


def measured(
    pages: Iterable[Sequence[Row]], near: Near, *, k: int | None, radius: float = math.inf
) -> list[Row]:
    """The nearest of the rows that contain the vector, with their distances, nearest first, ties by id."""
    return _nearest(pages, near, k, radius, lean=False)


def has_what_was_compared(row: Row, near: Near, fields: Sequence[str]) -> bool:
    """Return False if the vector was fetched and the document no longer has it."""
    name = vector_name(near.field.name)
    return name not in fields or name in row.fields


def _measured_now(
    engine: Fetching, ids: Sequence[str], near: Near, fields: Sequence[str], radius: float
) -> Pipelined[list[Row]]:
    """Fetch documents by id, and compute their distances from the vectors just fetched."""
    name = vector_name(near.field.name)
    found = yield from engine.fetching(ids, list(dict.fromkeys([*fields, name])))
    rows = [row for row in found if row is not None]
    return _nearest([rows], near, None, radius, lean=False)


def _nearest(
    pages: Iterable[Sequence[Row]], near: Near, k: int | None, radius: float, *, lean: bool
) -> list[Row]:
    """The nearest rows with their distances, nearest first, ties by id; with `lean`, only with their versions."""
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
                nearest = heapq.nsmallest(k, nearest, key=_by_distance)
    return sorted(nearest, key=_by_distance)


def _version(row: Row) -> dict[str, bytes]:
    return {} if row.version is None else {VERSION: row.version}


def _by_distance(row: Row) -> tuple[float, str]:
    return row.distance, row.id
