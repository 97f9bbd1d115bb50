"""Groups, facets and orders from the arrays of the native engine equal those from reading every record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers import Server
from strategies import KEYS, NUMBER_KEY, TAG_KEY, collections, pointed_filters, schemas
from valkey_vector import Connection, FilterQuery, Index, OrderBy, Record, Schema
from valkey_vector.engines.native.engine import NativeEngine
from valkey_vector.query import AggregateQuery, Count

EXAMPLES = 40

paths = st.sampled_from([*KEYS, NUMBER_KEY, TAG_KEY])
small_numbers = st.integers(-3, 3) | st.sampled_from([0.5, -2.5, -0.0, 2**52, 2**53 + 1])
tables = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "x": small_numbers,
            "y": st.integers(0, 2) | st.booleans() | st.just("text"),
            "z": st.floats(-9, 9),
            "s": st.sampled_from(["a", "b", "2024-01-31", "l" * 200]),
            "l": st.lists(st.sampled_from(["a", "b", 1, 1.5, True, None, "m" * 200]), max_size=4),
        },
    ),
    max_size=60,
)


@pytest.fixture
def connection(native_server: Server) -> Iterator[Connection]:
    with Connection.open(native_server.url) as connection:
        yield connection


class _Reading:
    """Within it, the native engine knows no groups and no orders, so that all records are read."""

    def __init__(self) -> None:
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> None:
        self._patch.setattr(NativeEngine, "grouping", lambda *_, **__: None)
        self._patch.setattr(NativeEngine, "ordering", lambda *_, **__: None)

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def answers(index: Index, keys: list[str], filter: Any, orders: list[OrderBy], limit: int) -> str:
    counted = AggregateQuery(filter).group_by(*keys, reducers={"how many": Count()})
    return repr(
        [
            index.aggregate(counted),
            index.facets(keys, filter=filter),
            *(
                [record.id for record in index.select(filter, order_by=some, limit=size, offset=at)]
                for some in (orders, orders[:1], None)
                for size, at in ((limit, 0), (limit, 2), (1_000, 0))
            ),
            [record.id for record in index.iterate(FilterQuery(filter=filter, order_by=orders))],
        ]
    )


def check(
    connection: Connection, name: str, data: st.DataObject, schema: Schema, records: list[Record]
) -> None:
    index = Index.open(name, connection=connection, schema=schema, engine="native")
    index.create()
    try:
        index.upsert(records)
        if records:  # rows of older versions stay in the arrays
            index.upsert(records[: data.draw(st.integers(0, 5))])
        used = [*dict.fromkeys(key for record in records for key in record.metadata)]
        key = st.sampled_from(used) | paths if used else paths
        for _ in range(3):
            keys = data.draw(st.lists(key, min_size=1, max_size=3, unique=True))
            filter = data.draw(st.none() | pointed_filters(records))
            orders = [OrderBy(each, data.draw(st.booleans())) for each in keys]
            limit = data.draw(st.integers(1, 12))
            found = answers(index, keys, filter, orders, limit)
            with _Reading():
                assert found == answers(index, keys, filter, orders, limit)
    finally:
        index.drop()


@pytest.mark.timeout(900)
def test_groups_and_orders_of_nasty_metadata(connection: Connection, index_name: str) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data(), schemas, collections(30))
    def compare(data: st.DataObject, schema: Schema, records: list[Record]) -> None:
        check(connection, index_name, data, schema, records)

    compare()


@pytest.mark.timeout(900)
def test_groups_and_orders_of_tables(connection: Connection, index_name: str) -> None:
    schema = Schema(dimension=2, numeric_slots=2)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data(), tables)
    def compare(data: st.DataObject, table: list[dict[str, Any]]) -> None:
        records = [Record(id=str(n), metadata=row) for n, row in enumerate(table)]
        check(connection, index_name, data, schema, records)

    compare()
