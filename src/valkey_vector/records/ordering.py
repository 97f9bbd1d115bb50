"""How values of different kinds are put in order: wherever records, rows or groups are sorted."""

from __future__ import annotations

from typing import Any

from valkey_vector.records.temporal import instant, is_temporal

__all__ = ["is_orderable", "sort_key"]

_WITHOUT_ORDER = (4, "")


def sort_key(value: Any) -> tuple[int, Any]:
    """Booleans, numbers, points in time, texts; anything else, NaN too, is equal among itself and comes last."""
    match value:
        case bool():
            return 0, value
        case int() | float():
            return (1, value) if value == value else _WITHOUT_ORDER
        case str():
            return 3, value
        case _ if is_temporal(value):
            return 2, instant(value)
        case _:
            return _WITHOUT_ORDER


def is_orderable(value: Any) -> bool:
    """Whether a value has a place of its own in that order: no list, dict, None or NaN has."""
    return sort_key(value) is not _WITHOUT_ORDER
