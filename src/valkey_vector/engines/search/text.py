"""Text search of the search engine: the server returns candidates, and the client computes BM25 exactly.

The first round trip counts documents and terms, and fetches the first `_FIRST` documents that match; in a small index these are
all. Otherwise the documents with the rarest terms are scored first. Their k-th best score is a threshold: only documents
with certain combinations of the remaining terms can reach it (see `valkey_vector.text.candidates`), and only these are
fetched. The server returns terms and stems, not texts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.pipelines import Pipelined, Request, requesting, run
from valkey_vector.engines.paging import Ranked
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.text_counts import KnownCounts, TextCounts
from valkey_vector.filters.plan import NoDocument, Plan, all_of, any_of
from valkey_vector.storage.catalog import Catalog, vocabulary_key
from valkey_vector.storage.rows import Row, StaleIndexError
from valkey_vector.text.bm25 import Clause, Matching, Scored, Scorer, Statistics
from valkey_vector.text.candidates import winning_combinations
from valkey_vector.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from valkey_vector.engines.search.engine import SearchEngine

__all__ = ["TextSearch"]

_FIRST = 500
"""Documents that the first round trip fetches."""

_SMALL = 10_000
"""Documents of an index in which the first round trip fetches any: in a larger one, that takes the server too long."""

_ROUND = 1_000
"""Documents that a further round trip fetches before the threshold is computed again."""

_AT_ONCE = 5_000
"""Documents that one reply returns, if their size is not known. More are fetched in pages, oldest first: the server then
sorts them for every page."""

_BYTES = 16 * 1024 * 1024
"""Size of the terms that one reply returns."""

_PARTS = 25
"""Clauses in one round, which usually fit into one query."""


class TextSearch:
    """Text queries on one index of a search module.

    Args:
        engine: engine of the index.
        connection: connection to its server.
    """

    def __init__(self, engine: SearchEngine, connection: Connection) -> None:
        self._engine = engine
        self._connection = connection
        self._known = KnownCounts()
        self._vocabulary = Vocabulary()

    def vocabulary(self) -> Vocabulary:
        """Return all words that ever occurred in the index's texts; fetches those that are new.

        Raises:
            StaleIndexError: the index was dropped or created again, and its words with it.
        """
        entry, known = self._engine.entry, len(self._vocabulary)
        key = Catalog(self._connection, entry.name).key
        reading: list[list[Argument]] = [
            ["HGET", key, "generation"],
            ["ZRANGEBYSCORE", vocabulary_key(entry.name), f"({known}", "+inf"],
        ]
        generation, found = run(self._engine, requesting(reading))
        if generation != entry.generation.encode():
            raise StaleIndexError
        vocabulary = self._vocabulary
        if found:
            vocabulary = vocabulary.with_more(word.decode() for word in found)
            self._vocabulary = vocabulary
        return vocabulary

    def statistics(self, matching: Matching) -> Pipelined[Statistics]:
        """Return the BM25 statistics of the index for one query."""
        counts = TextCounts(self._engine, self._connection, matching, self._known)
        return (yield from counts.statistics((yield Request(counts.commands))))

    def best(self, matching: Matching, plan: Plan, k: int) -> Pipelined[list[Scored]]:
        """Return the k best of the documents that a plan selects, best first, ties by id."""
        best, _ = yield from self.best_beside(matching, plan, k, ())
        return best

    def best_beside(
        self, matching: Matching, plan: Plan, k: int, beside: Sequence[Sequence[Argument]]
    ) -> Pipelined[tuple[list[Scored], list[Any]]]:
        """Return the k best documents, and the replies to other commands of the same round trip.

        Args:
            matching: the query.
            plan: documents to search.
            k: maximum number of documents, >= 1.
            beside: commands to send in the first round trip.

        Returns:
            Scores and ids, best first, ties by id; and the replies to `beside`.
        """
        engine = self._engine
        candidates = self.fitting(plan, matching)
        if isinstance(candidates, NoDocument):
            return [], (yield Request(beside))
        counts = TextCounts(engine, self._connection, matching, self._known)
        pages = []
        if self._begins_with_page(matching) and len(queries := engine.queries(candidates)) == 1:
            pages = [self._page(queries[0], matching.fields, _FIRST)]
        replies = yield Request([*counts.commands, *pages, *beside])
        counted, replies = replies[: len(counts.commands)], replies[len(counts.commands) :]
        page, replies = replies[: len(pages)], replies[len(pages) :]
        scorer = Scorer(matching, (yield from counts.statistics(counted)))
        collected = _Collected(scorer, k)
        if page and commands.total(page[0]) <= _FIRST:
            collected.take(engine.rows(page[0]))
        elif matching.every:
            expected = commands.total(page[0]) if page else _AT_ONCE + 1
            yield from self.collecting(candidates, collected, expected)
        else:
            yield from _Rounds(self, plan, counts, collected).run()
        return collected.best(), replies

    def fetching(self, plan: Plan, collected: _Collected, limit: int) -> Pipelined[int | None]:
        """Score documents that a plan selects, in no particular order.

        Args:
            plan: documents to score.
            collected: takes the scores.
            limit: maximum number of documents.

        Returns:
            How many documents the plan selects; None if one query cannot tell.
        """
        queries = self._engine.queries(plan)
        if len(queries) != 1 or not self._at_once or isinstance(plan, NoDocument):
            return None
        (reply,) = yield Request([self._page(queries[0], collected.scorer.matching.fields, limit)])
        collected.take(self._engine.rows(reply))
        return commands.total(reply)

    def _page(self, query: str, fields: Sequence[str], limit: int) -> list[Argument]:
        return commands.page_command(self._engine.entry, query, fields, limit, sort=False)

    def _begins_with_page(self, matching: Matching) -> bool:
        """Return whether the first round trip fetches documents, too."""
        documents = self._known.documents
        return bool(self._at_once) and (matching.every or documents is None or documents <= _SMALL)

    @property
    def _at_once(self) -> int:
        """Documents that one reply may return; none if the server's limit on a query is close to that."""
        cap = self._engine.support.cap
        return _AT_ONCE if cap is None or cap > 4 * _AT_ONCE else 0

    def _fitting_one_reply(self, collected: _Collected) -> int:
        """Return how many documents one reply may return, by the size of those scored so far."""
        cap = self._engine.support.cap
        fitting = max(self._at_once, int(_BYTES / max(1.0, collected.mean_size)))
        return fitting if cap is None else min(fitting, cap // 4)

    def collecting(self, plan: Plan, collected: _Collected, expected: int) -> Pipelined[None]:
        """Score all documents that a plan selects: fetched at once, or in pages if there may be too many."""
        limit = self._fitting_one_reply(collected) if self._at_once else 0
        if expected <= limit:
            total = yield from self.fetching(plan, collected, limit)
            if total is not None and total <= limit:
                return
        fields = collected.scorer.matching.fields
        yield from self._engine.selecting(plan, fields, None, collected.take)

    def fitting(self, plan: Plan, matching: Matching) -> Plan:
        """Return a plan of the matching documents that the server can select, or of a superset. `plan` always holds."""
        joined = self.joined(plan, matching.plan())
        if joined is not None:
            return joined
        if matching.every:
            # Without the longest clauses, which are then checked on the terms.
            clauses = sorted(matching.clauses, key=lambda each: len(str(each)))
            while len(clauses) > 1:
                clauses = clauses[: len(clauses) // 2]
                joined = self.joined(plan, Matching(tuple(clauses), every=True).plan())
                if joined is not None:
                    return joined
        return plan

    def joined(self, plan: Plan, other: Plan) -> Plan | None:
        """Return the intersection of two plans, if the server can select it."""
        both = all_of([plan, other])
        return both if self._engine.fits(both) else None


class _Rounds:
    """The rounds of one query in a large index: the rarest terms first, until no other document can be among the best.

    Args:
        search: the index's text search.
        plan: documents to search.
        counts: counts of the query, with statistics.
        collected: takes the scores.
    """

    def __init__(
        self, search: TextSearch, plan: Plan, counts: TextCounts, collected: _Collected
    ) -> None:
        self._search = search
        self._plan = plan
        self._counts = counts
        self._collected = collected
        bounds = sorted(collected.scorer.bounds(), key=lambda pair: -pair[0])
        self._remaining = [(bound, clause) for bound, clause in bounds if counts.expected(clause)]

    def run(self) -> Pipelined[None]:
        """Score all documents that can be among the best.

        Cost: one round trip for each `_ROUND` documents or `_PARTS` clauses, and mostly two or three in all.
        """
        yield from self._sample()
        while self._remaining:
            if (yield from self._finished()):
                return
            yield from self._next_clauses()

    def _sample(self) -> Pipelined[None]:
        """If even the rarest term is common, score some documents with most of the terms, for a first threshold."""
        clauses = [clause for _, clause in self._remaining[:_PARTS]]
        if not clauses or self._counts.expected(clauses[0]) <= _ROUND:
            return
        for size in sorted({len(clauses), 2, 1}, reverse=True):
            plan = self._search.joined(
                self._plan, Matching(tuple(clauses[:size]), every=True).plan()
            )
            if plan is not None:
                yield from self._search.fetching(plan, self._collected, _FIRST)
            if self._collected.threshold is not None:
                return

    def _finished(self) -> Pipelined[bool]:
        """Score the documents that can still reach the threshold. Returns False if these are too many, or unknown."""
        while (threshold := self._collected.threshold) is not None:
            combinations = winning_combinations([bound for bound, _ in self._remaining], threshold)
            if not combinations:
                return True
            plan = self._joined(combinations)
            if plan is None:
                return False
            total = yield from self._search.fetching(plan, self._collected, _ROUND)
            if total is None:
                return False
            if total <= _ROUND:
                return True
            if combinations == self._combinations():
                yield from self._search.collecting(plan, self._collected, total)
                return True
        return False

    def _combinations(self) -> list[tuple[int, ...]]:
        threshold = self._collected.threshold or 0.0
        return winning_combinations([bound for bound, _ in self._remaining], threshold)

    def _joined(self, combinations: Sequence[tuple[int, ...]]) -> Plan | None:
        """Return the plan of documents with any of the combinations; None if the server cannot select it."""
        if not all(combinations):
            return None
        clauses = [clause for _, clause in self._remaining]
        combined = (all_of(clauses[at].plan() for at in each) for each in combinations)
        return self._search.joined(self._plan, any_of(combined))

    def _next_clauses(self) -> Pipelined[None]:
        """Score all documents with the rarest of the remaining clauses."""
        chosen: list[Clause] = []
        expected = 0
        while self._remaining and len(chosen) < _PARTS:
            more = self._counts.expected(self._remaining[0][1])
            if chosen and expected + more > _ROUND:
                break
            expected += more
            chosen.append(self._remaining.pop(0)[1])
        candidates = self._search.fitting(self._plan, Matching(tuple(chosen), every=False))
        yield from self._search.collecting(candidates, self._collected, expected)


class _Collected:
    """The scores found so far.

    Args:
        scorer: scorer of the query.
        k: number of documents to find.
    """

    def __init__(self, scorer: Scorer, k: int) -> None:
        self.scorer = scorer
        self._k = k
        self._scores: dict[str, float | None] = {}
        self._versions: dict[str, bytes | None] = {}
        self._bytes = 0

    @property
    def mean_size(self) -> float:
        """Mean size of the terms of a document in bytes; without any document, as large as can be."""
        return self._bytes / len(self._scores) if self._scores else float(_BYTES)

    def take(self, rows: Iterable[Row]) -> list[Row]:
        """Score documents that were not seen before. Returns no rows: none of them must be kept."""
        for row in rows:
            if row.id not in self._scores:
                self._scores[row.id] = self.scorer.score(row.fields)
                self._versions[row.id] = row.version
                self._bytes += sum(map(len, row.fields.values()))
        return []

    @property
    def threshold(self) -> float | None:
        """The k-th best score; None while there are fewer."""
        best = heapq.nlargest(self._k, (each for each in self._scores.values() if each is not None))
        return best[-1] if len(best) == self._k else None

    def best(self) -> Ranked:
        """Return the k best, best first, ties by id."""
        found = ((score, id) for id, score in self._scores.items() if score is not None)
        best = heapq.nsmallest(self._k, found, key=lambda pair: (-pair[0], pair[1]))
        return Ranked(best, {id: self._versions[id] for _, id in best})
