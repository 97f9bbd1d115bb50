"""Which query is answered how: the one place that knows every kind of query."""

from __future__ import annotations

from typing import assert_never

from valkey_vector.connection.pipelines import Steps
from valkey_vector.engines.base import Engine, Near
from valkey_vector.errors import InvalidInputError
from valkey_vector.execution import knn as nearness
from valkey_vector.execution import ordering as windows
from valkey_vector.execution import selection as answering
from valkey_vector.execution import text as text_answering
from valkey_vector.index.handle import Lifecycle
from valkey_vector.query import (
    Answer,
    CountQuery,
    FilterQuery,
    HybridQuery,
    Query,
    TextQuery,
    VectorQuery,
)
from valkey_vector.query.base import check_brought, check_filter
from valkey_vector.query.order import as_orders
from valkey_vector.records.record import Hit, Record
from valkey_vector.records.vectors import check_vector
from valkey_vector.schema.schema import Schema
from valkey_vector.storage.layout import record_fields

__all__ = ["absent", "answer", "check_query", "wanted_fields", "window_of"]


def answer(lifecycle: Lifecycle, engine: Engine, query: Query) -> Steps[Answer]:
    """The answer to a query, in steps."""
    match query:
        case VectorQuery():
            return _hits(lifecycle, engine, query)
        case TextQuery():
            return text_answering.answer_text(lifecycle, engine, query)
        case HybridQuery():
            return text_answering.answer_hybrid(lifecycle, engine, query)
        case FilterQuery():
            return _records(lifecycle, engine, query)
        case CountQuery():
            return _number(lifecycle, engine, query)
        case _:
            assert_never(query)


def absent(query: Query) -> Answer:
    """The answer to a query of an index that does not exist."""
    match query:
        case VectorQuery() | TextQuery() | HybridQuery() | FilterQuery():
            return []
        case CountQuery():
            return 0
        case _:
            assert_never(query)


def check_query(query: object) -> Query:
    """The query, if it is one.

    Raises:
        InvalidInputError: it is not.
    """
    if not isinstance(query, Query):
        raise InvalidInputError(
            "a query is a VectorQuery, TextQuery, HybridQuery, FilterQuery or CountQuery, "
            f"not a {type(query).__name__}"
        )
    return query


def window_of(query: FilterQuery) -> windows.Window:
    """Which part of the records that match is asked for, in which order."""
    orders = as_orders(query.order_by)
    if orders and query.descending:
        orders = tuple(type(key)(key.field, not key.descending) for key in orders)
    return windows.Window(orders, query.descending and not orders, query.offset, query.limit)


def wanted_fields(query: VectorQuery | FilterQuery, schema: Schema) -> list[str]:
    """The hash fields a query asks for."""
    brought = check_brought(query)
    return record_fields(
        schema,
        content=brought.content,
        metadata=brought.metadata,
        vectors=brought.vectors,
        payloads=brought.payloads,
    )


def _hits(lifecycle: Lifecycle, engine: Engine, query: VectorQuery) -> Steps[list[Hit]]:
    schema = engine.entry.schema
    field = schema.vector_field(query.field)
    owner = "the query" if query.field is None else f"the query ({query.field})"
    near = Near(field, check_vector(query.vector, field.dimension, owner), query.ef_runtime)
    selection = answering.prepare_selection(lifecycle, engine, check_filter(query.filter))
    fields, threshold = wanted_fields(query, schema), query.threshold
    if query.k is not None:
        rows = yield from nearness.nearest(engine, selection, near, query.k, fields)
        if threshold is not None:
            rows = [row for row in rows if threshold.admits(row.distance, field.metric)]
    else:
        assert threshold is not None  # noqa: S101 - a query has one of the two
        rows = yield from nearness.within(engine, selection, near, threshold, fields)
    return [nearness.hit(row, field.metric, fields) for row in rows]


def _records(lifecycle: Lifecycle, engine: Engine, query: FilterQuery) -> Steps[list[Record]]:
    selection = answering.prepare_selection(lifecycle, engine, check_filter(query.filter))
    fields = wanted_fields(query, engine.entry.schema)
    rows = yield from windows.windowed(engine, selection, window_of(query), fields)
    return [answering.record_of(row, fields) for row in rows]


def _number(lifecycle: Lifecycle, engine: Engine, query: CountQuery) -> Steps[int]:
    selection = answering.prepare_selection(lifecycle, engine, check_filter(query.filter))
    return (yield from answering.counting(engine, selection))
