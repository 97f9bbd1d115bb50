"""Filters as dicts, in the dialect that LangChain users know: ``{"year": {"$gte": 2020}, "lang": "en"}``.

Operators: ``$eq $ne $gt $gte $lt $lte $in $nin $between $exists $like $ilike $contains $any $all``, combined
with ``$and $or $not``. Conditions in one dict, and operators under one key, are combined with AND. ``$ne`` and ``$nin``
are exact complements, so they also match records without the key. ``{"key": None}`` matches only records without it.
An unknown operator raises `FilterError`; no condition is ever ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from valkey_vector.errors import FilterError
from valkey_vector.filters.ast import (
    Always,
    And,
    Compare,
    Contains,
    Equal,
    Exists,
    Field,
    Filter,
    Like,
    Not,
    Operator,
    Or,
)
from valkey_vector.filters.builder import FieldExpression, one_of
from valkey_vector.filters.foreign import (
    no_filter,
    no_operator,
    refuse_foreign,
    unknown_operator,
)
from valkey_vector.records.nesting import check_depth, unchained

__all__ = ["OPERATORS", "from_dict"]

_ORDERINGS = {
    "$gt": Operator.GREATER,
    "$gte": Operator.GREATER_EQUAL,
    "$lt": Operator.LESS,
    "$lte": Operator.LESS_EQUAL,
}

OPERATORS = (
    "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$between", "$exists", "$like",
    "$ilike", "$contains", "$any", "$all", "$and", "$or", "$not",
)  # fmt: skip
"""Every operator of the dialect."""


def from_dict(clauses: Mapping[str, Any]) -> Filter:
    """Translate a dict to a filter.

    Args:
        clauses: metadata keys (dotted for nested dicts) mapped to values or ``{operator: operand}``;
            ``$and`` and ``$or`` mapped to lists of such dicts; ``$not`` mapped to one. An empty dict matches every record.

    Raises:
        FilterError: an operator is unknown, or its operand is invalid.
    """
    return _all(clauses, 0)


def _all(clauses: Any, depth: int, where: str = "a filter") -> Filter:
    """Translate a dict at a nesting depth; return a filter expression unchanged."""
    check_depth(depth)
    if isinstance(clauses, Filter):
        return clauses
    if not isinstance(clauses, Mapping):
        raise no_filter(clauses, where)
    refuse_foreign(clauses)
    parts = [_clause(key, operand, depth) for key, operand in clauses.items()]
    match parts:
        case []:
            return Always()
        case [part]:
            return part
        case _:
            return And(tuple(parts))


def _clause(key: Any, operand: Any, depth: int) -> Filter:
    if not isinstance(key, str):
        raise FilterError(f"a filter's keys must be text, not {type(key).__name__}")
    match key:
        case "$and":
            return And(tuple(_alternatives(key, operand, depth)))
        case "$or":
            return Or(tuple(_alternatives(key, operand, depth)))
        case "$not":
            return Not(_all(operand, depth + 1, "the filter under $not"))
    if key.startswith("$"):
        raise unknown_operator(key, operand, OPERATORS, keyed=False)
    field = Field(key)
    if not isinstance(operand, Mapping):
        return _predicate(field, "$eq", operand)
    if not operand:
        raise FilterError(
            f"the filter on {key!r} names no operator; for an empty dict use {{'$eq': {{}}}}"
        )
    parts = tuple(_operator(field, name, value, depth) for name, value in operand.items())
    return parts[0] if len(parts) == 1 else And(parts)


def _operator(field: Field, name: Any, operand: Any, depth: int) -> Filter:
    if not isinstance(name, str) or not name.startswith("$"):
        raise no_operator(field.path, name)
    if name == "$not":
        check_depth(depth + 1)
        return Not(_clause(field.path, operand, depth + 1))
    return _predicate(field, name, operand)


def _predicate(field: Field, name: str, operand: Any) -> Filter:
    match name:
        case "$eq":
            return Not(Exists(field)) if operand is None else Equal(field, operand)
        case "$ne":
            return Exists(field) if operand is None else Not(Equal(field, operand))
        case "$gt" | "$gte" | "$lt" | "$lte":
            return Compare(field, _ORDERINGS[name], operand)
        case "$in":
            return one_of(field, _listed(field, name, operand), members=True)
        case "$nin":
            return Not(one_of(field, _listed(field, name, operand), members=True))
        case "$between":
            bounds = _listed(field, name, operand)
            if len(bounds) != 2:
                raise FilterError(
                    f"$between on {field.path!r} takes [low, high], not {len(bounds)} values"
                )
            low = Compare(field, Operator.GREATER_EQUAL, bounds[0])
            return And((low, Compare(field, Operator.LESS_EQUAL, bounds[1])))
        case "$exists":
            if not isinstance(operand, bool):
                raise FilterError(f"$exists on {field.path!r} takes True or False, not {operand!r}")
            return Exists(field) if operand else Not(Exists(field))
        case "$like" | "$ilike":
            return Like(field, operand, ignore_case=name == "$ilike")
        case "$contains":
            return Contains(field, operand)
        case "$any":
            return FieldExpression(field).contains_any(_listed(field, name, operand))
        case "$all":
            return FieldExpression(field).contains_all(_listed(field, name, operand))
        case _:
            raise unknown_operator(name, operand, OPERATORS, keyed=True)


def _alternatives(name: str, operand: Any, depth: int) -> Iterator[Filter]:
    def inner(clauses: Any) -> Sequence[Any] | None:
        chained = isinstance(clauses, Mapping) and len(clauses) == 1 and name in clauses
        return _branches(name, clauses[name]) if chained else None

    for clauses in unchained(_branches(name, operand), inner):
        yield _all(clauses, depth + 1, f"each filter under {name}")


def _branches(name: str, operand: Any) -> Sequence[Any]:
    if not isinstance(operand, Sequence) or isinstance(operand, (str, bytes)) or not operand:
        raise FilterError(f"{name} takes a non-empty list of filters, not {operand!r}")
    return operand


def _listed(field: Field, name: str, operand: Any) -> list[Any]:
    if isinstance(operand, (str, bytes, Mapping)) or not hasattr(operand, "__iter__"):
        raise FilterError(f"{name} on {field.path!r} takes a list, not {type(operand).__name__}")
    return list(operand)
