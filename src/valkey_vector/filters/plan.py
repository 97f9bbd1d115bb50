"""Compile a filter to a plan: what an index can decide, and what remains to be checked.

A plan is set algebra over the two things every engine indexes: tokens and numeric slots. The search
engine writes it as an FT.* query, the native engine evaluates it on arrays. Where a predicate cannot be
decided so (a pattern, a number beyond 2**53, a text's order), the plan selects a superset and the
predicate stays as the residual, to be checked against the real metadata. Nothing is ever dropped.

Each predicate is compiled to a lower and an upper bound. Negation swaps them, so a superset stays a superset
under any nesting; a filter is exact where the two meet.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
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
)
from valkey_vector.temporal import instant, parse_iso
from valkey_vector.tokens import element_token, kind_token, presence_tokens, value_token

__all__ = [
    "TAGS",
    "AllOf",
    "AnyOf",
    "Compiled",
    "Complement",
    "Everything",
    "NoDocument",
    "Plan",
    "Range",
    "Slots",
    "Tokens",
    "Words",
    "all_of",
    "any_of",
    "compile_filter",
    "complement",
    "plan_fields",
    "selects",
]

SlotKind: TypeAlias = Literal["number", "instant"]

TAGS = "tags"
"""The hash field of the tokens."""

_EXACT = 2**53
"""Integers below this are exact as doubles; beyond it several share one."""


class Slots(Protocol):
    """Which numeric field of the index holds a path's values."""

    def slot(self, path: str, kind: SlotKind) -> str | None:
        """The field's name, or None where the path is not indexed by number."""
        ...

    def complete(self, path: str, kind: SlotKind) -> bool:
        """Whether a path without a slot has no such values at all, instead of values not indexed."""
        ...


@dataclass(frozen=True, slots=True)
class Everything:
    """All records."""


@dataclass(frozen=True, slots=True)
class NoDocument:
    """No record."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Records with at least one of the tokens."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Records whose numeric field lies in a non-empty interval; infinite ends are open-ended."""

    field: str
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def covers(self, value: float) -> bool:
        """Whether a number lies in the interval."""
        above = value > self.low if self.low_open else value >= self.low
        return above and (value < self.high if self.high_open else value <= self.high)


@dataclass(frozen=True, slots=True)
class Words:
    """Records with at least one of the words in a text field (see `valkey_vector.text`).

    As a phrase: with all of them next to each other, in this order.
    """

    field: str
    words: tuple[str, ...]
    phrase: bool = False


@dataclass(frozen=True, slots=True)
class AllOf:
    """The intersection; at least two parts."""

    parts: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The union; at least two parts."""

    parts: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class Complement:
    """All records but the part's."""

    part: Plan


Plan: TypeAlias = Everything | NoDocument | Tokens | Range | Words | AllOf | AnyOf | Complement


@dataclass(frozen=True, slots=True)
class Compiled:
    """A filter as the server sees it.

    Attributes:
        plan: selects every record that passes, and possibly more.
        residual: what is still to be checked on each; None if the plan is exact.
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


_EVERYTHING = Everything()
_NOTHING = NoDocument()


def compile_filter(filter: Filter, slots: Slots) -> Compiled:
    """The plan and the residual of a filter, for an index with these numeric slots."""
    parts = filter.parts if isinstance(filter, And) else (filter,)
    plans: list[Plan] = []
    open_parts: list[Filter] = []
    for part in parts:
        bounds = _bounds(part, slots)
        plans.append(bounds.upper)
        if not bounds.exact:
            open_parts.append(part)
    residual = And(tuple(open_parts)) if len(open_parts) > 1 else next(iter(open_parts), None)
    return Compiled(all_of(plans), residual)


def all_of(parts: Iterable[Plan]) -> Plan:
    """The intersection, simplified: intervals of a field become one; of nothing, everything."""
    kept: dict[Plan, None] = {}
    ranges: dict[str, Range] = {}
    for part in parts:
        for piece in part.parts if isinstance(part, AllOf) else (part,):
            match piece:
                case NoDocument():
                    return piece
                case Everything():
                    pass
                case Range(field):
                    narrowed = _intersection(ranges.get(field, Range(field)), piece)
                    if narrowed is None:
                        return _NOTHING
                    ranges[field] = narrowed
                case _:
                    kept[piece] = None
    kept.update(dict.fromkeys(ranges.values()))
    return AllOf(tuple(kept)) if len(kept) > 1 else next(iter(kept), _EVERYTHING)


def any_of(parts: Iterable[Plan]) -> Plan:
    """The union, simplified: tokens are gathered into one set, words into one a field; of nothing, nothing."""
    tokens: dict[str, None] = {}
    words: dict[str, dict[str, None]] = {}
    kept: dict[Plan, None] = {}
    for part in parts:
        for piece in part.parts if isinstance(part, AnyOf) else (part,):
            match piece:
                case Everything():
                    return piece
                case NoDocument():
                    pass
                case Tokens(names):
                    tokens.update(dict.fromkeys(names))
                case Words(field, names, phrase=False):
                    words.setdefault(field, {}).update(dict.fromkeys(names))
                case _:
                    kept[piece] = None
    union: list[Plan] = [Tokens(tuple(tokens))] if tokens else []
    union.extend(Words(field, tuple(names)) for field, names in words.items())
    union.extend(kept)
    return AnyOf(tuple(union)) if len(union) > 1 else next(iter(union), _NOTHING)


def complement(part: Plan) -> Plan:
    """All records but the part's, simplified."""
    match part:
        case Everything():
            return _NOTHING
        case NoDocument():
            return _EVERYTHING
        case Complement(inner):
            return inner
        case _:
            return Complement(part)


