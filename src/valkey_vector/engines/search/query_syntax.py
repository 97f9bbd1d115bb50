"""FT.* query strings for plans, within the limits of the server's query parser.

The rules are those of Valkey-Search 1.0 to 1.3 (query parser) and RediSearch 2.10, dialect 2. A query contains only tokens,
terms, field names and numbers that this library created, so nothing needs to be escaped.
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
    """Limits of the server's query parser.

    Attributes:
        bytes: largest length of a query in bytes.
        terms: largest number of predicates and connectives in a query.
    """

    bytes: int
    terms: int


def query_text(plan: Plan) -> str:
    """The query string for a plan that selects neither everything nor nothing."""
    match plan:
        case Tokens(tokens):
            return f"@{TAGS}:{{{'|'.join(tokens)}}}"
        case Words(field, words, True):
            return f"@{field}:{{{'|'.join(words)}}}"
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
    """Return the plan if its query is within the limits, otherwise a smaller plan that selects a superset.

    The longest parts of the outermost intersection are dropped first: a short clause on a tenant stays if a list of ten
    thousand ids is too long. A union of ranges of one field becomes one range that covers them.
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
    """Divide a plan into plans within the limits with the same union; empty if splitting its largest union is not enough."""
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
        case Words(field, words, True):
            chunks = (
                Words(field, chunk, True) for chunk in _chunks(words, room, 1, max(1, len(words)))
            )
        case Words(field, words):
            limit = terms // 2
            chunks = (Words(field, chunk) for chunk in _chunks(words, room, len(field) + 5, limit))
        case AnyOf(alternatives):
            chunks = _unions(alternatives, room, terms, limits)
        case _:
            return []
    pieces = [all_of([rest, chunk]) for chunk in chunks]
    return pieces if all(within(piece, limits) for piece in pieces) else []


def _cheapest(parts: Sequence[Plan], limits: QueryLimits) -> Plan:
    """The parts of an intersection that fit into one query, the shortest first."""
    chosen: list[Plan] = []
    size, terms = 2, 0
    for length, part in sorted(
        ((len(query_text(part).encode()), part) for part in parts), key=lambda pair: pair[0]
    ):
        size, terms = size + length + 1, terms + _terms(part) + 1
        if size > limits.bytes or terms > limits.terms:
            break
        chosen.append(part)
    return all_of(chosen)


def _cover(ranges: Sequence[Range]) -> Plan:
    """The smallest range that covers all of the ranges."""
    low, low_open = min((each.low, each.low_open) for each in ranges)
    high, closed = max((each.high, not each.high_open) for each in ranges)
    return Range(ranges[0].field, low, high, low_open, not closed)


def _unions(parts: Sequence[Plan], room: int, terms: int, limits: QueryLimits) -> Iterator[Plan]:
    """Divide a union into pieces that fit into a query; a part that is too large by itself is split, too."""
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


def _chunks(items: Sequence[str], room: int, extra: int, limit: int) -> Iterator[tuple[str, ...]]:
    """Divide items into pieces of at most `room` bytes (with `extra` bytes for each item) and `limit` items."""
    chunk: list[str] = []
    size = 0
    for item in items:
        taken = len(item.encode()) + extra
        if chunk and (size + taken > room or len(chunk) >= limit):
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(item)
        size += taken
    yield tuple(chunk)


def _alternatives(plan: Plan) -> int:
    """Length of the query of a plan that can be divided into alternatives; 0 for any other plan."""
    match plan:
        case Tokens(items) | Words(_, items):
            return sum(map(len, items))
        case AnyOf():
            return len(query_text(plan))
        case _:
            return 0


def within(plan: Plan, limits: QueryLimits) -> bool:
    """Return True if one query for the plan is within the limits."""
    if isinstance(plan, (Everything, NoDocument)):
        return True
    return _terms(plan) <= limits.terms and len(query_text(plan).encode()) <= limits.bytes


def _terms(plan: Plan) -> int:
    """An upper bound of the predicates and connectives that the server's parser counts."""
    match plan:
        case AllOf(parts) | AnyOf(parts):
            return len(parts) + sum(_terms(part) for part in parts)
        case Complement(part):
            return 1 + _terms(part)
        case Words(_, words, False):
            return 2 * len(words)
        case _:
            return 1


def _bound(value: float, is_open: bool) -> str:
    """Format a number for every server: without exponent (an error before 1.2.1) or plus sign."""
    if value in (math.inf, -math.inf):
        return "inf" if value > 0 else "-inf"
    text = str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
    return f"({text}" if is_open else text
