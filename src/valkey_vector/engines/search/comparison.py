"""Exact comparison of the few records that a selective filter matches, instead of a search of the graph."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from valkey_vector.connection import Argument, Reply
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.base import Near
from valkey_vector.engines.exact import measured
from valkey_vector.engines.search import commands
from valkey_vector.errors import ServerError
from valkey_vector.filters.plan import Plan, plan_fields, selects
from valkey_vector.records.vectors import element_size, unpack_vector
from valkey_vector.schema.similarity import distances
from valkey_vector.storage.catalog import vector_name
from valkey_vector.storage.hashes import checked
from valkey_vector.storage.rows import Row

if TYPE_CHECKING:
    from valkey_vector.engines.search.reading import SearchReading

__all__ = ["Compared", "compared_here"]

_FEW_FOR_EACH = 3
"""Number of records for each neighbor whose fields are fetched together with their vectors."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Result of a comparison.

    Attributes:
        matching: number of keys that the query selects.
        rows: the k nearest, nearest first, ties by id; None if many more keys match than expected, or if one of the
            nearest changed before its fields were fetched.
        keys: the keys whose vectors were read by themselves.
    """

    matching: int
    rows: list[Row] | None = None
    keys: Sequence[bytes] = ()


def compared_here(
    engine: SearchReading,
    near: Near,
    k: int,
    plan: Plan,
    fields: Sequence[str],
    *,
    matching: int,
    known: Sequence[bytes] = (),
) -> Pipelined[Compared]:
    """Fetch the vectors of the records that a plan selects, and compare them in the client.

    A vector in the reply to a search takes up to 1.7 times as long as one that is read by its key. So the search lists keys
    only, and the vectors of those that it listed the last time are read in the same round trip. A record may change in
    between. So the nearest are checked as they are fetched at last: they have the compared vector, and the plan selects them.

    Args:
        engine: the engine of the index.
        near: the query vector.
        k: number of neighbors.
        plan: a plan that fits into one query.
        fields: hash fields to fetch.
        matching: expected number of records.
        known: keys that the plan selected the last time. Others are read, too, if the plan selects them.

    Cost: one round trip for up to `_FEW_FOR_EACH` records a neighbor; two for more, three if a key is not known.
    """
    limit, query = matching + matching // 4 + 10, engine.query_for(plan)
    name = vector_name(near.field.name)
    if matching <= _FEW_FOR_EACH * k:
        listed = list(dict.fromkeys([*fields, name]))
        (reply,) = yield Request([commands.listing_command(engine.entry, query, listed, limit)])
        total = commands.total(reply)
        if total > limit:
            return Compared(total)
        return Compared(total, measured([engine.rows(reply)], near, k=k))
    listing = commands.ids_command(engine.entry, query, limit)
    listed, *read = yield Request([listing, *_reads(known, name)], errors=True)
    (reply,) = checked([listed])
    total, keys = commands.total(reply), commands.keys(reply)
    if total > limit:
        return Compared(total)
    vectors = dict(zip(known, read, strict=True))
    if missing := [key for key in keys if key not in vectors]:
        read = yield Request(_reads(missing, name), errors=True)
        vectors.update(zip(missing, read, strict=True))
    nearest = _nearest(_stored(keys, vectors, near), near, k)
    ids = [commands.id_of(key, engine.entry) for _, key, _ in nearest]
    rows = yield from engine.fetching(ids, list(dict.fromkeys([*fields, name, *plan_fields(plan)])))
    unchanged = [
        Row(row.id, row.fields, distance)
        for (distance, _, vector), row in zip(nearest, rows, strict=True)
        if row is not None and row.fields.get(name) == vector and selects(plan, row.fields)
    ]
    return Compared(total, unchanged if len(unchanged) == len(nearest) else None, keys)


def _reads(keys: Sequence[bytes], field: str) -> list[list[Argument]]:
    name = field.encode()
    return [[b"HGET", key, name] for key in keys]


def _stored(
    keys: Sequence[bytes], vectors: Mapping[bytes, Reply | ServerError], near: Near
) -> dict[bytes, bytes]:
    """The stored vectors of the keys that have one of the right size.

    Raises:
        ServerError: a key could not be read. A key of another type belongs to another program: it is left out.
    """
    size = element_size(near.field.data_type) * near.vector.size
    found: dict[bytes, bytes] = {}
    for key in keys:
        vector = vectors[key]
        if isinstance(vector, bytes) and len(vector) == size:
            found[key] = vector
        elif isinstance(vector, ServerError) and not vector.message.startswith("WRONGTYPE"):
            raise vector
    return found


def _nearest(stored: Mapping[bytes, bytes], near: Near, k: int) -> list[tuple[float, bytes, bytes]]:
    """The distances, keys and vectors (as float32) of the k nearest, nearest first, ties by key."""
    if not stored:
        return []
    joined = b"".join(stored.values())
    stacked: Any = unpack_vector(joined, near.field.data_type).reshape(len(stored), -1)
    away = distances(stacked, near.vector, near.field.metric).tolist()
    best = heapq.nsmallest(k, zip(away, stored, range(len(stored)), strict=True))
    return [(distance, key, stacked[position].tobytes()) for distance, key, position in best]
