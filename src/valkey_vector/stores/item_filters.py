"""Filters on the values of items: ``{"score": {"$gte": 3}, "color": "red"}``.

Conditions are combined with AND. A condition is one of these:

- a value: the item's value must be equal;
- a dict without operators: its keys must be equal inside the item's dict;
- a dict of operators: ``$eq $ne $gt $gte $lt $lte $in $nin $between $exists $contains $like $ilike $not``.

``$and`` and ``$or`` (lists of filters) and ``$not`` (one filter) combine filters. Equality is that of Python. A missing
key counts as None, so ``{"key": None}`` matches items without the key.

Numbers, and texts that hold numbers, are compared as exact numbers. Other texts are compared as texts, so ISO dates sort
correctly. A value that cannot be ordered relative to the operand does not match.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

from valkey_vector.errors import FilterError
from valkey_vector.filters.patterns import like_pattern

__all__ = ["Accept", "compile_filter"]

Accept: TypeAlias = Callable[[Any], bool]
"""Returns True for a value that matches."""

_ORDERINGS: Mapping[str, Callable[[int], bool]] = {
    "$gt": lambda order: order > 0,
    "$gte": lambda order: order >= 0,
    "$lt": lambda order: order < 0,
    "$lte": lambda order: order <= 0,
}
_OTHERS = (
    "$eq",
    "$ne",
    "$in",
    "$nin",
    "$between",
    "$exists",
    "$contains",
    "$like",
    "$ilike",
    "$not",
)


def compile_filter(filter: Mapping[str, Any]) -> Accept:
    """Compile a filter into a function that returns True if the dict of an item matches.

    Raises:
        FilterError: an operator is unknown, or its operand has the wrong type.
    """
    if not isinstance(filter, Mapping):
        raise FilterError(f"a filter must be a dict, not a {type(filter).__name__}")
    return _all([_clause(key, operand) for key, operand in filter.items()])


def _clause(key: Any, operand: Any) -> Accept:
    match key:
        case "$and":
            return _all(_filters(key, operand))
        case "$or":
            parts = _filters(key, operand)
            return lambda value: any(part(value) for part in parts)
        case "$not":
            part = compile_filter(operand)
            return lambda value: not part(value)
        case str():
            condition = _condition(operand)
            return lambda value: condition(value.get(key))
        case _:
            raise FilterError(f"a filter's keys must be text, not {key!r}")


def _condition(operand: Any) -> Accept:
    """Compile the condition on one value of an item."""
    if isinstance(operand, Mapping):
        if any(isinstance(name, str) and name.startswith("$") for name in operand):
            return _all([_operator(name, inner) for name, inner in operand.items()])
        inside = {name: _condition(inner) for name, inner in operand.items()}
        return lambda value: (
            isinstance(value, dict)
            and all(condition(value.get(name)) for name, condition in inside.items())
        )
    if isinstance(operand, (list, tuple)):
        parts = [_condition(inner) for inner in operand]
        return lambda value: (
            isinstance(value, (list, tuple))
            and len(value) == len(parts)
            and all(part(item) for part, item in zip(parts, value, strict=True))
        )
    return lambda value: bool(value == operand)


def _operator(name: Any, operand: Any) -> Accept:
    if name in _ORDERINGS:
        return _ordered(operand, _ORDERINGS[name])
    match name:
        case "$eq":
            return lambda value: bool(value == operand)
        case "$ne":
            return lambda value: bool(value != operand)
        case "$in":
            listed = _listed(name, operand)
            return lambda value: any(value == one for one in listed)
        case "$nin":
            listed = _listed(name, operand)
            return lambda value: not any(value == one for one in listed)
        case "$between":
            bounds = _listed(name, operand)
            if len(bounds) != 2:
                raise FilterError(f"$between takes [low, high], not {operand!r}")
            low, high = bounds
            return _all([_ordered(low, _ORDERINGS["$gte"]), _ordered(high, _ORDERINGS["$lte"])])
        case "$exists":
            if not isinstance(operand, bool):
                raise FilterError(f"$exists takes True or False, not {operand!r}")
            return lambda value: (value is not None) == operand
        case "$contains":
            return lambda value: isinstance(value, list) and any(one == operand for one in value)
        case "$like" | "$ilike":
            if not isinstance(operand, str):
                raise FilterError(f"{name} takes text, not {operand!r}")
            pattern = like_pattern(operand, name == "$ilike")
            return lambda value: isinstance(value, str) and pattern.matches(value)
        case "$not":
            condition = _condition(operand)
            return lambda value: not condition(value)
        case _:
            known = ", ".join((*_ORDERINGS, *_OTHERS))
            raise FilterError(f"unknown operator {name!r}: use one of {known}")


def _ordered(operand: Any, holds: Callable[[int], bool]) -> Accept:
    def accept(value: Any) -> bool:
        order = _order(value, operand)
        return order is not None and holds(order)

    return accept


def _order(value: Any, operand: Any) -> int | None:
    """Compare a value with the operand. Returns < 0, 0 or > 0, or None if they cannot be ordered."""
    left, right = _number(value), _number(operand)
    if left is not None and right is not None:
        return (left > right) - (left < right)
    if isinstance(value, str) and isinstance(operand, str):
        return (value > operand) - (value < operand)
    if isinstance(value, date) and type(value) is type(operand):
        try:
            return (value > operand) - (value < operand)
        except TypeError:  # only one of the two times has a time zone
            return None
    return None


def _number(value: Any) -> float | None:
    """Return a value as a number, if it is a number or a text that holds one."""
    if isinstance(value, (bool, int)):
        return value
    if not isinstance(value, (float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _all(parts: Sequence[Accept]) -> Accept:
    return lambda value: all(part(value) for part in parts)


def _filters(name: str, operand: Any) -> list[Accept]:
    return [compile_filter(one) for one in _listed(name, operand)]


def _listed(name: str, operand: Any) -> list[Any]:
    if not isinstance(operand, (list, tuple, set, frozenset)):
        raise FilterError(f"{name} takes a list, not {operand!r}")
    return list(operand)
