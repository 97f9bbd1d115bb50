"""The first documents in the order of a numeric field, as a range of that field, found by counting.

To sort, the server reads every document that a query selects. So an ordered query first gets a range that holds little more
than the requested documents. The range is found from samples of the field and from counts, which take the server about
0.06 µs for each document. The counts only decide how many documents are read: the caller checks that it read enough.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.base import Leading
from valkey_vector.engines.search import commands
from valkey_vector.filters.plan import Plan, Range, Tokens, all_of, any_of, complement
from valkey_vector.records.tokens import KINDS, kind_token
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.layout import CREATED

__all__ = ["first_by_key", "leading_range"]

_FIRST_SAMPLE = 300
_SAMPLE = 50
"""Number of documents in a sample."""

_FEW = 200
"""Number of documents that are always read without a search for a smaller range."""

_SURPLUS = 4
"""Largest range, relative to the number of requested documents."""

_ROUNDS = 60
"""Largest number of round trips: bisection of all doubles takes 64 steps, of which each round trip makes two or more."""

_SHARES = (1.5, 6.0, 24.0)
"""Positions in a sample to try, as multiples of the requested share of the documents."""

_STRIDES = (2.0, 16.0, 256.0)
"""Distances to try outside a sample, as multiples of its own width."""


_EXACT = 2.0**53
"""Integers below it are exact as doubles; larger ones that differ may have one double."""


class Queried(Protocol):
    """The part of the search engine that is needed here."""

    @property
    def entry(self) -> CatalogEntry:
        """The index, with the numeric slots bound so far."""
        ...

    def query_for(self, plan: Plan) -> str:
        """The query for the records that a plan selects."""
        ...


def _enough(limit: int) -> int:
    """The number of documents from which a smaller range is worth some round trips."""
    return max(_FEW, _SURPLUS * limit)


def leading_range(
    engine: Queried,
    plan: Plan,
    field: str,
    limit: int,
    *,
    descending: bool,
    total: int,
    sample: Iterable[float],
) -> Pipelined[Leading]:
    """Return ranges of a numeric field with the first documents in its order.

    Args:
        engine: the engine of the index.
        plan: the plan that selects the documents; it fits into one query together with a range.
        field: the numeric field.
        limit: number of documents that the ranges should have at least, >= 1.
        descending: the largest values come first.
        total: number of documents that the plan selects and that have the field, at least `limit`.
        sample: values of the field in some of these documents.

    Cost: usually two or three round trips.
    """
    sign = -1.0 if descending else 1.0
    values = tuple(sorted(sign * value for value in sample))
    state = _Search(field, sign, limit, inside=total, sample=values)
    for _ in range(_ROUNDS):
        if state.inside <= _enough(limit):
            break
        tried = state.candidates()
        if not tried:
            return state.tied()
        queries = [engine.query_for(all_of([plan, state.range_to(end)])) for end in tried]
        replies = yield Request(
            [_sample_command(engine.entry, query, field, _SAMPLE) for query in queries]
        )
        state = state.narrowed(tried, replies)
    return Leading(state.range_to(state.far))


def first_by_key(
    engine: Queried, plan: Plan, order: tuple[str, bool] | None, limit: int
) -> Pipelined[Leading | None]:
    """Return ranges of a numeric field with the first documents in the order of a metadata key.

    Args:
        engine: the engine of the index.
        plan: the plan that selects the documents; it fits into one query together with a range.
        order: a metadata key, and True for descending; None for the newest documents first.
        limit: number of documents that the ranges should have at least, >= 1.

    Returns:
        The ranges; None if the field does not determine the order, or if too few documents have the key.

    Cost: usually three round trips.
    """
    field: str | None
    if order is None:
        field, descending = CREATED, True
        requested = [_sample_command(engine.entry, engine.query_for(plan), field, _FIRST_SAMPLE)]
    else:
        key, descending = order
        field = engine.entry.slot(key, "number")
        if field is None:
            return None
        numbers = all_of([plan, Tokens((kind_token(key, "n"),))])
        requested = [
            _sample_command(engine.entry, engine.query_for(numbers), field, _FIRST_SAMPLE),
            commands.count_command(
                engine.entry, engine.query_for(_without_number(plan, key, field))
            ),
        ]
    sampled, *others = yield Request(requested)
    total = commands.total(sampled)
    if total < limit or any(commands.total(reply) for reply in others):
        return None
    sample = _field_values(sampled, field)
    leading = leading_range(
        engine, plan, field, limit, descending=descending, total=total, sample=sample
    )
    found = yield from leading
    is_rounded = found.tied is not None and abs(found.tied.low) >= _EXACT
    return None if is_rounded else found


def _without_number(plan: Plan, key: str, field: str) -> Plan:
    """Select documents whose value under the key is in the order but not in the field: other kinds, NaN."""
    others = Tokens(tuple(kind_token(key, kind) for kind in KINDS if kind != "n"))
    unlisted = all_of([Tokens((kind_token(key, "n"),)), complement(Range(field))])
    return all_of([plan, any_of([others, unlisted])])


@dataclass(frozen=True, slots=True)
class _Search:
    """State of the search. Its values are negated for a descending order, so that smaller values come first.

    Attributes:
        field: the numeric field.
        sign: 1 for an ascending order, -1 for a descending one.
        limit: number of documents that the ranges should have at least.
        inside: number of documents up to `far`.
        sample: values of some documents up to `far`, ascending.
        far: a value with at least `limit` documents up to it.
        near: a value with fewer documents up to it.
        is_stalled: the last values that were tried made little difference.
    """

    field: str
    sign: float
    limit: int
    inside: int
    sample: tuple[float, ...]
    far: float = math.inf
    near: float = -math.inf
    is_stalled: bool = False

    def range_to(self, end: float) -> Range:
        """The range of the documents up to a value."""
        return Range(self.field, high=end) if self.sign > 0 else Range(self.field, low=-end)

    def tied(self) -> Leading:
        """The documents up to `near`, and those at `far`, the next double: they share one value."""
        before = None if self.near == -math.inf else self.range_to(self.near)
        one = self.sign * self.far
        return Leading(before, Range(self.field, one, one))

    def candidates(self) -> list[float]:
        """Values to count up to, ascending; none if no value lies between `near` and `far`."""
        between = [value for value in self.sample if self.near < value < self.far]
        positions = {int(share * self.limit / self.inside * len(between)) for share in _SHARES}
        tried = {between[each] for each in positions if each < len(between)}
        if not tried or self.is_stalled:
            tried = self._outside() | _middle(self.near, self.far)
        if self.far < math.inf:
            # Many documents may share the value `far`: then only the double before it has fewer than needed.
            tried.add(math.nextafter(self.far, -math.inf))
        return sorted(tried - {self.near, self.far})

    def narrowed(self, tried: Sequence[float], replies: Sequence[Any]) -> _Search:
        """The state after the counts of some values, which are ascending."""
        near = self.near
        for end, reply in zip(tried, replies, strict=True):
            number = commands.total(reply)
            if number >= self.limit:
                values = (self.sign * value for value in _field_values(reply, self.field))
                sample = tuple(sorted(values))
                stalled = 2 * number > self.inside
                return _Search(
                    self.field, self.sign, self.limit, number, sample, end, near, stalled
                )
            near = end
        return replace(self, near=near, is_stalled=True)

    def _outside(self) -> set[float]:
        """Values before and after the sample: the server may have returned the documents in the order of the field."""
        if not self.sample:
            return set()
        first, last = self.sample[0], self.sample[-1]
        width = max(last - first, abs(first) * 2**-40)
        ends = {last + stride * width for stride in _STRIDES}
        ends |= {first - stride * width for stride in _STRIDES}
        ends |= {self.near + share * (first - self.near) for share in (0.25, 0.5, 0.75)}
        return {end for end in ends if self.near < end < self.far}


def _sample_command(entry: CatalogEntry, query: str, field: str, limit: int) -> list[Any]:
    """FT.SEARCH for the values of a field in some of the documents that a query selects, and for their total."""
    return list(commands.listing_command(entry, query, [field], limit))


def _field_values(reply: Any, field: str) -> list[float]:
    """The values of a numeric field in a reply to FT.SEARCH; documents without a number there are left out."""
    found = reply[1] if len(reply) > 1 else {}
    texts = (pairs.get(field.encode()) for pairs in found.values() if pairs is not None)
    return [value for text in texts if text is not None and not math.isnan(value := _number(text))]


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan  # another program wrote it; the server does not index it as a number


def _middle(low: float, high: float) -> set[float]:
    """The double in the middle between two others, counted in doubles; none if they are neighbors."""
    first, last = _position(low), _position(high)
    return {_at((first + last) // 2)} if last - first > 1 else set()


def _position(value: float) -> int:
    """The position of a double in the order of all doubles."""
    (bits,) = struct.unpack("<q", struct.pack("<d", value + 0.0))
    return int(bits) if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _at(position: int) -> float:
    """The double at a position in the order of all doubles."""
    bits = position if position >= 0 else -position | -(2**63)
    value: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return value
