"""Complete listing of the documents that a plan selects, in pages by creation time.

Since Valkey-Search 1.2, a query without a vector reads a limited number of keys (by default 100,000 on each node), and its
total ends there, too. So every such query is counted. If the count comes near the limit, the query is divided into ranges
of the creation time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from valkey_vector.connection.pipelines import Command, Pipelined, Request
from valkey_vector.engines.base import Leading
from valkey_vector.engines.paging import PageSize, age
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.leading import leading_range
from valkey_vector.engines.search.support import ServerSupport
from valkey_vector.filters.plan import Plan, Range, all_of
from valkey_vector.schema.schema import Metric
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.layout import CREATED
from valkey_vector.storage.rows import Row

__all__ = ["Pages", "Part", "parts"]

_LATEST = float(2**53)
"""A time in microseconds after every creation time."""

_ALWAYS = Range(CREATED, 0.0, _LATEST)

_SAMPLE = 100
"""Number of records whose creation times determine where to divide a range."""

Part = tuple[Plan, int | None]
"""A plan, and the number of keys it selects; None if all have one creation time, and are too many for a query."""


class Queried(Protocol):
    """The part of the search engine that pages need."""

    support: ServerSupport

    @property
    def entry(self) -> CatalogEntry:
        """The index, with the numeric slots bound so far."""
        ...

    def query_for(self, plan: Plan) -> str:
        """The query for the records that a plan selects."""
        ...

    def rows(self, reply: Any, metric: Metric = Metric.L2) -> list[Row]:
        """The records in a reply to FT.SEARCH."""
        ...

    def scanned(self, plan: Plan, fields: Sequence[str]) -> Iterator[Row]:
        """The records that a plan selects, found by scanning all keys."""
        ...


class Pages:
    """Pages of the records that a plan selects, oldest first. No page is requested by an offset.

    While `more` is True, send `commands` and pass the replies to `take`.

    Args:
        engine: the engine of the index.
        plan: a plan that fits into one query.
        fields: hash fields to fetch.
        size: size of the pages; a page grows if more records have one creation time.
    """

    def __init__(self, engine: Queried, plan: Plan, fields: Sequence[str], size: PageSize) -> None:
        self.more = True
        self._engine = engine
        self._plan = plan
        self._fields = fields
        self._size = size
        self._factor = 1
        self._low, self._open = 0.0, False
        self._high: float | None = None
        self._width = 1.0
        self._seen = frozenset[str]()
        self._oldest = 0.0
        self._is_first = engine.support.cap is not None
        self._search: Pipelined[Leading] | None = None
        self._requested: Sequence[Command] = ()

    @property
    def commands(self) -> Sequence[Command]:
        """The next commands: a page and, if the server has a limit, counts that show if it was reached.

        To sort, the server reads every document of the range. So the first page is unsorted, and complete if there are no
        other documents. Otherwise the commands that follow find a range with about as many documents as a page has.
        """
        engine = self._engine
        if self._is_first:
            query = engine.query_for(self._plan)
            return [
                commands.page_command(engine.entry, query, self._fields, self._limit, sort=False)
            ]
        if self._search is not None:
            return self._requested
        query = engine.query_for(self._window())
        limit = self._limit
        page = commands.page_command(engine.entry, query, self._fields, limit)
        if engine.support.cap is None:
            return [page]
        counted = [commands.count_command(engine.entry, query)]
        if self._high is not None:
            rest = all_of([self._plan, Range(CREATED, low=self._high, low_open=True)])
            counted.append(commands.count_command(engine.entry, engine.query_for(rest)))
        return [page, *counted]

    def take(self, replies: Sequence[Any]) -> list[Row]:
        """The new rows of the page; empty if the next request must cover a smaller range."""
        if self._is_first:
            return self._begin(replies[0])
        if self._search is not None:
            self._advance(self._search, replies)
            return []
        limit = self._limit
        rows = sorted(self._engine.rows(replies[0]), key=age)
        counts = [commands.total(reply) for reply in replies[1:]]
        if counts and counts[0] >= self._engine.support.safe_total:
            return self._narrow(rows)
        fresh = [row for row in rows if row.id not in self._seen]
        self._size.learn(rows)
        if commands.total(replies[0]) > limit:
            self._proceed(rows)
            if counts and counts[0] > 4 * limit:
                # To sort, the server reads every document of the range, regardless of the limit.
                first = age(rows[0])[0] if rows else self._low
                self._end_at(self._low + max(1.0, 2 * (self._low - first)))
        elif self._high is None or counts[1] == 0:
            self.more = False
        else:
            self._pass(self._high, counts[1])
        return fresh

    def _begin(self, reply: Any) -> list[Row]:
        """All rows if the first page has them; otherwise none, and the search for the first range begins."""
        self._is_first = False
        rows = sorted(self._engine.rows(reply), key=age)
        total, limit = commands.total(reply), self._limit
        if total <= limit and total < self._engine.support.safe_total:
            self.more = False
            return rows
        sample = [age(row)[0] for row in rows]
        self._search = leading_range(
            self._engine,
            self._plan,
            CREATED,
            limit + 1,
            descending=False,
            total=max(total, limit + 1),
            sample=sample,
        )
        self._oldest = min(sample, default=0.0)
        self._advance(self._search, None)
        return []

    def _advance(self, search: Pipelined[Leading], replies: Sequence[Any] | None) -> None:
        """Continue the search for the first range."""
        try:
            request = next(search) if replies is None else search.send(list(replies))
        except StopIteration as end:
            leading: Leading = end.value
            self._search = None
            found = leading.range if leading.tied is None else leading.tied
            if found is not None and found.high < _LATEST:
                self._high, self._width = found.high, max(1.0, found.high - self._oldest)
        else:
            self._requested = request.commands

    @property
    def _limit(self) -> int:
        return self._size.rows * self._factor

    def _window(self) -> Plan:
        if self._high is None and not self._low and not self._open:
            return self._plan
        high = float("inf") if self._high is None else self._high
        return all_of([self._plan, Range(CREATED, self._low, high, low_open=self._open)])

    def _proceed(self, rows: Sequence[Row]) -> None:
        """Continue with the next page of the range; it begins with the last creation time again."""
        last = age(rows[-1])[0] if rows else self._low
        same = last == self._low and not self._open
        newest = frozenset(row.id for row in rows if age(row)[0] == last)
        if same or not rows:
            self._factor *= 2
            newest |= self._seen
        else:
            self._factor = 1
        self._low, self._open, self._seen = last, False, newest

    def _end_at(self, high: float) -> None:
        if self._high is None or high < self._high:
            self._high = high
            self._width = max(1.0, high - self._low)

    def _pass(self, low: float, rest: int) -> None:
        """Continue with the next range: all the rest if that is small enough, otherwise twice the last period."""
        self._low, self._open, self._seen, self._factor = low, True, frozenset(), 1
        self._width *= 2
        few = rest < min(self._engine.support.safe_total, 4 * self._limit)
        self._high = None if few or low + self._width > _LATEST else low + self._width

    def _narrow(self, rows: Sequence[Row]) -> list[Row]:
        """Shrink the range to end at the last of these rows, which are any rows of the range."""
        first = self._low + 1 if self._open else self._low
        high = _LATEST if self._high is None else self._high
        if high <= first:
            return self._scan(first)
        middle = float(int((first + high) // 2))
        # The rows may be the oldest of the range: then half the limit makes the next reply complete.
        half = (self._engine.support.cap or 0) // 2
        last = age(rows[min(len(rows) - 1, half)])[0] if rows else middle
        self._high = max(first, last if first < last < high else middle)
        if rows and last <= first:
            self._high = first
        self._width = max(1.0, self._high - first)
        return []

    def _scan(self, created: float) -> list[Row]:
        """Scan all keys: too many records have one creation time, so no query can divide them."""
        one_time = all_of([self._plan, Range(CREATED, created, created)])
        found = sorted(self._engine.scanned(one_time, self._fields), key=age)
        fresh = [row for row in found if row.id not in self._seen]
        self._low, self._open, self._seen, self._factor = created, True, frozenset(), 1
        self._high = None
        return fresh


def parts(engine: Queried, plan: Plan, *, is_large: bool = False) -> Pipelined[list[Part]]:
    """Divide a plan into disjoint plans with the same union, each small enough for a complete reply.

    Args:
        engine: the engine of the index.
        plan: a plan that fits into one query.
        is_large: the whole plan was counted before and is too large, so it is not counted again.
    """
    found: list[Part] = []
    waiting = [_ALWAYS]
    if is_large:
        waiting = yield from _smaller(engine, plan, waiting)
    while waiting:
        plans = [_in_window(plan, window) for window in waiting]
        queries = [engine.query_for(part) for part in plans]
        replies = yield Request([commands.count_command(engine.entry, query) for query in queries])
        large: list[Range] = []
        for part, window, reply in zip(plans, waiting, replies, strict=True):
            count = commands.total(reply)
            if count < engine.support.safe_total:
                found += [(part, count)] if count else []
            elif window.low == window.high:
                found.append((part, None))
            else:
                large.append(window)
        waiting = yield from _smaller(engine, plan, large)
    return found


def _smaller(engine: Queried, plan: Plan, large: Sequence[Range]) -> Pipelined[list[Range]]:
    """Divide ranges of creation times, by a sample of the records in each."""
    if not large:
        return []
    queries = [engine.query_for(_in_window(plan, window)) for window in large]
    replies = yield Request(
        [commands.page_command(engine.entry, query, (), _SAMPLE, sort=False) for query in queries]
    )
    return [
        smaller
        for window, reply in zip(large, replies, strict=True)
        for smaller in _cut(window, engine.rows(reply))
    ]


def _in_window(plan: Plan, window: Range) -> Plan:
    return plan if window is _ALWAYS else all_of([plan, window])


def _cut(window: Range, sample: Sequence[Row]) -> list[Range]:
    """Divide a range of integers: small pieces around the sampled records, larger ones away from them.

    The sample may hold the oldest, the newest or any records of the range.
    """
    low, high = int(window.low), int(window.high)
    times = sorted(min(max(int(age(row)[0]), low), high) for row in sample)
    if not times:
        times = [(low + high) // 2]
    first, middle, last = times[0], times[len(times) // 2], times[-1]
    ends = {middle, last, high}
    if first == last:
        ends.add(first - 1)  # all records may have this creation time: give it a piece of its own
    step, at = max(1, last - first), last
    while at + step < high:
        at, step = at + step, 2 * step
        ends.add(at)
    step, at = max(1, last - first), first
    while at - step > low:
        at, step = at - step, 2 * step
        ends.add(at)
    pieces: list[Range] = []
    for end in sorted(ends):
        if end >= low:
            pieces.append(Range(CREATED, float(low), float(end)))
            low = end + 1
    return pieces
