"""Searches of FLOAT16 and BFLOAT16 on RediSearch, which rounds the vectors again while it compares them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from round_trips import CommandLog
from servers import start_server
from valkey_vector import Connection, F, Flat, Hnsw, Index, Record, Schema, VectorQuery
from valkey_vector.records.vectors import rounded

pytestmark = pytest.mark.wrong_dialect  # Valkey-Search 1.2.1 has FLOAT32 only

TYPES: tuple[Literal["FLOAT16", "BFLOAT16"], ...] = ("FLOAT16", "BFLOAT16")
DRAWN = np.random.default_rng(11).normal(size=(120, 8))
QUERY = np.random.default_rng(12).normal(size=8)


@pytest.fixture(scope="module")
def redisearch() -> Iterator[Connection]:
    """A server whose search module has all types."""
    with start_server(search=True) as server, Connection.open(server.url) as opened:
        yield opened


def cosine_distances(data_type: str, vectors: Any, query: Any) -> NDArray[np.float64]:
    rows, asked = (rounded(each, data_type).astype(np.float64) for each in (vectors, query))
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(asked)
    return np.asarray(1 - rows @ asked / lengths, np.float64)


def order(distances: NDArray[np.float64], chosen: list[int]) -> list[str]:
    return [f"r{n:03}" for n in sorted(chosen, key=lambda n: (distances[n], n))]


@pytest.mark.parametrize("algorithm", [Flat(), Hnsw()], ids=["FLAT", "HNSW"])
@pytest.mark.parametrize("data_type", TYPES)
def test_records_are_found_whose_distances_differ_by_less_than_the_rounding_of_the_server(
    redisearch: Connection,
    index_name: str,
    data_type: Literal["FLOAT16", "BFLOAT16"],
    algorithm: Flat | Hnsw,
) -> None:
    """RediSearch normalizes the vectors for COSINE, and rounds them again: its nearest ones are others."""
    random = np.random.default_rng(21)
    center, size = random.normal(size=32), 600
    spread = 0.02 if data_type == "BFLOAT16" else 0.005
    drawn = (center + spread * random.normal(size=(size, 32))).astype(np.float32)
    schema = Schema(dimension=32, data_type=data_type, algorithm=algorithm)
    index = Index.open(index_name, connection=redisearch, schema=schema, engine="search")
    records = [
        Record(id=f"r{n:03}", vector=each, metadata={"even": n % 2 == 0})
        for n, each in enumerate(drawn)
    ]
    for start in range(0, size, 100):  # one after another, because the order determines the graph
        index.upsert(records[start : start + 100])
    everything, even = list(range(size)), list(range(0, size, 2))
    found = 0
    for _ in range(10):
        query = (center + spread * random.normal(size=32)).astype(np.float32)
        distances = cosine_distances(data_type, drawn, query)
        for chosen, filter in ((everything, None), (even, F("even") == True)):  # noqa: E712 - a filter
            hits = index.search(query, k=10, filter=filter)
            assert len(hits) == 10
            nearest = order(distances, chosen)[:10]
            found += len({hit.record.id for hit in hits} & set(nearest))
        if isinstance(algorithm, Flat):
            threshold = float(np.sort(distances)[30]) + 1e-9
            near = index.query(VectorQuery(vector=query, max_distance=threshold))
            assert [hit.record.id for hit in near] == order(distances, everything)[:31]
    assert found / 200 >= 0.99


@pytest.mark.parametrize("data_type", TYPES)
def test_a_search_of_the_types_has_one_round_trip_where_distances_differ_by_more(
    redisearch: Connection,
    index_name: str,
    data_type: Literal["FLOAT16", "BFLOAT16"],
    commands: CommandLog,
) -> None:
    """Equal vectors count as such: they are ties, whichever of them the server returns."""
    schema = Schema(dimension=8, data_type=data_type, algorithm=Flat())
    index = Index.open(index_name, connection=redisearch, schema=schema, engine="search")
    index.upsert([Record(id=f"r{n:03}", vector=each) for n, each in enumerate(DRAWN)])
    index.upsert([Record(id=f"equal{n}", vector=QUERY) for n in range(40)])
    index.search(QUERY, k=5)
    for query in (QUERY, -QUERY):
        commands.clear()
        index.search(query, k=5)
        assert len(commands.round_trips) == 1
