"""Translation of LlamaIndex's metadata filters to filters of the core, with the semantics of `llama_index.core`.

The reference is `build_metadata_filter_fn`, which compares as Python does: ``True == 1``; text is ordered by code
point, including ISO 8601 dates; ``contains`` is Python's ``in`` on lists, texts and dicts. A missing or None value
matches only ``!=``, ``nin`` and ``is_empty``. A value of a type that Python cannot compare, such as text with a number,
does not match. Extensions of the reference: filters may be nested, a key with dots reads nested dicts, and the keys in
`SOURCE_KEYS` refer to the source document if the metadata has no such key.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any, assert_never

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from valkey_vector import F, FieldExpression, Filter, FilterError, all_of, any_of
from valkey_vector.records.nesting import check_depth, unchained

__all__ = ["SOURCE_KEYS", "to_filter"]

SOURCE_KEYS = frozenset({"doc_id", "document_id", "ref_doc_id"})
"""Keys that LlamaIndex's stores use for the id of a node's source document."""

# The limit is the first operand, so that `partial` can bind it: item < limit is limit > item.
_REVERSED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.gt,
    "<=": operator.ge,
    ">": operator.lt,
    ">=": operator.le,
}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAYS = timedelta(days=2)
_FIRST_DAY, _LAST_DAY = date(1700, 1, 1), date(2200, 1, 1)
"""The index stores points in time between these days exactly."""

_EVERYTHING, _NOTHING = all_of(()), any_of(())


def to_filter(filters: MetadataFilters | None) -> Filter | None:
    """Translate LlamaIndex's filters to a filter of the core, or None.

    Raises:
        FilterError: if `filters` is not `MetadataFilters`, an operator or a condition is unknown, or an operator does
            not support its value.
    """
    if filters is None:
        return None
    if not isinstance(filters, MetadataFilters):
        raise FilterError(
            f"filters must be MetadataFilters, not a {type(filters).__name__}; for keys and values use "
            'MetadataFilters.from_dict({"tenant": "a"})'
        )
    return _all(filters, 0) if filters.filters else None


def _all(filters: MetadataFilters, depth: int) -> Filter:
    """Translate filters at a nesting depth."""
    check_depth(depth)
    parts = [
        _all(part, depth + 1) if isinstance(part, MetadataFilters) else _one(part)
        for part in unchained(filters.filters, partial(_chained, filters.condition))
    ]
    if not parts:
        return _EVERYTHING  # whatever the condition, as in the reference
    match filters.condition:
        case None | FilterCondition.AND:
            return all_of(parts)
        case FilterCondition.OR:
            return any_of(parts)
        case FilterCondition.NOT:
            return ~any_of(parts)
        case unknown:
            known = ", ".join(FilterCondition)
            raise FilterError(f"unknown filter condition {unknown!r}; use one of {known}")


def _chained(
    condition: FilterCondition | None, part: MetadataFilter | MetadataFilters
) -> Sequence[MetadataFilter | MetadataFilters] | None:
    """Return the filters of a part with the same condition, or None for any other part."""
    associative = condition is not FilterCondition.NOT
    if associative and isinstance(part, MetadataFilters) and part.condition == condition:
        return part.filters or None
    return None


def _one(filter: MetadataFilter) -> Filter:
    if not isinstance(filter, MetadataFilter):
        raise FilterError(f"a filter must be a MetadataFilter, not a {type(filter).__name__}")
    key, value = filter.key, filter.value
    try:
        chosen = FilterOperator(filter.operator)
    except ValueError:
        known = ", ".join(FilterOperator)
        raise FilterError(
            f"unknown filter operator {filter.operator!r}; use one of {known}"
        ) from None
    match chosen:
        case FilterOperator.EQ:
            return _equal(key, value)
        case FilterOperator.NE:
            return ~_equal(key, value)
        case FilterOperator.LT | FilterOperator.LTE | FilterOperator.GT | FilterOperator.GTE:
            return _ordered(key, chosen.value, value)
        case FilterOperator.IN:
            return _one_of(key, _listed(key, chosen, value))
        case FilterOperator.NIN:
            return ~_one_of(key, _listed(key, chosen, value))
        case FilterOperator.CONTAINS:
            return _contains(key, value)
        case FilterOperator.ANY:
            return any_of([_contains(key, item) for item in _listed(key, chosen, value)])
        case FilterOperator.ALL:
            parts = [_contains(key, item) for item in _listed(key, chosen, value)]
            return all_of([_looked_up(key, lambda field: field.exists()), *parts])
        case FilterOperator.TEXT_MATCH:
            text = _text(key, chosen, value)
            return _looked_up(key, lambda field: field.has_text(text))
        case FilterOperator.TEXT_MATCH_INSENSITIVE:
            holds = partial(_holds_lowered, _text(key, chosen, value).lower())
            return _looked_up(key, lambda field: field.satisfies((str,), holds))
        case FilterOperator.IS_EMPTY:
            there = _looked_up(key, lambda field: field.exists())
            return any_of([~there, _equal(key, ""), _equal(key, [])])
        case _:
            assert_never(chosen)


def _looked_up(key: str, predicate: Callable[[FieldExpression], Filter]) -> Filter:
    """Apply a predicate to the value of a key. A missing value does not match."""
    found = predicate(F(key))
    if key not in SOURCE_KEYS:
        return found
    return found | (~F(key).exists() & predicate(F.parent))


def _equal(key: str, value: Any) -> Filter:
    match value:
        case None:
            return _NOTHING
        case bool() | int() | float():
            return _looked_up(key, lambda field: field.equals_number(value))
        case str():
            return _looked_up(key, lambda field: field == value)
        case list() if any(isinstance(item, (int, float)) and item in (0, 1) for item in value):
            return _looked_up(
                key, lambda field: field.satisfies((list,), partial(operator.eq, value))
            )
        case list():
            return _looked_up(key, lambda field: field == value)
        case _:
            raise FilterError(f"== on {key!r} cannot take a {type(value).__name__}")


def _one_of(key: str, values: Sequence[Any]) -> Filter:
    """Match a value equal to one of the values, with True == 1 and False == 0."""
    plain: list[Any] = []
    for value in values:
        number = isinstance(value, (int, float)) and value in (0, 1)
        plain += [bool(value), int(value)] if number else [value]
    return _looked_up(key, lambda field: field.equals_one_of(plain))


def _ordered(key: str, ordering: str, value: Any) -> Filter:
    match value:
        case str():
            test = partial(_REVERSED[ordering], value)
            return _looked_up(
                key,
                lambda field: all_of(
                    [field.satisfies((str,), test), _day_range(field, ordering, value)]
                ),
            )
        case int() | float():
            return _looked_up(key, lambda field: field.orders_number(ordering, value))
        case _:
            raise FilterError(
                f"{ordering} on {key!r} takes a number or text, not {type(value).__name__}"
            )


def _day_range(field: FieldExpression, ordering: str, limit: str) -> Filter:
    """Return a condition that the index can check if the texts are dates, and that every match fulfills.

    Two texts that start with a day have the order of their days. The index stores points in time in UTC, which shifts
    a day by up to 24 hours. Texts that are not dates, and dates before `_FIRST_DAY`, always match.
    """
    try:
        day = date.fromisoformat(limit[:10]) if _DAY.match(limit) else None
    except ValueError:
        day = None
    if day is None or not _FIRST_DAY + _DAYS < day < _LAST_DAY - _DAYS:
        return _EVERYTHING
    others = ~(field >= _FIRST_DAY)
    if ordering in ("<", "<="):
        return any_of([field <= day + _DAYS, others])
    return any_of([field >= day - _DAYS, others])


def _contains(key: str, value: Any) -> Filter:
    match value:
        case str():
            return _looked_up(
                key,
                lambda field: any_of(
                    [
                        field.contains(value),
                        field.has_text(value),
                        field.satisfies((dict,), partial(_has, value)),
                    ]
                ),
            )
        case int() | float() if value in (0, 1):
            both = [bool(value), int(value)]
            return _looked_up(key, lambda field: field.contains_any(both))
        case int() | float():
            return _looked_up(key, lambda field: field.contains(value))
        case list():
            return _looked_up(key, lambda field: field.satisfies((list,), partial(_has, value)))
        case _:
            raise FilterError(
                f"contains on {key!r} takes text, a number or a list, not {type(value).__name__}"
            )


def _listed(key: str, chosen: FilterOperator, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FilterError(f"{chosen.value} on {key!r} takes a list, not {type(value).__name__}")
    return value


def _text(key: str, chosen: FilterOperator, value: Any) -> str:
    if not isinstance(value, str):
        raise FilterError(f"{chosen.value} on {key!r} takes text, not {type(value).__name__}")
    return value


def _holds_lowered(lowered: str, item: str) -> bool:
    return lowered in item.lower()


def _has(value: Any, item: list[Any] | dict[str, Any]) -> bool:
    return value in item
