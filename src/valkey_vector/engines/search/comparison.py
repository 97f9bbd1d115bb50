"""Exact comparison of the few records that a selective filter matches, instead of a search of the graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.base import Near
from valkey_vector.engines.exact import has_what_was_compared
from valkey_vector.engines.search import commands
from valkey_vector.records.vectors import element_size, unpack_vector
from valkey_vector.schema.similarity import distances
from valkey_vector.storage.catalog import vector_name
from valkey_vector.storage.rows import Row

if TYPE_CHECKING:
    from valkey_vector.engines.search.reading import SearchReading

__all__ = ["HEAVY", "compared_here"]

HEAVY = frozenset({"content", "payload"})
"""Fields of unknown size."""

_FEW_FOR_EACH = 3
"""Number of records for each neighbor whose fields are fetched together with their vectors."""


def compared_here(
    engine: SearchReading,
    near: Near,
    k: int,
    query: str,
    fields: Sequence[str],
    *,
    matching: int,
) -> Pipelined[tuple[int, list[Row] | None]]:
    """Fetch the vectors of the records that a query selects, and compare them in the client.

    Args:
        engine: the engine of the index.
        near: the query vector.
        k: number of neighbors.
        query: query string of the filter.
        fields: hash fields to fetch.
        matching: expected number of records.

    Returns:
        The number of records that match now, and the k nearest, nearest first, ties by id. The latter is None if many
        more records match than expected, or if one of the nearest changed before its fields were fetched.

    Cost: one round trip; two if the records have fields of unknown size and are many more than k.
    """
    limit = matching + matching // 4 + 10
    name = vector_name(near.field.name)
    together = matching <= _FEW_FOR_EACH * k or HEAVY.isdisjoint(fields)
    listed = list(dict.fromkeys([*fields, name])) if together else [name]
    (reply,) = yield Request([commands.listing_command(engine.entry, query, listed, limit)])
    total = commands.total(reply)
    if total > limit:
        return total, None
    nearest = list(islice(_nearest(engine, reply, near), k))
    if together:
        return total, nearest
    fetched = yield from engine.fetching([row.id for row in nearest], fields)
    rows = [
        Row(row.id, row.fields, seen.distance)
        for seen, row in zip(nearest, fetched, strict=True)
        if row is not None
        and row.version == seen.version
        and has_what_was_compared(row, near, fields)
    ]
    return total, rows if len(rows) == len(nearest) else None


def _nearest(engine: SearchReading, reply: Any, near: Near) -> Iterator[Row]:
    """The records with the vector in a reply, nearest first, ties by id. Only those that are read are decoded."""
    name = vector_name(near.field.name)
    data_type = near.field.data_type
    stored, size = name.encode(), element_size(data_type) * near.vector.size
    items = reply[1].items() if len(reply) > 1 else ()
    having = [
        (key, fields) for key, fields in items if fields and len(fields.get(stored, b"")) == size
    ]
    if not having:
        return
    joined = b"".join(fields[stored] for _, fields in having)
    stacked = unpack_vector(joined, data_type).reshape(len(having), near.vector.size)
    away = distances(stacked, near.vector, near.field.metric).tolist()
    order = sorted(range(len(having)), key=lambda position: (away[position], having[position][0]))
    for position in order:
        key, fields = having[position]
        for row in engine.rows([1, {key: fields}], near.field.metric):
            if name in row.fields:
                yield Row(row.id, row.fields, away[position])
