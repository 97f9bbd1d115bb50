"""The search engine: an index kept by a search module (Valkey-Search, or RediSearch) through FT.*."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Sequence
from typing import Any

from valkey_vector.catalog import Catalog, CatalogEntry
from valkey_vector.connection import Argument, Connection, SearchModule
from valkey_vector.document import CREATED, EXPIRES, VECTOR, Prepared
from valkey_vector.engines import search_commands as commands
from valkey_vector.engines.base import (
    IndexInfo,
    MetadataReplacement,
    Row,
    StaleIndexError,
    WriteOutcome,
)
from valkey_vector.engines.comparison import nearest_of
from valkey_vector.engines.documents import Documents
from valkey_vector.engines.paging import PAGE, age, paged, rows_of, without_repeats
from valkey_vector.engines.search_query import (
    QueryLimits,
    fit,
    match_all,
    query_text,
    split,
    within,
)
from valkey_vector.engines.search_text import TextSearch
from valkey_vector.errors import RequestTimeoutError, ServerError
from valkey_vector.filters.plan import (
    Everything,
    NoDocument,
    Plan,
    Range,
    Tokens,
    all_of,
    plan_fields,
    selects,
)
from valkey_vector.record import WritePolicy
from valkey_vector.schema import Flat, Hnsw
from valkey_vector.text.bm25 import Matching, Scored
from valkey_vector.tokens import HAS_VECTOR
from valkey_vector.vectors import Float32Array

__all__ = ["SearchEngine"]

_PIECES = 64
"""Queries into which one filter with very many values may be cut."""

_HIGHEST_EF = 4096


class SearchEngine:
    """One index kept by a search module. Implements `valkey_vector.engines.base.Engine`."""

    def __init__(self, connection: Connection, entry: CatalogEntry) -> None:
        self.entry = entry
        self._complete = False
        self._server_ahead = 0.0
        self._connection = connection
        self._capabilities = connection.capabilities
        self._documents = Documents(connection, entry, [Catalog(connection, entry.name).key])
        self._limits = QueryLimits(
            self._capabilities.max_query_bytes - 128, self._capabilities.max_query_terms
        )
        self._text = TextSearch(self, connection)
        self.vocabulary = self._text.vocabulary
        self.text_statistics = self._text.statistics
        self.text_best = self._text.best
        self.fetch = self._documents.fetch
        self.delete = self._documents.delete

    def create(self) -> None:
        """Make the server's index if it is not there; harmless when many processes do so at once."""
        if self.exists():
            return
        try:
            self._connection.execute(*commands.create_command(self.entry, self._capabilities))
        except ServerError as error:
            if "already exists" not in error.message.lower():
                raise

    def exists(self) -> bool:
        """Whether the server has this index."""
        names = self._connection.execute("FT._LIST", retry=True)
        return self.entry.search_index.encode() in names

    def fit(self, plan: Plan) -> Plan:
        """The plan, or a superset of it that the server's query parser has room for."""
        return plan if self.fits(plan) else fit(plan, self._limits)

    def fits(self, plan: Plan) -> bool:
        """Whether the server can be asked for just this plan."""
        if within(plan, self._limits):
            return True
        return 0 < len(split(plan, self._limits)) <= _PIECES

    def learn(self, entry: CatalogEntry) -> None:
        """Take over a newer state of the index's record."""
        self.entry = self._documents.entry = entry

    def write(
        self,
        batch: Sequence[Prepared],
        policy: WritePolicy,
        ttl: float | None,
        stamp: int | None,
        lane: int,
    ) -> WriteOutcome:
        """Store a batch; once this returns it is found."""
        outcome = self._documents.write(batch, policy, ttl, stamp, lane)
        self._index_now(lane)
        return outcome

    def replace_metadata(self, replacements: Sequence[MetadataReplacement]) -> list[bool | None]:
        """Write fields where the metadata still is as expected; once this returns they are found."""
        replaced = self._documents.replace_metadata(replacements)
        self._index_now(lane=0)
        return replaced

    def count(self, plan: Plan) -> int:
        """How many documents a plan selects.

        Keys past their time to live stay in the server's index until it reclaims them, so they are counted
        in the same round trip and subtracted.
        """
        if isinstance(plan, NoDocument):
            return 0
        if not self._capabilities.filter_queries or len(self.queries(plan)) > 1:
            return sum(len(page) for page in self.select(plan, ()))
        self._make_ready()
        expired = all_of([plan, Range(EXPIRES, high=self.now())])
        asked = [self.selecting(plan), self.selecting(expired)]
        replies = self.ask([commands.count_command(self.entry, query) for query in asked])
        return max(0, commands.total(replies[0]) - commands.total(replies[1]))

    def knn(
        self,
        vector: Float32Array,
        k: int,
        plan: Plan,
        fields: Sequence[str],
        ef_runtime: int | None,
    ) -> list[Row]:
        """The k nearest of the documents a plan selects.

        One round trip, unless the server brings fewer than k: then it is asked whether there are more, and
        if the graph did not reach them they are compared one by one.
        """
        if isinstance(plan, NoDocument):
            return []
        if k > self._capabilities.max_knn:
            return self._exact(vector, k, plan, fields)
        asked = k
        while True:
            found, dropped = self._nearest(vector, asked, plan, fields, ef_runtime)
            if len(found) >= k:
                return found[:k]
            if not dropped or asked >= self._capabilities.max_knn:
                break
            # Documents that expired but are still indexed took places in the answer.
            asked = min(self._capabilities.max_knn, 2 * (asked + dropped))
        if self._capabilities.filter_queries:
            searchable = all_of([plan, Tokens((HAS_VECTOR,))])
            if self.count(searchable) > len(found):
                return self._exact(vector, k, plan, fields)
        return found

    def text_and_nearest(
        self,
        matching: Matching,
        vector: Float32Array,
        plan: Plan,
        k: int,
        ef_runtime: int | None,
    ) -> tuple[list[Scored], list[Row]]:
        """The k best by text and the k nearest, asked for in one round trip."""
        if isinstance(plan, NoDocument):
            return [], []
        if k > self._capabilities.max_knn:
            return self.text_best(matching, plan, k), self.knn(vector, k, plan, (), ef_runtime)
        beside = self._knn_commands(vector, k, plan, (), ef_runtime)
        searchable = self.queries(all_of([plan, Tokens((HAS_VECTOR,))]))
        beside += [commands.count_command(self.entry, query) for query in searchable]
        scored, replies = self._text.best_beside(matching, plan, k, beside)
        nearest, _ = self._knn_rows(replies[: -len(searchable)], k)
        there = sum(commands.total(reply) for reply in replies[-len(searchable) :])
        if len(nearest) < min(k, there):  # the graph did not reach all, or some expired
            nearest = self.knn(vector, k, plan, (), ef_runtime)
        return scored, nearest[:k]

    def forget(self, ids: Sequence[str]) -> None:
        """Nothing to do: the server takes notice itself."""

    def select(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        """All documents a plan selects, oldest first."""
        if isinstance(plan, NoDocument):
            return
        if not self._capabilities.sort_by:
            yield from self._scanned(plan, fields)
            return
        pieces = self._pieces(plan)
        if len(pieces) == 1:
            yield from self._pages(plan, fields)
            return
        streams = [rows_of(self._pages(piece, fields)) for piece in pieces]
        yield from paged(without_repeats(heapq.merge(*streams, key=age)))

    def indexed_share(self) -> float:
        """How much of the index is searchable already, 0 to 1."""
        return _indexed_share(self._described())

    def info(self) -> IndexInfo:
        """Describe the index."""
        documents = self.count(Everything())
        described = self._described()
        schema = self.entry.schema
        failures = described.get("hash_indexing_failures", 0)
        return IndexInfo(
            name=self.entry.name,
            engine="search",
            server=self._capabilities.description,
            dimension=schema.dimension or 0,
            metric=schema.metric.value,
            algorithm=schema.algorithm.name,
            documents=documents,
            indexed=_indexed_share(described),
            failures=int(failures),
            embedding_model=self.entry.embedding_model,
            slots=tuple(path for (_, path), slot in self.entry.slots.items() if slot >= 0),
        )

    def drop(self) -> None:
        """Remove the server's index; documents stay."""
        try:
            self._connection.execute("FT.DROPINDEX", self.entry.search_index)
        except ServerError as error:
            if not commands.index_is_missing(error.message):
                raise

    def ask(self, asked: Sequence[Sequence[Argument]]) -> list[Any]:
        """The replies to searches, in one round trip."""
        self._make_ready()
        try:
            if len(asked) == 1:
                return [self._connection.execute(*asked[0], retry=True)]
            replies = self._connection.pipeline(asked, retry=True)
            errors = (reply for reply in replies if isinstance(reply, ServerError))
            if error := next(errors, None):
                raise error
        except ServerError as error:
            if commands.index_is_missing(error.message):
                raise StaleIndexError from error
            raise
        return replies

    def rows(self, reply: Any) -> Iterator[Row]:
        """The documents in the reply to a search."""
        return commands.rows(reply, self.entry.prefix, self.entry.schema.metric)

    def now(self) -> float:
        """The server's time in milliseconds."""
        self._make_ready()
        return float(int((time.time() + self._server_ahead) * 1000))

    def _index_now(self, lane: int) -> None:
        """In a cluster, have what scripts wrote indexed.

        Valkey-Search puts that off until the node itself receives a search, and searches that other nodes
        pass on to it do not count (1.2.1): without this a write could stay unseen for ever.
        """
        if not self._capabilities.cluster:
            return
        try:
            self._connection.execute_on_primaries(
                *commands.flush_command(self.entry), lane=lane, retry=True
            )
        except ServerError as error:
            if commands.index_is_missing(error.message):
                raise StaleIndexError from error
            raise

    def _make_ready(self) -> None:
        """Before the first search: wait for the server's index, and compare clocks: times to live go by the server's."""
        if self._complete:
            return
        self._await_backfill()
        seconds, micros = self._connection.execute("TIME", retry=True)
        self._server_ahead = int(seconds) + int(micros) / 1_000_000 - time.time()
        self._complete = True

    def _await_backfill(self) -> None:
        """While the server indexes what was there before the index, it finds only a part.

        Raises:
            RequestTimeoutError: that goes on for longer than a request may take.
        """
        deadline = time.monotonic() + self._connection.settings.request_timeout
        pause = 0.005
        while (share := self.indexed_share()) < 1.0:
            if time.monotonic() > deadline:
                raise RequestTimeoutError(
                    f"index {self.entry.name!r} is {share:.0%} indexed, and would answer with a part only; "
                    "use wait_until_indexed() before searching"
                )
            time.sleep(pause)
            pause = min(0.5, 2 * pause)

    def _pieces(self, plan: Plan) -> list[Plan]:
        """Plans whose union is the plan, each within the server's limits."""
        return [plan] if within(plan, self._limits) else split(plan, self._limits)

    def queries(self, plan: Plan) -> list[str]:
        """The queries that together bring what a plan selects."""
        return [self.selecting(piece) for piece in self._pieces(plan)]

    def selecting(self, plan: Plan) -> str:
        """The query for a plan that fits into one."""
        return match_all() if isinstance(plan, Everything) else query_text(plan)

    def _ef(self, k: int, ef_runtime: int | None) -> int | None:
        match self.entry.schema.algorithm:
            case Hnsw(ef_runtime=default):
                return min(_HIGHEST_EF, max(k, ef_runtime or default))
            case Flat():
                return None

    def _nearest(
        self,
        vector: Float32Array,
        k: int,
        plan: Plan,
        fields: Sequence[str],
        ef_runtime: int | None,
    ) -> tuple[list[Row], int]:
        """What the server finds, nearest first, and how many of it it left out of its reply."""
        return self._knn_rows(self.ask(self._knn_commands(vector, k, plan, fields, ef_runtime)), k)

    def _knn_commands(
        self,
        vector: Float32Array,
        k: int,
        plan: Plan,
        fields: Sequence[str],
        ef_runtime: int | None,
    ) -> list[list[Argument]]:
        ef = self._ef(k, ef_runtime)
        queries = ["*"] if isinstance(plan, Everything) else self.queries(plan)
        return [
            commands.knn_command(self.entry, _grouped(query), vector, k, fields, ef_runtime=ef)
            for query in queries
        ]

    def _knn_rows(self, replies: Sequence[Any], k: int) -> tuple[list[Row], int]:
        found: dict[str, Row] = {}
        dropped = 0
        for reply in replies:
            rows = list(self.rows(reply))
            dropped += max(0, min(k, commands.total(reply)) - len(rows))
            found.update((row.id, row) for row in rows)
        return sorted(found.values(), key=_nearness), dropped

    def _exact(self, vector: Float32Array, k: int, plan: Plan, fields: Sequence[str]) -> list[Row]:
        """The k nearest by comparing every selected vector here: complete for any k."""
        searchable = all_of([plan, Tokens((HAS_VECTOR,))])
        pages = self.select(searchable, [VECTOR])
        nearest = nearest_of(pages, vector, k, self.entry.schema.metric)
        brought = self.fetch([id for _, id in nearest], fields)
        return [
            Row(row.id, row.fields, distance)
            for (distance, _), row in zip(nearest, brought, strict=True)
            if row is not None
        ]

    def _pages(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        """Pages by the time of creation, so that no page depends on how many came before."""
        newest, seen, size = -1.0, frozenset[str](), PAGE
        while True:
            later = plan if newest < 0 else all_of([plan, Range(CREATED, low=newest)])
            command = commands.page_command(
                self.entry, self.selecting(later), fields, size, sort=True
            )
            (reply,) = self.ask([command])
            rows = sorted(self.rows(reply), key=age)
            fresh = [row for row in rows if row.id not in seen]
            if fresh:
                yield fresh
            if commands.total(reply) <= size:
                return
            last = age(rows[-1])[0] if rows else newest
            if last == newest:
                size *= 2
            newest = last
            seen = frozenset(row.id for row in rows if age(row)[0] == last) | (
                seen if size > PAGE else frozenset()
            )

    def _scanned(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        """For servers that cannot sort: every document is looked at here."""
        needed = list(dict.fromkeys([*fields, *plan_fields(plan)]))
        selected: list[Row] = []
        for keys in self._connection.scan(f"{self.entry.prefix}*"):
            ids = [key.decode()[len(self.entry.prefix) :] for key in keys]
            found = (row for row in self.fetch(ids, needed) if row is not None)
            selected.extend(row for row in found if selects(plan, row.fields))
        yield from paged(without_repeats(iter(sorted(selected, key=age))))

    def _described(self) -> dict[str, Any]:
        scope = ["CLUSTER"] if self._capabilities.cluster and self._is_valkey_search() else []
        try:
            reply = self._connection.execute("FT.INFO", self.entry.search_index, *scope, retry=True)
        except ServerError as error:
            if commands.index_is_missing(error.message):
                raise StaleIndexError from error
            raise
        return commands.described(reply)

    def _is_valkey_search(self) -> bool:
        return self._capabilities.module is SearchModule.VALKEY_SEARCH


def _indexed_share(described: dict[str, Any]) -> float:
    """Valkey-Search reports its backfill, per cluster as the slowest node's, RediSearch a percentage."""
    if "percent_indexed" in described:
        return float(described["percent_indexed"])
    if described.get("backfill_in_progress", "0") == "0":
        return 1.0
    share = described.get(
        "backfill_complete_percent_min", described.get("backfill_complete_percent")
    )
    return min(1.0, float(share or 0))


def _grouped(query: str) -> str:
    return query if query == "*" or query.startswith("(") else f"({query})"


def _nearness(row: Row) -> tuple[float, str]:
    return row.distance, row.id
