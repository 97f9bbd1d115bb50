"""Aggregates and facets of generated records are those of plain Python and of pandas, on both engines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Literal

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers import Server
from strategies import KEYS, NUMBER_KEY, TAG_KEY, collections, pointed_filters, schemas
from valkey_vector import Connection, F, Filter, Index, Record, Schema
from valkey_vector.filters.evaluate import matches
from valkey_vector.query import AggregateQuery, Average, Count, Item, Maximum, Minimum, Sum
from valkey_vector.records.metadata import MISSING, lookup
from valkey_vector.records.temporal import instant

EXAMPLES = 60
RECORDS = 30

ENGINES: tuple[Literal["native", "search"], ...] = ("native", "search")
Indexes = dict[str, Index]


@pytest.fixture
def connections(
    native_server: Server, search_server: Server
) -> Iterator[dict[Literal["native", "search"], Connection]]:
    with (
        Connection.open(native_server.url) as native,
        Connection.open(search_server.url) as search,
    ):
        yield dict(zip(ENGINES, (native, search), strict=True))


def filled(
    connections: Mapping[Literal["native", "search"], Connection],
    name: str,
    schema: Schema,
    records: Sequence[Record],
) -> Indexes:
    indexes: Indexes = {
        engine: Index.open(name, connection=connection, schema=schema, engine=engine)
        for engine, connection in connections.items()
    }
    for index in indexes.values():
        index.create()
        index.upsert(records)
    return indexes


def same(first: Any, second: Any) -> bool:
    """Return True if two values are of one group; written apart from the library, pair by pair."""
    if isinstance(first, date) and isinstance(second, date):
        return instant(first) == instant(second)
    kinds = [
        next(kind for kind in (bool, (int, float), str, list, dict, date, type(None)) if isinstance(v, kind))
        for v in (first, second)
    ]  # fmt: skip
    if kinds[0] != kinds[1]:
        return False
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if first != first:
        return bool(second != second)
    return bool(first == second)


def grouped(values: Sequence[Any]) -> list[tuple[Any, int]]:
    groups: list[tuple[Any, int]] = []
    for value in values:
        for position, (known, count) in enumerate(groups):
            if same(known, value):
                groups[position] = known, count + 1
                break
        else:
            groups.append((value, 1))
    return groups


def values_of(records: Sequence[Record], path: str) -> list[Any]:
    found = [lookup(record.metadata, path) for record in records]
    return [None if value is MISSING else value for value in found]


def assert_same_groups(found: Sequence[tuple[Any, int]], wanted: list[tuple[Any, int]]) -> None:
    assert len(found) == len(wanted)
    for value, count in found:
        assert [n for known, n in wanted if same(known, value)] == [count], value


@pytest.mark.timeout(900)
def test_groups_and_facets_of_any_metadata(
    connections: dict[Literal["native", "search"], Connection], index_name: str
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data(), schemas, collections(RECORDS))
    def check(data: st.DataObject, schema: Schema, records: list[Record]) -> None:
        indexes = filled(connections, index_name, schema, records)
        try:
            for path in data.draw(st.lists(paths, min_size=2, max_size=5, unique=True)):
                filter = data.draw(st.none() | pointed_filters(records))
                passing = [record for record in records if passes(record, filter)]
                check_path(indexes, path, filter, passing)
        finally:
            for index in indexes.values():
                index.drop()

    check()


paths = st.sampled_from([*KEYS, NUMBER_KEY, TAG_KEY])


def passes(record: Record, filter: Filter | None) -> bool:
    return filter is None or matches(
        filter, record.metadata, id=record.id, content=record.content, parent=record.parent
    )


def check_path(
    indexes: Indexes, path: str, filter: Filter | None, passing: Sequence[Record]
) -> None:
    values = values_of(passing, path)
    counted = AggregateQuery(filter).group_by(path, reducers={"how many": Count()})
    summed = AggregateQuery(filter).group_by(
        path, reducers={"how many": Count(), "sum": Sum(NUMBER_KEY), "most": Maximum(path)}
    )
    answers = {}
    for engine, index in indexes.items():
        rows = index.aggregate(counted)
        assert_same_groups([(row[path], row["how many"]) for row in rows], grouped(values))
        facet = index.facets([path], filter=filter)[path]
        elements = [
            [known for known, _ in grouped([item for item in each if item is not None])]
            for each in (value if isinstance(value, list) else [value] for value in values)
        ]
        each_element = [item for distinct in elements for item in distinct]
        assert_same_groups(
            [(each.value, each.count) for each in facet.values], grouped(each_element)
        )
        assert facet.missing == values.count(None)
        assert [each.count for each in facet.values] == sorted(
            (each.count for each in facet.values), reverse=True
        )
        everything = index.aggregate(AggregateQuery(filter).group_by(n=Count()))
        assert everything == [{"n": len(passing)}]
        answers[engine] = repr((rows, index.aggregate(summed), facet))
    assert answers["native"] == answers["search"]


tables = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "city": st.sampled_from(["Paris", "Rome", "rome", "Nairobi*"]),
            "year": st.integers(2019, 2022),
            "price": st.integers(-400, 400).map(lambda quarter: quarter / 4),
            "pieces": st.integers(0, 5),
        },
    ),
    max_size=40,
)


@pytest.mark.timeout(900)
def test_tables_equal_those_of_pandas(
    connections: dict[Literal["native", "search"], Connection], index_name: str
) -> None:
    schema = Schema.of({"dimension": 2, "fields": {"city": "tag"}})

    @settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck))
    @given(tables, st.integers(2018, 2022), st.sampled_from(["city", "year"]))
    def check(table: list[dict[str, Any]], since: int, key: str) -> None:
        records = [Record(id=str(n), metadata=row) for n, row in enumerate(table)]
        indexes = filled(connections, index_name, schema, records)
        try:
            frame = pd.DataFrame(table, columns=["city", "year", "price", "pieces"])
            frame = frame.astype({"city": object, "year": float, "price": float, "pieces": float})
            frame = frame[frame["year"] >= since]
            for index in indexes.values():
                check_table(index, frame, since, key)
        finally:
            for index in indexes.values():
                index.drop()

    check()


def check_table(index: Index, frame: pd.DataFrame, since: int, key: str) -> None:
    query = (
        AggregateQuery(filter=F("year") >= since)
        .apply(total=Item("price") * Item("pieces"))
        .group_by(
            key,
            rows=Count(),
            turnover=Sum("total"),
            mean=Average("price"),
            least=Minimum("price"),
        )
        .where(F("rows") >= 2)
        .sort_by("turnover", descending=True)
    )
    found = index.aggregate(query)
    frame = frame.assign(total=frame["price"] * frame["pieces"])
    groups = frame.groupby(key, dropna=False)
    wanted = pd.DataFrame(
        {
            "rows": groups.size(),
            "turnover": groups["total"].sum(),
            "mean": groups["price"].mean(),
            "least": groups["price"].min(),
        }
    )
    wanted = wanted[wanted["rows"] >= 2].reset_index()
    assert [row["turnover"] for row in found] == sorted(wanted["turnover"], reverse=True)

    def comparable(row: Mapping[str, Any]) -> tuple[str, ...]:
        cells = (row[name] for name in (key, "rows", "turnover", "mean", "least"))
        return tuple(
            ""
            if cell is None or cell != cell
            else str(cell if isinstance(cell, str) else float(cell))
            for cell in cells
        )

    assert sorted(map(comparable, found)) == sorted(map(comparable, wanted.to_dict("records")))
    counts = frame[key].value_counts()
    facet = index.facets([key], filter=F("year") >= since, limit=2)[key]
    assert {each.value: each.count for each in facet.values}.items() <= counts.to_dict().items()
    assert [each.count for each in facet.values] == sorted(counts, reverse=True)[:2]
    assert (facet.distinct, facet.missing) == (len(counts), int(frame[key].isna().sum()))
    assert not any(isinstance(each.value, float) or math.isnan(each.count) for each in facet.values)
