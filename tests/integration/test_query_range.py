"""Search within a threshold: complete on every code path, for every metric and filter."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from dialect_guard import check
from round_trips import CommandLog
from servers import Server, start_server
from valkey_vector import (
    F,
    Filter,
    Hit,
    Index,
    InvalidInputError,
    Metric,
    Record,
    SearchModule,
    VectorQuery,
)
from valkey_vector.connection import Connection, pipelines
from valkey_vector.errors import ServerError
from valkey_vector.schema.similarity import distances, similarity

SIZE = 700
DIMENSION = 4
METRICS = list(Metric)
VECTORS = np.random.default_rng(5).normal(size=(SIZE, DIMENSION)).astype(np.float32)
QUERY = np.random.default_rng(6).normal(size=DIMENSION).astype(np.float32)
FILTERS: dict[str, tuple[Filter | None, Callable[[int], bool]]] = {
    "all": (None, lambda n: True),
    "plan": (F("n") < 350, lambda n: n < 350),
    "residual": (F("s").has_text("7"), lambda n: "7" in str(n)),
    "ids": (F.id.in_([f"r{n}" for n in range(0, SIZE, 3)]), lambda n: n % 3 == 0),
    "nothing": (F("n") < -1, lambda n: False),
    "no filter value": (F("n").in_([]), lambda n: False),
}


@pytest.fixture(scope="module")
def redisearch() -> Iterator[str]:
    """A server that can stand in for Valkey-Search 1.3, whose syntax for ranges it has."""
    with start_server(search=True) as server:
        yield server.url


@pytest.fixture
def server_url(request: pytest.FixtureRequest, engine_name: str) -> str:
    if request.node.get_closest_marker("wrong_dialect"):
        url: str = request.getfixturevalue("redisearch")
        return url
    server: Server = request.getfixturevalue(f"{engine_name}_server")
    return server.url


def record(n: int) -> Record:
    return Record(
        id=f"r{n}", content=f"text {n}", vector=VECTORS[n], metadata={"n": n, "s": str(n)}
    )


def measured(metric: Metric) -> list[tuple[float, str]]:
    """All records by brute force, nearest first."""
    return sorted(
        (float(distance), f"r{n}") for n, distance in enumerate(distances(VECTORS, QUERY, metric))
    )


def between(metric: Metric, count: int) -> float:
    """A distance that so many records are within, and that no record is near to."""
    found = [distance for distance, _ in measured(metric)]
    if count == 0:
        return found[0] - 0.5
    return found[-1] + 1 if count == len(found) else (found[count - 1] + found[count]) / 2


def ids(hits: list[Hit]) -> list[str]:
    return [hit.record.id for hit in hits]


@pytest.fixture(params=METRICS)
def filled(request: pytest.FixtureRequest, open_index: Callable[..., Index]) -> Index:
    index = open_index(metric=request.param, algorithm="FLAT", dimension=DIMENSION)
    index.upsert([record(n) for n in range(SIZE)])
    return index


@pytest.mark.parametrize("name", FILTERS)
def test_all_within_a_distance_are_found_and_no_other(filled: Index, name: str) -> None:
    wanted, selected = FILTERS[name]
    everything = measured(filled.metric)
    for count in (0, 1, 99, 100, 101, 399, 400, 450, SIZE):
        radius = between(filled.metric, count)
        hits = filled.query(VectorQuery(vector=QUERY, max_distance=radius, filter=wanted))
        assert ids(hits) == [id for _, id in everything[:count] if selected(int(id[1:]))], count
        assert all(hit.distance <= radius for hit in hits)


def test_similarity_is_the_same_threshold_in_its_own_units(filled: Index) -> None:
    for count in (0, 1, 120, SIZE):
        near = between(filled.metric, count)
        if filled.metric is Metric.L2 and near < 0:
            continue
        least = similarity(near, filled.metric)
        hits = filled.query(VectorQuery(vector=QUERY, min_similarity=least))
        assert len(hits) == count
        assert all(hit.similarity >= least for hit in hits)


def test_k_and_a_threshold_bound_each_other(filled: Index, commands: CommandLog) -> None:
    radius = between(filled.metric, 30)
    filled.count()
    commands.clear()
    some = filled.query(VectorQuery(vector=QUERY, k=7, max_distance=radius))
    assert ids(some) == [id for _, id in measured(filled.metric)[:7]]
    assert len(commands.round_trips) == 1
    assert len(filled.query(VectorQuery(vector=QUERY, k=50, max_distance=radius))) == 30


def test_a_similarity_that_everything_or_nothing_has(filled: Index) -> None:
    everything, nothing = {
        Metric.COSINE: (-1.0, 1.5),
        Metric.L2: (0.0, 1.5),
        Metric.IP: (-1e6, 1e6),
    }[filled.metric]
    least = everything - 1e-3  # rounding in the server
    assert len(filled.query(VectorQuery(vector=QUERY, min_similarity=least))) == SIZE
    assert filled.query(VectorQuery(vector=QUERY, min_similarity=nothing)) == []


def test_a_graph_finds_what_is_within(open_index: Callable[..., Index]) -> None:
    index = open_index(metric="L2", algorithm="HNSW", dimension=DIMENSION)
    index.upsert([record(n) for n in range(SIZE)])
    for count in (1, 60, 250):
        radius = between(Metric.L2, count)
        expected = {id for _, id in measured(Metric.L2)[:count]}
        found = set(ids(index.query(VectorQuery(vector=QUERY, max_distance=radius))))
        assert found <= expected
        assert len(found) >= 0.99 * count


def test_more_than_ten_thousand_are_found(open_index: Callable[..., Index]) -> None:
    size, near = 10_400, 10_300
    index = open_index(metric="L2", algorithm="FLAT", dimension=2)
    index.upsert(
        (Record(id=f"r{n}", vector=[n, 0.0], metadata={"even": n % 2 == 0}) for n in range(size)),
        batch_size=1000,
    )
    circle = (near - 0.5) ** 2
    hits = index.query(VectorQuery(vector=[0.0, 0.0], max_distance=circle, with_content=False))
    assert ids(hits) == [f"r{n}" for n in range(near)]
    even = VectorQuery(vector=[0.0, 0.0], max_distance=circle, filter=F("even") == True)  # noqa: E712
    assert ids(index.query(even)) == [f"r{n}" for n in range(0, near, 2)]


def test_records_past_their_time_take_no_places(open_index: Callable[..., Index]) -> None:
    index = open_index(metric="L2", algorithm="FLAT", dimension=DIMENSION)
    index.upsert([record(n) for n in range(0, 300, 2)])
    index.upsert([record(n) for n in range(1, 300, 2)], ttl=0.05)
    time.sleep(0.1)
    expected = [id for _, id in measured(Metric.L2) if int(id[1:]) in range(0, 300, 2)]
    assert ids(index.query(VectorQuery(vector=QUERY, max_distance=1e6))) == expected
    near = [distance for distance, id in measured(Metric.L2) if id in expected][120] + 1e-3
    assert ids(index.query(VectorQuery(vector=QUERY, max_distance=near))) == expected[:121]
    assert ids(index.query(VectorQuery(vector=QUERY, k=130))) == expected[:130]


def test_a_range_is_one_round_trip_while_the_nearest_hundred_pass_it(
    filled: Index, commands: CommandLog
) -> None:
    filled.query(VectorQuery(vector=QUERY, k=1))
    commands.clear()
    filled.query(VectorQuery(vector=QUERY, max_distance=between(filled.metric, 60)))
    assert len(commands.round_trips) == 1


@pytest.mark.wrong_dialect  # of 1.2.1; the commands are held to 1.3 below
@pytest.mark.parametrize("engine_name", ["search"])
@pytest.mark.parametrize("name", FILTERS)
def test_a_server_that_can_search_by_distance_does_so(
    filled: Index, name: str, commands: CommandLog
) -> None:
    engine: Any = filled._handle.existing()
    newer = replace(
        engine.capabilities, module=SearchModule.VALKEY_SEARCH, module_version=(1, 3, 0)
    )
    engine.capabilities = (
        newer  # RediSearch has the same syntax; only the name it goes by is another
    )
    filled._handle.without_hints()  # what is looked up after an empty answer is not at issue here
    filled.count()
    wanted, selected = FILTERS[name]
    everything = measured(filled.metric)
    creation = [str(word) for word in _creation(filled)]
    for count in (1, 450, SIZE):
        radius = between(filled.metric, count)
        if radius < 0:
            continue
        commands.clear()
        hits = filled.query(VectorQuery(vector=QUERY, max_distance=radius, filter=wanted))
        assert ids(hits) == [id for _, id in everything[:count] if selected(int(id[1:]))]
        sent = [command for trip in commands.round_trips for command in trip]
        searches = [command for command in sent if command[0] == b"FT.SEARCH"]
        assert name in ("ids", "nothing", "no filter value") or len(searches) == 1
        for command in searches:
            assert b"VECTOR_RANGE" in command[2]
            check(command, (1, 3, 0), schema=creation)
            with pytest.raises(AssertionError):
                check(command, (1, 2, 1), schema=creation)


def _creation(index: Index) -> list[Any]:
    from valkey_vector.engines.search.commands import create_command

    engine: Any = index._handle.existing()
    return create_command(engine.entry, engine.capabilities)


@pytest.mark.parametrize("engine_name", ["search"])
@pytest.mark.wrong_dialect
def test_pages_of_a_range_lose_nothing(
    open_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valkey_vector.engines.search.knn.PAGE", 40)
    index = open_index(metric="L2", algorithm="FLAT", dimension=DIMENSION)
    index.upsert([record(n) for n in range(300)])
    engine: Any = index._handle.existing()
    index.count()
    engine.capabilities = replace(
        engine.capabilities, module=SearchModule.VALKEY_SEARCH, module_version=(1, 3, 0)
    )
    hits = index.query(VectorQuery(vector=QUERY, max_distance=1e6))
    assert len(hits) == 300
    assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)


@pytest.mark.parametrize("engine_name", ["search"])
def test_a_server_that_refuses_to_search_by_distance_is_tried_once(
    open_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever calls itself 1.3 need not know VECTOR_RANGE: the newest server did not."""
    index = open_index(metric="L2", dimension=DIMENSION)
    index.upsert([record(n) for n in range(100)])
    engine: Any = index._handle.existing()
    index.count()
    engine.capabilities = replace(
        engine.capabilities, module=SearchModule.VALKEY_SEARCH, module_version=(1, 3, 0)
    )
    monkeypatch.setattr(engine, "support", copy.copy(engine.support))
    sending, refused = pipelines.send, 0

    def refusing(
        connection: Connection, requests: Sequence[pipelines.Request], **options: Any
    ) -> list[list[Any]]:
        nonlocal refused
        if any(
            "VECTOR_RANGE" in str(command[2:3])
            for request in requests
            for command in request.commands
        ):
            refused += 1
            refusal = ServerError("`vector` is not indexed as a numeric field", "FT.SEARCH")
            return [[refusal for _ in request.commands] for request in requests]
        return sending(connection, requests, **options)

    monkeypatch.setattr("valkey_vector.engines.search.reading.send", refusing)
    for count in (1, 30, 100):
        expected = sorted(
            (float(distance), f"r{n}")
            for n, distance in enumerate(distances(VECTORS[:100], QUERY, Metric.L2))
        )[:count]
        hits = index.query(VectorQuery(vector=QUERY, max_distance=expected[-1][0] + 1e-4))
        assert ids(hits) == [id for _, id in expected]
    assert refused == 1


