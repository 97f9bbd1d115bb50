"""Vector search on a search module, with a check that the result is complete.

An HNSW graph is approximate. Two of its failures are not a matter of recall, and are noticed here:

* It does not reach records that are there. Then fewer are found than requested: what else there is, is listed and
  compared.
* Many identical vectors (boilerplate, empty pages) attract the search and hold it: then all that it finds, from some rank
  on, is equally far away. A search whose last hits are so is repeated with a wider view, until it sees beyond them, or
  compared exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from valkey_vector.connection import Argument
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.base import Near
from valkey_vector.engines.exact import RangeUnavailableError, compared, measured
from valkey_vector.engines.paging import PAGE, PageSize, age
from valkey_vector.engines.search import commands
from valkey_vector.errors import (
    AuthenticationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)
from valkey_vector.filters.plan import Everything, NoDocument, Plan, Range, Tokens, all_of
from valkey_vector.schema.schema import Flat, Hnsw
from valkey_vector.storage.catalog import vector_name
from valkey_vector.storage.layout import field_token
from valkey_vector.storage.record_version import VERSION, has_vector
from valkey_vector.storage.rows import Row

if TYPE_CHECKING:
    from valkey_vector.engines.search.reading import SearchReading

__all__ = ["Nearest"]

_HIGHEST_EF = 1_000_000
"""The most that Valkey-Search accepts (1.0 to 1.3)."""

_SEEN = 10
"""Neighbors to look at, at least: of fewer it cannot be told whether they are many alike."""

_ALIKE = 3
"""Hits at the same distance, the last one among them, that raise doubt."""

_COMPARED = 20_000
"""Records that are compared one by one rather than searched again."""


class Nearest:
    """Searches one index by vector.

    Args:
        engine: of the index.
    """

    def __init__(self, engine: SearchReading) -> None:
        self._engine = engine
        self._most = engine.capabilities.max_knn

    def knn(self, near: Near, k: int, plan: Plan, fields: Sequence[str]) -> Pipelined[list[Row]]:
        """The k nearest of the records that a plan selects, in one round trip unless their number or distance raises doubt."""
        if isinstance(plan, NoDocument):
            return []
        if k > self._most:
            return (yield from self._exact(near, k, plan, fields))
        replies = yield Request(self.commands(near, k, plan, fields))
        return (yield from self.completed(replies, near, k, plan, fields))

    def completed(
        self, replies: Sequence[Any], near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """What `commands` found, completed where fewer than k were found, or hits are suspiciously alike."""
        asked = self._asked(near, k)
        found, dropped = self._rows(replies, near, asked)
        while len(found) < k and dropped and asked < self._most:
            # Documents that expired but are still indexed, or are not of this index, took places in the answer.
            asked = min(self._most, 2 * (asked + dropped))
            found, dropped = yield from self._nearest(near, asked, plan, fields)
        if len(found) < k:
            if not self._engine.capabilities.filter_queries:
                return found
            return (yield from self._with_missing(found, near, k, plan, fields))
        if _are_alike(found, asked, near):
            return (yield from self._beyond_alike(found, near, k, plan, fields))
        return found[:k]

    def commands(
        self, near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> list[list[Argument]]:
        """The searches that together find the k nearest of what a plan selects."""
        engine, asked = self._engine, self._asked(near, k)
        wide = Near(near.field, near.vector, _ef(near, asked))
        queries = ["*"] if isinstance(plan, Everything) else engine.queries(plan)
        return [
            commands.knn_command(engine.entry, _grouped(query), wide, asked, fields)
            for query in queries
        ]

    def within(
        self, near: Near, radius: float, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]] | None:
        """All of the records that a plan selects up to a distance, where the module has VECTOR_RANGE.

        RediSearch has it, too, but is not asked so: what holds for it is what Valkey-Search 1.2 can do.

        Raises:
            RangeUnavailableError: by the steps: the server refuses it, or would cut the answer.
        """
        engine = self._engine
        able = engine.capabilities.vector_range and engine.is_valkey_search
        able = able and engine.support.vector_range is not False
        if not able or not 0 <= radius < math.inf or isinstance(plan, NoDocument):
            return None
        return self._circle(near, radius, plan, fields) if engine.fits_one(plan) else None

    def searchable(self, near: Near, plan: Plan) -> Plan:
        """Of what a plan selects, the records that have the vector."""
        return all_of([plan, Tokens((field_token(near.field),))])

    def _asked(self, near: Near, k: int) -> int:
        match near.field.algorithm:
            case Hnsw():
                return max(k, _SEEN)
            case Flat():
                return k

    def _nearest(
        self, near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[tuple[list[Row], int]]:
        """What the server finds, nearest first, and how many of it it left out of its reply."""
        replies = yield Request(self.commands(near, k, plan, fields))
        return self._rows(replies, near, k)

    def _rows(self, replies: Sequence[Any], near: Near, k: int) -> tuple[list[Row], int]:
        """What searches found, nearest first, and how many hits are no records, or not any more."""
        found: dict[str, Row] = {}
        dropped = 0
        field = vector_name(near.field.name)
        for reply in replies:
            rows = self._engine.rows(reply, near.field.metric)
            rows = [row for row in rows if has_vector(row.fields.get(VERSION), field)]
            dropped += max(0, min(k, commands.total(reply)) - len(rows))
            if len(replies) == 1:
                return sorted(rows, key=_nearness), dropped
            found.update((row.id, row) for row in rows)
        return sorted(found.values(), key=_nearness), dropped

    def _with_missing(
        self, found: list[Row], near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """What was found, and the records that have the vector and were not found.

        They are told apart by their ids: numbers that agree prove nothing while others write and delete.
        """
        searchable = self.searchable(near, plan)
        listed = yield from self._engine.selecting(searchable, (), self._most + 1, None)
        known = {row.id for row in found}
        missing = [row.id for row in listed if row.id not in known]
        if not missing:
            return found
        if len(listed) > self._most or len(missing) > PAGE:
            return (yield from self._exact(near, k, plan, fields))
        others = yield from self._measured(missing, near, fields)
        return sorted([*found, *others], key=_nearness)[:k]

    def _measured(
        self, ids: Sequence[str], near: Near, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """Records by id, measured by the vector that is fetched with their other fields; nearest first."""
        wanted = list(dict.fromkeys([*fields, vector_name(near.field.name)]))
        rows = yield from self._engine.fetching(ids, wanted)
        return measured([[row for row in rows if row is not None]], near, k=None)

    def _beyond_alike(
        self, found: list[Row], near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """The k nearest where a search ended among hits that are all equally far away."""
        if not self._engine.capabilities.filter_queries:
            return found[:k]
        number = yield from self._engine.counting(self.searchable(near, plan))
        asked = max(k, _SEEN)
        if number <= max(asked, _COMPARED):
            return (yield from self._exact(near, k, plan, fields))
        while asked < self._most:
            asked = min(self._most, 10 * asked)
            wider, dropped = yield from self._nearest(near, asked, plan, ())
            if len(wider) + dropped < asked:
                return (yield from self._exact(near, k, plan, fields))
            if not _are_alike(wider, asked, near):
                break
        return (yield from self._measured([row.id for row in wider[:k]], near, fields))

    def _exact(self, near: Near, k: int, plan: Plan, fields: Sequence[str]) -> Pipelined[list[Row]]:
        """The k nearest by comparing every selected vector here: complete for any k."""

        def pages() -> Iterator[list[Row]]:
            return self._engine.select(searchable, [vector_name(near.field.name)])

        searchable = self.searchable(near, plan)
        return compared(self._engine, pages, near, fields, k=k)

    def _circle(
        self, near: Near, radius: float, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """All rows of a plan within a distance, nearest first."""
        engine, found = self._engine, dict[str, Row]()
        size, low, limit = PageSize(PAGE), 0.0, PAGE
        while True:
            query = engine.query_for(all_of([plan, Range("created", low)]) if low else plan)
            command = commands.range_command(engine.entry, query, near, radius, fields, limit=limit)
            try:
                (reply,) = yield Request([command])
            except (ConnectionLostError, RequestTimeoutError, AuthenticationError):
                raise
            except ServerError as error:
                if engine.support.vector_range:
                    raise
                engine.support.vector_range = False
                raise RangeUnavailableError from error
            engine.support.vector_range = True
            if commands.total(reply) >= engine.support.safe_total:
                raise RangeUnavailableError
            rows = sorted(engine.rows(reply, near.field.metric), key=age)
            found.update((row.id, row) for row in rows if _has(row, near))
            if commands.total(reply) <= limit:
                return sorted(found.values(), key=_nearness)
            last = age(rows[-1])[0] if rows else low
            limit = 2 * limit if last == low else size.rows
            low = last


def _are_alike(found: Sequence[Row], asked: int, near: Near) -> bool:
    """Whether a graph search ended among hits that are all equally far away: it may not have seen what is nearer."""
    if isinstance(near.field.algorithm, Flat) or len(found) < max(asked, _ALIKE):
        return False
    return found[asked - _ALIKE].distance == found[asked - 1].distance


def _has(row: Row, near: Near) -> bool:
    """False for a record that was written without the vector since the server measured it."""
    return has_vector(row.version, vector_name(near.field.name))


def _ef(near: Near, k: int) -> int | None:
    match near.field.algorithm:
        case Hnsw(ef_runtime=default):
            return min(_HIGHEST_EF, max(k, near.ef_runtime or default))
        case Flat():
            return None


def _grouped(query: str) -> str:
    return query if query == "*" or query.startswith("(") else f"({query})"


def _nearness(row: Row) -> tuple[float, str]:
    return row.distance, row.id
