"""Compile a filter to a plan for the index, and a residual filter for the client.

Tokens and numeric slots cannot decide every predicate: patterns, numbers beyond 2**53, the order of texts. For these
the plan selects a superset, and the predicate stays in the residual, which the client checks against the metadata.
No condition is ever dropped.

Each predicate is compiled to a lower and an upper bound. Negation swaps them, so a superset stays a superset
under any nesting. A filter is exact if both bounds are the same plan.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeAlias, assert_never

from valkey_vector.filters.ast import (
    Always,
    And,
    Compare,
    Contains,
    Equal,
    Exists,
    Filter,
    Like,
    Never,
    Not,
    OneOf,
    Operator,
    Or,
    Predicate,
    Satisfies,
)
from valkey_vector.filters.plan import (
    EVERYTHING,
    NOTHING,
    Plan,
    Range,
    Tokens,
    all_of,
    any_of,
    complement,
)
from valkey_vector.records.temporal import instant, parse_iso
from valkey_vector.records.tokens import (
    HAS_PARENT,
    element_token,
    kind_token,
    parent_token,
    presence_tokens,
    value_token,
)

__all__ = ["Compiled", "SlotKind", "Slots", "compile_filter"]

SlotKind: TypeAlias = Literal["number", "instant"]

_KINDS = {str: "s", bool: "y", int: "n", float: "n", date: "t", list: "q", dict: "d"}
_SHORT = 100
"""Largest length of a text for which the plan is remembered."""

_EXACT = 2**53
"""Integers below this are exact as doubles; beyond it several share one."""


class Slots(Protocol):
    """Numeric index fields by metadata path."""

    def slot(self, path: str, kind: SlotKind) -> str | None:
        """The name of the numeric field, or None if the path has none."""
        ...

    def complete(self, path: str, kind: SlotKind) -> bool:
        """Return True if a path without a slot has no such values; False if it may have values that are not indexed."""
        ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled filter.

    Attributes:
        plan: selects every record that matches, and possibly more.
        residual: filter to check on each selected record; None if the plan is exact.
    """

    plan: Plan
    residual: Filter | None


@dataclass(frozen=True, slots=True)
class _Bounds:
    lower: Plan
    upper: Plan

    @property
    def exact(self) -> bool:
        return self.lower is self.upper


def compile_filter(filter: Filter, slots: Slots) -> Compiled:
    """Compile a filter for an index with these numeric slots."""
    parts = filter.parts if isinstance(filter, And) else (filter,)
    plans: list[Plan] = []
    unresolved: list[Filter] = []
    for part in parts:
        bounds = _bounds(part, slots)
        plans.append(bounds.upper)
        if not bounds.exact:
            unresolved.append(part)
    residual = And(tuple(unresolved)) if len(unresolved) > 1 else next(iter(unresolved), None)
    return Compiled(all_of(plans), residual)


def _bounds(filter: Filter, slots: Slots) -> _Bounds:
    match filter:
        case Always():
            return _exactly(EVERYTHING)
        case Never():
            return _exactly(NOTHING)
        case And(parts):
            return _combined(all_of, [_bounds(part, slots) for part in parts])
        case Or(parts):
            return _combined(any_of, [_bounds(part, slots) for part in parts])
        case Not(part):
            inner = _bounds(part, slots)
            if inner.exact:
                return _exactly(complement(inner.upper))
            return _Bounds(complement(inner.upper), complement(inner.lower))
        case _ if filter.field.source == "parent":
            return _parent_bounds(filter)
        case _ if filter.field.source != "metadata":
            return _Bounds(NOTHING, EVERYTHING)
        case _:
            return _item_bounds(filter, slots)


def _item_bounds(predicate: Predicate, slots: Slots) -> _Bounds:
    """The bounds of a predicate on a metadata item."""
    match predicate:
        case Equal(field, str(value)) if len(value) <= _SHORT:
            return _exactly(_equal_to_text(field.path, value))
        case Equal(field, value):
            return _exactly(_equal(field.path, [value]))
        case OneOf(field, values, members):
            equal = _equal(field.path, values)
            if not members:
                return _exactly(equal)
            held = _tokens(element_token(field.path, value) for value in values)
            return _exactly(any_of([equal, held]))
        case Contains(field, value):
            return _exactly(_tokens([element_token(field.path, value)]))
        case Exists(field):
            return _exactly(Tokens(presence_tokens(field.path)))
        case Like(field, _, _):
            return _Bounds(NOTHING, Tokens((kind_token(field.path, "s"),)))
        case Satisfies(field, types, _):
            kinds = (kind_token(field.path, _KINDS[kind]) for kind in types)
            return _Bounds(NOTHING, _tokens(kinds))
        case Compare(field, operator, value):
            return _compare(field.path, operator, value, slots)
        case _:
            assert_never(predicate)


