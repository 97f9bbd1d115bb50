"""Many queries at once: in order, in few round trips, each failing alone."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, assert_type

import numpy as np
import pytest

from round_trips import CommandLog
from servers import start_server
from valkey_vector import (
    Answer,
    ConnectionLostError,
    CountQuery,
    F,
    FilterQuery,
    Hit,
    Index,
    InvalidInputError,
    Query,
    QueryBatchError,
    Record,
    SearchResult,
    ValkeyVectorError,
    VectorQuery,
)

SIZE = 300
VECTORS = np.random.default_rng(1).normal(size=(SIZE, 4)).astype(np.float32)


@pytest.fixture
def filled(index: Index, commands: CommandLog) -> Index:
    index.upsert(
        [
            Record(
                id=f"r{n:03}",
                content=f"text {n}",
                vector=VECTORS[n],
                metadata={"n": n, "s": str(n)},
            )
            for n in range(SIZE)
        ]
    )
    index.search(VECTORS[0], filter=F("n") < 5)
    index.count(F("n") < 0)  # the first empty answer looks up once whether the key exists at all
    commands.clear()
    return index


def every_kind() -> list[Query]:
    """Return queries of every kind and code path."""
    queries: list[Query] = []
    for n in range(0, 60, 3):
        queries += [
            VectorQuery(vector=VECTORS[n], k=5),
            VectorQuery(vector=VECTORS[n], k=7, filter=F("n") > n),
            VectorQuery(vector=VECTORS[n], k=3, filter=F("s").has_text("1")),
            VectorQuery(vector=VECTORS[n], k=400, filter=F("n") < 20),
            VectorQuery(vector=VECTORS[n], max_distance=0.3, with_vectors=True),
            VectorQuery(vector=VECTORS[n], k=2, filter=F.id.in_(["r001", "r002", "none"])),
            FilterQuery(filter=F("n") < n, limit=4, offset=2),
            FilterQuery(order_by="s", descending=True, limit=3, with_content=False),
            FilterQuery(filter=F("s").has_text("9")),
            FilterQuery(filter=F.id == "r007"),
            FilterQuery(limit=0),
            CountQuery(filter=F("n") >= n),
            CountQuery(filter=F("s").has_text("7")),
            CountQuery(filter=F.id == "r007"),
            CountQuery(filter=F("n").in_([])),
        ]
    return queries


def plain(answer: Answer | ValkeyVectorError) -> Any:
    match answer:
        case list():
            return [
                (one.record.id, one.record.content, pytest.approx(one.score, abs=1e-6))
                if isinstance(one, Hit)
                else (one.id, one.content)
                for one in answer
            ]
        case _:
            return answer


def test_answers_are_those_of_the_queries_alone_in_their_order(filled: Index) -> None:
    queries = every_kind()
    answers = filled.search_many(queries)
    assert len(answers) == len(queries)
    one_by_one: list[Answer] = [filled.query(query) for query in queries]
    assert [plain(answer) for answer in answers] == [plain(answer) for answer in one_by_one]
    assert sum(1 for answer in answers if answer) > 200


async def test_the_async_version_returns_the_same(filled: Index) -> None:
    queries = every_kind()[:30]
    answers = await filled.asearch_many(queries)
    assert [plain(answer) for answer in answers] == [
        plain(answer) for answer in filled.search_many(queries)
    ]


@pytest.mark.parametrize(("count", "trips"), [(1, 1), (50, 1), (100, 1), (101, 2), (250, 3)])
def test_vector_queries_share_a_round_trip(
    filled: Index, commands: CommandLog, count: int, trips: int
) -> None:
    hits = filled.search_many([VectorQuery(vector=VECTORS[n], k=3) for n in range(count)])
    assert [found[0].record.id for found in hits] == [f"r{n:03}" for n in range(count)]
    assert len(commands.round_trips) == trips
    signs = (b"TIME", b"INFO", b"CONFIG")  # of the server, which ride along from time to time
    searches = [[c for c in trip if c[0] not in signs] for trip in commands.round_trips]
    assert all(len(trip) <= 100 for trip in searches)


def test_a_write_meanwhile_costs_all_of_them_one_look(filled: Index, commands: CommandLog) -> None:
    filled.upsert([Record(id="new", vector=VECTORS[5], metadata={"n": -1})])
    commands.clear()
    hits = filled.search_many([VectorQuery(vector=VECTORS[n], k=2) for n in range(40)])
    assert [hit.record.id for hit in hits[5]] == ["new", "r005"]
    # Native: the first replies report that the replica is behind. It is updated once, and all queries are sent again.
    assert len(commands.round_trips) <= 3


def test_follow_up_questions_are_shared_too(
    filled: Index, commands: CommandLog, engine_name: str
) -> None:
    few = [VectorQuery(vector=VECTORS[n], k=50, filter=F("n") < 10) for n in range(20)]
    assert [len(hits) for hits in filled.search_many(few)] == [10] * 20
    assert len(commands.round_trips) == (2 if engine_name == "search" else 1)


def test_kinds_share_their_round_trips(filled: Index, commands: CommandLog) -> None:
    queries: list[Query] = [
        *(VectorQuery(vector=VECTORS[n], k=3) for n in range(10)),
        *(CountQuery(filter=F("n") < n) for n in range(10)),
        *(FilterQuery(filter=F("n") < n, limit=5) for n in range(10)),
    ]
    filled.search_many(queries)
    assert len(commands.round_trips) <= 3


@pytest.mark.parametrize("engine_name", ["search"])
def test_documents_that_the_client_checks_are_fetched_together(
    filled: Index, commands: CommandLog
) -> None:
    residual = F("s").has_text("1")
    queries: list[Query] = [CountQuery(filter=residual) for _ in range(10)]
    queries += [FilterQuery(filter=residual & (F("n") > n)) for n in range(10)]
    queries += [FilterQuery(filter=residual, limit=3, offset=n) for n in range(10)]
    answers = filled.search_many(queries)
    assert answers[:10] == [138] * 10
    assert len(commands.round_trips) == 1


def test_one_bad_query_fails_alone(filled: Index) -> None:
    queries: list[Any] = [
        VectorQuery(vector=VECTORS[0], k=1),
        VectorQuery(vector=[1.0, 2.0], k=1),
        CountQuery(),
        VectorQuery(vector=VECTORS[0], k=1, field="nowhere"),
        "no query",
        FilterQuery(limit=1),
    ]
    first, short, count, nowhere, no_query, records = filled.search_many(
        queries, return_errors=True
    )
    assert plain(first)[0][0] == "r000"
    assert isinstance(short, InvalidInputError)
    assert "2 dimensions" in str(short)
    assert count == SIZE
    assert isinstance(nowhere, InvalidInputError)
    assert "nowhere" in str(nowhere)
    assert isinstance(no_query, InvalidInputError)
    assert plain(records) == [("r000", "text 0")]
    with pytest.raises(
        QueryBatchError, match=r"3 of 6 queries failed: query 1: .*2 dimensions"
    ) as met:
        filled.search_many(queries)
    assert list(met.value.errors) == [1, 3, 4]
    assert met.value.outcomes[2] == SIZE
    assert str(pickle.loads(pickle.dumps(met.value))) == str(met.value)  # noqa: S301


@pytest.mark.parametrize("engine_name", ["search"])
@pytest.mark.wrong_dialect
def test_a_command_that_the_server_refuses_fails_alone(
    filled: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    from valkey_vector.engines.search import commands as search_commands

    real = search_commands.count_command

    def broken(entry: Any, query: str) -> Any:
        return real(entry, f"{query} @nowhere:[1" if "@n0" in query else query)

    monkeypatch.setattr(search_commands, "count_command", broken)
    queries: list[Query] = [CountQuery(), CountQuery(filter=F("n") < 3), FilterQuery(limit=1)]
    count, refused, records = filled.search_many(queries, return_errors=True)
    assert count == SIZE
    assert isinstance(refused, ValkeyVectorError)
    assert plain(records) == [("r000", "text 0")]


def test_an_outage_fails_the_call(engine_name: str, index_name: str) -> None:
    with (
        start_server(search=engine_name == "search") as server,
        Index.open(index_name, url=server.url, dimension=4) as index,
    ):
        index.upsert([Record(id="a", vector=[1, 0, 0, 0])])
        server.stop()
        with pytest.raises(ConnectionLostError):
            index.search_many([CountQuery()], return_errors=True)


def test_an_index_that_is_not_there_answers_nothing(index: Index) -> None:
    queries: list[Query] = [VectorQuery(vector=[1, 0, 0, 0], k=1), CountQuery(), FilterQuery()]
    assert index.search_many(queries) == [[], 0, []]
    assert index.search_many([]) == []


def test_an_index_recreated_by_another_client_is_opened_again(
    filled: Index, open_index: Callable[..., Index]
) -> None:
    other = open_index()
    other.drop()
    other.upsert([Record(id="only", vector=[1, 0, 0, 0])])
    queries = [VectorQuery(vector=[1, 0, 0, 0], k=2) for _ in range(3)]
    assert [[hit.record.id for hit in hits] for hits in filled.search_many(queries)] == [
        ["only"]
    ] * 3


def test_a_list_is_needed(index: Index) -> None:
    with pytest.raises(InvalidInputError, match="list"):
        index.search_many(CountQuery())  # type: ignore[call-overload]
    with pytest.raises(InvalidInputError, match="HybridQuery, FilterQuery or CountQuery"):
        index.query("text")  # type: ignore[call-overload]


def test_the_types_of_answers_are_known_beforehand(filled: Index) -> None:
    """Held by mypy, which the tests pass."""
    near = VectorQuery(vector=VECTORS[0], k=1)
    assert_type(filled.query(near), SearchResult[Hit])
    assert_type(filled.query(FilterQuery()), SearchResult[Record])
    assert_type(filled.query(CountQuery()), int)
    assert_type(filled.search_many([near]), list[SearchResult[Hit]])


def test_steady_writers_do_not_keep_a_batch_from_ending(
    filled: Index, open_index: Callable[..., Index]
) -> None:
    other, ended = open_index(), threading.Event()

    def write() -> None:
        n = 0
        while not ended.is_set():
            n += 1
            other.upsert([Record(id=f"w{n % 50}", vector=[0, 0, 0, 9], metadata={"n": 1000 + n})])

    old = F("n") < SIZE
    queries: list[Query] = [VectorQuery(vector=VECTORS[n], k=1, filter=old) for n in range(30)]
    queries += [CountQuery(filter=old), FilterQuery(filter=old, limit=2)]
    with ThreadPoolExecutor(2) as threads:
        writers = [threads.submit(write) for _ in range(2)]
        try:
            for _ in range(20):
                *hits, number, records = filled.search_many(queries)
                assert [plain(found)[0][0] for found in hits] == [f"r{n:03}" for n in range(30)]
                assert number == SIZE
                assert [record[0] for record in plain(records)] == ["r000", "r001"]
        finally:
            ended.set()
        for writer in writers:
            writer.result()
