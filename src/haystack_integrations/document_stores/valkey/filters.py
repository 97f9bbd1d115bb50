"""Translation of Haystack's filters to filters of the core, with Haystack's semantics.

Haystack compares as Python does: ``True == 1``. ISO 8601 dates in text equal the same point in time in any format, and
are the only texts that can be ordered. A missing value is None: equal to None, unequal to any other value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from functools import partial
from typing import Any

from haystack import Document
from haystack.errors import FilterError as HaystackFilterError

from valkey_vector import F, FieldExpression, Filter, all_of, any_of
from valkey_vector import FilterError as CoreFilterError
from valkey_vector.records.nesting import check_depth, unchained

__all__ = ["FilterError", "metadata_key", "to_filter"]


class FilterError(HaystackFilterError, ValueError):
    """A filter is invalid. Subclass of Haystack's error and of ValueError, because Haystack's stores raise either."""


_ATTRIBUTES = frozenset(field.name for field in fields(Document))
_COMPARISONS = frozenset({"==", "!=", "in", "not in", ">", ">=", "<", "<="})
_LOGIC = frozenset({"AND", "OR", "NOT"})


def to_filter(filters: Mapping[str, Any] | None) -> Filter | None:
    """Translate Haystack's filters to a filter of the core, or None.

    Raises:
        FilterError: if the filter is invalid.
    """
    if not filters:
        return None
    try:
        return _condition(filters, 0)
    except CoreFilterError as error:
        raise FilterError(str(error)) from error


def metadata_key(field: str) -> str:
    """Return the metadata key of a field name, with or without ``meta.``."""
    return field.removeprefix("meta.")


def _condition(filters: Any, depth: int) -> Filter:
    """Translate a dict at a nesting depth."""
    check_depth(depth)
    if not isinstance(filters, Mapping):
        raise FilterError(f"a filter must be a dict, not a {type(filters).__name__}")
    return _comparison(filters) if "field" in filters else _logic(filters, depth)


def _logic(filters: Mapping[str, Any], depth: int) -> Filter:
    if not filters.keys() & {"operator", "conditions"}:
        raise FilterError(
            f"{dict(filters)} is not a filter of Haystack; a condition on metadata is "
            '{"field": "meta.tenant", "operator": "==", "value": "a"}'
        )
    operator = _required(filters, "operator")
    conditions = _required(filters, "conditions")
    if operator not in _LOGIC:
        raise FilterError(f"unknown logical operator {operator!r}; use one of {sorted(_LOGIC)}")
    if not isinstance(conditions, list):
        raise FilterError(f"conditions must be a list, not {type(conditions).__name__}")
    parts = [
        _condition(condition, depth + 1)
        for condition in unchained(conditions, partial(_chained, operator))
    ]
    match operator:
        case "AND":
            return all_of(parts)
        case "OR":
            return any_of(parts)
        case _:
            return ~all_of(parts)


def _chained(operator: str, condition: Any) -> list[Any] | None:
    """Return the conditions of a condition with the same operator, or None for any other condition."""
    if not isinstance(condition, Mapping) or "field" in condition or operator == "NOT":
        return None
    inner = condition.get("conditions")
    same = condition.get("operator") == operator and isinstance(inner, list)
    return inner if same else None


def _comparison(filters: Mapping[str, Any]) -> Filter:
    operator = _required(filters, "operator")
    value = _required(filters, "value")
    if operator not in _COMPARISONS:
        raise FilterError(
            f"unknown comparison operator {operator!r}; use one of {sorted(_COMPARISONS)}"
        )
    field = _field(filters["field"])
    match operator:
        case "==":
            return _equal(field, value)
        case "!=":
            return ~_equal(field, value)
        case "in" | "not in":
            if not isinstance(value, list):
                raise FilterError(f"{operator!r} needs a list, not {type(value).__name__}")
            found = any_of(tuple(_equal(field, item) for item in value))
            return found if operator == "in" else ~found
        case _:
            return _ordered(field, operator, value)


def _required(filters: Mapping[str, Any], key: str) -> Any:
    if key not in filters:
        raise FilterError(f"{key!r} key missing in {dict(filters)}")
    return filters[key]


def _field(name: Any) -> FieldExpression:
    if not isinstance(name, str) or not name:
        raise FilterError(f"a field must be a name, not {name!r}")
    if name.startswith("meta."):
        return F(name[5:])
    if name in ("id", "content"):
        return F.id if name == "id" else F.content
    if name in _ATTRIBUTES or name.split(".")[0] in _ATTRIBUTES:
        raise FilterError(
            f"the field {name!r} of documents cannot be filtered on; use id, content or meta"
        )
    return F(name)


def _equal(field: FieldExpression, value: Any) -> Filter:
    if value is None:
        return ~field.exists()
    if isinstance(value, (bool, int, float)):
        return field.equals_number(value)
    moment = value if isinstance(value, datetime) else _iso_date(value)
    same: Filter = field == value
    return same if moment is None else same | (field == moment)


def _ordered(field: FieldExpression, operator: str, value: Any) -> Filter:
    if value is None:
        return any_of(())
    if isinstance(value, list):
        raise FilterError(f"{operator!r} cannot compare with a list")
    limit = _limit(value)
    if isinstance(limit, (bool, int, float)):
        return field.orders_number(operator, limit)
    return _compared(field, operator, limit)


def _compared(field: FieldExpression, operator: str, limit: Any) -> Filter:
    compared: Filter
    match operator:
        case ">":
            compared = field > limit
        case ">=":
            compared = field >= limit
        case "<":
            compared = field < limit
        case _:
            compared = field <= limit
    return compared


def _iso_date(value: Any) -> datetime | None:
    """Parse an ISO 8601 text with at least year, month and day, as Haystack does. Return None for other values."""
    if not isinstance(value, str) or len(value) < 10 or value[4] != "-":
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _limit(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    moment = _iso_date(value)
    if moment is None:
        raise FilterError(
            f"{value!r} cannot be ordered: >, >=, <, <= compare numbers and texts that are ISO 8601 dates"
        )
    return moment