def plan_fields(plan: Plan) -> tuple[str, ...]:
    """The hash fields that decide whether a document is selected."""
    match plan:
        case Everything() | NoDocument():
            return ()
        case Tokens():
            return (TAGS,)
        case Range(field) | Words(field):
            return (field,)
        case Complement(part):
            return plan_fields(part)
        case AllOf(parts) | AnyOf(parts):
            return tuple(dict.fromkeys(name for part in parts for name in plan_fields(part)))
        case _:
            assert_never(plan)


def selects(plan: Plan, fields: Mapping[str, bytes]) -> bool:
    """Whether a plan selects a document with these hash fields."""
    match plan:
        case Everything():
            return True
        case NoDocument():
            return False
        case Tokens(tokens):
            return not set(tokens).isdisjoint(fields.get(TAGS, b"").decode().split(","))
        case Range(field):
            return field in fields and plan.covers(float(fields[field]))
        case Words(field, words, phrase):
            stored = fields.get(field, b"").decode()
            if phrase:
                return f" {' '.join(words)} " in f" {stored} "
            return not set(words).isdisjoint(stored.split())
        case Complement(part):
            return not selects(part, fields)
        case AllOf(parts):
            return all(selects(part, fields) for part in parts)
        case AnyOf(parts):
            return any(selects(part, fields) for part in parts)
        case _:
            assert_never(plan)


def _intersection(first: Range, second: Range) -> Range | None:
    """What two intervals of a field share. A record has one value there, so this is exact."""
    low, low_open = max((first.low, first.low_open), (second.low, second.low_open))
    high, high_closed = min((first.high, not first.high_open), (second.high, not second.high_open))
    if low > high or (low == high and (low_open or not high_closed)):
        return None
    return Range(first.field, low, high, low_open, not high_closed)


def _bounds(filter: Filter, slots: Slots) -> _Bounds:
    match filter:
        case Always():
            return _exactly(_EVERYTHING)
        case Never():
            return _exactly(_NOTHING)
        case And(parts):
            return _combined(all_of, [_bounds(part, slots) for part in parts])
        case Or(parts):
            return _combined(any_of, [_bounds(part, slots) for part in parts])
        case Not(part):
            inner = _bounds(part, slots)
            if inner.exact:
                return _exactly(complement(inner.upper))
            return _Bounds(complement(inner.upper), complement(inner.lower))
        case _ if filter.field.source != "metadata":
            return _Bounds(_NOTHING, _EVERYTHING)
        case Equal(field, value):
            return _exactly(_tokens([value_token(field.path, value)]))
        case OneOf(field, values):
            return _exactly(_tokens(value_token(field.path, value) for value in values))
        case Contains(field, value):
            return _exactly(_tokens([element_token(field.path, value)]))
        case Exists(field):
            return _exactly(Tokens(presence_tokens(field.path)))
        case Like(field, _, _):
            return _Bounds(_NOTHING, Tokens((kind_token(field.path, "s"),)))
        case Compare(field, operator, value):
            return _compare(field.path, operator, value, slots)
        case _:
            assert_never(filter)


def _combined(combine: Callable[[Iterable[Plan]], Plan], each: Sequence[_Bounds]) -> _Bounds:
    upper = combine(bounds.upper for bounds in each)
    if all(bounds.exact for bounds in each):
        return _exactly(upper)
    return _Bounds(combine(bounds.lower for bounds in each), upper)


def _exactly(plan: Plan) -> _Bounds:
    return _Bounds(plan, plan)


def _tokens(tokens: Iterable[str | None]) -> Plan:
    known = tuple(dict.fromkeys(token for token in tokens if token is not None))
    return Tokens(known) if known else _NOTHING


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
                return _Bounds(_NOTHING, Tokens((kind_token(path, "s"),)))
            return _compare_in_slot(path, operator, instant(moment), "instant", slots)
        case date():
            return _compare_in_slot(path, operator, instant(value), "instant", slots)
        case _:
            return _exactly(_NOTHING)


def _compare_number(path: str, operator: Operator, value: float, slots: Slots) -> _Bounds:
    if value != value:
        return _exactly(_NOTHING)
    if value in (math.inf, -math.inf):
        return _compare_infinity(path, operator, value)
    return _compare_in_slot(path, operator, value, "number", slots)


def _compare_infinity(path: str, operator: Operator, value: float) -> _Bounds:
    """Every stored number but NaN lies within the infinities, so tokens decide."""
    infinite = _tokens([value_token(path, value)])
    towards = (
        (Operator.GREATER, Operator.GREATER_EQUAL)
        if value > 0
        else (Operator.LESS, Operator.LESS_EQUAL)
    )
    if operator in towards:
        inclusive = operator in (Operator.GREATER_EQUAL, Operator.LESS_EQUAL)
        return _exactly(infinite if inclusive else _NOTHING)
    # NaN, which nothing marks, must not pass: all numbers are only a superset.
    return _Bounds(_NOTHING, Tokens((kind_token(path, "n"),)))


def _compare_in_slot(
    path: str, operator: Operator, value: float, kind: SlotKind, slots: Slots
) -> _Bounds:
    field = slots.slot(path, kind)
    if field is None:
        if slots.complete(path, kind):
            return _exactly(_NOTHING)
        return _Bounds(_NOTHING, Tokens((kind_token(path, "n" if kind == "number" else "t"),)))
    if abs(value) < _EXACT:
        interval = _interval(field, operator, float(value))
        return _exactly(interval)
    try:
        nearest = float(value)
    except OverflowError:
        nearest = sys.float_info.max if value > 0 else -sys.float_info.max
    inclusive = {Operator.LESS: Operator.LESS_EQUAL, Operator.GREATER: Operator.GREATER_EQUAL}
    return _Bounds(_NOTHING, _interval(field, inclusive.get(operator, operator), nearest))


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
