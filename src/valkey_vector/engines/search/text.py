"""Text search of the search engine: the server returns candidates, and the client computes BM25 exactly.

The first round trip counts documents and terms. If few documents can match, it also fetches the first `_FIRST`, which are all
then. Otherwise only documents that can be among the best are fetched (see `valkey_vector.engines.search.text_rounds`). The
server returns terms, not texts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.pipelines import Pipelined, Request, requesting, run
from valkey_vector.engines.paging import Ranked
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.query_syntax import query_text
from valkey_vector.engines.search.text_counts import TextCounts
from valkey_vector.engines.search.text_known import KnownCounts
from valkey_vector.engines.search.text_rounds import Rounds
from valkey_vector.filters.plan import Everything, NoDocument, Plan, all_of
from valkey_vector.storage.catalog import Catalog, CatalogEntry, vocabulary_key
from valkey_vector.storage.hashes import checked
from valkey_vector.storage.rows import Row, StaleIndexError
from valkey_vector.text.bm25 import Matching, Scored, Scorer, Statistics
from valkey_vector.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from valkey_vector.engines.search.engine import SearchEngine

__all__ = ["Collected", "TextSearch"]

_FIRST = 250
"""Documents that the first round trip fetches. Fetching more of them takes longer than two more round trips."""

_SMALL = 10_000
"""Documents of an index in which a filter, or a query for all terms, is expected to leave no more than `_FIRST`."""

_LARGEST = 1_000_000
"""Ids that one reply lists."""


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
        replies = yield Request(counts.commands, errors=True)
        checked(replies[counts.signs :])
        return (yield from counts.statistics(replies))

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
        if (
            self._begins_with_page(plan, matching)
            and len(queries := engine.queries(candidates)) == 1
        ):
            pages = [self._page(queries[0], matching.fields, _FIRST)]
        replies = yield Request([*counts.commands, *pages, *beside], errors=True)
        checked(replies[counts.signs :])
        counted, replies = replies[: len(counts.commands)], replies[len(counts.commands) :]
        page, replies = replies[: len(pages)], replies[len(pages) :]
        scorer = Scorer(matching, (yield from counts.statistics(counted)))
        collected = Collected(scorer, k)
        if page and commands.total(page[0]) <= _FIRST:
            collected.take(engine.rows(page[0]))
        else:
            expected = [counts.expected(clause) for clause in matching.clauses]
            yield from Rounds(self, plan, scorer, expected, collected).run()
        return collected.best(), replies

    @property
    def entry(self) -> CatalogEntry:
        """The catalog entry of the index."""
        return self._engine.entry

    @property
    def largest_list(self) -> int:
        """Number of ids from which a list may be cut short by the server."""
        return int(min(_LARGEST, self._engine.support.safe_total))

    def query_of_ids(self, plan: Plan) -> str | None:
        """Return the query of the ids of documents; None if one query cannot select them.

        It also selects hashes that are not records of the index: they are recognized when they are fetched. The server
        takes several times as long to evaluate two conditions.
        """
        if isinstance(plan, NoDocument | Everything) or not self._engine.fits_one(plan):
            return None
        return query_text(plan)

    def scoring(self, ids: Sequence[str], collected: Collected) -> Pipelined[None]:
        """Score documents by their ids."""
        rows = yield from self._engine.fetching(ids, collected.scorer.matching.fields)
        found = {row.id: row for row in rows if row is not None}
        collected.take(found.values())
        collected.skip(id for id in ids if id not in found)

    def _page(self, query: str, fields: Sequence[str], limit: int) -> list[Argument]:
        return commands.page_command(self._engine.entry, query, fields, limit, sort=False)

    def _begins_with_page(self, plan: Plan, matching: Matching) -> bool:
        """Return whether the first round trip fetches documents, too: if it may fetch all that match."""
        cap = self._engine.support.cap
        if cap is not None and cap <= 4 * _FIRST:
            return False
        documents = self._known.documents
        narrowed = matching.every or not isinstance(plan, Everything)
        return documents is None or documents <= (_SMALL if narrowed else _FIRST)

    def collecting(self, plan: Plan, collected: Collected) -> Pipelined[None]:
        """Score all documents that a plan selects, fetched in pages."""
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


class Collected:
    """The scores found so far.

    Args:
        scorer: scorer of the query.
        k: number of documents to find.

    Attributes:
        scores: id → score; None for an id that does not match.
    """

    def __init__(self, scorer: Scorer, k: int) -> None:
        self.scorer = scorer
        self._k = k
        self.scores: dict[str, float | None] = {}
        self._versions: dict[str, bytes | None] = {}

    def take(self, rows: Iterable[Row]) -> list[Row]:
        """Score documents that were not seen before. Returns no rows: none of them must be kept."""
        for row in rows:
            if row.id not in self.scores:
                self.scores[row.id] = self.scorer.score(row.fields)
                self._versions[row.id] = row.version
        return []

    def skip(self, ids: Iterable[str]) -> None:
        """Record ids that are not documents of the index, or not any longer."""
        self.scores.update(dict.fromkeys(ids))

    @property
    def threshold(self) -> float | None:
        """The k-th best score; None while there are fewer."""
        best = heapq.nlargest(self._k, (each for each in self.scores.values() if each is not None))
        return best[-1] if len(best) == self._k else None

    def best(self) -> Ranked:
        """Return the k best, best first, ties by id."""
        found = ((score, id) for id, score in self.scores.items() if score is not None)
        best = heapq.nsmallest(self._k, found, key=lambda pair: (-pair[0], pair[1]))
        return Ranked(best, {id: self._versions[id] for _, id in best})
