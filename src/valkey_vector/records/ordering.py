"""Sort order of values of different kinds, for records, rows and groups."""

from __future__ import annotations

from typing import Any

from valkey_vector.records.temporal import instant, is_temporal

__all__ = ["has_order", "is_orderable", "sort_key"]

_WITHOUT_ORDER = (4, "")


def sort_key(value: Any) -> tuple[int, Any]:
    """Sort key of a value: booleans, numbers, points in time, texts. All other values and NaN are equal and come last."""
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
    """True if the order ranks the value by itself. False for lists, dicts, None and NaN."""
    return has_order(sort_key(value))


def has_order(key: tuple[int, Any]) -> bool:
    """`is_orderable` for the value with this sort key."""
    return key is not _WITHOUT_ORDER
