"""Making, opening, describing, updating and dropping indexes, also by many at once; on both engines."""

from __future__ import annotations

import gc
import multiprocessing
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from child_processes import make_and_write
from valkey_vector import (
    ConfigurationError,
    Connection,
    F,
    Flat,
    Hnsw,
    Index,
    IndexMismatchError,
    IndexNotFoundError,
    Metric,
    NumericField,
    Record,
    Schema,
    TagField,
    TextField,
)

HERE = [1.0, 0.0, 0.0, 0.0]


def test_processes_that_create_one_index_at_once_all_succeed(
    server_url: str, index_name: str, engine_name: str, index: Index
) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        work = [(server_url, index_name, engine_name, number) for number in range(4)]
        assert pool.starmap_async(make_and_write, work).get(60) == [40] * 4
    assert index.count() == 160
    assert index.count(F("n") < 10) == 40
    for number in range(4):
        assert index.count(F(f"k{number}") >= 30) == 10
    assert len(index.search(HERE, k=160)) == 160


def test_threads_that_create_one_index_at_once_all_succeed(
    open_index: Callable[..., Index],
) -> None:
    start = Barrier(8)

    def make(number: int) -> int:
        index = open_index()
        start.wait(10)
        return index.upsert([Record(id=str(number), vector=HERE, metadata={"n": number})]).written

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(make, range(8))) == 8
    assert open_index().count(F("n") >= 0) == 8


def test_many_threads_use_one_index(index: Index) -> None:
    def use(number: int) -> int:
        mine = F("thread") == number
        for n in range(15):
            fresh = Record(id=f"{number}-{n}", vector=[1, n, 0, 0], metadata={"thread": number})
            index.upsert([fresh])
            assert index.count(mine) == n + 1
            assert len(index.search(HERE, k=20, filter=mine)) == n + 1
        return index.delete_by_filter(mine)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(8))) == [15] * 8
    assert index.count() == 0


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("dimension", 5),
        ("metric", "L2"),
        ("algorithm", "FLAT"),
        ("algorithm", Hnsw(m=40)),
        ("embedding_model", "another"),
        ("schema", Schema(dimension=4, numeric_slots=3)),
        ("schema", {"dimension": 4, "fields": [{"path": "n", "kind": "numeric"}]}),
    ],
)
def test_opening_with_other_settings_is_an_error_that_names_both(
    open_index: Callable[..., Index], setting: str, value: Any
) -> None:
    open_index(embedding_model="model").create()
    with pytest.raises(IndexMismatchError) as caught:
        open_index(**{setting: value}).count()
    assert (
        setting in str(caught.value)
        or "fields" in str(caught.value)
        or "slots" in str(caught.value)
    )
    with pytest.raises(IndexMismatchError):
        open_index(**{setting: value}, must_exist=True)


def test_an_index_is_opened_again_by_its_name_alone(
    open_index: Callable[..., Index], server_url: str, index_name: str
) -> None:
    schema = Schema(
        dimension=4,
        metric=Metric.L2,
        algorithm=Flat(),
        fields=(NumericField("n"), TagField("tags"), TextField("title")),
        numeric_slots=2,
    )
    open_index(schema=schema, embedding_model="model").upsert(
        [Record(id="a", vector=HERE, metadata={"n": 3, "tags": ["x", "y"], "title": "Hello"})]
    )
    with Index.open(index_name, url=server_url, must_exist=True) as index:
        assert index.schema == schema
        assert index.info().embedding_model == "model"
        assert index.count((F("n") > 2) & F("tags").contains("x") & (F("title") == "Hello")) == 1


def test_an_index_that_must_exist_and_does_not_is_an_error(
    open_index: Callable[..., Index],
) -> None:
    with pytest.raises(IndexNotFoundError, match="there is no index"):
        open_index(must_exist=True)
    with pytest.raises(IndexNotFoundError):
        open_index().info()


def test_the_dimension_defaults_to_that_of_the_first_vector(
    open_index: Callable[..., Index],
) -> None:
    index = open_index(dimension=None)
    with pytest.raises(ConfigurationError, match="dimension"):
        index.create()
    with pytest.raises(ConfigurationError, match="dimension"):
        index.upsert([Record(id="plain")])
    index.upsert([Record(id="plain"), Record(id="a", vector=[1, 2, 3])])
    assert open_index(dimension=3).schema.dimension == 3


def test_info_describes_the_index(open_index: Callable[..., Index], engine_name: str) -> None:
    index = open_index(metric="L2", algorithm=Hnsw(m=20), embedding_model="model")
    index.upsert([Record(id="a", vector=HERE, metadata={"n": 1}), Record(id="b")])
    info = index.info()
    assert (info.name, info.engine, info.dimension) == (index.name, engine_name, 4)
    algorithm = "FLAT" if engine_name == "native" else "HNSW"
    assert (info.metric, info.algorithm, info.embedding_model) == ("L2", algorithm, "model")
    assert (info.documents, info.indexed, info.failures, info.slots) == (2, 1.0, 0, ("n",))
    assert "Valkey" in info.server