def test_a_query_does_not_change_with_its_arguments() -> None:
    mine = np.array([1, 2, 3, 4], dtype=np.float32)
    query = VectorQuery(vector=mine, k=1)
    mine[0] = 9
    assert list(query.vector) == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="read-only"):
        query.vector[0] = 9  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        query.k = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "pass k, or max_distance or min_similarity"),
        ({"max_distance": 1.0, "min_similarity": 0.5}, "both set: pass only one"),
        ({"max_distance": math.nan}, "max_distance"),
        ({"min_similarity": math.inf}, "min_similarity"),
        ({"max_distance": True}, "max_distance"),
        ({"k": 0}, "k must"),
        ({"k": 2.0}, "k must"),
        ({"k": 1, "ef_runtime": 0}, "ef_runtime"),
        ({"k": 1, "field": 3}, "field"),
        ({"k": 1, "with_vectors": "yes"}, "with_vectors"),
        ({"k": 1, "filter": {"$nonsense": 1}}, "nonsense"),
        ({"k": 1, "vector": [math.nan] * 4}, "NaN"),
        ({"k": 1, "vector": "0123"}, "vector"),
    ],
)
def test_an_invalid_query_is_refused_when_it_is_created(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        VectorQuery(**{"vector": [1.0, 0, 0, 0], **settings})
