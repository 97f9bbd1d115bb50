"""Text search of the native engine: BM25 over the inverted fields of the replica, for all records at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.native.replica import Replica
from valkey_vector.filters.plan import Everything, Plan, Words, all_of
from valkey_vector.text.bm25 import Matching, Part, Place, Scored, Scorer, Statistics

__all__ = ["TextScores", "text_statistics"]


def text_statistics(replica: Replica, matching: Matching, now: float) -> Statistics:
    """Compute the BM25 statistics for a query. `now`: the server's time in milliseconds."""
    everything = replica.rows(Everything(), now)
    lengths = {
        text.name: replica.inverted(text.words).lengths(replica.size)[everything]
        for text in matching.texts
    }
    documents = {name: int(np.count_nonzero(each)) for name, each in lengths.items()}
    totals = {name: float(each.sum()) for name, each in lengths.items()}
    frequencies = {
        place: replica.count(Words(place.field, place.words), now) for place in matching.places
    }
    return Statistics(documents, totals, frequencies)


class TextScores:
    """The scores of one query.

    Args:
        replica: the replica to search.
        scorer: the scorer of the query.
        plan: the plan that selects the records.
        now: the server's time in milliseconds.
    """

    def __init__(self, replica: Replica, scorer: Scorer, plan: Plan, now: float) -> None:
        self._replica = replica
        self._scorer = scorer
        self._now = now
        matching = scorer.matching
        self._rows = replica.rows(all_of([plan, matching.plan()]), now)
        # Arrays over all rows: indexing them is cheaper than looking rows up.
        self._lengths = {
            text.name: replica.inverted(text.words).lengths(replica.size) for text in matching.texts
        }

    @property
    def sequences(self) -> list[str]:
        """The ids of records whose terms must be fetched, because a clause depends on their order."""
        wanted = [
            sought.plan()
            for clause in self._scorer.matching.clauses
            for sought in clause.sought
            if len(sought.places) > 1
        ]
        if not wanted:
            return []
        found: set[int] = set()
        for plan in wanted:
            found.update(self._replica.rows(plan, self._now).tolist())
        rows = self._rows[np.isin(self._rows, np.fromiter(found, dtype=np.int64))]
        return self._replica.ids(rows)

    def best(self, k: int, terms: Mapping[str, Mapping[str, bytes]]) -> list[Scored]:
        """Return the k best records, best first, ties by id.

        Args:
            k: number of records, >= 1.
            terms: id → hash fields with terms, for the ids of `sequences`.
        """
        size, matching = self._replica.size, self._scorer.matching
        total = np.zeros(size)
        matched = np.full(size, matching.every and bool(matching.clauses))
        for parts in self._scorer.clauses:
            found = np.zeros(size, dtype=np.bool_)
            for part in parts:
                frequencies = self._frequencies(part, terms, size)
                rows = np.flatnonzero(frequencies)
                found[rows] = True
                lengths = self._lengths[part.sought.text.name][rows]
                total[rows] += part.worth(frequencies[rows], lengths)
            matched = matched & found if matching.every else matched | found
        rows = self._rows[matched[self._rows]]
        scores = total[rows]
        if len(rows) > k:
            least = np.partition(scores, len(rows) - k)[len(rows) - k]
            rows, scores = rows[scores >= least], scores[scores >= least]
        pairs = zip(scores.tolist(), self._replica.ids(rows), strict=True)
        return sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:k]

    def _frequencies(
        self, part: Part, terms: Mapping[str, Mapping[str, bytes]], size: int
    ) -> NDArray[np.float64]:
        """The frequency of a part of the query in each row."""
        frequencies = np.zeros(size)
        if len(part.sought.places) == 1:
            self._add_frequencies(part.sought.places[0], frequencies)
            return frequencies
        ids = self._replica.ids(self._rows)
        for row, id in zip(self._rows.tolist(), ids, strict=True):
            stored = terms.get(id, {}).get(part.sought.field)
            if stored is not None:
                frequencies[row] = part.times(stored.decode().split(), {})
        return frequencies

    def _add_frequencies(self, place: Place, frequencies: NDArray[np.float64]) -> None:
        inverted = self._replica.inverted(place.field)
        for term in place.words:
            frequencies[inverted.rows(term)] += inverted.frequencies(term)
