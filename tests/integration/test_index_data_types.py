"""Indexes with vectors of FLOAT16 and BFLOAT16: stored bytes, searches against an oracle, and servers without them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from servers import Server, start_server
from valkey_vector import (
    ConfigurationError,
    Connection,
    F,
    FilterQuery,
    Flat,
    Hnsw,
    HybridQuery,
    Index,
    IndexMismatchError,
    InvalidInputError,
    Metric,
    PartialWriteError,
    Record,
    Schema,
    UnsupportedFeatureError,
    VectorField,
    VectorQuery,
)
from valkey_vector.connection.pipelines import run
from valkey_vector.engines.base import Near
from valkey_vector.engines.search.comparison import compared_here
from valkey_vector.engines.search.engine import SearchEngine
from valkey_vector.filters.plan import Everything
from valkey_vector.operations import benchmark, export_index, load_index, migrate_index
from valkey_vector.operations.opening import own_handle
from valkey_vector.schema.similarity import maximal_marginal_relevance

pytestmark = pytest.mark.wrong_dialect  # Valkey-Search 1.2.1 has FLOAT32 only

DIMENSION, SIZE = 8, 120
TYPES: tuple[Literal["FLOAT16", "BFLOAT16"], ...] = ("FLOAT16", "BFLOAT16")
DRAWN = np.random.default_rng(11).normal(size=(SIZE, DIMENSION))
QUERY = np.random.default_rng(12).normal(size=DIMENSION)

Opened = Callable[..., Index]


@pytest.fixture(scope="module")
def redisearch() -> Iterator[Connection]:
    """A server whose search module has all types."""
    with start_server(search=True) as server, Connection.open(server.url) as opened:
        yield opened


@pytest.fixture(params=["native", "search"])
def opened(
    request: pytest.FixtureRequest, redisearch: Connection, index_name: str
) -> Iterator[Opened]:
    """Opens indexes on both engines, on a server that has the types."""

    def open_on(connection: Connection) -> Opened:
        def one(suffix: str = "", **settings: Any) -> Index:
            asked = {"connection": connection, "engine": request.param, **settings}
            return Index.open(index_name + suffix, **asked)

        return one

    if request.param == "search":
        yield open_on(redisearch)
        return
    with Connection.open(request.getfixturevalue("native_server").url) as connection:
        yield open_on(connection)


def bfloat16(number: float) -> float:
    """The nearest bfloat16, of two neighbors the even one; written apart from the library."""
    bits = int(np.float32(number).view(np.uint32))
    lower = bits & 0xFFFF0000
    exact = float(np.float32(number))
    values = [
        (abs(float(np.uint32(each).view(np.float32)) - exact), (each >> 16) & 1, each)
        for each in (lower, lower + 0x10000)
    ]
    return float(np.uint32(min(values)[2]).view(np.float32))


def as_type(vectors: Any, data_type: str) -> NDArray[np.float64]:
    array = np.asarray(vectors, dtype=np.float32)
    if data_type == "FLOAT16":
        return array.astype(np.float16).astype(np.float64)
    found = [bfloat16(float(number)) for number in array.reshape(-1)]
    return np.array(found, np.float64).reshape(array.shape)


def stored(vector: NDArray[np.float64], data_type: str) -> bytes:
    if data_type == "FLOAT16":
        return vector.astype("<f2").tobytes()
    return (vector.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()


def measured(metric: Metric, data_type: str, vectors: Any, query: Any) -> NDArray[np.float64]:
    rows, asked = as_type(vectors, data_type), as_type(query, data_type)
    product: NDArray[np.float64] = rows @ asked
    match metric:
        case Metric.L2:
            found = ((rows - asked) ** 2).sum(axis=1)
        case Metric.IP:
            found = 1 - product
        case Metric.COSINE:
            found = 1 - product / np.linalg.norm(rows, axis=1) / np.linalg.norm(asked)
    return np.asarray(found, np.float64)


def records() -> list[Record]:
    return [
        Record(id=f"r{n:03}", content=f"text {n}", vector=DRAWN[n].tolist(), metadata={"n": n})
        for n in range(SIZE)
    ]


def order(distances: NDArray[np.float64], chosen: list[int]) -> list[str]:
    return [f"r{n:03}" for n in sorted(chosen, key=lambda n: (distances[n], n))]


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("data_type", TYPES)
def test_searches_compare_the_rounded_vectors_exactly(
    opened: Opened, data_type: Literal["FLOAT16", "BFLOAT16"], metric: Metric
) -> None:
    schema = Schema(dimension=DIMENSION, metric=metric, algorithm=Flat(), data_type=data_type)
    index = opened(schema=schema)
    index.upsert(records())
    distances = measured(metric, data_type, DRAWN, QUERY)
    for filter, chosen in (
        (None, list(range(SIZE))),
        (F("n") < 40, list(range(40))),
        (F("n") == 7, [7]),
        (F.id.in_(["r005", "r009"]), [5, 9]),
    ):
        expected = order(distances, chosen)
        hits = index.search(QUERY.tolist(), k=6, filter=filter, with_vectors=True)
        assert [hit.record.id for hit in hits] == expected[:6]
        for hit in hits:
            n = int(hit.record.id[1:])
            assert hit.distance == pytest.approx(float(distances[n]), rel=1e-12, abs=1e-12)
            assert np.asarray(hit.record.vector).dtype == np.float32
            assert np.asarray(hit.record.vector).tolist() == as_type(DRAWN[n], data_type).tolist()
        limit = float(sorted(distances[chosen])[min(9, len(chosen) - 1)]) + 1e-9
        within = index.query(VectorQuery(vector=QUERY, max_distance=limit, filter=filter))
        assert [hit.record.id for hit in within] == [
            i for i in expected if distances[int(i[1:])] <= limit
        ]
    batch = index.search_many([VectorQuery(vector=QUERY, k=3), VectorQuery(vector=DRAWN[3], k=1)])
    assert [hit.record.id for hit in batch[0]] == order(distances, list(range(SIZE)))[:3]
    if metric is not Metric.IP:
        assert batch[1][0].record.id == "r003"
        assert batch[1][0].distance == pytest.approx(0, abs=1e-12)
    assert index.info().data_type == data_type
    assert index.verify(progress=False).ok


@pytest.mark.parametrize("data_type", TYPES)
def test_the_server_stores_two_bytes_a_number_and_float32_stays_as_it_was(
    opened: Opened, data_type: Literal["FLOAT16", "BFLOAT16"]
) -> None:
    title = VectorField("title", 2, Metric.L2, Flat(), data_type)
    plain = VectorField("plain", 2, Metric.L2, Flat())
    index = opened(schema=Schema(data_type=data_type, dimension=3, vectors=(title, plain)))
    named = {"title": [0.1, -0.2], "plain": [0.1, -0.2]}
    index.upsert([Record(id="a", vector=[0.1, 0.2, 0.3], vectors=named)])
    read = index.connection.execute("HMGET", f"{index.name}:a", "vector", "v_title", "v_plain")
    assert read == [
        stored(as_type([0.1, 0.2, 0.3], data_type), data_type),
        stored(as_type([0.1, -0.2], data_type), data_type),
        np.array([0.1, -0.2], "<f4").tobytes(),
    ]
    (record,) = index.get(["a"], with_vectors=True)
    assert record is not None
    assert np.asarray(record.vector).tolist() == as_type([0.1, 0.2, 0.3], data_type).tolist()
    assert np.asarray(record.vectors["title"]).tolist() == as_type([0.1, -0.2], data_type).tolist()
    assert np.asarray(record.vectors["plain"]).tolist() == np.array([0.1, -0.2], "<f4").tolist()
    (hit,) = index.search([0.1, -0.2], k=1, field="title")
    assert hit.distance == 0
    # Written again as it was read, and with new metadata, the bytes stay.
    index.upsert([record])
    index.update_metadata(["a"], {"n": 1})
    again = index.connection.execute("HMGET", f"{index.name}:a", "vector", "v_title", "v_plain")
    assert again == read
    other = opened("-float32", schema={"dimension": 3})
    other.upsert([Record(id="a", vector=[0.1, 0.2, 0.3])])
    packed = other.connection.execute("HGET", f"{other.name}:a", "vector")
    assert packed == np.array([0.1, 0.2, 0.3], "<f4").tobytes()


def test_the_record_of_a_float32_index_has_no_type_and_is_read_without_one(opened: Opened) -> None:
    index = opened(schema={"dimension": 3})
    index.create()
    settings = json.loads(index.connection.execute("HGET", f"{{{index.name}}}:index", "schema"))
    assert "data_type" not in settings
    assert opened().schema.data_type == "FLOAT32"
    assert opened(schema={"dimension": 3, "data_type": "float32"}).info().data_type == "FLOAT32"
    with pytest.raises(IndexMismatchError, match=r"data_type.*FLOAT32.*FLOAT16"):
        opened(schema={"dimension": 3, "data_type": "float16"}).count()


def test_an_index_of_another_type_is_refused_and_one_without_settings_adopts_it(
    opened: Opened,
) -> None:
    late = opened()  # opened before the index exists
    opened(schema={"dimension": 2, "data_type": "bfloat16"}).create()
    with pytest.raises(IndexMismatchError, match=r"data_type.*BFLOAT16.*FLOAT16"):
        opened(schema={"dimension": 2, "data_type": "float16"}).count()
    late.upsert([Record(id="a", vector=[0.1, 0.2])])
    packed = late.connection.execute("HGET", f"{late.name}:a", "vector")
    assert packed == stored(as_type([0.1, 0.2], "BFLOAT16"), "BFLOAT16")
    with pytest.raises(InvalidInputError, match="has 3 dimensions, the index has 2"):
        late.upsert([Record(id="b", vector=[0.1, 0.2, 0.3])])


def test_kept_documents_of_another_type_are_not_taken_over(opened: Opened) -> None:
    index = opened(schema={"dimension": 2, "data_type": "float16"})
    index.upsert([Record(id="a", vector=[0.1, 0.2])])
    index.drop(documents=False)
    with pytest.raises(ConfigurationError, match="FLOAT16"):
        opened(schema={"dimension": 2}).create()
    again = opened(schema={"dimension": 2, "data_type": "float16"})
    again.create()
    again.wait_until_indexed()
    assert [hit.record.id for hit in again.search([0.1, 0.2], k=1)] == ["a"]


@pytest.mark.parametrize(
    ("data_type", "beyond", "largest"),
    [("FLOAT16", 65_520.0, 65_504.0), ("BFLOAT16", 3.4e38, 3.3895313892515355e38)],
)
def test_a_value_beyond_the_type_is_refused_with_the_name_of_the_record(
    opened: Opened, data_type: Literal["FLOAT16", "BFLOAT16"], beyond: float, largest: float
) -> None:
    field = VectorField("title", 2, Metric.L2, Flat(), data_type)
    schema = Schema(dimension=2, metric=Metric.L2, data_type=data_type, vectors=(field,))
    index = opened(schema=schema)
    good = Record(id="good", vector=[largest, -1])
    with pytest.raises(InvalidInputError, match=rf"record 'bad' holds a value beyond {data_type}"):
        index.upsert([good, Record(id="bad", vector=[1, -beyond])])
    with pytest.raises(InvalidInputError, match=rf"record 'bad' \(title\).*beyond {data_type}"):
        index.upsert([good, Record(id="bad", vectors={"title": [beyond, 1]})])
    assert index.count() == 0
    index.upsert([good])
    (record,) = index.get(["good"], with_vectors=True)
    assert record is not None
    assert np.asarray(record.vector).tolist() == [largest, -1]
    for query in (
        VectorQuery(vector=[beyond, 0], k=1),
        VectorQuery(vector=[beyond, 0], k=1, field="title"),
    ):
        with pytest.raises(InvalidInputError, match=rf"the query has a value beyond {data_type}"):
            index.query(query)


@pytest.mark.parametrize("data_type", TYPES)
def test_hybrid_search_mmr_and_explain_use_the_rounded_vectors(
    opened: Opened, data_type: Literal["FLOAT16", "BFLOAT16"]
) -> None:
    index = opened(schema=Schema(dimension=DIMENSION, data_type=data_type), full_text=True)
    index.upsert(records())
    distances = measured(Metric.COSINE, data_type, DRAWN, QUERY)
    query = HybridQuery(text="text 7", vector=QUERY.tolist(), k=5, with_vectors=True)
    for hit in index.query(query):
        n = int(hit.record.id[1:])
        assert np.isnan(hit.distance) or hit.distance == pytest.approx(distances[n], abs=1e-12)
        assert np.asarray(hit.record.vector).tolist() == as_type(DRAWN[n], data_type).tolist()
    with pytest.raises(InvalidInputError, match=r"the query has a value beyond|infinity"):
        index.query(HybridQuery(text="text", vector=[3.4e38] * DIMENSION, k=5))
    fetched = [int(i[1:]) for i in order(distances, list(range(SIZE)))[:20]]
    rows = [as_type(DRAWN[n], data_type).astype(np.float32) for n in fetched]
    asked = as_type(QUERY, data_type).astype(np.float32)
    for share in (1.0, 0.5):
        expected = [fetched[i] for i in maximal_marginal_relevance(asked, rows, 4, share)]
        chosen = index.search_mmr(QUERY.tolist(), k=4, fetch_k=20, lambda_mult=share)
        assert [hit.record.id for hit in chosen] == [f"r{n:03}" for n in expected]
    explained = index.explain(VectorQuery(vector=QUERY, k=3, filter=F("n") < 50))
    assert explained.round_trips >= 1


@pytest.mark.parametrize("data_type", TYPES)
def test_changes_are_found_by_the_next_search(
    opened: Opened, data_type: Literal["FLOAT16", "BFLOAT16"]
) -> None:
    schema = Schema(dimension=DIMENSION, metric=Metric.L2, data_type=data_type)
    index = opened(schema=schema)
    index.upsert(records())
    vectors = DRAWN.copy()
    for step in range(6):
        index.search(QUERY, k=1)  # a replica is loaded, and changes behind it
        vectors[step * 3] = QUERY + step * 0.001
        index.upsert([Record(id=f"r{step * 3:03}", vector=vectors[step * 3], metadata={"n": step})])
        index.delete([f"r{step * 3 + 1:03}"])
        there = [n for n in range(SIZE) if n % 3 != 1 or n // 3 > step]
        distances = measured(Metric.L2, data_type, vectors, QUERY)
        hits = index.search(QUERY, k=10)
        assert [hit.record.id for hit in hits] == order(distances, there)[:10]
    assert index.count() == SIZE - 6
    listed = index.query(FilterQuery(filter=F("n") >= 0, with_vectors=True, limit=3))
    assert all(np.asarray(record.vector).size == DIMENSION for record in listed)


@pytest.mark.parametrize("data_type", TYPES)
def test_hnsw_over_half_the_bytes_has_its_recall(
    redisearch: Connection, index_name: str, data_type: Literal["FLOAT16", "BFLOAT16"]
) -> None:
    drawn = np.random.default_rng(1).normal(size=(3_000, 32)).astype(np.float32)
    schema = Schema(dimension=32, data_type=data_type, algorithm=Hnsw(ef_runtime=300))
    index = Index.open(index_name, connection=redisearch, schema=schema, engine="search")
    index.upsert([Record(id=f"r{n:03}", vector=each) for n, each in enumerate(drawn)])
    found = 0
    for query in np.random.default_rng(2).normal(size=(20, 32)):
        distances = measured(Metric.COSINE, data_type, drawn, query)
        nearest = set(order(distances, list(range(3_000)))[:10])
        hits = index.search(query.tolist(), k=10)
        found += len(nearest & {hit.record.id for hit in hits})
        assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)
    assert found / 200 >= 0.99


def test_verify_finds_a_vector_of_another_type_and_repair_removes_it(opened: Opened) -> None:
    index = opened(schema={"dimension": 4, "data_type": "float16"})
    index.upsert([Record(id=id, vector=[1, 2, 3, 4]) for id in ("a", "b", "c")])
    connection, name = index.connection, index.name
    connection.execute("HSET", f"{name}:a", "vector", np.arange(4, dtype="<f4").tobytes())
    connection.execute("HSET", f"{name}:b", "vector", b"odd")
    report = index.verify(progress=False)
    damaged = next(each for each in report.findings if each.kind == "damaged vector")
    assert damaged.found == 2
    assert {hit.record.id for hit in index.search([1, 2, 3, 4], k=3)} == {"c"}
    index.repair(dry_run=False, remove_damaged=True, progress=False)
    assert index.verify(progress=False).ok


@pytest.mark.parametrize("target", ["FLOAT32", "FLOAT16", "BFLOAT16"])
@pytest.mark.parametrize("source", ["FLOAT32", "FLOAT16", "BFLOAT16"])
def test_copies_keep_the_type_or_are_rounded_to_that_of_the_index(
    opened: Opened, tmp_path: Path, source: str, target: str
) -> None:
    index = opened(schema={"dimension": DIMENSION, "data_type": source})
    index.upsert(records())
    exact = [
        each.vector
        for each in index.get([f"r{n:03}" for n in range(SIZE)], with_vectors=True)
        if each
    ]
    path = tmp_path / "copy.jsonl"
    export_index(index, path)
    same = index.name + "-same"
    load_index(index.connection, path, same, engine=index.info().engine)
    copy = opened("-same")
    assert copy.info().data_type == source
    other = opened("-other", schema={"dimension": DIMENSION, "data_type": target})
    other.create()
    report = migrate_index(index, other.connection, other.name).load
    is_rounded = target not in ("FLOAT32", source)
    assert any("is rounded to " + target in note for note in report.notes) is is_rounded
    for one, data_type in ((copy, source), (other, target)):
        read = one.get([f"r{n:03}" for n in range(SIZE)], with_vectors=True)
        for found, vector in zip(read, exact, strict=True):
            assert found is not None
            expected = vector if data_type in ("FLOAT32", source) else as_type(vector, data_type)
            assert np.asarray(found.vector).tolist() == np.asarray(expected).tolist()


def test_async_versions_do_the_same(opened: Opened) -> None:
    async def run() -> None:
        index = opened(schema={"dimension": 2, "metric": "L2", "data_type": "float16"})
        await index.aupsert([Record(id="a", vector=[0.1, 0.2])])
        (hit,) = await index.asearch([0.1, 0.2], k=1, with_vectors=True)
        assert hit.distance == 0
        assert np.asarray(hit.record.vector).tolist() == as_type([0.1, 0.2], "FLOAT16").tolist()
        with pytest.raises(InvalidInputError, match="record 'b' holds a value beyond FLOAT16"):
            await index.aupsert([Record(id="b", vector=[1e5, 0])])

    asyncio.run(run())


def test_a_stream_reports_the_record_that_the_type_cannot_hold(opened: Opened) -> None:
    late = opened()
    opened(schema={"dimension": 2, "data_type": "float16"}).create()
    with pytest.raises((InvalidInputError, PartialWriteError), match="record 'r7'") as caught:
        late.upsert(Record(id=f"r{n}", vector=[1.0, 1e6 if n == 7 else 1.0]) for n in range(9))
    assert "beyond FLOAT16" in str(caught.value)


@pytest.mark.parametrize("data_type", TYPES)
def test_a_server_without_the_type_is_named_before_anything_is_written(
    open_index: Callable[..., Index], data_type: str
) -> None:
    """The server is asked: RediSearch and the native engine have the types, Valkey-Search 1.2.1 does not."""
    index = open_index(dimension=None, schema={"dimension": 2, "data_type": data_type})
    try:
        index.create()
    except UnsupportedFeatureError as refused:
        error = refused
    else:
        index.upsert([Record(id="a", vector=[0.1, 0.2])])
        assert index.connection.execute("HSTRLEN", f"{index.name}:a", "vector") == 4
        return
    assert error.feature == f"an index with vectors of {data_type}"
    assert "Valkey-Search" in error.found
    assert 'data_type="FLOAT32"' in error.needed
    assert "RediSearch" in error.needed
    assert index.connection.execute("EXISTS", f"{{{index.name}}}:index") == 0
    listed = index.connection.execute("FT._LIST")
    assert not any(index.name.encode() in each for each in listed)
    with pytest.raises(UnsupportedFeatureError, match=data_type):
        index.upsert([Record(id="a", vector=[1.0, 2.0])])
    with pytest.raises(UnsupportedFeatureError, match=data_type):
        asyncio.run(index.aupsert([Record(id="a", vector=[1.0, 2.0])]))
    assert index.connection.execute("EXISTS", f"{index.name}:a") == 0
    open_index(dimension=2, schema={"data_type": "float32"}).create()


def test_valkey_search_refuses_the_types_and_other_named_vectors_of_them(
    valkey_search_server: Server, index_name: str
) -> None:
    title = VectorField("title", 2, data_type="BFLOAT16")
    with Connection.open(valkey_search_server.url) as connection:
        index = Index.open(
            index_name, connection=connection, schema=Schema(dimension=2, vectors=(title,))
        )
        with pytest.raises(UnsupportedFeatureError, match=r"BFLOAT16.*Valkey-Search.*native"):
            index.create()
        native = Index.open(
            index_name,
            connection=connection,
            engine="native",
            schema=Schema(dimension=2, vectors=(title,)),
        )
        native.upsert([Record(id="a", vectors={"title": [1, 2]})])
        assert connection.execute("HSTRLEN", f"{index_name}:a", "v_title") == 4
        native.drop()


@pytest.mark.parametrize("data_type", TYPES)
def test_few_records_of_a_filter_are_compared_in_their_type(
    redisearch: Connection, index_name: str, data_type: Literal["FLOAT16", "BFLOAT16"]
) -> None:
    """The path that only Valkey-Search takes today: few matching records are compared instead of searched."""
    schema = Schema(dimension=DIMENSION, metric=Metric.L2, data_type=data_type)
    index = Index.open(index_name, connection=redisearch, schema=schema, engine="search")
    index.upsert(records())
    engine = own_handle(index).existing()
    assert isinstance(engine, SearchEngine)
    vector = np.asarray(as_type(QUERY, data_type), np.float32)
    near, plan = Near(schema.vector_field(None), vector), Everything()
    distances = measured(Metric.L2, data_type, DRAWN, QUERY)
    for fields, matching in (([], SIZE), (["content"], 20), (["content"], 200)):
        comparing = compared_here(engine, near, 5, plan, fields, matching=matching)
        compared = run(engine, comparing)
        assert compared.matching == SIZE
        rows = compared.rows
        if matching == 20:
            assert rows is None  # many more than expected
            continue
        assert rows is not None
        assert [row.id for row in rows] == order(distances, list(range(SIZE)))[:5]
        assert [row.distance for row in rows] == sorted(distances.tolist())[:5]


def test_the_distances_of_the_server_only_select_candidates(
    redisearch: Connection, index_name: str
) -> None:
    """RediSearch rounds normalized vectors again: its own order misses one in twenty of these neighbors."""
    drawn = np.random.default_rng(4).normal(size=(20_000, 8)).astype(np.float32)
    schema = Schema(dimension=8, data_type="BFLOAT16", algorithm=Flat())
    index = Index.open(index_name, connection=redisearch, schema=schema, engine="search")
    index.upsert(Record(id=f"r{n:05}", vector=each) for n, each in enumerate(drawn))
    rows = as_type(drawn, "BFLOAT16")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for query in np.random.default_rng(5).normal(size=(10, 8)):
        nearest = np.argsort(-(rows @ as_type(query, "BFLOAT16")), kind="stable")[:10]
        hits = index.search(query.tolist(), k=10)
        assert [hit.record.id for hit in hits] == [f"r{n:05}" for n in nearest]


def test_queries_are_rounded_wherever_they_are_compared(opened: Opened) -> None:
    index = opened(schema={"dimension": 2, "data_type": "bfloat16"})
    index.upsert([Record(id="a", vector=[129, 128]), Record(id="b", vector=[249, 250])])
    query = [1.0039, 1.0]  # nearer to a; rounded, it is [1, 1], which is nearer to b
    assert [hit.record.id for hit in index.search(query, k=2)] == ["b", "a"]
    found = index.search_mmr(query, k=1, fetch_k=2, lambda_mult=1.0)
    assert [hit.record.id for hit in found] == ["b"]
    report = benchmark(index, vectors=[query], k=1, seconds=1.0)
    assert all(each.recall == 1 for each in report.measures)


def test_records_are_rounded_if_another_client_creates_the_index_while_they_are_read(
    opened: Opened,
) -> None:
    late = opened()

    def stream() -> Iterator[Record]:
        yield Record(id="a", vector=[0.1, 0.2])
        opened(schema={"dimension": 2, "data_type": "bfloat16"}).create()
        yield Record(id="b", vector=[0.3, 0.4])

    assert late.upsert(stream()).written == 2
    for id, vector in (("a", [0.1, 0.2]), ("b", [0.3, 0.4])):
        packed = late.connection.execute("HGET", f"{late.name}:{id}", "vector")
        assert packed == stored(as_type(vector, "BFLOAT16"), "BFLOAT16")
