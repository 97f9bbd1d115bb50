"""Plans, without any server: they select at least what matches, and exactly that where no residual is left."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import filters, pointed_filters, schemas, stored_metadata
from valkey_vector import Filter, Record, Schema
from valkey_vector.engines.search.query_syntax import QueryLimits, fit, split
from valkey_vector.filters.compiler import compile_filter
from valkey_vector.filters.evaluate import matches
from valkey_vector.filters.plan import selects
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.layout import Prepared, document_fields, wanted_slots
from valkey_vector.storage.preparation import prepare


def entry_with_slots(schema: Schema, prepared: list[Prepared]) -> CatalogEntry:
    """The index as it is after these were written: slots are given until the pool is spent."""
    bare = CatalogEntry("name", "00", "search", schema, None, {})
    numbered = enumerate(dict.fromkeys(wanted_slots(prepared, bare)))
    slots = {pair: n if n < schema.numeric_slots else -1 for n, pair in numbered}
    return CatalogEntry("name", "00", "search", schema, None, slots)


def stored_fields(document: Prepared, entry: CatalogEntry) -> dict[str, bytes]:
    flat = [
        value.encode() if isinstance(value, str) else value
        for value in document_fields(document, entry, "unique")
    ]
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


@settings(max_examples=400)
@given(st.data(), schemas, st.lists(stored_metadata(), min_size=1, max_size=4))
def test_a_plan_loses_nothing_and_without_a_residual_is_exact(
    data: st.DataObject, schema: Schema, metadatas: list[dict[str, Any]]
) -> None:
    records = [Record(id=f"r{n}", metadata=metadata) for n, metadata in enumerate(metadatas)]
    prepared = prepare(records, schema)
    entry = entry_with_slots(schema, prepared)
    filter: Filter = data.draw(pointed_filters(records) | filters)
    compiled = compile_filter(filter, entry)
    for record, document in zip(records, prepared, strict=True):
        selected = selects(compiled.plan, stored_fields(document, entry))
        expected = matches(filter, record.metadata, id=record.id)
        assert selected or not expected
        if compiled.residual is None:
            assert selected is expected
        else:
            rest = matches(compiled.residual, record.metadata, id=record.id)
            assert (selected and rest) is expected


@settings(max_examples=200)
@given(
    st.data(), schemas, st.lists(stored_metadata(), min_size=1, max_size=4), st.integers(60, 400)
)
def test_a_plan_cut_to_a_servers_limits_loses_nothing(
    data: st.DataObject, schema: Schema, metadatas: list[dict[str, Any]], size: int
) -> None:
    records = [Record(id=f"r{n}", metadata=metadata) for n, metadata in enumerate(metadatas)]
    prepared = prepare(records, schema)
    entry = entry_with_slots(schema, prepared)
    plan = compile_filter(data.draw(pointed_filters(records)), entry).plan
    limits = QueryLimits(size, 16)
    smaller, pieces = fit(plan, limits), split(plan, limits)
    for document in prepared:
        fields = stored_fields(document, entry)
        selected = selects(plan, fields)
        assert selects(smaller, fields) or not selected
        if pieces:
            assert any(selects(piece, fields) for piece in pieces) is selected
