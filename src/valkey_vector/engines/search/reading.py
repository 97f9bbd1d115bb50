"""Reads of the search engine: retrieve documents by vector or by plan, and count them.

One round trip for each, as long as the server returns all there is; the rare other cases are decided here. An answer is
whole or an error: the server is told to search every node or none and to give up before the client does, a server that
was restarted is waited for until its index is complete again, and its limit on what a query looks at is heeded (see
`valkey_vector.engines.search.pages`).
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

from valkey_vector.connection import Connection, Reply, SearchModule
from valkey_vector.connection.pipelines import Pipelined, Request, requesting, run, send
from valkey_vector.engines.base import Keep
from valkey_vector.engines.paging import PAGE, PageSize, age, paged, rows_of, without_repeats
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.knn import Nearest
from valkey_vector.engines.search.outage import (
    explained,
    gave_up,
    given_up,
    is_inconsistent,
    silent_primaries,
)
from valkey_vector.engines.search.pages import Pages, Part, parts
from valkey_vector.engines.search.query_syntax import QueryLimits, fit, query_text, split
from valkey_vector.engines.search.query_syntax import within as within_limits
from valkey_vector.engines.search.readiness import await_nodes
from valkey_vector.engines.search.support import ServerSupport
from valkey_vector.errors import (
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)
from valkey_vector.filters.plan import (
    NoDocument,
    Plan,
    Range,
    Tokens,
    all_of,
    are_records,
    complement,
    plan_fields,
    selects,
)
from valkey_vector.records.tokens import SLIDING
from valkey_vector.schema.schema import Metric
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.hashes import Documents
from valkey_vector.storage.layout import EXPIRES
from valkey_vector.storage.rows import Row, StaleIndexError

__all__ = ["SearchReading", "indexed_share"]

_PIECES = 64
"""Queries into which one filter with very many values may be cut."""

_HEAVY = frozenset({"content", "payload"})
"""Fields of any size; with one of them, or a vector, the first page is small."""

_FIRST_PAGE = 100
_PAUSE = 0.01


class SearchReading:
    """The reading half of `valkey_vector.engines.search.engine.SearchEngine`."""

    def __init__(self, connection: Connection, entry: CatalogEntry) -> None:
        self.capabilities = connection.capabilities
        self.support = ServerSupport.of(connection)
        self._connection = connection
        self._complete_run: object = None
        self._down = False
        self._was_down = False
        self._documents = Documents(connection, entry)
        self.slots = self._documents.slots
        self._limits = QueryLimits(
            # Room for the records' token and for ranges of the times of creation and end.
            self.capabilities.max_query_bytes - 256,
            self.capabilities.max_query_terms - 4,
        )
        self.fetch = self._documents.fetch
        self.fetching = self._documents.fetching
        self.nearest = Nearest(self)
        self.knn = self.nearest.knn
        self.within = self.nearest.within

    @property
    def entry(self) -> CatalogEntry:
        """The index, with the numeric slots bound so far."""
        return self.slots.entry

    @property
    def is_valkey_search(self) -> bool:
        """Whether the module is Valkey-Search."""
        return self.capabilities.module is SearchModule.VALKEY_SEARCH

    def fit(self, plan: Plan) -> Plan:
        """The plan, or a superset of it that the server's query parser has room for."""
        return plan if self.fits(plan) else fit(plan, self._limits)

    def fits(self, plan: Plan) -> bool:
        """Whether the server can be asked for just this plan."""
        if within_limits(plan, self._limits):
            return True
        return 0 < len(split(plan, self._limits)) <= _PIECES

    def fits_one(self, plan: Plan) -> bool:
        """Whether one query selects what the plan does."""
        return len(self._pieces(plan)) == 1

    def indexed_share(self) -> float:
        """How much of the index is searchable already, 0 to 1."""
        return indexed_share(self._described())

    def ask(self, asks: Sequence[Request]) -> list[list[Reply | ServerError]]:
        """The replies to the steps of several operations, in one round trip.

        Raises:
            StaleIndexError: the index was dropped or created anew.
            ConnectionLostError: a node of the cluster does not answer; names it.
            RequestTimeoutError: the server gave up a search, or indexes its documents for too long.
        """
        deadline = time.monotonic() + self._connection.settings.request_timeout
        while True:
            self._check_down()
            try:
                self._make_ready()
                answered = self._sent(asks)
            except (ConnectionLostError, RequestTimeoutError) as error:
                raise self._failure(error) from error
            if answered is not None:
                return answered
            if time.monotonic() > deadline:
                raise RequestTimeoutError(
                    f"the nodes of the server did not agree on index {self.entry.name!r} in time",
                    "FT.SEARCH",
                )

    def count(self, plan: Plan) -> int:
        """How many documents a plan selects."""
        return run(self, self.counting(plan))

    def counting(self, plan: Plan) -> Pipelined[int]:
        """`count`, in steps.

        Keys past their time to live stay in the server's index until it reclaims them, so they are counted in the same
        round trip and subtracted. Of records whose end only their key knows, those that are left are listed.
        """
        if isinstance(plan, NoDocument):
            return 0
        if not self.capabilities.filter_queries or not self.fits_one(plan):
            return sum(len(page) for page in self.select(plan, ()))
        lasting = all_of([plan, complement(Tokens((SLIDING,)))])
        sliding = all_of([plan, Tokens((SLIDING,))])
        total, expired, unknown = yield from self._counts([plan, self._expired(plan), sliding])
        if unknown:
            left = yield from self.selecting(sliding, (), None, None)
            return len(left) + (yield from self.counting(lasting))
        if total < self.support.safe_total:
            return max(0, total - expired)
        pieces = yield from self.parts_of(plan)
        whole = [part for part, number in pieces if number is not None]
        expired = sum((yield from self._counts([self._expired(part) for part in whole])))
        scanned = (self.scanned(part, ()) for part, number in pieces if number is None)
        listed = sum(1 for _ in chain.from_iterable(scanned))
        return max(0, sum(number or 0 for _, number in pieces) - expired) + listed

    def parts_of(self, plan: Plan) -> Pipelined[list[Part]]:
        """Plans that together select what a plan does, each few enough for one query (see `search_pages.parts`)."""
        if self.support.cap is None:
            return [(plan, 0)]
        return (yield from parts(self, plan))

    def selecting(
        self, plan: Plan, fields: Sequence[str], limit: int | None, keep: Keep | None
    ) -> Pipelined[list[Row]]:
        """The oldest of the documents a plan selects."""
        if isinstance(plan, NoDocument):
            return []
        if not self.support.sort_by or not self.fits_one(plan):
            found = self.select(plan, fields)
            rows = rows_of(found if keep is None else map(keep, found))
            return list(islice(rows, limit))
        few = limit is not None and keep is None
        pages = Pages(self, plan, fields, PageSize(limit if few and limit else PAGE))
        kept: list[Row] = []
        while pages.more and (limit is None or len(kept) < limit):
            fresh = pages.take((yield Request(pages.commands)))
            kept += fresh if keep is None else keep(fresh)
        return kept[:limit]

    def select(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        """All documents a plan selects, oldest first, in pages of a bounded number of bytes."""
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
        """The server's time in milliseconds."""
        self._make_ready()
        return self.support.now()

    def rows(self, reply: Any, metric: Metric = Metric.L2) -> list[Row]:
        """The documents in the reply to a search, without those that have expired."""
        now = self.support.now()
        return [
            row
            for row in commands.rows(reply, self.entry, metric)
            if (ends := row.fields.get(EXPIRES)) is None or float(ends) > now
        ]

    def scanned(self, plan: Plan, fields: Sequence[str]) -> Iterator[Row]:
        """The documents that a plan selects, found by looking at every key, in any order."""
        needed = list(dict.fromkeys([*fields, EXPIRES, *plan_fields(plan)]))
        now = self.now()
        for keys in self._connection.scan(f"{self.entry.prefix}*"):
            ids = [key.decode()[len(self.entry.prefix) :] for key in keys]
            for row in filter(None, self.fetch(ids, needed)):
                if float(row.fields.get(EXPIRES, b"inf")) > now and selects(plan, row.fields):
                    yield row

    def of_records(self, plan: Plan) -> Plan:
        """What a plan selects of the index's records: no other hash under the prefix is counted."""
        return all_of([self.entry.existence(), plan])

    def queries(self, plan: Plan) -> list[str]:
        """The queries that together select what a plan does."""
        return [self.query_for(piece) for piece in self._pieces(plan)]

    def query_for(self, plan: Plan) -> str:
        """The query for a plan that fits into one; restricted to records where it could select other hashes."""
        return query_text(plan if are_records(plan) else self.of_records(plan))

    def _counts(self, plans: Sequence[Plan]) -> Pipelined[list[int]]:
        """How many keys plans select, as the server tells."""
        asked = [commands.count_command(self.entry, self.query_for(plan)) for plan in plans]
        return [commands.total(reply) for reply in (yield Request(asked))] if asked else []

    def _expired(self, plan: Plan) -> Plan:
        return all_of([plan, Range(EXPIRES, high=self.now())])

    def _pages(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        heavy = any(name in _HEAVY or name.startswith("v") for name in fields)
        pages = Pages(self, plan, fields, PageSize(_FIRST_PAGE if heavy else PAGE))
        while pages.more:
            if rows := pages.take(run(self, requesting(pages.commands))):
                yield rows

    def _sent(self, asks: Sequence[Request]) -> list[list[Reply | ServerError]] | None:
        """The replies, or None if they must be asked for again.

        Vital signs of the server ride along from time to time: a server that was restarted may have answered with a part.
        """
        support = self.support
        signs = support.vital_signs() if support.is_due else []
        equipped = [Request([support.equipped(each) for each in ask.commands]) for ask in asks]
        learned, *answered = send(self._connection, [Request(signs), *equipped])
        if signs:
            support.learn(signs, learned)
        if support.run is not self._complete_run:
            return None
        again = False
        for error in chain.from_iterable(answered):
            if not isinstance(error, ServerError):
                continue
            if commands.index_is_missing(error.message):
                raise StaleIndexError from error
            if gave_up(error):
                raise given_up(error) from error
            if is_inconsistent(error):
                time.sleep(_PAUSE)
                again = True
            could_sort = support.sort_by
            again = support.unlearn(error) or again
            if could_sort and not support.sort_by:
                raise StaleIndexError from error  # begins the operation again, in another way
        return None if again else answered

    def _failure(self, error: ServerError) -> ServerError:
        failure = explained(self._connection, error, self.support.primaries)
        self._down = isinstance(failure, ConnectionLostError) and self.capabilities.cluster
        return failure

    def _check_down(self) -> None:
        """After a node did not answer, no search can succeed until it does: do not wait for that each time."""
        if not self._down:
            return
        if silent := silent_primaries(self._connection, self.support.primaries):
            raise ConnectionLostError(
                f"{' and '.join(silent)} of the cluster does not answer", "FT.SEARCH"
            )
        self._down = False
        self._was_down = True

    def _make_ready(self) -> None:
        """Before the first search, and after a restart of the server: wait until its index is complete."""
        support = self.support
        if support.run is None or self._was_down:
            signs = support.vital_signs()
            support.learn(signs, self._connection.pipeline(signs, retry=True))
            self._was_down = False
            self._complete_run = None
        if support.run is not self._complete_run or self._complete_run is None:
            run = support.run
            if self.capabilities.cluster and self.is_valkey_search and support.primaries:
                await_nodes(self._connection, self.entry, support.primaries)
            else:
                self._await_backfill()
            self._complete_run = run

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

    def _described(self) -> dict[str, Any]:
        scope = ["CLUSTER"] if self.capabilities.cluster and self.is_valkey_search else []
        try:
            reply = self._connection.execute("FT.INFO", self.entry.search_index, *scope, retry=True)
        except ServerError as error:
            if commands.index_is_missing(error.message):
                raise StaleIndexError from error
            raise
        return commands.described(reply)


def indexed_share(described: dict[str, Any]) -> float:
    """Valkey-Search reports its backfill, per cluster as the slowest node's, RediSearch a percentage."""
    if "percent_indexed" in described:
        # RediSearch divides by the documents it knows, and counts documents twice that change meanwhile.
        return min(1.0, float(described["percent_indexed"]))
    if described.get("backfill_in_progress", "0") == "0":
        return 1.0
    share = described.get(
        "backfill_complete_percent_min", described.get("backfill_complete_percent")
    )
    return min(1.0, float(share or 0))
