"""The native engine, the search engine and the plain-Python semantics of filters give the same answer, always."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers import Server
from strategies import (
    KINDS,
    TEXTS,
    collections,
    kind_of,
    literals_of,
    nodes_of,
    pointed_filters,
    schemas,
    vectors,
)
from valkey_vector import Connection, F, Filter, Hit, Index, Metric, Record, Schema
from valkey_vector.filters.evaluate import matches
from valkey_vector.schema.similarity import distances

EXAMPLES = 130
FILTERS = 20
RECORDS = 40

ENGINES: tuple[Literal["native", "search"], ...] = ("native", "search")


class Tally:
    """Material of the examples."""

    def __init__(self) -> None:
        self.evaluations = 0
        self.telling = 0
        self.seen: Counter[object] = Counter()

    def add(self, filter: Filter, found: int, of: int) -> None:
        self.evaluations += 1
        self.telling += 0 < found < of
        self.seen.update(type(node) for node in nodes_of(filter))
        self.seen.update(kind_of(value) for value in literals_of(filter))


@pytest.mark.timeout(900)
def test_both_engines_agree_with_the_oracle_on_any_filter(
    native_server: Server, search_server: Server, index_name: str
) -> None:
    tally = Tally()
    with (
        Connection.open(native_server.url) as native,
        Connection.open(search_server.url) as search,
    ):
        connections = dict(zip(ENGINES, (native, search), strict=True))
        check_examples(connections, index_name, tally)
    assert tally.evaluations >= 2_000
    assert tally.telling >= tally.evaluations / 5, "too few filters select some records but not all"
    assert set(get_args(Filter)) <= set(tally.seen)
    assert set(tally.seen) >= KINDS


def test_every_awkward_text_is_distinguished_from_every_other(
    open_index: Callable[..., Index], engine_name: str
) -> None:
    assert set("".join(TEXTS)) >= set("*|}{,=>\\\"'\n\x00 ")
    index = open_index()
    records = [
        Record(id=str(n), content=text, vector=[1, n, 0, 0], metadata={"a": text, "l": [text, "x"]})
        for n, text in enumerate(TEXTS)
    ]
    index.upsert(records)
    for text in TEXTS:
        for filter in (F("a") == text, F("a") != text, F("l").contains(text), F("a").like(text)):
            expected = [
                record
                for record in records
                if matches(filter, record.metadata, id=record.id, content=record.content)
            ]
            check_answers(engine_name, index, filter, expected, [1, 0, 0, 0])


def check_examples(
    connections: dict[Literal["native", "search"], Connection], name: str, tally: Tally
) -> None:
    """Let Hypothesis write records to new indexes on both engines, and ask them."""

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data(), schemas, collections(RECORDS), vectors)
    def check(
        data: st.DataObject, schema: Schema, records: list[Record], vector: list[int]
    ) -> None:
        indexes = {
            engine: Index.open(name, connection=connection, schema=schema, engine=engine)
            for engine, connection in connections.items()
        }
        try:
            for index in indexes.values():
                index.create()
                index.upsert(records)
            for _ in range(FILTERS):
                filter = data.draw(pointed_filters(records))
                expected = [
                    record
                    for record in records
                    if matches(
                        filter,
                        record.metadata,
                        id=record.id,
                        content=record.content,
                        parent=record.parent,
                    )
                ]
                for engine, index in indexes.items():
                    check_answers(engine, index, filter, expected, vector)
                tally.add(filter, len(expected), len(records))
        finally:
            for index in indexes.values():
                index.drop()

    check()


def check_answers(
    engine: str, index: Index, filter: Filter, expected: Sequence[Record], vector: Sequence[float]
) -> None:
    """Compare what an index answers with the records that match by the oracle, oldest first."""
    ids = [record.id for record in expected]
    assert [record.id for record in index.select(filter)] == ids, engine
    assert index.count(filter) == len(ids), engine
    ranked = brute_force(expected, vector, index.metric)
    for k in (len(ids) + 5, 2):
        hits = index.search(vector, k=k, filter=filter)
        measured = [distance for distance, _ in ranked[:k]]
        assert [hit.distance for hit in hits] == pytest.approx(measured, abs=1e-4), engine
        check_hits(
            engine,
            hits,
            {record.id: record for record in expected},
            {id: distance for distance, id in ranked},
        )
        if k > len(ranked):
            assert {hit.record.id for hit in hits} == {id for _, id in ranked}, engine


def check_hits(
    engine: str, hits: Sequence[Hit], expected: Mapping[str, Record], measured: Mapping[str, float]
) -> None:
    for hit in hits:
        assert hit.record.id in expected, engine
        assert hit.distance == pytest.approx(measured[hit.record.id], abs=1e-4)


def brute_force(
    records: Sequence[Record], vector: Sequence[float], metric: Metric
) -> list[tuple[float, str]]:
    """Distance and id of every record with a vector, nearest first, ties by id."""
    searchable = [record for record in records if record.vector is not None]
    if not searchable:
        return []
    matrix = np.array([record.vector for record in searchable], dtype=np.float32)
    measured = distances(matrix, np.array(vector, dtype=np.float32), metric).tolist()
    return sorted(zip(measured, (record.id for record in searchable), strict=True))
