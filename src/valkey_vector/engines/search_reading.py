"""What the search engine is asked: documents by nearness and by plan, and how many there are.

One round trip for each, as long as the server brings all there is; the rare other cases are decided here.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from valkey_vector.catalog import CatalogEntry, vector_name
from valkey_vector.connection import Argument, Connection, Reply, SearchModule
from valkey_vector.document import CREATED, EXPIRES, field_token
from valkey_vector.engines import search_commands as commands
from valkey_vector.engines.base import Keep, Near, Row, StaleIndexError
from valkey_vector.engines.comparison import compared
from valkey_vector.engines.documents import Documents
from valkey_vector.engines.paging import PAGE, age, paged, rows_of, without_repeats
from valkey_vector.engines.search_query import QueryLimits, fit, match_all, query_text, split
from valkey_vector.engines.search_query import within as within_limits
from valkey_vector.engines.steps import Ask, Steps, alone, asking, send
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
from valkey_vector.schema import Flat, Hnsw, Metric

__all__ = ["SearchReading", "indexed_share"]

_PIECES = 64
"""Queries into which one filter with very many values may be cut."""

_HIGHEST_EF = 1_000_000
"""What Valkey-Search accepts (1.0 to 1.3)."""


class SearchReading:
    """The reading half of `valkey_vector.engines.search.SearchEngine`."""

    def __init__(self, connection: Connection, entry: CatalogEntry) -> None:
        self.entry = entry
        self._complete = False
        self._server_ahead = 0.0
        self._connection = connection
        self._capabilities = connection.capabilities
        self._documents = Documents(connection, entry)
        self._limits = QueryLimits(
            self._capabilities.max_query_bytes - 128, self._capabilities.max_query_terms
        )
        self.fetch = self._documents.fetch
        self.fetching = self._documents.fetching

    def fit(self, plan: Plan) -> Plan:
        """The plan, or a superset of it that the server's query parser has room for."""
        return plan if self.fits(plan) else fit(plan, self._limits)

    def fits(self, plan: Plan) -> bool:
        """Whether the server can be asked for just this plan."""
        if within_limits(plan, self._limits):
            return True
        return 0 < len(split(plan, self._limits)) <= _PIECES

    def indexed_share(self) -> float:
        """How much of the index is searchable already, 0 to 1."""
        return indexed_share(self._described())

    def ask(self, asks: Sequence[Ask]) -> list[list[Reply | ServerError]]:
        """The replies to the steps of several operations, in one round trip."""
        self._make_ready()
        answered = send(self._connection, asks)
        for reply in (reply for replies in answered for reply in replies):
            if isinstance(reply, ServerError) and commands.index_is_missing(reply.message):
                raise StaleIndexError from reply
        return answered

    def count(self, plan: Plan) -> int:
        """How many documents a plan selects."""
        return alone(self, self.counting(plan))

    def counting(self, plan: Plan) -> Steps[int]:
        """`count`, in steps.

        Keys past their time to live stay in the server's index until it reclaims them, so they are counted
        in the same round trip and subtracted.
        """
        if isinstance(plan, NoDocument):
            return 0
        if not self._capabilities.filter_queries or len(self.queries(plan)) > 1:
            return sum(len(page) for page in self.select(plan, ()))
        expired = all_of([plan, Range(EXPIRES, high=self.now())])
        asked = [self.query_for(plan), self.query_for(expired)]
        replies = yield Ask([commands.count_command(self.entry, query) for query in asked])
        return max(0, commands.total(replies[0]) - commands.total(replies[1]))

    def knn(self, near: Near, k: int, plan: Plan, fields: Sequence[str]) -> Steps[list[Row]]:
        """The k nearest of the documents a plan selects.

        One round trip, unless the server brings fewer than k: then it is asked whether there are more, and
        if the graph did not reach them they are compared one by one.
        """
        if isinstance(plan, NoDocument):
            return []
        if k > self._capabilities.max_knn:
            return (yield from self._exact(near, k, plan, fields))
        asked = k
        while True:
            found, dropped = yield from self._nearest(near, asked, plan, fields)
            if len(found) >= k:
                return found[:k]
            if not dropped or asked >= self._capabilities.max_knn:
                break
            # Documents that expired but are still indexed took places in the answer.
            asked = min(self._capabilities.max_knn, 2 * (asked + dropped))
        if self._capabilities.filter_queries:
            searchable = all_of([plan, Tokens((field_token(near.field),))])
            if (yield from self.counting(searchable)) > len(found):
                return (yield from self._exact(near, k, plan, fields))
        return found

    def within(
        self, near: Near, radius: float, plan: Plan, fields: Sequence[str]
    ) -> Steps[list[Row]] | None:
        """All of the documents a plan selects up to a distance, where the module has VECTOR_RANGE.

        RediSearch has it, too, but is not asked so: what holds for it is what Valkey-Search 1.2 can do.
        """
        able = self._capabilities.vector_range and self._is_valkey_search()
        if not able or not 0 <= radius < math.inf or isinstance(plan, NoDocument):
            return None
        if len(self._pieces(plan)) > 1:
            return None
        return self._circle(near, radius, plan, fields)

    def selecting(
        self, plan: Plan, fields: Sequence[str], limit: int | None, keep: Keep | None
    ) -> Steps[list[Row]]:
        """The oldest of the documents a plan selects."""
        if isinstance(plan, NoDocument):
            return []
        if not self._capabilities.sort_by or len(self._pieces(plan)) > 1:
            pages = self.select(plan, fields)
            rows = rows_of(pages if keep is None else map(keep, pages))
            return list(islice(rows, limit))
        return (yield from self._paging(plan, fields, limit, keep))

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

    def now(self) -> float:
        """The server's time in milliseconds."""
        self._make_ready()
        return float(int((time.time() + self._server_ahead) * 1000))

    def rows(self, reply: Any) -> Iterator[Row]:
        """The documents in the reply to a search without a vector."""
        return commands.rows(reply, self.entry, Metric.L2)

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
        return [plan] if within_limits(plan, self._limits) else split(plan, self._limits)

    def queries(self, plan: Plan) -> list[str]:
        """The queries that together bring what a plan selects."""
        return [self.query_for(piece) for piece in self._pieces(plan)]

    def query_for(self, plan: Plan) -> str:
        """The query for a plan that fits into one."""
        return match_all() if isinstance(plan, Everything) else query_text(plan)

    def _nearest(
        self, near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> Steps[tuple[list[Row], int]]:
        """What the server finds, nearest first, and how many of it it left out of its reply."""
        replies = yield Ask(self.knn_commands(near, k, plan, fields))
        return self.knn_rows(replies, near, k)

    def knn_commands(
        self, near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> list[list[Argument]]:
        """The searches that together bring the k nearest of what a plan selects."""
        asked = replace(near, ef_runtime=_ef(near, k))
        queries = ["*"] if isinstance(plan, Everything) else self.queries(plan)
        return [
            commands.knn_command(self.entry, _grouped(query), asked, k, fields) for query in queries
        ]

    def knn_rows(self, replies: Sequence[Any], near: Near, k: int) -> tuple[list[Row], int]:
        """What such searches found, nearest first, and how many of it the server left out of its replies."""
        found: dict[str, Row] = {}
        dropped = 0
        for reply in replies:
            rows = list(commands.rows(reply, self.entry, near.field.metric))
            dropped += max(0, min(k, commands.total(reply)) - len(rows))
            found.update((row.id, row) for row in rows)
        return sorted(found.values(), key=_nearness), dropped

    def _exact(self, near: Near, k: int, plan: Plan, fields: Sequence[str]) -> Steps[list[Row]]:
        """The k nearest by comparing every selected vector here: complete for any k."""
        searchable = all_of([plan, Tokens((field_token(near.field),))])
        pages = self.select(searchable, [vector_name(near.field.name)])
        return compared(self, pages, near, fields, k=k)

    def _paging(
        self, plan: Plan, fields: Sequence[str], limit: int | None, keep: Keep | None
    ) -> Steps[list[Row]]:
        """All rows of a plan that are kept, or the first ones, in as few steps as there are pages."""
        few = limit is not None and keep is None
        pages = _Pages(self.entry, min(limit or 1, PAGE) if few else PAGE)
        rows: list[Row] = []
        while pages.more and (limit is None or len(rows) < limit):
            query = self.query_for(pages.rest_of(plan))
            command = commands.page_command(self.entry, query, fields, pages.size)
            (reply,) = yield Ask([command])
            fresh = pages.take(reply)
            rows += fresh if keep is None else keep(fresh)
        return rows[:limit]

    def _circle(
        self, near: Near, radius: float, plan: Plan, fields: Sequence[str]
    ) -> Steps[list[Row]]:
        """All rows of a plan within a distance, nearest first."""
        pages = _Pages(self.entry, PAGE, near.field.metric)
        rows: list[Row] = []
        while pages.more:
            query = self.query_for(pages.rest_of(plan))
            command = commands.range_command(
                self.entry, query, near, radius, fields, limit=pages.size
            )
            (reply,) = yield Ask([command])
            rows += pages.take(reply)
        return sorted(rows, key=_nearness)

    def _pages(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        pages = _Pages(self.entry, PAGE)
        while pages.more:
            query = self.query_for(pages.rest_of(plan))
            command = commands.page_command(self.entry, query, fields, pages.size)
            (reply,) = alone(self, asking([command]))
            if rows := pages.take(reply):
                yield rows

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


class _Pages:
    """Goes by the time of creation, so that no page depends on how many came before.

    Args:
        entry: of the index.
        size: rows in a page, unless more were created at the same time.
        metric: of their distances, if they have any.
    """

    def __init__(self, entry: CatalogEntry, size: int, metric: Metric = Metric.L2) -> None:
        self.size = self._usual = size
        self.more = True
        self._entry = entry
        self._metric = metric
        self._newest = -1.0
        self._seen = frozenset[str]()

    def rest_of(self, plan: Plan) -> Plan:
        """What is still to come of a plan, with the last ones again that were created at one time."""
        return plan if self._newest < 0 else all_of([plan, Range(CREATED, low=self._newest)])

    def take(self, reply: Any) -> list[Row]:
        """The rows of the next page that are new."""
        rows = sorted(commands.rows(reply, self._entry, self._metric), key=age)
        fresh = [row for row in rows if row.id not in self._seen]
        self.more = commands.total(reply) > self.size
        last = age(rows[-1])[0] if rows else self._newest
        if last == self._newest:
            self.size *= 2
        self._newest = last
        newest = frozenset(row.id for row in rows if age(row)[0] == last)
        self._seen = newest | (self._seen if self.size > self._usual else frozenset())
        return fresh


def _ef(near: Near, k: int) -> int | None:
    match near.field.algorithm:
        case Hnsw(ef_runtime=default):
            return min(_HIGHEST_EF, max(k, near.ef_runtime or default))
        case Flat():
            return None


def indexed_share(described: dict[str, Any]) -> float:
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
