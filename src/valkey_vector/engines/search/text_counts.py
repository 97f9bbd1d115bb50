"""BM25 statistics of the search engine: document counts, document frequencies and text lengths.

The server counts a term by iterating over all documents that have it, and sums the lengths by reading every document. So
both are reused until something is written: the catalog counts writes, and the number of documents shows what expired.
In a cluster no script reaches the catalog, so every query counts again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.search import commands
from valkey_vector.filters.plan import Everything, Plan, Range, Words, all_of, complement
from valkey_vector.storage.catalog import Catalog
from valkey_vector.storage.layout import EXPIRES
from valkey_vector.text.bm25 import Clause, Matching, Position, Statistics
from valkey_vector.text.fields import IndexedText

if TYPE_CHECKING:
    from valkey_vector.engines.search.engine import SearchEngine

__all__ = ["KnownCounts", "TextCounts"]

_MAX_KNOWN = 10_000
"""Document frequencies that are kept for each text field."""


@dataclass(slots=True)
class _Known:
    """Statistics of one text field as of one state of the index.

    Attributes:
        stamp: writes and documents at that state.
        length: total number of terms; None if not summed yet.
        frequencies: document frequencies, above 0.
    """

    stamp: object
    length: float | None = None
    frequencies: dict[Position, int] = field(default_factory=dict)


class KnownCounts:
    """Statistics of an index from earlier queries, by text field. Threads may share it.

    Attributes:
        documents: the largest number of documents of the fields in the latest query; None before the first query.
    """

    def __init__(self) -> None:
        self.documents: int | None = None
        self._known: dict[str, _Known] = {}

    def frequency(self, text: IndexedText, position: Position) -> int | None:
        """Return a document frequency of an earlier query, if known."""
        known = self._known.get(text.length)
        return None if known is None else known.frequencies.get(position)

    def at(self, text: IndexedText, stamp: object) -> _Known:
        """Return what is known of a text field at a state of the index. Without a stamp, nothing is."""
        known = self._known.get(text.length)
        if stamp is None or known is None or known.stamp != stamp:
            known = _Known(stamp)
            self._known[text.length] = known
        if len(known.frequencies) > _MAX_KNOWN:
            known.frequencies = {}
        return known


class TextCounts:
    """The counts of one query: commands to send, and statistics from their replies.

    Args:
        engine: engine of the index.
        connection: connection to its server.
        matching: the query.
        known: statistics of earlier queries.

    Attributes:
        commands: commands whose replies `statistics` needs.
        frequencies: document frequencies by position, after `statistics`.
    """

    def __init__(
        self, engine: SearchEngine, connection: Connection, matching: Matching, known: KnownCounts
    ) -> None:
        self.frequencies: Mapping[Position, int] = {}
        self._engine = engine
        self._matching = matching
        self._known = known
        self._expired = Range(EXPIRES, high=engine.now())
        self._text_of = {name: text for text in matching.texts for name in (text.words, text.stems)}
        counted = [position for position in matching.positions if self._is_one_query(position)]
        self._stamped = not connection.capabilities.cluster
        self._reused = {
            position: count
            for position in (counted if self._stamped else ())
            if (count := known.frequency(self._text_of[position.field], position)) is not None
        }
        self._counted = [position for position in counted if position not in self._reused]
        self._texts: list[Plan] = [Range(text.length, low=1.0) for text in matching.texts]
        self._plans = [*self._texts, *map(_plan, self._counted)]
        self.commands: list[list[Argument]] = []
        if self._stamped:
            # Before the counts: a write in between then makes them outdated, not up to date.
            self.commands = [["HGET", Catalog(connection, engine.entry.name).key, "seq"]]
        self.commands += self._counting([*self._plans, self._expired])

    def expected(self, clause: Clause) -> int:
        """Return how many documents match a clause at most, by the counts."""
        return sum(
            min(self.frequencies.get(position, 0) for position in each.positions)
            for each in clause.fields
        )

    def statistics(self, replies: Sequence[Any]) -> Pipelined[Statistics]:
        """Return the statistics of the index for the query.

        Args:
            replies: replies to `commands`.

        Cost: no round trip if nothing was written since the last query and nothing expired. Otherwise one for expired
            documents, for reused frequencies, and for each text field's length.
        """
        matching = self._matching
        writes = replies[0] if self._stamped else None
        counts = yield from self._living(self._plans, replies[1:] if self._stamped else replies)
        documents = dict(zip((text.name for text in matching.texts), counts, strict=False))
        known = {
            text.name: self._known.at(
                text, None if writes is None else (writes, documents[text.name])
            )
            for text in matching.texts
        }
        self._known.documents = max(documents.values(), default=0)
        frequencies = dict(zip(self._counted, counts[len(self._texts) :], strict=True))
        again: list[Position] = []
        for position in self._reused:
            count = known[self._text_of[position.field].name].frequencies.get(position)
            if count is None:
                again.append(position)
            else:
                frequencies[position] = count
        if again:
            plans = list(map(_plan, again))
            counts = yield from self._living(
                plans, (yield Request(self._counting([*plans, self._expired])))
            )
            frequencies.update(zip(again, counts, strict=True))
        for position in matching.positions:
            if position not in frequencies:
                frequencies[position] = yield from self._scanned(position)
        for position, count in frequencies.items():
            # Zero is not kept: a clause that no document has is left out of the search.
            if count:
                known[self._text_of[position.field].name].frequencies[position] = count
        lengths = {}
        for text in matching.texts:
            length = known[text.name].length
            if length is None:
                length = yield from self._length(text)
                known[text.name].length = length
            lengths[text.name] = length
        self.frequencies = frequencies
        return Statistics(documents, lengths, frequencies)

    def _is_one_query(self, position: Position) -> bool:
        engine, plan = self._engine, _plan(position)
        return len(engine.queries(plan)) == 1 and len(engine.queries(self._ended(plan))) == 1

    def _living(self, plans: Sequence[Plan], replies: Sequence[Any]) -> Pipelined[list[int]]:
        """Return the number of documents of each plan without expired ones, which the server still indexes."""
        counts = [commands.total(reply) for reply in replies]
        expired = counts.pop()
        safe = self._engine.support.safe_total
        cut = [count >= safe for count in counts]
        if expired:
            ended = yield Request(self._counting(map(self._ended, plans)))
            counts = [
                max(0, count - commands.total(reply))
                for count, reply in zip(counts, ended, strict=True)
            ]
        for position, plan in enumerate(plans):
            if cut[position]:
                counts[position] = yield from self._engine.counting(plan)
        return counts

    def _ended(self, plan: Plan) -> Plan:
        return all_of([plan, self._expired])

    def _counting(self, plans: Iterable[Plan]) -> list[list[Argument]]:
        engine = self._engine
        return [commands.count_command(engine.entry, engine.query_for(plan)) for plan in plans]

    def _scanned(self, position: Position) -> Pipelined[int]:
        """Return the document frequency of a position with more terms than one query holds."""
        plan = _plan(position)
        if self._engine.fits(plan):
            return (yield from self._engine.counting(plan))
        wanted = frozenset(position.words)
        pages = self._engine.select(Everything(), [position.field])
        texts = (row.fields.get(position.field, b"") for page in pages for row in page)
        return sum(not wanted.isdisjoint(text.decode().split()) for text in texts)

    def _length(self, text: IndexedText) -> Pipelined[float]:
        """Return the total number of terms of a text field."""
        alive = complement(Range(EXPIRES, high=self._engine.now()))
        return (yield from self._summed(all_of([Range(text.length, low=1.0), alive]), text.length))

    def _summed(self, plan: Plan, field: str) -> Pipelined[float]:
        """Return the sum of a numeric field over the documents of a plan.

        The server sums. If it summed other documents than it counts, the client sums.
        """
        engine = self._engine
        total = 0.0
        for part, _ in (yield from engine.parts_of(plan)):
            query = engine.query_for(part)
            requested = [commands.sum_command(engine.entry, query, field)]
            requested.append(commands.count_command(engine.entry, query))
            replies = yield Request(requested)
            value, documents = commands.summed(replies[0])
            if documents != commands.total(replies[1]):
                rows = yield from engine.selecting(part, [field], None, None)
                value = sum(float(row.fields.get(field, b"0")) for row in rows)
            total += value
        return total


def _plan(position: Position) -> Plan:
    return Words(position.field, position.words)