def _equal(path: str, values: Sequence[Any]) -> Plan:
    """The plan for equality with one of the values. An ISO-8601 text also equals dates and datetimes, but no other text."""
    same = _tokens(value_token(path, value) for value in values)
    moments = [parse_iso(value) for value in values if isinstance(value, str)]
    if not any(moments):
        return same
    at_once = _tokens(value_token(path, moment) for moment in moments if moment is not None)
    return any_of([same, all_of([at_once, complement(Tokens((kind_token(path, "s"),)))])])


@lru_cache(maxsize=4096)
def _equal_to_text(path: str, text: str) -> Plan:
    """The plan for equality with one text; the same object for the filters that applications repeat."""
    return _equal(path, [text])


def _parent_bounds(predicate: Predicate) -> _Bounds:
    """The bounds of a predicate on the record's parent, which is text or missing."""
    match predicate:
        case Exists():
            return _exactly(Tokens((HAS_PARENT,)))
        case Equal(_, str(value)):
            return _exactly(Tokens((parent_token(value),)))
        case OneOf(_, values) if all(isinstance(value, str) for value in values):
            return _exactly(_tokens(parent_token(value) for value in values))
        case _:
            return _Bounds(NOTHING, Tokens((HAS_PARENT,)))


def _combined(combine: Callable[[Iterable[Plan]], Plan], each: Sequence[_Bounds]) -> _Bounds:
    upper = combine(bounds.upper for bounds in each)
    if all(bounds.exact for bounds in each):
        return _exactly(upper)
    return _Bounds(combine(bounds.lower for bounds in each), upper)


def _exactly(plan: Plan) -> _Bounds:
    return _Bounds(plan, plan)


def _tokens(tokens: Iterable[str | None]) -> Plan:
    known = tuple(dict.fromkeys(token for token in tokens if token is not None))
    return Tokens(known) if known else NOTHING


def _compare(path: str, operator: Operator, value: Any, slots: Slots) -> _Bounds:
    match value:
        case bool():
            passing = [flag for flag in (False, True) if _passes(flag, operator, value)]
            return _exactly(_tokens(value_token(path, flag) for flag in passing))
        case int() | float():
            return _compare_number(path, operator, value, slots)
        case str():
            moment = parse_iso(value)
            if moment is None:
                return _Bounds(NOTHING, Tokens((kind_token(path, "s"),)))
            return _compare_in_slot(path, operator, instant(moment), "instant", slots)
        case date():
            return _compare_in_slot(path, operator, instant(value), "instant", slots)
        case _:
            return _exactly(NOTHING)


def _compare_number(path: str, operator: Operator, value: float, slots: Slots) -> _Bounds:
    if value != value:
        return _exactly(NOTHING)
    if value in (math.inf, -math.inf):
        return _compare_infinity(path, operator, value)
    return _compare_in_slot(path, operator, value, "number", slots)


def _compare_infinity(path: str, operator: Operator, value: float) -> _Bounds:
    """The bounds of a comparison with infinity. All numbers except NaN lie between the infinities, so tokens decide."""
    infinite = _tokens([value_token(path, value)])
    towards = (
        (Operator.GREATER, Operator.GREATER_EQUAL)
        if value > 0
        else (Operator.LESS, Operator.LESS_EQUAL)
    )
    if operator in towards:
        inclusive = operator in (Operator.GREATER_EQUAL, Operator.LESS_EQUAL)
        return _exactly(infinite if inclusive else NOTHING)
    # NaN has no token of its own and must not match, so all numbers are only a superset.
    return _Bounds(NOTHING, Tokens((kind_token(path, "n"),)))


def _compare_in_slot(
    path: str, operator: Operator, value: float, kind: SlotKind, slots: Slots
) -> _Bounds:
    field = slots.slot(path, kind)
    if field is None:
        if slots.complete(path, kind):
            return _exactly(NOTHING)
        return _Bounds(NOTHING, Tokens((kind_token(path, "n" if kind == "number" else "t"),)))
    if abs(value) < _EXACT:
        interval = _interval(field, operator, float(value))
        return _exactly(interval)
    try:
        nearest = float(value)
    except OverflowError:
        nearest = sys.float_info.max if value > 0 else -sys.float_info.max
    inclusive = {Operator.LESS: Operator.LESS_EQUAL, Operator.GREATER: Operator.GREATER_EQUAL}
    return _Bounds(NOTHING, _interval(field, inclusive.get(operator, operator), nearest))


def _interval(field: str, operator: Operator, value: float) -> Range:
    value += 0.0
    match operator:
        case Operator.LESS:
            return Range(field, high=value, high_open=True)
        case Operator.LESS_EQUAL:
            return Range(field, high=value)
        case Operator.GREATER:
            return Range(field, low=value, low_open=True)
        case Operator.GREATER_EQUAL:
            return Range(field, low=value)
        case _:
            assert_never(operator)


def _passes(item: bool, operator: Operator, value: bool) -> bool:
    match operator:
        case Operator.LESS:
            return item < value
        case Operator.LESS_EQUAL:
            return item <= value
        case Operator.GREATER:
            return item > value
        case Operator.GREATER_EQUAL:
            return item >= value
        case _:
            assert_never(operator)
