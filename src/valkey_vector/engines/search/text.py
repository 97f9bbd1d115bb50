"""Text search of the search engine: the server returns candidates, and the client computes BM25 exactly.

A first round trip asks for how many documents there are, for how many have each word, and for the words of the first
`_FIRST` that match. Mostly those are all. If there are more, parts of the query are asked for by falling weight, the
rarest words first, and all documents with them are scored, until those with none but the remaining, common words can
no longer be among the k best (the idea of MaxScore). Words and stems are brought, not whole texts.

The average length of texts costs the server a look at every document, so it is kept as long as nothing is written: the
catalogue counts writes, and the number of documents tells of those that expired. In a cluster no script
reaches the catalogue, so there it is asked each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.paging import Ranked
from valkey_vector.engines.search import commands
from valkey_vector.errors import ServerError
from valkey_vector.filters.plan import (
    Everything,
    NoDocument,
    Plan,
    Range,
    Words,
    all_of,
    complement,
)
from valkey_vector.storage.catalog import Catalog, vocabulary_key
from valkey_vector.storage.layout import EXPIRES
from valkey_vector.storage.rows import Row, StaleIndexError
from valkey_vector.text.bm25 import Clause, Matching, Position, Scored, Scorer, Statistics
from valkey_vector.text.fields import IndexedText
from valkey_vector.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from valkey_vector.engines.search.engine import SearchEngine

__all__ = ["TextSearch"]

_FIRST = 500
"""Documents whose words come with the first round trip."""

_ROUND = 1_000
"""Documents that a further part of a query should bring, before it is seen whether it was the last."""

_AT_ONCE = 5_000
"""Documents whose words are brought in one reply; more come in pages, oldest first, which costs more for each."""

_PARTS = 25
"""Clauses in such a part, which then fits into a query as a rule."""


class TextSearch:
    """Answers text queries on one index of a search module.

    Args:
        engine: of the index.
        connection: to its server.
    """

    def __init__(self, engine: SearchEngine, connection: Connection) -> None:
        self._engine = engine
        self._connection = connection
        self._lengths: dict[str, tuple[object, float]] = {}
        self._vocabulary = Vocabulary()

    def vocabulary(self) -> Vocabulary:
        """The words that ever occurred in the index's texts; brings those that are new.

        Raises:
            StaleIndexError: the index was dropped or created anew, and with it its words.
        """
        entry, known = self._engine.entry, len(self._vocabulary)
        replies = self._connection.pipeline(
            [
                ["HGET", Catalog(self._connection, entry.name).key, "generation"],
                ["ZRANGEBYSCORE", vocabulary_key(entry.name), f"({known}", "+inf"],
            ],
            retry=True,
        )
        if error := next((reply for reply in replies if isinstance(reply, ServerError)), None):
            raise error
        generation: Any = replies[0]
        found: Any = replies[1]
        if generation != entry.generation.encode():
            raise StaleIndexError
        vocabulary = self._vocabulary
        if found:
            vocabulary = vocabulary.with_more(word.decode() for word in found)
            self._vocabulary = vocabulary
        return vocabulary

    def statistics(self, matching: Matching) -> Pipelined[Statistics]:
        """What BM25 has to know for one query."""
        asked = _Asked(self._engine, self._connection, matching)
        replies = yield Request(asked.commands)
        return (yield from self._statistics(asked, replies))

    def best(self, matching: Matching, plan: Plan, k: int) -> Pipelined[list[Scored]]:
        """The k best answers among the documents a plan selects, best first, ties by id."""
        best, _ = yield from self.best_beside(matching, plan, k, ())
        return best

    def best_beside(
        self, matching: Matching, plan: Plan, k: int, beside: Sequence[Sequence[Argument]]
    ) -> Pipelined[tuple[list[Scored], list[Any]]]:
        """The k best answers, and the replies to other commands in the same round trip.

        Args:
            matching: the query.
            plan: which documents.
            k: how many.
            beside: commands to send along.

        Returns:
            Scores and ids, best first, ties by id; and the replies to the commands sent along.
        """
        engine = self._engine
        candidates = self._fitting(plan, matching)
        if isinstance(candidates, NoDocument):
            return [], (yield Request(beside))
        asked = _Asked(engine, self._connection, matching)
        pages = []
        if len(queries := engine.queries(candidates)) == 1 and self._at_once:
            pages = [
                commands.page_command(engine.entry, queries[0], matching.fields, _FIRST, sort=False)
            ]
        replies = yield Request([*asked.commands, *pages, *beside])
        counted, replies = replies[: len(asked.commands)], replies[len(asked.commands) :]
        page, replies = replies[: len(pages)], replies[len(pages) :]
        scorer = Scorer(matching, (yield from self._statistics(asked, counted)))
        collected = _Collected(scorer, k)
        if page and commands.total(page[0]) <= _FIRST:
            collected.take(engine.rows(page[0]))
        elif matching.every:
            expected = commands.total(page[0]) if page else _AT_ONCE + 1
            yield from self._collecting(candidates, collected, expected)
        else:
            yield from self._by_weight(plan, asked, collected)
        return collected.best(), replies

    @property
    def _at_once(self) -> int:
        """Documents that a query may fetch in one reply; none where the server's limit on a query is close to that."""
        cap = self._engine.support.cap
        return _AT_ONCE if cap is None or cap > 4 * _AT_ONCE else 0

    def _by_weight(self, plan: Plan, asked: _Asked, collected: _Collected) -> Pipelined[None]:
        """Score documents with the weightiest parts of the query first, and stop when the others cannot matter."""
        bounds = sorted(collected.scorer.bounds(), key=lambda pair: pair[0])
        remaining = [(bound, clause) for bound, clause in bounds if asked.expected(clause)]
        while remaining:
            chosen = [remaining.pop()[1]]
            expected = asked.expected(chosen[0])
            while remaining and len(chosen) < _PARTS:
                more = asked.expected(remaining[-1][1])
                if expected + more > _ROUND:
                    break
                expected += more
                chosen.append(remaining.pop()[1])
            candidates = self._fitting(plan, Matching(tuple(chosen), every=False))
            yield from self._collecting(candidates, collected, expected)
            if collected.least() > sum(bound for bound, _ in remaining):
                return

    def _collecting(
        self, candidates: Plan, collected: _Collected, expected: int
    ) -> Pipelined[None]:
        """Score all documents that a plan selects: brought at once, or if they may be too many, in pages."""
        engine, fields = self._engine, collected.scorer.matching.fields
        queries = engine.queries(candidates)
        if len(queries) == 1 and expected <= self._at_once:
            command = commands.page_command(engine.entry, queries[0], fields, _AT_ONCE, sort=False)
            (reply,) = yield Request([command])
            if commands.total(reply) <= _AT_ONCE:
                collected.take(engine.rows(reply))
                return
        yield from engine.selecting(candidates, fields, None, collected.take)

    def _fitting(self, plan: Plan, matching: Matching) -> Plan:
        """What the server can select of the documents that match, or a superset. The plan itself always holds."""
        joined = self._joined(plan, matching)
        if joined is not None:
            return joined
        if matching.every:
            # Without the longest parts: what they ask for is checked on the words.
            clauses = sorted(matching.clauses, key=lambda each: len(str(each)))
            while len(clauses) > 1:
                clauses = clauses[: len(clauses) // 2]
                joined = self._joined(plan, Matching(tuple(clauses), every=True))
                if joined is not None:
                    return joined
        return plan

    def _joined(self, plan: Plan, matching: Matching) -> Plan | None:
        """Both as one plan, if the server can be asked for it."""
        joined = all_of([plan, matching.plan()])
        return joined if self._engine.fits(joined) else None

    def _statistics(self, asked: _Asked, replies: Sequence[Any]) -> Pipelined[Statistics]:
        counts = [commands.total(reply) for reply in replies[: len(asked.plans) + 1]]
        expired = counts.pop()
        safe = self._engine.support.safe_total
        cut = [count >= safe for count in counts]
        if expired:
            gone = yield Request(asked.expired_commands)
            counts = [
                max(0, count - commands.total(reply))
                for count, reply in zip(counts, gone, strict=True)
            ]
        for position, plan in enumerate(asked.plans):
            if cut[position]:
                counts[position] = yield from self._engine.counting(plan)
        texts = asked.matching.texts
        documents = {text.name: count for text, count in zip(texts, counts, strict=False)}
        frequencies = dict(zip(asked.places, counts[len(texts) :], strict=True))
        for place in asked.matching.positions:
            if place not in frequencies:
                frequencies[place] = yield from self._frequency(place)
        asked.frequencies = frequencies
        lengths = {}
        for text in texts:
            # What tells that nothing changed: no write, and nothing expired.
            writes = None if asked.writes is None else replies[asked.writes]
            stamp = None if writes is None else (writes, documents[text.name])
            lengths[text.name] = yield from self._length(text, stamp)
        return Statistics(documents, lengths, frequencies)

    def _frequency(self, place: Position) -> Pipelined[int]:
        """How many documents have one of very many words."""
        plan = Words(place.field, place.words)
        if self._engine.fits(plan):
            return (yield from self._engine.counting(plan))
        wanted = frozenset(place.words)
        pages = self._engine.select(Everything(), [place.field])
        texts = (row.fields.get(place.field, b"") for page in pages for row in page)
        return sum(not wanted.isdisjoint(text.decode().split()) for text in texts)

    def _length(self, text: IndexedText, stamp: object) -> Pipelined[float]:
        """How many words a text has in all documents together."""
        kept = self._lengths.get(text.length)
        if stamp is not None and kept is not None and kept[0] == stamp:
            return kept[1]
        alive = complement(Range(EXPIRES, high=self._engine.now()))
        length = yield from self._summed(all_of([Range(text.length, low=1.0), alive]), text.length)
        self._lengths[text.length] = (stamp, length)
        return length

    def _summed(self, plan: Plan, field: str) -> Pipelined[float]:
        """The sum of a numeric field over the documents of a plan.

        By the server, if it had as many documents as a count of them tells; otherwise here.
        """
        engine = self._engine
        total = 0.0
        for part, _ in (yield from engine.parts_of(plan)):
            query = engine.query_for(part)
            asked = [commands.sum_command(engine.entry, query, field)]
            asked.append(commands.count_command(engine.entry, query))
            replies = yield Request(asked)
            value, documents = commands.summed(replies[0])
            if documents != commands.total(replies[1]):
                rows = yield from engine.selecting(part, [field], None, None)
                value = sum(float(row.fields.get(field, b"0")) for row in rows)
            total += value
        return total


class _Asked:
    """The counts that one query needs, as commands; places that need more than one query are left out."""

    def __init__(self, engine: SearchEngine, connection: Connection, matching: Matching) -> None:
        self.matching = matching
        self.frequencies: dict[Position, int] = {}
        self._engine = engine
        self._expired = Range(EXPIRES, high=engine.now())
        counted: list[tuple[Position, Plan]] = []
        for place in matching.positions:
            plan = Words(place.field, place.words)
            if len(engine.queries(plan)) == 1 and len(engine.queries(self._gone(plan))) == 1:
                counted.append((place, plan))
        self.places = [place for place, _ in counted]
        self.plans: list[Plan] = [Range(text.length, low=1.0) for text in matching.texts]
        self.plans += [plan for _, plan in counted]
        self.commands = self._counting([*self.plans, self._expired])
        self.writes: int | None = None
        if not connection.capabilities.cluster:
            self.writes = len(self.commands)
            key = Catalog(connection, engine.entry.name).key
            self.commands.append(["HGET", key, "seq"])

    @property
    def expired_commands(self) -> list[list[Argument]]:
        """The commands that count, for each plan, documents that expired and are still indexed."""
        return self._counting(self._gone(plan) for plan in self.plans)

    def expected(self, clause: Clause) -> int:
        """How many documents a clause brings at most, by the counts."""
        return sum(
            min(self.frequencies.get(place, 0) for place in field.positions)
            for field in clause.fields
        )

    def _gone(self, plan: Plan) -> Plan:
        return all_of([plan, self._expired])

    def _counting(self, plans: Iterable[Plan]) -> list[list[Argument]]:
        engine = self._engine
        return [commands.count_command(engine.entry, engine.query_for(plan)) for plan in plans]


class _Collected:
    """The scores found so far."""

    def __init__(self, scorer: Scorer, k: int) -> None:
        self.scorer = scorer
        self._k = k
        self._scores: dict[str, float | None] = {}
        self._versions: dict[str, bytes | None] = {}

    def take(self, rows: Iterable[Row]) -> list[Row]:
        """Score documents that were not seen before; none of them need be kept."""
        for row in rows:
            if row.id not in self._scores:
                self._scores[row.id] = self.scorer.score(row.fields)
                self._versions[row.id] = row.version
        return []

    def least(self) -> float:
        """The k-th best score; below all others while there are fewer."""
        best = self.best()
        return best[-1][0] if len(best) == self._k else -1.0

    def best(self) -> Ranked:
        """The k best, best first, ties by id."""
        found = [(score, id) for id, score in self._scores.items() if score is not None]
        best = sorted(found, key=lambda pair: (-pair[0], pair[1]))[: self._k]
        return Ranked(best, {id: self._versions[id] for _, id in best})
