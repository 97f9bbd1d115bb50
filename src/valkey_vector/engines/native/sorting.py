"""Order of records by numbers, from the arrays of the native engine's replica."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.native.matrix import Rows
from valkey_vector.engines.native.replica import Replica
from valkey_vector.filters.plan import Plan
from valkey_vector.records.tokens import KINDS, kind_token
from valkey_vector.storage.catalog import CatalogEntry

__all__ = ["ordered_rows"]

_EXACT = 2.0**53
"""Numbers below it are exact as doubles."""

_Values = NDArray[np.float64]


def ordered_rows(
    replica: Replica,
    entry: CatalogEntry,
    plan: Plan,
    orders: Sequence[tuple[str, bool]],
    *,
    limit: int | None,
    now: float,
) -> Rows | None:
    """Return the first selected rows in an order; None if the arrays do not determine it.

    Rows without a key come last in both directions. Ties keep the order of creation.

    Args:
        replica: the replica; the caller holds its lock.
        entry: the catalog entry of the index.
        plan: the plan that selects the records.
        orders: metadata keys, each with True for descending, the most important first; without any, newest first.
        limit: number of rows, >= 1; None for all.
        now: the server's time in milliseconds.
    """
    rows = replica.rows(plan, now)
    columns: list[_Values] = []
    for key, descending in orders:
        values = _values(replica, entry, key, rows)
        if values is None:
            return None
        columns.append(-values if descending else values)
    created = replica.created(rows)
    if not orders:
        # Exactly the reverse of the order of creation, ties included.
        return rows[np.argsort(created, kind="stable")][::-1][:limit]
    first = columns[0]
    if limit is not None and limit < len(rows):
        # NaN, which stands for a missing key, is greater than every number here.
        bound = np.partition(first, limit - 1)[limit - 1]
        chosen = np.flatnonzero((first <= bound) | np.isnan(bound))
        rows, created = rows[chosen], created[chosen]
        columns = [each[chosen] for each in columns]
    keys = [created, *(part for each in columns[::-1] for part in (each, np.isnan(each)))]
    return rows[np.lexsort(keys)][:limit]


def _values(replica: Replica, entry: CatalogEntry, key: str, rows: Rows) -> _Values | None:
    """The sort values of a key, NaN for rows without it; None if other kinds of value occur or doubles are not exact."""
    kinds = {
        kind: replica.tokens.mask([kind_token(key, kind)], replica.size)[rows] for kind in KINDS
    }
    there = [kind for kind, mask in kinds.items() if mask.any()]
    if not there:
        return np.full(len(rows), np.nan)
    slot = entry.slot(key, "number")
    if there != ["n"] or slot is None:
        return None
    values = replica.numbers(slot)[rows]
    if not np.array_equal(~np.isnan(values), kinds["n"]):
        return None  # a NaN, or a number that was written when all slots were taken
    return values if (np.abs(values[kinds["n"]]) < _EXACT).all() else None
