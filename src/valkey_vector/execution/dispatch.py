"""Query dispatch: run each kind of query with the module that implements it."""

from __future__ import annotations

from typing import Any, TypeAlias, assert_never

from valkey_vector.connection.observation import current_observation, note_candidates
from valkey_vector.connection.pipelines import Pipelined
from valkey_vector.engines.base import Engine, Near
from valkey_vector.errors import InvalidInputError
from valkey_vector.execution.knn import nearest, within
from valkey_vector.execution.ordering import Window, windowed
from valkey_vector.execution.selection import ALL, counting, prepare_selection, records_of
from valkey_vector.execution.text import answer_hybrid, answer_text
from valkey_vector.query import (
    CountQuery,
    FilterQuery,
    HybridQuery,
    Query,
    TextQuery,
    VectorQuery,
)
from valkey_vector.query.base import check_filter
from valkey_vector.query.order import as_orders
from valkey_vector.records.record import Hit, Record
from valkey_vector.records.vectors import rounded_query, wrong_dimension
from valkey_vector.schema.schema import Schema, VectorField
from valkey_vector.storage.decoding import decode_hits
from valkey_vector.storage.layout import record_fields

__all__ = ["Found", "absent", "answer", "check_query", "wanted_fields", "window_of"]


Found: TypeAlias = list[Hit] | list[Record] | int
"""Result of a query, without a mark that records may be missing."""


def answer(engine: Engine, query: Query) -> Pipelined[Found]:
    """Run a query on an engine.

    Raises:
        InvalidInputError: the vector or a text field does not fit the index.
        FilterError: the index cannot evaluate the filter, and checking every record would take too long.
        UnsupportedFeatureError: the server has no text search.
    """
    match query:
        case VectorQuery():
            return _hits(engine, query)
        case TextQuery():
            return answer_text(engine, query)
        case HybridQuery():
            return answer_hybrid(engine, query)
        case FilterQuery():
            return _records(engine, query)
        case CountQuery():
            return _number(engine, query)
        case _:
            assert_never(query)


def absent(query: Query) -> Found:
    """The result of a query if the index does not exist: empty, or 0."""
    match query:
        case VectorQuery() | TextQuery() | HybridQuery() | FilterQuery():
            return []
        case CountQuery():
            return 0
        case _:
            assert_never(query)


def check_query(query: object) -> Query:
    """Return the value if it is a query.

    Raises:
        InvalidInputError: it is not a query.
    """
    if not isinstance(query, _QUERIES):
        raise InvalidInputError(
            "a query is a VectorQuery, TextQuery, HybridQuery, FilterQuery or CountQuery, "
            f"not a {type(query).__name__}"
        )
    return query


_QUERIES = (VectorQuery, TextQuery, HybridQuery, FilterQuery, CountQuery)


def window_of(query: FilterQuery) -> Window:
    """The requested range of the matching records, and their order."""
    orders = as_orders(query.order_by)
    if orders and query.descending:
        orders = tuple(type(key)(key.field, not key.descending) for key in orders)
    return Window(orders, query.descending and not orders, query.offset, query.limit)


def wanted_fields(query: VectorQuery | FilterQuery, schema: Schema) -> list[str]:
    """The hash fields that a query returns."""
    return record_fields(
        schema,
        content=query.with_content,
        metadata=query.with_metadata,
        vectors=query.with_vectors,
        payloads=query.with_payloads,
    )


def _hits(engine: Engine, query: VectorQuery) -> Pipelined[list[Hit]]:
    field, fields = _form_of(query, engine.slots.entry.schema)
    vector: Any = query.vector  # an array of float32, see `VectorQuery`
    if len(vector) != field.dimension:
        owner = "the query" if query.field is None else f"the query ({query.field})"
        raise wrong_dimension(len(vector), field.dimension, owner, engine.entry.name)
    if field.data_type != "FLOAT32":
        vector = rounded_query(vector, field.data_type, f"vector {field.name!r}")
    near = Near(field, vector, query.ef_runtime)
    filter = query.filter
    selection = ALL if filter is None else prepare_selection(engine, check_filter(filter))
    has_threshold = query.max_distance is not None or query.min_similarity is not None
    threshold = query.threshold if has_threshold else None
    if selection is ALL and threshold is None and query.k is not None:
        steps = engine.nearest_hits(near, query.k, fields)
        if steps is not None:
            found = yield from steps
            if current_observation() is not None:
                note_candidates(len(found))
            return found
    if query.k is not None:
        rows = yield from nearest(engine, selection, near, query.k, fields)
        if threshold is not None:
            rows = [row for row in rows if threshold.admits(row.distance, field.metric)]
    else:
        assert threshold is not None  # noqa: S101 - a query has one of the two
        rows = yield from within(engine, selection, near, threshold, fields)
    return decode_hits(rows, field.metric, fields)


_forms: dict[tuple[object, ...], tuple[Schema, VectorField, list[str]]] = {}
"""Vector field and returned fields by the form of a query and the identity of the schema. Holds the schema, so that no
other object can have its identity."""

_MAX_FORMS = 256


def _form_of(query: VectorQuery, schema: Schema) -> tuple[VectorField, list[str]]:
    """The vector field that a query searches, and the hash fields that it returns: found once for queries of one form.

    Raises:
        InvalidInputError: the index has no such vector.
    """
    key = (
        id(schema), query.field, query.with_content, query.with_metadata, query.with_vectors,
        query.with_payloads,
    )  # fmt: skip
    known = _forms.get(key)
    if known is None:
        if len(_forms) >= _MAX_FORMS:
            _forms.clear()
        known = schema, schema.vector_field(query.field), wanted_fields(query, schema)
        _forms[key] = known
    return known[1], known[2]


def _records(engine: Engine, query: FilterQuery) -> Pipelined[list[Record]]:
    selection = prepare_selection(engine, check_filter(query.filter))
    fields = wanted_fields(query, engine.entry.schema)
    rows = yield from windowed(engine, selection, window_of(query), fields)
    return records_of(rows, fields)


def _number(engine: Engine, query: CountQuery) -> Pipelined[int]:
    selection = prepare_selection(engine, check_filter(query.filter))
    return (yield from counting(engine, selection))