def test_updating_metadata_keeps_everything_else(index: Index) -> None:
    index.upsert(
        Record(id=f"r{n}", content=f"text {n}", vector=[1, n, 0, 0], metadata={"n": n, "old": 1})
        for n in range(20)
    )
    assert index.update_metadata(F("n") < 5, {"n": 100, "new": "yes", "old": None}) == 5
    assert index.update_metadata(["r7", "unknown", "r7"], {"new": "id"}) == 1
    assert index.count(F("n") == 100) == 5
    assert index.count(F("n") > 50) == 5
    assert index.count(F("n") < 5) == 0
    assert index.count(F("new") == "yes") == 5
    assert index.count(F("old").exists()) == 15
    (found,) = index.get(["r3"], with_vectors=True)
    assert found is not None
    assert found.vector is not None
    assert (found.content, list(found.vector)) == ("text 3", [1, 3, 0, 0])
    assert found.metadata == {"n": 100, "old": None, "new": "yes"}
    assert [hit.record.id for hit in index.search([1, 3, 0, 0], k=1, filter=F("n") == 100)] == [
        "r3"
    ]
    assert [record.id for record in index.select(limit=4)] == ["r0", "r1", "r2", "r3"]


def test_updating_metadata_keeps_the_time_to_live(index: Index) -> None:
    index.upsert([Record(id="a", vector=HERE)], ttl=1.5)
    assert index.update_metadata(["a"], {"k": 1}) == 1
    assert index.count(F("k") == 1) == 1
    time.sleep(1.8)
    assert index.count() == 0
    assert index.get(["a"]) == [None]


def test_updates_of_different_keys_at_once_are_all_kept(index: Index) -> None:
    index.upsert(Record(id=f"r{n}", vector=HERE) for n in range(5))
    ids = [f"r{n}" for n in range(5)]

    def update(number: int) -> int:
        return index.update_metadata(ids, {f"k{number}": number})

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(update, range(8))) == [5] * 8
    expected = {f"k{number}": number for number in range(8)}
    assert [record and record.metadata for record in index.get(ids)] == [expected] * 5


def test_declared_fields_are_filtered_on_like_any_other(open_index: Callable[..., Index]) -> None:
    fields = [
        {"path": "price", "kind": "numeric"},
        {"path": "tags", "kind": "tag"},
        {"path": "title", "kind": "text"},
    ]
    index = open_index(schema={"dimension": 4, "fields": fields})
    index.upsert(
        [
            Record(id="a", metadata={"price": 9.5, "tags": ["x|y", "z"], "title": "A, B"}),
            Record(id="b", metadata={"price": 10**20, "tags": "z", "title": "a, b"}),
            Record(id="c", metadata={}),
        ]
    )

    def found(wanted: Any) -> list[str]:
        return [record.id for record in index.select(wanted)]

    assert found(F("price") < 10) == ["a"]
    assert found(F("price") >= 10**20) == ["b"]
    assert found(F("tags").contains("x|y")) == ["a"]
    assert found(F("tags") == "z") == ["b"]
    assert found(F("title") == "A, B") == ["a"]
    assert found(~F("price").exists()) == ["c"]


def test_waiting_until_indexed_ends_at_once_when_there_is_nothing_to_wait_for(
    index: Index,
) -> None:
    index.wait_until_indexed(timeout=0.0)
    index.upsert([Record(id="a", vector=HERE)])
    index.wait_until_indexed()
    assert len(index.search(HERE)) == 1


def test_a_search_over_documents_that_are_indexed_late_is_complete(
    open_index: Callable[..., Index],
) -> None:
    index = open_index()
    index.upsert((Record(id=f"r{n}", vector=[1, n, 0, 0]) for n in range(5000)), batch_size=1000)
    index.drop(documents=False)
    again = open_index()
    again.create()
    # No waiting: the first search must not answer with a part.
    assert again.count() == 5000
    assert len(again.search(HERE, k=5000)) == 5000


def test_an_index_written_natively_is_taken_over_by_the_search_engine(
    search_server: Any, index_name: str
) -> None:
    def opened(engine: Any) -> Index:
        return Index.open(index_name, url=search_server.url, engine=engine, dimension=4)

    if not opened("search").connection.capabilities.cluster:
        with opened("native") as index:
            index.upsert(
                Record(id=f"r{n}", vector=[1, n, 0, 0], metadata={"n": n}) for n in range(300)
            )
            with pytest.raises(IndexMismatchError, match="engine"), opened("search") as other:
                other.count()
            index.drop(documents=False)
    with opened("search") as index:
        index.upsert(
            Record(id=f"r{n}", vector=[1, n, 0, 0], metadata={"n": n}) for n in range(290, 310)
        )
        assert index.info().engine == "search"
        expected = 20 if index.connection.capabilities.cluster else 310
        assert index.count() == expected
        assert index.count(F("n") >= 295) == 15
        assert len(index.search(HERE, k=400)) == expected
        assert index.drop() == expected


def test_a_closed_connection_is_collected(server_url: str, index_name: str) -> None:
    """What is known about a server is forgotten with the connection."""
    connection = Connection.open(server_url)
    index = Index.open(index_name, dimension=4, connection=connection)
    index.upsert([Record(id="a", vector=[1, 0, 0, 0])])
    assert index.count() == 1
    index.search([1, 0, 0, 0], k=1)
    index.close()
    connection.close()
    reference = weakref.ref(connection)
    del index, connection
    gc.collect()
    assert reference() is None
