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

from valkey_vector.document import CREATED, TAGS
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
)

__all__ = ["QueryLimits", "fit", "match_all", "query_text", "split", "within"]


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """How large a query the server's parser takes.

    Attributes:
        bytes: length of the text.
        terms: predicates and connectives in it.
    """

    bytes: int
    terms: int


def match_all() -> str:
    """A query for every document: ``*`` alone is an error before Valkey-Search 1.3."""
    return f"@{CREATED}:[-inf inf]"


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

    The costliest parts of the outermost intersection go first, so a short clause on a tenant stays when a
    list of ten thousand ids cannot be sent.
    """
    if within(plan, limits):
        return plan
    match plan:
        case AllOf(parts):
            kept = sorted(parts, key=lambda part: len(query_text(part)))
            while kept:
                kept.pop()
                smaller = all_of(kept)
                if isinstance(smaller, Everything) or within(smaller, limits):
                    return smaller
            return Everything()
        case Tokens() | Range() | Words() | AnyOf() | Complement():
            return Everything()
        case Everything() | NoDocument():
            return plan
        case _:
            assert_never(plan)


def split(plan: Plan, limits: QueryLimits) -> list[Plan]:
    """Plans within the limits whose union is the plan; empty if a large set of tokens or words is not the only
    obstacle.
    """
    parts = list(plan.parts) if isinstance(plan, AllOf) else [plan]
    largest = max(range(len(parts)), key=lambda i: _set_bytes(parts[i]))
    large = parts.pop(largest)
    rest = all_of(parts)
    room = (
        limits.bytes - 64 - (0 if isinstance(rest, Everything) else len(query_text(rest).encode()))
    )
    chunks: Iterator[Plan]
    match large:
        case Tokens(tokens):
            chunks = (Tokens(chunk) for chunk in _chunks(tokens, room, 1, len(tokens)))
        case Words(field, words):
            most = (limits.terms - _terms(rest)) // 2 - 2
            chunks = (Words(field, chunk) for chunk in _chunks(words, room, len(field) + 5, most))
        case _:
            return []
    pieces = [all_of([rest, chunk]) for chunk in chunks]
    return pieces if all(within(piece, limits) for piece in pieces) else []


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


def _set_bytes(plan: Plan) -> int:
    match plan:
        case Tokens(items) | Words(_, items):
            return sum(map(len, items))
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
