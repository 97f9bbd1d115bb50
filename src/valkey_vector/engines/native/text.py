"""Text search of the native engine: BM25 over the inverted fields of the replica, for all records at once.

The scores of all records are one array. Each term adds to the rows of its postings, so a query costs as many array
elements as its terms have postings, and one pass over the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.native.matrix import Mask, Rows
from valkey_vector.engines.native.postings import Inverted
from valkey_vector.engines.native.replica import Replica
from valkey_vector.filters.plan import Everything, Plan, all_of
from valkey_vector.text.bm25 import (
    FieldClause,
    Matching,
    Part,
    Position,
    Scored,
    Scorer,
    Statistics,
)

__all__ = ["TextScores", "text_statistics"]

_Frequencies = NDArray[np.float64]


def text_statistics(replica: Replica, matching: Matching, now: float) -> Statistics:
    """Return the BM25 statistics of the index for one query.

    Args:
        replica: replica of the index.
        matching: the query.
        now: the server's time in milliseconds.
    """
    living = replica.mask(Everything(), now)
    documents: dict[str, int] = {}
    totals: dict[str, float] = {}
    for text in matching.texts:
        lengths = replica.inverted(text.words).lengths(replica.size)[living]
        documents[text.name] = int(np.count_nonzero(lengths))
        totals[text.name] = float(lengths.sum(dtype=np.float64))
    frequencies = {
        position: _count(replica.inverted(position.field), position, living)
        for position in matching.positions
    }
    return Statistics(documents, totals, frequencies)


_SPARSE = 16
"""Share of the rows, as a divisor, below which rows are sorted instead of counted in an array."""


class TextScores:
    """The scores of one query.

    Args:
        replica: replica of the index.
        scorer: scorer of the query.
        plan: plan of the records to search.
        now: the server's time in milliseconds.
    """

    def __init__(self, replica: Replica, scorer: Scorer, plan: Plan, now: float) -> None:
        self._replica = replica
        self._scorer = scorer
        self._plan = plan
        self._now = now
        self._selected: Mask = replica.mask(plan, now)

    @property
    def sequences(self) -> list[str]:
        """The ids of records that contain all terms of a sequence, whose order must be checked."""
        found = np.zeros(self._replica.size, dtype=np.bool_)
        for clause in self._field_clauses():
            if len(clause.positions) > 1:
                found |= self._replica.mask(all_of([self._plan, clause.plan()]), self._now)
        if not found.any():
            return []
        # With `every`, records that lack another clause cannot match.
        matching = self._scorer.matching
        if matching.every:
            found &= self._replica.mask(matching.plan(), self._now)
        return self._replica.ids(np.flatnonzero(found))

    def best(self, k: int, words: Mapping[str, Mapping[str, bytes]]) -> list[Scored]:
        """Return the k best records, best first, ties by id.

        Args:
            k: maximum number of records, >= 1.
            words: hash fields of the words of the records in `sequences`, by id.
        """
        size, matching = self._replica.size, self._scorer.matching
        total = np.zeros(size)
        matched = self._selected.copy()
        for parts in self._scorer.clauses:
            found = np.zeros(size if matching.every else 0, dtype=np.bool_)
            for part in parts:
                rows, times = self._frequencies(part, words)
                lengths = self._lengths(part.clause)[rows].astype(np.float64)
                total[rows] += part.worth(times, lengths)
                if matching.every:
                    found[rows] = True
            if matching.every:
                matched &= found
        # Every part adds a positive score, so a record without a score has none of the terms.
        rows = np.flatnonzero(matched & (total > 0))
        return self._ordered(rows, total[rows], k)

    def _ordered(self, rows: Rows, scores: NDArray[np.float64], k: int) -> list[Scored]:
        if len(rows) > k:
            least = np.partition(scores, len(rows) - k)[len(rows) - k]
            rows, scores = rows[scores >= least], scores[scores >= least]
        pairs = zip(scores.tolist(), self._replica.ids(rows), strict=True)
        return sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:k]

    def _frequencies(
        self, part: Part, words: Mapping[str, Mapping[str, bytes]]
    ) -> tuple[Rows, _Frequencies]:
        """Return the rows that match a part, each once, and its frequency in each."""
        clause = part.clause
        if len(clause.positions) == 1:
            return _postings(self._replica.inverted(clause.field), clause.positions[0])
        counted = {}
        for id, fields in words.items():
            text = fields.get(clause.field, b"")
            if times := part.times(text, text.split()):
                counted[id] = times
        rows = self._replica.rows_of(counted)
        return np.array(rows, dtype=np.int64), np.array(list(counted.values()), dtype=np.float64)

    def _lengths(self, clause: FieldClause) -> NDArray[np.uint32]:
        return self._replica.inverted(clause.text.words).lengths(self._replica.size)

    def _field_clauses(self) -> Iterator[FieldClause]:
        return (part.clause for parts in self._scorer.clauses for part in parts)


def _count(inverted: Inverted, position: Position, living: Mask) -> int:
    """Return the number of living rows with any of the terms of a position."""
    rows = _rows(inverted, position)
    return int(np.count_nonzero(living[rows]))


def _rows(inverted: Inverted, position: Position) -> Rows:
    """Return the rows with any of the terms of a position, each once."""
    if len(position.words) == 1:
        return inverted.rows(position.words[0])
    return _postings(inverted, position)[0]


def _postings(inverted: Inverted, position: Position) -> tuple[Rows, _Frequencies]:
    """Return the rows with any of the terms of a position, each once, and the frequency in each."""
    found = [
        (rows, inverted.times(word)) for word in position.words if len(rows := inverted.rows(word))
    ]
    if not found:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    if len(found) == 1:
        return found[0]
    rows, times = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if _SPARSE * len(rows) < rows.max():
        # Few rows: sorting them is faster than counting in an array of all rows.
        different, places = np.unique(rows, return_inverse=True)
        return different, np.bincount(places, weights=times).astype(np.float64)
    summed: _Frequencies = np.bincount(rows, weights=times).astype(np.float64)
    matching: Rows = np.flatnonzero(summed)
    return matching, summed[matching]
