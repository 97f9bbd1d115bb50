"""Lengths of the texts of an index: how many texts there are of each length, by counts of ranges.

The server counts a range of numbers from its index, without reading documents. So the sum of all lengths takes one count for
each length that occurs, however many documents there are. Lengths that no earlier query saw are found by halving ranges,
sixteen at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from valkey_vector.connection.pipelines import Pipelined
from valkey_vector.filters.plan import Plan, Range

__all__ = ["Count", "LengthCounts", "length_counts", "usual_length"]

Count: TypeAlias = Callable[[Sequence[Plan]], Pipelined[list[int]]]
"""Counts the documents of plans, in one round trip mostly."""

LengthCounts: TypeAlias = dict[int, int]
"""Number of terms → number of texts, above 0."""

_FANOUT = 16
_WIDEST = _FANOUT**3
"""Width of the first ranges. Texts of more than `_FANOUT` of them are not counted by length."""

_MOST = 1_000
"""Ranges that are counted; with more lengths, reading the documents is faster."""

_SHORT = 200
"""Texts below the usual length; one in `_OF_SHORT` in a large index."""

_OF_SHORT = 200


def usual_length(counts: Mapping[int, int]) -> int:
    """Return the length that only a few texts are below; 1 without counts."""
    few = max(_SHORT, sum(counts.values()) // _OF_SHORT)
    below = 0
    for length in sorted(counts):
        below += counts[length]
        if below > few:
            return length
    return min(counts, default=1)


def length_counts(
    field: str, known: Collection[int], total: int, count: Count
) -> Pipelined[LengthCounts | None]:
    """Return the number of texts of each length; None if there are too many lengths.

    Args:
        field: hash field of the number of terms.
        known: lengths that an earlier query saw.
        total: number of texts.
        count: counts documents.

    Cost: one round trip if no other lengths than the known ones occur; four more otherwise.
    """
    if known:
        numbers = yield from count([_one(field, length) for length in known])
        if sum(numbers) == total:
            return _found(known, numbers)
    width = _WIDEST
    starts = [1 + width * n for n in range(_FANOUT)]
    rest = Range(field, low=float(starts[-1] + width), high=math.inf)
    longer, *numbers = yield from count([rest, *(_some(field, at, width) for at in starts)])
    if longer:
        return None
    while width > 1:
        width //= _FANOUT
        starts = [
            start + width * n
            for start, number in zip(starts, numbers, strict=True)
            if number
            for n in range(_FANOUT)
        ]
        if len(starts) > _MOST:
            return None
        numbers = yield from count([_some(field, at, width) for at in starts])
    return _found(starts, numbers)


def _found(lengths: Collection[int], numbers: Sequence[int]) -> LengthCounts:
    return {length: number for length, number in zip(lengths, numbers, strict=True) if number > 0}


def _one(field: str, length: int) -> Range:
    return Range(field, float(length), float(length))


def _some(field: str, start: int, width: int) -> Range:
    return Range(field, float(start), float(start + width - 1))
