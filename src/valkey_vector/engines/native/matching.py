"""Evaluation of plans and distances on the current content of documents instead of the replica."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from valkey_vector.engines.base import Near
from valkey_vector.filters.plan import Plan, plan_fields, selects
from valkey_vector.records.vectors import unpack_vector
from valkey_vector.schema.similarity import distances
from valkey_vector.storage.catalog import vector_name
from valkey_vector.storage.layout import EXPIRES
from valkey_vector.storage.rows import Row

__all__ = ["judged", "judged_fields"]


def judged_fields(fields: Sequence[str], near: Near, plan: Plan) -> list[str]:
    """Return these hash fields and those that `judged` needs."""
    return list(dict.fromkeys([*fields, vector_name(near.field.name), EXPIRES, *plan_fields(plan)]))


def judged(
    rows: Sequence[Row],
    near: Near,
    plan: Plan,
    *,
    radius: float,
    now: float,
    fields: Sequence[str],
) -> list[Row]:
    """Return the rows that match by their own content, with distances, nearest first, ties by id.

    Args:
        rows: rows with the fields of `judged_fields`.
        near: the query vector.
        plan: the plan that must select them.
        radius: largest distance to return.
        now: the server's time in milliseconds.
        fields: hash fields to return.
    """
    name = vector_name(near.field.name)
    matching = [row for row in rows if _matches(row, name, near.field.dimension, plan, now)]
    if not matching:
        return []
    stacked = np.stack([unpack_vector(row.fields[name]) for row in matching])
    measured = distances(stacked, near.vector, near.field.metric).tolist()
    found = [
        Row(row.id, {each: row.fields[each] for each in fields if each in row.fields}, distance)
        for row, distance in zip(matching, measured, strict=True)
        if distance <= radius
    ]
    return sorted(found, key=lambda row: (row.distance, row.id))


def _matches(row: Row, vector: str, dimension: int, plan: Plan, now: float) -> bool:
    packed = row.fields.get(vector)
    if packed is None or len(packed) != 4 * dimension:
        return False
    try:
        return float(row.fields.get(EXPIRES, math.inf)) > now and selects(plan, row.fields)
    except ValueError:  # a field that another program wrote
        return False
