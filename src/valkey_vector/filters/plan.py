"""Plans: sets of records, expressed in tokens, numeric slots and text terms, which every engine indexes.

A plan is set algebra. The search engine translates it to an FT.* query; the native engine evaluates it on arrays.
`valkey_vector.filters.compiler` compiles filters to plans.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

__all__ = [
    "EVERYTHING",
    "NOTHING",
    "TAGS",
    "AllOf",
    "AnyOf",
    "Complement",
    "Everything",
    "NoDocument",
    "Plan",
    "Range",
    "Tokens",
    "Words",
    "all_of",
    "any_of",
    "are_records",
    "complement",
    "plan_fields",
    "selects",
]

TAGS = "tags"
"""The hash field that holds the tokens."""


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
    """Records whose numeric field lies in a non-empty interval; an infinite bound means no limit."""

    field: str
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def covers(self, value: float) -> bool:
        """Return True if a number lies in the interval."""
        above = value > self.low if self.low_open else value >= self.low
        return above and (value < self.high if self.high_open else value <= self.high)


@dataclass(frozen=True, slots=True)
class Words:
    """Records with at least one of the terms in a text field (see `valkey_vector.text`).

    Attributes:
        field: hash field of the terms.
        words: the terms.
        as_tags: True if the server indexes the field as tags, not as text.
    """

    field: str
    words: tuple[str, ...]
    as_tags: bool = False


@dataclass(frozen=True, slots=True)
class AllOf:
    """The intersection of at least two parts."""

    parts: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The union of at least two parts."""

    parts: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class Complement:
    """All records except those of the part."""

    part: Plan


Plan: TypeAlias = Everything | NoDocument | Tokens | Range | Words | AllOf | AnyOf | Complement

EVERYTHING = Everything()
NOTHING = NoDocument()


def all_of(parts: Iterable[Plan]) -> Plan:
    """Intersect plans and simplify: merges intervals of one field, and complements. Without parts: all records."""
    remaining: dict[Plan, None] = {}
    ranges: dict[str, Range] = {}
    excluded: list[Plan] = []
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
                        return NOTHING
                    ranges[field] = narrowed
                case Complement(part):
                    excluded.append(part)
                case _:
                    remaining[piece] = None
    remaining.update(dict.fromkeys(ranges.values()))
    if excluded:
        # One term instead of many: the server's work grows with the number of terms.
        without = complement(any_of(excluded))
        if isinstance(without, NoDocument):
            return NOTHING
        remaining[without] = None
    return AllOf(tuple(remaining)) if len(remaining) > 1 else next(iter(remaining), EVERYTHING)


def any_of(parts: Iterable[Plan]) -> Plan:
    """Unite plans and simplify: merges tokens, terms of one field, and intervals that touch. Without parts: no record."""
    tokens: dict[str, None] = {}
    words: dict[tuple[str, bool], dict[str, None]] = {}
    ranges: dict[str, list[Range]] = {}
    remaining: dict[Plan, None] = {}
    for part in parts:
        for piece in part.parts if isinstance(part, AnyOf) else (part,):
            match piece:
                case Everything():
                    return piece
                case NoDocument():
                    pass
                case Tokens(names):
                    tokens.update(dict.fromkeys(names))
                case Words(field, names, as_tags):
                    words.setdefault((field, as_tags), {}).update(dict.fromkeys(names))
                case Range(field):
                    ranges.setdefault(field, []).append(piece)
                case _:
                    remaining[piece] = None
    union: list[Plan] = [Tokens(tuple(tokens))] if tokens else []
    union.extend(Words(field, tuple(names), tags) for (field, tags), names in words.items())
    for intervals in ranges.values():
        union.extend(_joined(intervals))
    union.extend(remaining)
    return AnyOf(tuple(union)) if len(union) > 1 else next(iter(union), NOTHING)


def complement(part: Plan) -> Plan:
    """Complement a plan, and simplify."""
    match part:
        case Everything():
            return NOTHING
        case NoDocument():
            return EVERYTHING
        case Complement(inner):
            return inner
        case _:
            return Complement(part)


def are_records(plan: Plan) -> bool:
    """Return True if a plan selects only records. Other hashes under the prefix have no tokens of this library."""
    match plan:
        case Tokens() | NoDocument():
            return True
        case AllOf(parts):
            return any(map(are_records, parts))
        case AnyOf(parts):
            return all(map(are_records, parts))
        case Everything() | Range() | Words() | Complement():
            return False
        case _:
            assert_never(plan)


def plan_fields(plan: Plan) -> tuple[str, ...]:
    """The hash fields that a plan reads."""
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
    """Return True if a plan selects a document with these hash fields."""
    match plan:
        case Everything():
            return True
        case NoDocument():
            return False
        case Tokens(tokens):
            return not set(tokens).isdisjoint(fields.get(TAGS, b"").decode().split(","))
        case Range(field):
            return field in fields and plan.covers(float(fields[field]))
        case Words(field, words):
            return not set(words).isdisjoint(fields.get(field, b"").decode().split())
        case Complement(part):
            return not selects(part, fields)
        case AllOf(parts):
            return all(selects(part, fields) for part in parts)
        case AnyOf(parts):
            return any(selects(part, fields) for part in parts)
        case _:
            assert_never(plan)


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """Merge intervals of one field that overlap or touch, in ascending order."""
    joined: list[Range] = []
    for each in sorted(ranges, key=lambda each: (each.low, each.low_open)):
        last = joined[-1] if joined else None
        if (
            last is None
            or each.low > last.high
            or (each.low == last.high and each.low_open and last.high_open)
        ):
            joined.append(each)
            continue
        high, closed = max((last.high, not last.high_open), (each.high, not each.high_open))
        joined[-1] = Range(last.field, last.low, high, last.low_open, not closed)
    return joined


def _intersection(first: Range, second: Range) -> Range | None:
    """The intersection of two intervals of a field. Exact, because a record has one value per field."""
    low, low_open = max((first.low, first.low_open), (second.low, second.low_open))
    high, high_closed = min((first.high, not first.high_open), (second.high, not second.high_open))
    if low > high or (low == high and (low_open or not high_closed)):
        return None
    return Range(first.field, low, high, low_open, not high_closed)
