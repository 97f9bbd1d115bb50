"""Documents that a text search listed, with bounds of their scores, as arrays.

A bound is computed for all listed documents at once: a search of common terms lists tens of thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, filterfalse

import numpy as np
from numpy.typing import NDArray

from valkey_vector.filters.plan import Plan
from valkey_vector.text.bm25 import Level

__all__ = ["Candidates", "Term"]

_FEWER = 4
"""Estimated ratio between the documents with a term n times and n + 1 times."""

_ABSENT = np.uint8(255)
"""Level of a document that lacks a term."""

_Positions = NDArray[np.intp]
_Bounds = NDArray[np.float64]


class Term:
    """One clause of the query.

    Args:
        levels: plans and bounds (see `valkey_vector.text.bm25.Part.levels`).
        short: the same for short texts.
        expected: number of documents with the clause, at most.

    Attributes:
        floor: highest level of documents that were not listed for the clause; 0 if all documents with it were.
        bounds: highest score of each level; 0 for documents without the clause.
        short_bounds: the same for short texts.
    """

    __slots__ = ("_expected", "_plans", "bounds", "floor", "short_bounds")

    def __init__(self, levels: Sequence[Level], short: Sequence[Level], expected: int) -> None:
        self._plans = [plan for plan, _ in levels]
        self._expected = expected
        self.bounds = [0.0, *(bound for _, bound in levels)]
        self.short_bounds = [0.0, *(bound for _, bound in short)]
        self.floor = len(levels)

    @property
    def is_listed(self) -> bool:
        """True if documents were listed for the clause."""
        return self.floor < len(self._plans)

    def plan(self, level: int) -> Plan:
        """Return the plan of the documents of at least a level."""
        return self._plans[level - 1]

    def size(self, level: int) -> int:
        """Estimate how many documents have at least a level."""
        return 1 + self._expected // int(_FEWER ** (level - 1))


class Candidates:
    """The listed documents. A document has a position, by the order in which it was listed first.

    Args:
        terms: the clauses of the query.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = terms
        self._positions: dict[bytes, int] = {}
        self._keys: list[bytes] = []
        self._closed = False
        # Level of each document for each term; 0 if it was not listed for the term, `_ABSENT` if it lacks the term.
        self._levels = np.zeros((len(terms), 0), dtype=np.uint8)
        self._scored = np.zeros(0, dtype=np.bool_)
        self._short = np.zeros(0, dtype=np.bool_)

    def __len__(self) -> int:
        return len(self._positions)

    def take(self, at: int, level: int, keys: Sequence[bytes]) -> None:
        """Record all documents of at least a level of a term. Those not listed for it before are below the level above."""
        term, positions = self._terms[at], self._added(keys)
        self._record(at, positions, max(level, term.floor))
        term.floor = min(term.floor, level - 1)

    def take_among(self, at: int, keys: Sequence[bytes], number: int) -> None:
        """Record the documents that have a term, of the `number` that were listed first."""
        positions = self._added(keys)
        self._record(at, positions, self._terms[at].floor)
        levels = self._levels[at, :number]
        levels[levels == 0] = _ABSENT

    def _record(self, at: int, positions: _Positions, level: int) -> None:
        levels = self._levels[at]
        unknown = positions[(levels[positions] == 0) | (levels[positions] == _ABSENT)]
        levels[unknown] = level

    def add_all(self, keys: Sequence[bytes]) -> None:
        """Record all documents that the query may match. Others are ignored from then on."""
        self._added(keys)
        self._closed = True

    def add_short(self, keys: Sequence[bytes]) -> None:
        """Record all documents with short texts."""
        positions = self._added(keys)  # first: it may replace the arrays
        self._short[positions] = True

    def open(self, needed: float) -> tuple[_Positions, _Bounds]:
        """Return the documents that are not scored and whose bounds reach a score, with their bounds."""
        bounds = self._sums([term.floor for term in self._terms])
        found = np.flatnonzero((bounds >= needed) & ~self._scored[: len(self)])
        return found, bounds[found]

    def excludable(self, positions: _Positions, needed: float) -> int:
        """Return how many of these documents more lists can exclude: those that need terms for which they are not listed."""
        bounds = self._sums([0] * len(self._terms))[positions]
        return int(np.count_nonzero(bounds < needed))

    def scored(self, positions: _Positions) -> list[bytes]:
        """Mark documents as scored. Returns their keys."""
        self._scored[positions] = True
        if len(self._keys) < len(self._positions):
            self._keys = list(self._positions)
        return [self._keys[position] for position in positions.tolist()]

    def _sums(self, floors: Sequence[int]) -> _Bounds:
        """The highest score of each document if one that was not listed for a term has at most the term's floor."""
        size = len(self)
        total, of_short = np.zeros(size), np.zeros(size)
        short = self._short[:size]
        has_short = bool(short.any())
        for term, floor, levels in zip(self._terms, floors, self._levels, strict=True):
            total += _by_level(term.bounds, floor)[levels[:size]]
            if has_short:
                of_short += _by_level(term.short_bounds, floor)[levels[:size]]
        return np.where(short, of_short, total) if has_short else total

    def _added(self, keys: Sequence[bytes]) -> _Positions:
        known = self._positions
        if self._closed:
            return np.fromiter((known[key] for key in keys if key in known), np.intp)
        new = list(filterfalse(known.__contains__, keys))
        known.update(zip(new, count(len(known))))
        found = np.fromiter(map(known.__getitem__, keys), np.intp, len(keys))
        if len(known) > self._scored.size:
            more = max(len(known), 2 * self._scored.size) - self._scored.size
            self._levels = np.pad(self._levels, ((0, 0), (0, more)))
            self._scored = np.pad(self._scored, (0, more))
            self._short = np.pad(self._short, (0, more))
        return found


def _by_level(bounds: Sequence[float], floor: int) -> _Bounds:
    """Bounds by recorded level. Level 0 stands for a document that was not listed."""
    found = np.zeros(int(_ABSENT) + 1)
    found[: len(bounds)] = bounds
    found[0] = bounds[floor]
    return found
