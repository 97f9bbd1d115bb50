"""Vector search on a search module, with a check that the result is complete.

An HNSW graph is approximate. Two of its failures go beyond recall and are detected here:

* The graph does not reach some records, so a search returns fewer than requested. The missing records are listed and
  compared.
* Many identical vectors (boilerplate, empty pages) trap the search: all hits from some rank on have the same distance.
  Such a search is repeated with a larger k until its last hits differ, or the vectors are compared exactly.

Vectors of FLOAT16 and BFLOAT16 are fetched with the hits, and their distances computed here: RediSearch normalizes them for
COSINE, and rounds them again. So its distances only select candidates, a few more than requested, and many more where the
distances of records differ by less than the rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from operator import attrgetter
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from valkey_vector.connection import Argument
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.base import Near
from valkey_vector.engines.exact import RangeUnavailableError, compared, measured
from valkey_vector.engines.paging import PAGE, PageSize, age
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.composed import ComposedSearches, search_width
from valkey_vector.engines.search.filtered import FilteredSearches, grouped
from valkey_vector.errors import (
    AuthenticationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)
from valkey_vector.filters.plan import (
    EVERYTHING,
    Everything,
    NoDocument,
    Plan,
    Range,
    Tokens,
    all_of,
)
from valkey_vector.records.record import Hit
from valkey_vector.schema.schema import Flat, Hnsw
from valkey_vector.storage.catalog import vector_name
from valkey_vector.storage.decoding import decode_hits
from valkey_vector.storage.layout import field_token
from valkey_vector.storage.record_version import has_vector
from valkey_vector.storage.rows import Row

if TYPE_CHECKING:
    from valkey_vector.engines.search.reading import SearchReading

__all__ = ["Nearest"]


_MIN_REQUESTED = 10
"""Smallest number of neighbors to request: fewer do not show that many are equally distant."""

_TIED = 3
"""Number of last hits at one distance from which a search counts as trapped."""

_by_distance = attrgetter("distance", "id")

_NOISE = 1e-12
"""Difference of two distances in double precision that can be the same."""

_MAX_COMPARED = 20_000
"""Largest number of records to compare exactly instead of repeating a trapped search."""


_MAX_WIDER = 2_000
"""Largest number of neighbors of a search that is repeated because the server rounds vectors."""

_DEVIATIONS = 4.0
"""Standard deviations of the rounding errors by which a record that the server left out can be nearer."""

_SAME = 1e-6
"""Relative difference up to which two distances of the server, in single precision, can be the same."""


class Nearest:
    """Searches one index by vector.

    Args:
        engine: the engine of the index.
    """

    def __init__(self, engine: SearchReading) -> None:
        self._engine = engine
        self._max_k = engine.capabilities.max_knn
        self._filters = FilteredSearches(engine)
        self._composed = ComposedSearches(self._requested)

    def knn(self, near: Near, k: int, plan: Plan, fields: Sequence[str]) -> Pipelined[list[Row]]:
        """Retrieve the k nearest of the records that a plan selects, nearest first.

        Cost: one round trip, more if the result is incomplete or its last hits have one distance. A filter that was not
        counted lately is counted first; after that, its counts ride along.
        """
        if isinstance(plan, NoDocument):
            return []
        if k > self._max_k:
            return (yield from self._exact(near, k, plan, fields))
        if not isinstance(plan, Everything) and self._filters.suit(near, plan):
            return (yield from self._filtered(near, k, plan, fields))
        replies = yield Request(self.commands(near, k, plan, fields))
        return (yield from self.completed(replies, near, k, plan, fields))

    def completed(
        self, replies: Sequence[Any], near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """Parse the replies to `commands`, and complete the result.

        It is incomplete if it has fewer than k records, or if its last hits have one distance.
        """
        requested = self._requested(near, k)
        found, dropped = self._rows(replies, near, requested)
        while len(found) < k and dropped and requested < self._max_k:
            # Expired documents that are still indexed, and hashes of other programs, took places in the reply.
            requested = min(self._max_k, 2 * (requested + dropped))
            found, dropped = yield from self._nearest(near, requested, plan, fields)
        if len(found) < k:
            if not self._engine.capabilities.filter_queries:
                return found
            return (yield from self._with_missing(found, near, k, plan, fields))
        if near.field.data_type != "FLOAT32" and self._is_in_doubt(
            replies, found, near, k, requested
        ):
            return (yield from self._beyond_rounding(near, k, plan, fields))
        if _ends_in_ties(found, requested, near):
            return (yield from self._beyond_ties(found, near, k, plan, fields))
        return found[:k]

    def commands(
        self, near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> list[list[Argument]]:
        """The searches that together find the k nearest of the records that a plan selects."""
        if isinstance(plan, Everything):
            return [self._unfiltered(near, k, fields)]
        engine, requested = self._engine, self._requested(near, k)
        entry, width = engine.entry, search_width(near, requested)
        return [
            commands.knn_command(entry, grouped(query), near, requested, fields, width=width)
            for query in engine.queries(plan)
        ]

    def hits(self, near: Near, k: int, fields: Sequence[str]) -> Pipelined[list[Hit]]:
        """The k nearest of all records, decoded in one pass where the reply is as usual."""
        if k > self._max_k or near.field.data_type != "FLOAT32":
            rows = yield from self.knn(near, k, EVERYTHING, fields)
            return decode_hits(rows, near.field.metric, fields)
        composed = self._composed.of(self._engine.slots.entry, near, k, fields)
        replies = yield Request([commands.with_vector_of(near, composed.command)])
        decoder = composed.decoder
        found = None if decoder is None else decoder.hits(replies[0], k, self._engine.support.now)
        if found is not None:
            return found
        rows = yield from self.completed(replies, near, k, EVERYTHING, fields)
        return decode_hits(rows, near.field.metric, fields)

    def _unfiltered(self, near: Near, k: int, fields: Sequence[str]) -> list[Argument]:
        """The search of all records."""
        composed = self._composed.of(self._engine.slots.entry, near, k, fields)
        return commands.with_vector_of(near, composed.command)

    def within(
        self, near: Near, radius: float, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]] | None:
        """Retrieve all selected records up to a distance, if the module has VECTOR_RANGE.

        On RediSearch it is not used: there, this library uses the features of Valkey-Search 1.2 only.

        Raises:
            RangeUnavailableError: while the steps run: the server rejects the query, or would truncate the result.
        """
        engine = self._engine
        able = engine.capabilities.vector_range and engine.is_valkey_search
        able = able and engine.support.vector_range is not False
        able = able and near.field.data_type == "FLOAT32"  # otherwise its distances are not exact
        if not able or not 0 <= radius < math.inf or isinstance(plan, NoDocument):
            return None
        return self._in_range(near, radius, plan, fields) if engine.fits_one(plan) else None

    def searchable(self, near: Near, plan: Plan) -> Plan:
        """A plan that selects the records of another plan that have the vector."""
        return all_of([plan, Tokens((field_token(near.field),))])

    def _filtered(
        self, near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """The k nearest of the records that a filter selects, in the cheapest way for its selectivity."""
        requested = self._requested(near, k)
        full = search_width(near, requested) or k
        rows, replies = yield from self._filters.search(
            near, k, plan, fields, requested=requested, full=full
        )
        if rows is not None:
            return rows
        return (yield from self.completed(replies, near, k, plan, fields))

    def _requested(self, near: Near, k: int) -> int:
        if near.field.data_type != "FLOAT32":
            return min(self._max_k, k + k // 2 + _MIN_REQUESTED)
        return k if isinstance(near.field.algorithm, Flat) else max(k, _MIN_REQUESTED)

    def _nearest(
        self, near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[tuple[list[Row], int]]:
        """The hits of the server, nearest first, and the number of dropped hits (see `_rows`)."""
        replies = yield Request(self.commands(near, k, plan, fields))
        return self._rows(replies, near, self._requested(near, k))

    def _rows(self, replies: Sequence[Any], near: Near, k: int) -> tuple[list[Row], int]:
        """The hits in replies, nearest first, and the number of hits that are not records, or expired."""
        found: dict[str, Row] = {}
        dropped = 0
        field = vector_name(near.field.name)
        for reply in replies:
            rows = self._engine.rows(reply, near.field.metric, field)
            if near.field.data_type != "FLOAT32":
                rows = measured([rows], near, k=None)
            if len(rows) < k:
                dropped += max(0, min(k, commands.total(reply)) - len(rows))
            if len(replies) == 1:
                rows.sort(key=_by_distance)
                return rows, dropped
            found.update((row.id, row) for row in rows)
        return sorted(found.values(), key=_by_distance), dropped

    def _with_missing(
        self, found: list[Row], near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """The rows found, and the records with the vector that were not found.

        Their ids are compared: equal counts prove nothing while other clients write and delete.
        """
        searchable = self.searchable(near, plan)
        listed = yield from self._engine.selecting(searchable, (), self._max_k + 1, None)
        known = {row.id for row in found}
        missing = [row.id for row in listed if row.id not in known]
        if not missing:
            return found
        if len(listed) > self._max_k or len(missing) > PAGE:
            return (yield from self._exact(near, k, plan, fields))
        others = yield from self._measured(missing, near, fields)
        return sorted([*found, *others], key=_by_distance)[:k]

    def _measured(
        self, ids: Sequence[str], near: Near, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """Fetch records with their vectors, and compute their distances; nearest first."""
        wanted = list(dict.fromkeys([*fields, vector_name(near.field.name)]))
        rows = yield from self._engine.fetching(ids, wanted)
        return measured([[row for row in rows if row is not None]], near, k=None)

    def _beyond_ties(
        self, found: list[Row], near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """The k nearest after a search whose last hits have one distance."""
        if not self._engine.capabilities.filter_queries:
            return found[:k]
        number = yield from self._engine.counting(self.searchable(near, plan))
        requested = max(k, _MIN_REQUESTED)
        if number <= max(requested, _MAX_COMPARED):
            return (yield from self._exact(near, k, plan, fields))
        while requested < self._max_k:
            requested = min(self._max_k, 10 * requested)
            wider, dropped = yield from self._nearest(near, requested, plan, ())
            if len(wider) + dropped < requested:
                return (yield from self._exact(near, k, plan, fields))
            if not _ends_in_ties(wider, requested, near):
                break
        return (yield from self._measured([row.id for row in wider[:k]], near, fields))

    def _is_in_doubt(
        self, replies: Sequence[Any], found: Sequence[Row], near: Near, k: int, requested: int
    ) -> bool:
        """Return True if a record that the server left out can be nearer than the k-th, because the server rounds vectors.

        Args:
            replies: the replies to `commands`.
            found: at least k of the records in them, with their exact distances, nearest first.
            near: the query.
            k: number of neighbors.
            requested: number of neighbors that each search requested.
        """
        prefix, metric = self._engine.entry.prefix, near.field.metric
        rough: dict[bytes, float] = {}
        farthest = math.inf
        for reply in replies:
            there = commands.server_distances(reply, metric)
            rough |= there
            if commands.total(reply) >= requested and there:
                farthest = min(farthest, max(there.values()))
        if math.isinf(farthest):
            return False  # nothing was left out
        keys = [f"{prefix}{row.id}".encode(errors="surrogateescape") for row in found]
        errors = [
            row.distance - rough[key] for row, key in zip(found, keys, strict=True) if key in rough
        ]
        errors = [error for error in errors if math.isfinite(error)] or [0.0]
        least = farthest + fmean(errors) - _DEVIATIONS * pstdev(errors)
        last = found[k - 1].distance
        return last > least + _SAME * abs(last) + _NOISE

    def _beyond_rounding(
        self, near: Near, k: int, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """The k nearest where the distances of many records differ by less than the rounding of the server."""
        wider = 4 * k
        found: list[Row] = []
        while len(found) < k or wider <= min(_MAX_WIDER, self._max_k):
            requested = self._requested(near, wider)
            replies = yield Request(self.commands(near, wider, plan, fields))
            found, _ = self._rows(replies, near, requested)
            short = any(commands.total(reply) < requested for reply in replies)
            if requested == self._max_k or (short and isinstance(near.field.algorithm, Hnsw)):
                break  # the graph, which the server built from rounded distances, may not reach all
            if len(found) >= k and not self._is_in_doubt(replies, found, near, k, requested):
                return found[:k]
            wider *= 4
        number = yield from self._engine.counting(self.searchable(near, plan))
        if number <= _MAX_COMPARED or len(found) < k:
            return (yield from self._exact(near, k, plan, fields))
        return found[:k]

    def _exact(self, near: Near, k: int, plan: Plan, fields: Sequence[str]) -> Pipelined[list[Row]]:
        """The k nearest by comparing every selected vector in the client; complete for any k."""

        def pages() -> Iterator[list[Row]]:
            return self._engine.select(searchable, [vector_name(near.field.name)])

        searchable = self.searchable(near, plan)
        return compared(self._engine, pages, near, fields, k=k)

    def _in_range(
        self, near: Near, radius: float, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """All selected records within a distance, nearest first."""
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
                return sorted(found.values(), key=_by_distance)
            last = age(rows[-1])[0] if rows else low
            limit = 2 * limit if last == low else size.rows
            low = last


def _ends_in_ties(found: Sequence[Row], requested: int, near: Near) -> bool:
    """Return True if the last hits of a graph search have one distance: nearer records may be unseen."""
    if isinstance(near.field.algorithm, Flat) or len(found) < max(requested, _TIED):
        return False
    return found[requested - _TIED].distance == found[requested - 1].distance


def _has(row: Row, near: Near) -> bool:
    """Return False if the record was written without the vector after the search."""
    return has_vector(row.version, vector_name(near.field.name))
