"""LlamaIndex's metadata filters as the core's, with the meaning they have in `llama_index.core`.

The reference is `build_metadata_filter_fn`, which compares as Python does: ``True == 1``, text by code point (a
date in ISO 8601 is text), ``contains`` is Python's ``in`` on lists, texts and dicts. A missing item, and None, passes
only ``!=``, ``nin`` and ``is_empty``. Where Python would raise for an item of another type, such as text compared with a
number, the item does not pass. Beyond the reference: filters may be nested, a key with dots reaches into nested
dicts, and the keys `SOURCE_KEYS` mean the source document where the metadata has no such item of its own.
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
from valkey_vector.filters.nesting import check_depth, unchained

__all__ = ["SOURCE_KEYS", "to_filter"]

SOURCE_KEYS = frozenset({"doc_id", "document_id", "ref_doc_id"})
"""Keys under which LlamaIndex's stores file the id of a node's source document."""

# With the limit as the first operand, so that `partial` can hold it: item < limit is limit > item.
_TURNED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.gt,
    "<=": operator.ge,
    ">": operator.lt,
    ">=": operator.le,
}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAYS = timedelta(days=2)
_FIRST_DAY, _LAST_DAY = date(1700, 1, 1), date(2200, 1, 1)
"""Between these the index holds points in time exactly."""

_EVERYTHING, _NOTHING = all_of(()), any_of(())


def to_filter(filters: MetadataFilters | None) -> Filter | None:
    """The core's filter for LlamaIndex's; None for none.

    Raises:
        FilterError: it is not `MetadataFilters`, an operator or a condition is unknown, or a value is none that its
            operator can take.
    """
    if filters is None:
        return None
    if not isinstance(filters, MetadataFilters):
        raise FilterError(
            f"filters must be MetadataFilters, not a {type(filters).__name__}; of keys and values such as "
            '{"tenant": "a"} MetadataFilters.from_dict makes them'
        )
    return _all(filters, 0) if filters.filters else None


def _all(filters: MetadataFilters, depth: int) -> Filter:
    """The filter for filters that lie in so many others."""
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
            raise FilterError(f"unknown filter condition {unknown!r}; known are {known}")


def _chained(
    condition: FilterCondition | None, part: MetadataFilter | MetadataFilters
) -> Sequence[MetadataFilter | MetadataFilters] | None:
    """The filters of a part that has the same condition; None if it is something else."""
    associative = condition is not FilterCondition.NOT
    if associative and isinstance(part, MetadataFilters) and part.condition == condition:
        return part.filters or None
    return None


def _one(filter: MetadataFilter) -> Filter:
    if not isinstance(filter, MetadataFilter):
        raise FilterError(f"a MetadataFilter is needed, not a {type(filter).__name__}")
    key, value = filter.key, filter.value
    try:
        chosen = FilterOperator(filter.operator)
    except ValueError:
        known = ", ".join(FilterOperator)
        raise FilterError(
            f"unknown filter operator {filter.operator!r}; known are {known}"
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
    """A predicate, which a missing item fails, on what a key stands for."""
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
    """Equal to one of the values, where booleans are 0 and 1."""
    plain: list[Any] = []
    for value in values:
        number = isinstance(value, (int, float)) and value in (0, 1)
        plain += [bool(value), int(value)] if number else [value]
    return _looked_up(key, lambda field: field.in_(plain))


def _ordered(key: str, ordering: str, value: Any) -> Filter:
    match value:
        case str():
            test = partial(_TURNED[ordering], value)
            return _looked_up(
                key,
                lambda field: all_of(
                    [field.satisfies((str,), test), _near(field, ordering, value)]
                ),
            )
        case int() | float():
            return _looked_up(key, lambda field: field.orders_number(ordering, value))
        case _:
            raise FilterError(
                f"{ordering} on {key!r} takes a number or text, not {type(value).__name__}"
            )


def _near(field: FieldExpression, ordering: str, limit: str) -> Filter:
    """What every text that is ordered so passes, and what the index can decide if the texts are dates.

    Of two texts that begin with a day, the order is that of the days. A day is up to 24 hours before or after that of UTC,
    as which the index knows points in time. Texts that are none, and those before `_FIRST_DAY`, pass.
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
