"""Reads of the search engine: retrieve documents by vector or by plan, and count them.

Each takes one round trip if the server's reply is complete; other cases are handled here. A result is complete or an
error. A search covers every node or fails, and ends before the client's timeout. After a restart of the server, reads wait
until its index is complete again. No query reaches the server's limit on the keys that it reads (see
`valkey_vector.engines.search.pages`).
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from valkey_vector.connection import Connection, Reply, SearchModule
from valkey_vector.connection.pipelines import Command, Pipelined, Request, requesting, run, send
from valkey_vector.connection.replicas import are_replicas_allowed
from valkey_vector.connection.time_limits import deadline_within
from valkey_vector.engines.base import Keep
from valkey_vector.engines.paging import PAGE, PageSize, age, paged, rows_of, without_repeats
from valkey_vector.engines.read_scope import current_scope
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.counting import counting
from valkey_vector.engines.search.knn import Nearest
from valkey_vector.engines.search.outage import (
    check_whole,
    explained,
    in_disagreement,
    must_repeat,
    silent_primaries,
)
from valkey_vector.engines.search.pages import Pages, Part, parts
from valkey_vector.engines.search.partial import PartialReads
from valkey_vector.engines.search.primaries import exchange
from valkey_vector.engines.search.query_syntax import QueryLimits, fit, query_text, split
from valkey_vector.engines.search.query_syntax import within as within_limits
from valkey_vector.engines.search.readiness import await_backfill, await_nodes
from valkey_vector.engines.search.recovery import renew_if_broken
from valkey_vector.engines.search.support import ServerSupport
from valkey_vector.errors import (
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)
from valkey_vector.filters.plan import (
    NoDocument,
    Plan,
    Tokens,
    all_of,
    are_records,
    plan_fields,
    selects,
)
from valkey_vector.schema.schema import Metric
from valkey_vector.storage.catalog import CatalogEntry, has_hash_tag
from valkey_vector.storage.hashes import Documents
from valkey_vector.storage.layout import EXPIRES
from valkey_vector.storage.rows import Row, StaleIndexError

__all__ = ["SearchReading", "indexed_share"]

_PIECES = 64
"""Largest number of queries into which one filter with many values is divided."""

_FIRST_PAGE = 100
"""Records in the first page if it has fields of unknown size or vectors."""

_HEAVY = frozenset({"content", "payload"})
"""Fields of unknown size."""

_PAUSE = 0.01

_MAX_TEXTS, _SHORT_TEXT = 1_000, 500
"""Number of plans whose query string is remembered, and the largest length of one in characters."""

_NOT_READY = object()
"""Identity of no server process."""

_SEARCHES = frozenset({"FT.SEARCH", "FT.AGGREGATE"})


class SearchReading:
    """The reading half of `valkey_vector.engines.search.engine.SearchEngine`."""

    def __init__(self, connection: Connection, entry: CatalogEntry) -> None:
        self.capabilities = connection.capabilities
        self.support = ServerSupport.of(connection)
        self._connection = connection
        self._complete_run: object = _NOT_READY
        self._texts: dict[Plan, str] = {}
        self._down = False
        self._was_down = False
        self._documents = Documents(connection, entry)
        self.slots = self._documents.slots
        self._limits = QueryLimits(
            # Leaves room for the token of records, and for ranges of `created` and `expires`.
            self.capabilities.max_query_bytes - 256,
            self.capabilities.max_query_terms - 4,
        )
        self.fetch = self._documents.fetch
        self.fetching = self._documents.fetching
        self._partial = PartialReads(self, connection)
        self.nearest = Nearest(self)
        self.knn = self.nearest.knn
        self.nearest_hits = self.nearest.hits
        self.within = self.nearest.within

    @property
    def entry(self) -> CatalogEntry:
        """The index, with the numeric slots bound so far."""
        return self.slots.entry

    @property
    def is_valkey_search(self) -> bool:
        """True if the module is Valkey-Search."""
        return self.capabilities.module is SearchModule.VALKEY_SEARCH

    @property
    def spans_nodes(self) -> bool:
        """True if searches read several nodes of a cluster."""
        cluster = self.capabilities.cluster and self.support.checks_shards
        return cluster and not has_hash_tag(self.entry.name)

    @property
    def _answers_partially(self) -> bool:
        return current_scope().consistency == "partial" and self.spans_nodes

    @property
    def _is_loose(self) -> bool:
        return current_scope().consistency == "loose" and self.spans_nodes

    def fit(self, plan: Plan) -> Plan:
        """Return the plan, or a smaller plan that selects a superset if the plan is too large for the server."""
        return plan if plan in self._texts or self.fits(plan) else fit(plan, self._limits)

    def fits(self, plan: Plan) -> bool:
        """Return True if the server can evaluate exactly this plan, in one or a few queries."""
        if within_limits(plan, self._limits):
            return True
        return 0 < len(split(plan, self._limits)) <= _PIECES

    def fits_one(self, plan: Plan) -> bool:
        """Return True if one query can evaluate the plan."""
        return plan in self._texts or len(self._pieces(plan)) == 1

    def indexed_share(self) -> float:
        """The share of the index that is searchable, 0 to 1."""
        return indexed_share(self._described())

    def send_requests(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]]:
        """Send several requests in one round trip, and return their replies; an error takes the place of its reply.

        Raises:
            StaleIndexError: the index was dropped or created again.
            ConnectionLostError: a node of the cluster does not respond; the message names it.
            RequestTimeoutError: the server ended a search early, or is still indexing its documents.
        """
        if self.capabilities.cluster and self._answers_partially:
            return self._partial.send(requests)
        if self._down:
            self._check_down()
        try:
            return self.attempt(requests)
        except (ConnectionLostError, RequestTimeoutError) as error:
            raise self._failure(error) from error

    def attempt(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]]:
        """Send requests to the whole cluster; repeats them while its nodes temporarily disagree."""
        start = time.monotonic()
        while True:
            if self._was_down or self.support.run is not self._complete_run:
                self.make_ready()
            answered = self._sent(requests)
            if answered is not None:
                return answered
            longest = start + self._connection.settings.request_timeout
            if time.monotonic() > deadline_within(longest):
                raise in_disagreement(self.entry.name)
            renew_if_broken(self._connection, self.entry, time.monotonic() - start)

    def count(self, plan: Plan) -> int:
        """Count the documents that a plan selects."""
        return run(self, self.counting(plan))

    def counting(self, plan: Plan) -> Pipelined[int]:
        """Pipelined `count`."""
        return counting(self, plan)

    def parts_of(self, plan: Plan) -> Pipelined[list[Part]]:
        """Divide a plan into plans that are small enough for one query (see `valkey_vector.engines.search.pages.parts`)."""
        if self.support.cap is None:
            return [(plan, 0)]
        return (yield from parts(self, plan))

    def selecting(
        self, plan: Plan, fields: Sequence[str], limit: int | None, keep: Keep | None
    ) -> Pipelined[list[Row]]:
        """Retrieve the oldest of the documents that a plan selects and `keep` returns."""
        if isinstance(plan, NoDocument):
            return []
        if not self.support.sort_by or not self.fits_one(plan):
            found = self.select(plan, fields)
            rows = rows_of(found if keep is None else map(keep, found))
            return list(islice(rows, limit))
        few = limit is not None and keep is None
        pages = Pages(self, plan, fields, PageSize(limit if few and limit else PAGE))
        chosen: list[Row] = []
        while pages.more and (limit is None or len(chosen) < limit):
            fresh = pages.take((yield Request(pages.commands)))
            chosen += fresh if keep is None else keep(fresh)
        return chosen[:limit]

    def select(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        """Iterate over the documents that a plan selects, oldest first, in pages of a limited size in bytes."""
        if isinstance(plan, NoDocument):
            return
        if not self.support.sort_by:
            yield from paged(without_repeats(iter(sorted(self.scanned(plan, fields), key=age))))
            return
        pieces = self._pieces(plan)
        if len(pieces) == 1:
            yield from self._pages(plan, fields)
            return
        streams = [rows_of(self._pages(piece, fields)) for piece in pieces]
        yield from paged(without_repeats(heapq.merge(*streams, key=age)))

    def now(self) -> float:
        """Server time in milliseconds."""
        if self._answers_partially:
            self._partial.await_ready()
        else:
            self.make_ready()
        return self.support.now()

    def rows(self, reply: Any, metric: Metric = Metric.L2, vector: str | None = None) -> list[Row]:
        """The documents in a reply to FT.SEARCH, without expired ones; see `commands.rows`."""
        return commands.rows(reply, self.slots.entry, metric, self.support.now, vector)

    def scanned(self, plan: Plan, fields: Sequence[str]) -> Iterator[Row]:
        """The documents that a plan selects, found by scanning all keys, in any order."""
        needed = list(dict.fromkeys([*fields, EXPIRES, *plan_fields(plan)]))
        now = self.now()
        for keys in self._connection.scan(f"{self.entry.prefix}*"):
            ids = [key.decode()[len(self.entry.prefix) :] for key in keys]
            for row in filter(None, self.fetch(ids, needed)):
                if float(row.fields.get(EXPIRES, b"inf")) > now and selects(plan, row.fields):
                    yield row

    def of_records(self, plan: Plan) -> Plan:
        """Restrict a plan to the records of the index, without other hashes under the prefix."""
        return all_of([self.entry.existence(), plan])

    def queries(self, plan: Plan) -> list[str]:
        """The query strings that together evaluate a plan."""
        return [self.query_for(piece) for piece in self._pieces(plan)]

    def query_for(self, plan: Plan) -> str:
        """The query string for a plan that fits into one query; restricted to records if it could select other hashes."""
        text = self._texts.get(plan)
        if text is not None:
            return text
        text = query_text(plan if are_records(plan) else self.of_records(plan))
        if isinstance(plan, Tokens) and len(text) <= _SHORT_TEXT and self._pieces(plan) == [plan]:
            if len(self._texts) >= _MAX_TEXTS:
                self._texts.clear()
            self._texts[plan] = text
        return text

    def _pages(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        heavy = any(name in _HEAVY or name.startswith("v") for name in fields)
        pages = Pages(self, plan, fields, PageSize(_FIRST_PAGE if heavy else PAGE))
        while pages.more:
            if rows := pages.take(run(self, requesting(pages.commands))):
                yield rows

    def _sent(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]] | None:
        """Send requests; returns the replies, or None if the requests must be sent again.

        From time to time the commands of `ServerSupport.status_commands` are added: after a restart of the server, its
        replies may be incomplete.
        """
        support = self.support
        status = support.status_commands() if support.is_due else []
        if self.is_valkey_search:  # which returns an error if the time of a search is over
            found = self._exchanged(status, requests)
        else:
            timeout, begun = support.timeout, time.monotonic()
            found = self._exchanged(status, requests)
            if _has_search(requests):
                check_whole(self._connection, time.monotonic() - begun, timeout)
        if found is None:
            return None
        if status:
            support.learn(status, found.pop(0))
        if support.run is not self._complete_run:
            return None
        if self.capabilities.cluster and self._is_loose and _has_search(requests):
            current_scope().partial = len(support.primaries) != 1
        for replies in found:
            for reply in replies:
                if isinstance(reply, ServerError):
                    return None if self._must_repeat(found) else found
        return found

    def _must_repeat(self, found: Sequence[Sequence[Reply | ServerError]]) -> bool:
        """Return True if the requests must be sent again because of an error among their replies.

        Raises:
            StaleIndexError: the index was dropped, or the operation must start again.
            RequestTimeoutError: the server ended a search early.
        """
        errors = [each for replies in found for each in replies if isinstance(each, ServerError)]
        could_sort = self.support.sort_by
        again = must_repeat(self.support, errors)
        if could_sort and not self.support.sort_by:
            raise StaleIndexError  # the operation starts again, without SORTBY
        return again

    def _exchanged(
        self, status: Sequence[Command], requests: Sequence[Request]
    ) -> list[list[Reply | ServerError]] | None:
        """Send the commands with all options; returns the replies, those to the status commands first if there are any."""
        with_options = self.support.with_options
        if len(requests) == 1 and not status and not self.capabilities.cluster:
            commands = list(map(with_options, requests[0].commands))
            return send(self._connection, (Request(commands),))
        completed = [Request(list(map(with_options, request.commands))) for request in requests]
        requests = [Request(status), *completed] if status else completed
        if not self.capabilities.cluster:
            return send(self._connection, requests)
        alone = self.support.primaries_alone
        if (
            alone is None
            or are_replicas_allowed(self._connection.settings)
            or current_scope().consistency == "loose"
            or has_hash_tag(self.entry.name)
        ):
            anywhere = self._runs_anywhere(status, completed)
            return send(self._connection, requests, any_primary=anywhere)
        found = exchange(self._connection, alone, requests)
        if found is None:
            time.sleep(_PAUSE)
            self._down = True
            self._check_down()
        return found

    def _runs_anywhere(self, status: Sequence[Command], requests: Sequence[Request]) -> bool:
        """Return True if every primary of the cluster can execute the requests, which are then distributed.

        By itself GLIDE sends all searches of an index to one node. An index with a hash tag is on one node only.
        """
        return (
            self.is_valkey_search
            and not status
            and not has_hash_tag(self.entry.name)
            and all(command[0] in _SEARCHES for request in requests for command in request.commands)
        )

    def _failure(self, error: ServerError) -> ServerError:
        failure = explained(self._connection, error, self.support.primaries)
        self._down = isinstance(failure, ConnectionLostError) and self.capabilities.cluster
        return failure

    def _check_down(self) -> None:
        """Raise at once while a node that did not respond still does not: no search can succeed."""
        if not self._down:
            return
        if silent := silent_primaries(self._connection, self.support.primaries):
            raise ConnectionLostError(
                f"{' and '.join(silent)} of the cluster does not respond", "FT.SEARCH"
            )
        self._down = False
        self._was_down = True

    def make_ready(self) -> None:
        """Before the first search, and after a restart of the server, wait until its index is complete."""
        support = self.support
        if support.run is None or self._was_down:
            status = support.status_commands()
            support.learn(status, self._connection.pipeline(status, retry=True))
            self._was_down = False
            self._complete_run = _NOT_READY
        if support.run is not self._complete_run:
            run = support.run
            if self.capabilities.cluster and self.is_valkey_search and support.primaries:
                await_nodes(self._connection, self.entry, support.primaries)
            else:
                await_backfill(self._connection, self.entry.name, self.indexed_share)
            self._complete_run = run

    def _pieces(self, plan: Plan) -> list[Plan]:
        """Divide a plan into plans within the server's limits."""
        return [plan] if within_limits(plan, self._limits) else split(plan, self._limits)

    def _described(self) -> dict[str, Any]:
        scope = ["CLUSTER"] if self.capabilities.cluster and self.is_valkey_search else []
        try:
            reply = self._connection.execute("FT.INFO", self.entry.search_index, *scope, retry=True)
        except ServerError as error:
            if commands.index_is_missing(error.message):
                raise StaleIndexError from error
            raise
        return commands.described(reply)


def _has_search(requests: Sequence[Request]) -> bool:
    return any(command[0] in _SEARCHES for each in requests for command in each.commands)


def indexed_share(described: dict[str, Any]) -> float:
    """The indexed share in an FT.INFO reply: of the slowest node on a cluster of Valkey-Search."""
    if "percent_indexed" in described:
        # RediSearch counts documents twice if they change while it indexes.
        return min(1.0, float(described["percent_indexed"]))
    in_progress = described.get("backfill_in_progress", "0") != "0"
    share = described.get(
        "backfill_complete_percent_min", described.get("backfill_complete_percent")
    )
    return commands.backfill_share(float(share or 0), in_progress=in_progress)
