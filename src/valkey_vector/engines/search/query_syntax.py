"""Write plans as FT.* query strings, within what the server's query parser accepts.

Source of the rules: Valkey-Search 1.0 to 1.3 (query parser) and RediSearch 2.10, dialect 2. Only tokens, words, field
names and numbers made by this library are ever written, so there is nothing to escape.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never

from valkey_vector.filters.plan import (
    AllOf,
    AnyOf,
    Complement,
    Everything,
    NoDocument,
    Plan,
    Range,
    Tokens,
    Words,
    all_of,
    any_of,
)
from valkey_vector.storage.layout import TAGS

__all__ = ["QueryLimits", "fit", "query_text", "split", "within"]


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """How large a query the server's parser takes.

    Attributes:
        bytes: length of the text.
        terms: predicates and connectives in it.
    """

    bytes: int
    terms: int


def query_text(plan: Plan) -> str:
    """The query for a plan that selects neither everything nor nothing."""
    match plan:
        case Tokens(tokens):
            return f"@{TAGS}:{{{'|'.join(tokens)}}}"
        case Words(field, words):
            return "(" + " | ".join(f"@{field}:{word}" for word in words) + ")"
        case Range(field, low, high, low_open, high_open):
            bounds = f"{_bound(low, low_open)} {_bound(high, high_open)}"
            return f"@{field}:[{bounds}]"
        case AllOf(parts):
            return "(" + " ".join(query_text(part) for part in parts) + ")"
        case AnyOf(parts):
            return "(" + " | ".join(query_text(part) for part in parts) + ")"
        case Complement(part):
            return f"-{query_text(part)}"
        case Everything() | NoDocument():
            raise AssertionError(f"{plan} is decided without a query")
        case _:
            assert_never(plan)


def fit(plan: Plan, limits: QueryLimits) -> Plan:
    """The plan itself if its query is within the limits, else a smaller plan that selects a superset.

    The costliest parts of the outermost intersection go first, so a short clause on a tenant stays when a list of ten
    thousand ids cannot be sent. Many intervals of one field become the one that covers them all.
    """
    if within(plan, limits):
        return plan
    match plan:
        case AllOf(parts):
            return _cheapest(parts, limits)
        case AnyOf(parts):
            fields = {part.field if isinstance(part, Range) else None for part in parts}
            covers = len(fields) == 1 and None not in fields
            return (
                _cover([part for part in parts if isinstance(part, Range)])
                if covers
                else Everything()
            )
        case Tokens() | Range() | Words() | Complement():
            return Everything()
        case Everything() | NoDocument():
            return plan
        case _:
            assert_never(plan)


def split(plan: Plan, limits: QueryLimits) -> list[Plan]:
    """Plans within the limits whose union is the plan; empty if one large set of alternatives is not the only obstacle."""
    parts = list(plan.parts) if isinstance(plan, AllOf) else [plan]
    largest = max(range(len(parts)), key=lambda i: _alternatives(parts[i]))
    large = parts.pop(largest)
    rest = all_of(parts)
    taken = 0 if isinstance(rest, Everything) else len(query_text(rest).encode())
    room, terms = limits.bytes - 64 - taken, limits.terms - _terms(rest) - 2
    chunks: Iterator[Plan]
    match large:
        case Tokens(tokens):
            chunks = (Tokens(chunk) for chunk in _chunks(tokens, room, 1, len(tokens)))
        case Words(field, words):
            most = terms // 2
            chunks = (Words(field, chunk) for chunk in _chunks(words, room, len(field) + 5, most))
        case AnyOf(alternatives):
            chunks = _unions(alternatives, room, terms, limits)
        case _:
            return []
    pieces = [all_of([rest, chunk]) for chunk in chunks]
    return pieces if all(within(piece, limits) for piece in pieces) else []


def _cheapest(parts: Sequence[Plan], limits: QueryLimits) -> Plan:
    """As many parts of an intersection as one query has room for, the shortest first."""
    kept: list[Plan] = []
    size, terms = 2, 0
    for length, part in sorted(
        ((len(query_text(part).encode()), part) for part in parts), key=lambda pair: pair[0]
    ):
        size, terms = size + length + 1, terms + _terms(part) + 1
        if size > limits.bytes or terms > limits.terms:
            break
        kept.append(part)
    return all_of(kept)


def _cover(ranges: Sequence[Range]) -> Plan:
    """The smallest interval that covers all of these."""
    low, low_open = min((each.low, each.low_open) for each in ranges)
    high, closed = max((each.high, not each.high_open) for each in ranges)
    return Range(ranges[0].field, low, high, low_open, not closed)


def _unions(parts: Sequence[Plan], room: int, terms: int, limits: QueryLimits) -> Iterator[Plan]:
    """A union in pieces that each have room in a query; a part that is too large by itself is split further."""
    chunk: list[Plan] = []
    size = number = 0
    for part in parts:
        taken, counted = len(query_text(part).encode()) + 3, _terms(part) + 1
        if taken > room or counted > terms:
            yield from split(part, limits) or [part]
            continue
        if chunk and (size + taken > room or number + counted > terms):
            yield any_of(chunk)
            chunk, size, number = [], 0, 0
        chunk.append(part)
        size, number = size + taken, number + counted
    if chunk:
        yield any_of(chunk)


def _chunks(items: Sequence[str], room: int, extra: int, most: int) -> Iterator[tuple[str, ...]]:
    """The items in pieces of at most so many bytes, with some extra for each, and so many items."""
    chunk: list[str] = []
    size = 0
    for item in items:
        taken = len(item.encode()) + extra
        if chunk and (size + taken > room or len(chunk) >= most):
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(item)
        size += taken
    yield tuple(chunk)


def _alternatives(plan: Plan) -> int:
    """How long the text of a plan is that can be cut into alternatives; 0 of any other."""
    match plan:
        case Tokens(items) | Words(_, items):
            return sum(map(len, items))
        case AnyOf():
            return len(query_text(plan))
        case _:
            return 0


def within(plan: Plan, limits: QueryLimits) -> bool:
    """Whether one query for the plan is within the limits."""
    if isinstance(plan, (Everything, NoDocument)):
        return True
    return _terms(plan) <= limits.terms and len(query_text(plan).encode()) <= limits.bytes


def _terms(plan: Plan) -> int:
    """An upper bound of what the server's parser counts: predicates and what connects them."""
    match plan:
        case AllOf(parts) | AnyOf(parts):
            return len(parts) + sum(_terms(part) for part in parts)
        case Complement(part):
            return 1 + _terms(part)
        case Words(_, words):
            return 2 * len(words)
        case _:
            return 1


def _bound(value: float, is_open: bool) -> str:
    """A number as every server reads it: no exponent (an error before 1.2.1), no plus sign."""
    if value in (math.inf, -math.inf):
        return "inf" if value > 0 else "-inf"
    text = str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
    return f"({text}" if is_open else text
