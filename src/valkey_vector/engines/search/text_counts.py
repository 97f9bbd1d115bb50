"""BM25 statistics of the search engine: document counts, document frequencies and text lengths.

The server counts a term by iterating over all documents that have it. So counts are reused until the index changes (see
`valkey_vector.engines.search.signs`). In a cluster, counts that were requested together with the signs are only kept if
an earlier query had read the same signs.

Counts must leave out hashes that are not records of the index. Valkey-Search takes about ten times as long to check that
for each document. There, one query counts the records. If that is the number of all keys, terms are counted without the check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.connection.replicas import are_replicas_allowed
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.noted import noted_changes
from valkey_vector.engines.search.query_syntax import query_text
from valkey_vector.engines.search.signs import (
    Signs,
    State,
    are_quiet,
    quiet_commands,
    sign_commands,
    signs_in,
)
from valkey_vector.engines.search.text_known import Counted, Known, KnownCounts, plan_of
from valkey_vector.engines.search.text_lengths import length_counts, usual_length
from valkey_vector.filters.plan import Everything, Plan, Range, all_of, complement
from valkey_vector.storage.layout import EXPIRES
from valkey_vector.text.bm25 import Clause, Matching, Position, Statistics
from valkey_vector.text.fields import IndexedText

if TYPE_CHECKING:
    from valkey_vector.engines.search.engine import SearchEngine

__all__ = ["TextCounts"]


class TextCounts:
    """The counts of one query: commands to send, and statistics from their replies.

    Args:
        engine: engine of the index.
        connection: connection to its server.
        matching: the query.
        known: statistics of earlier queries.

    Attributes:
        commands: commands whose replies `statistics` needs. An error may take the place of the first ones' replies.
        signs: number of these first ones.
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
        text_of = {name: text for text in matching.texts for name in (text.words, text.stems)}
        self._text_of: dict[Counted, IndexedText] = {text: text for text in matching.texts}
        self._text_of |= {each: text_of[each.field] for each in matching.positions}
        self._connection = connection
        self._cluster = connection.capabilities.cluster
        self._from_replicas = are_replicas_allowed(connection.settings)
        self._earlier = known.signs
        signs = sign_commands(engine, connection)
        self.signs = len(signs)
        self._is_plain = engine.is_valkey_search
        self._keys: int | None = None
        items = [each for each in self._text_of if self._is_one_query(each)]
        self._reused = [each for each in items if self._may_reuse(each)]
        self._counted = [each for each in items if each not in self._reused]
        plans = [*map(plan_of, self._counted), self._expired]
        self._first = self._counting(plans)
        self.commands = [*signs, *self._first]
        if self._is_plain and known.pure is None:
            self.commands.append(self._records())
        keeps = len(signs) > 1 and not self._cluster and not self._from_replicas
        self._closing = quiet_commands(engine, connection) if keeps else []
        self._writes: tuple[bytes, bytes | None] | None = None
        self._is_settled = keeps
        if len(self.commands) > len(signs) + 1:
            self.commands += self._closing

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

        Cost: no round trip if nothing changed since the last query and nothing expired. Otherwise one for expired
            documents, one for reused counts, one for the number of records, and one for the lengths of each text field.
        """
        matching = self._matching
        signs = signs_in(self._engine, self._connection, replies[: self.signs])
        # Counts that were sent with the signs may be older than these.
        timely = not self._cluster or signs == self._earlier
        self._known.signs, self._writes = signs, signs.writes
        replies = replies[self.signs :]
        if len(self.commands) > self.signs + 1:
            replies = self._closed(replies)
        yield from self._carry(signs, commands.total(replies[len(self._first) - 1]))
        replies = yield from self._checked(signs, replies, timely=timely)
        found = dict(
            zip(self._counted, (yield from self._living(self._counted, replies)), strict=True)
        )
        alive = None if self._keys is None else self._keys - commands.total(replies[-1])
        known = {}
        for text in matching.texts:
            number = found.get(text) if alive is None else alive
            stamp = None
            if signs.writes is not None and number is not None:
                stamp = State(signs.run, signs.writes, number, signs.is_quiet)
            known[text] = self._known.at(text, stamp)
        early = frozenset() if timely else frozenset(found)
        again: list[Counted] = []
        for each in self._reused:
            count = known[self._text_of[each]].counts.get(each)
            if count is None:
                again.append(each)
            else:
                found[each] = count
        if again:
            counts = yield from self._count(list(map(plan_of, again)))
            found.update(zip(again, counts, strict=True))
        for position in matching.positions:
            if position not in found:
                self._is_settled = False
                found[position] = yield from self._scanned(position)
        self._note(known)
        for each, count in found.items():
            # Zero is not kept: a clause that no document has is left out of the search.
            if count and each not in early:
                known[self._text_of[each]].counts[each] = count
        lengths, shortest, usual = {}, {}, {}
        for text in matching.texts:
            of_text = known[text]
            length = of_text.length
            if length is None:
                length = yield from self._length(text, of_text, found[text])
                self._note(known)
                # The number of texts shows that no length is missing, so it must not be older, either.
                of_text.length = None if text in early else length
            lengths[text.name] = length
            shortest[text.name] = min(of_text.lengths or (1,))
            usual[text.name] = usual_length(of_text.lengths or {})
        self._known.documents = max((found[text] for text in matching.texts), default=0)
        self.frequencies = {each: found[each] for each in matching.positions}
        documents = {text.name: found[text] for text in matching.texts}
        return Statistics(documents, lengths, self.frequencies, shortest, usual)

    def _closed(self, replies: Sequence[Any]) -> Sequence[Any]:
        """Return the replies without those that show if a write was in progress."""
        if not self._closing:
            return replies
        self._is_settled = self._is_settled and are_quiet(replies[-2:], self._writes)
        return replies[:-2]

    def _asked(self, requested: Sequence[Sequence[Argument]]) -> Pipelined[Sequence[Any]]:
        """Send counts, and what shows if a write was in progress."""
        return self._closed((yield Request([*requested, *self._closing])))

    def _note(self, known: Mapping[IndexedText, Known]) -> None:
        """Note if a write was in progress during a count: then later changes may be counted already."""
        if not self._is_settled:
            for each in known.values():
                each.counted = None

    def _carry(self, signs: Signs, expired: int) -> Pipelined[None]:
        """Add what small writes changed since the latest query to the counts that it left.

        Cost: one round trip after a small write.
        """
        if not self._closing or signs.writes is None or signs.keys is None:
            return
        now = State(signs.run, signs.writes, signs.keys - expired, signs.is_quiet)
        earlier = {text: self._known.earlier(text) for text in self._matching.texts}
        for before in set(earlier.values()):
            if before is None or before == now:
                continue
            changes = yield from noted_changes(self._engine, before, now)
            if changes is None:
                continue
            for text, state in earlier.items():
                if state == before:
                    self._known.add(text, before, now, changes)
            # Small writes write records only, and no other key was added.
            self._known.pure = signs

    def _checked(
        self, signs: Signs, replies: Sequence[Any], *, timely: bool
    ) -> Pipelined[Sequence[Any]]:
        """Return the replies to the counts; counts again if there are hashes that are not records."""
        self._keys = signs.keys
        if not self._is_plain:
            return replies
        state = None if signs.writes is None or signs.keys is None else signs
        counts, records = replies[: len(self._first)], replies[len(self._first) :]
        if records or state is None or self._known.pure != state:
            timely = timely or not records
            records = records or (yield from self._asked([self._records()]))
            self._is_plain = yield from self._are_all(commands.total(records[0]))
            self._known.pure = state if self._is_plain and timely else None
        if self._is_plain:
            return counts
        plans = [*map(plan_of, self._counted), self._expired]
        return (yield from self._asked(self._counting(plans)))

    def _records(self) -> list[Argument]:
        """The command that counts the records of the index."""
        query = query_text(self._engine.entry.existence())
        return commands.count_command(self._engine.entry, query)

    def _are_all(self, records: int) -> Pipelined[bool]:
        """Return whether all hashes with the prefix are records.

        The server may count less than there are, but not more. So equal numbers prove it. More records than it counts
        at once are counted in parts. Otherwise other hashes are counted, for which the server reads all keys: that takes
        several times as long.
        """
        if records == self._keys:
            return True
        if self._keys is not None and records >= self._engine.support.safe_total:
            self._is_settled = False
            records = yield from self._engine.counting(Everything())
            if records == self._keys:
                return True
        query = query_text(complement(self._engine.entry.existence()))
        (reply,) = yield from self._asked([commands.count_command(self._engine.entry, query)])
        return commands.total(reply) == 0

    def _may_reuse(self, counted: Counted) -> bool:
        """Return whether an earlier count is reused if the index did not change.

        Counts of replicas are never kept. Without FT.INFO, the numbers of documents of the text fields show whether it did.
        """
        enough = 2 if isinstance(counted, IndexedText) else 1
        may = self.signs >= enough and not self._from_replicas
        return may and self._known.holds(self._text_of[counted], counted)

    def _is_one_query(self, counted: Counted) -> bool:
        engine, plan = self._engine, plan_of(counted)
        return len(engine.queries(plan)) == 1 and len(engine.queries(self._ended(plan))) == 1

    def _count(self, plans: Sequence[Plan]) -> Pipelined[list[int]]:
        """Count the documents of plans."""
        replies = yield from self._asked(self._counting([*plans, self._expired]))
        return (yield from self._living(plans, replies))

    def _living(
        self, counted: Sequence[Counted | Plan], replies: Sequence[Any]
    ) -> Pipelined[list[int]]:
        """Return the number of documents of each, without expired ones, which the server still indexes."""
        plans = list(map(plan_of, counted))
        counts = [commands.total(reply) for reply in replies]
        expired = counts.pop()
        safe = self._engine.support.safe_total
        large = [position for position, count in enumerate(counts) if count >= safe]
        unknown = []
        for position in large:
            number = yield from self._large(plans[position])
            if number is None:
                unknown.append(position)
            else:
                counts[position] = number
        if expired:
            ended = yield from self._asked(self._counting(map(self._ended, plans)))
            counts = [
                max(0, count - commands.total(reply))
                for count, reply in zip(counts, ended, strict=True)
            ]
        for position in unknown:
            self._is_settled = False
            counts[position] = yield from self._engine.counting(plans[position])
        return counts

    def _large(self, plan: Plan) -> Pipelined[int | None]:
        """Count more keys than the server counts: all without those that a plan does not select.

        Returns None if it does not select too many, either.
        """
        if not self._is_plain or self._keys is None:
            return None
        (reply,) = yield from self._asked(self._counting([complement(plan)]))
        left = commands.total(reply)
        return self._keys - left if left < self._engine.support.safe_total else None

    def _ended(self, plan: Plan) -> Plan:
        return all_of([plan, self._expired])

    def _counting(self, plans: Iterable[Plan]) -> list[list[Argument]]:
        engine = self._engine
        write = query_text if self._is_plain else engine.query_for
        return [commands.count_command(engine.entry, write(plan)) for plan in plans]

    def _scanned(self, position: Position) -> Pipelined[int]:
        """Return the document frequency of a position with more terms than one query holds."""
        plan = plan_of(position)
        if self._engine.fits(plan):
            return (yield from self._engine.counting(plan))
        wanted = frozenset(position.words)
        pages = self._engine.select(Everything(), [position.field])
        texts = (row.fields.get(position.field, b"") for page in pages for row in page)
        return sum(not wanted.isdisjoint(text.decode().split()) for text in texts)

    def _length(self, text: IndexedText, known: Known, documents: int) -> Pipelined[float]:
        """Return the total number of terms of a text field, which a number of documents have."""
        counts = yield from length_counts(text.length, known.lengths or (), documents, self._count)
        known.lengths = counts
        if counts is not None:
            return float(sum(length * number for length, number in counts.items()))
        self._is_settled = False
        engine = self._engine
        alive = complement(Range(EXPIRES, high=engine.now()))
        plan = all_of([Range(text.length, low=1.0), alive])
        parts: list[Plan] = [plan]
        if documents >= engine.support.safe_total:
            parts = [part for part, _ in (yield from engine.parts_of(plan))]
        return (yield from self._summed(parts, text.length))

    def _summed(self, parts: Sequence[Plan], field: str) -> Pipelined[float]:
        """Return the sum of a numeric field over the documents of plans.

        The server sums. If it summed other documents than it counts, the client sums.
        """
        engine = self._engine
        total = 0.0
        for part in parts:
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
