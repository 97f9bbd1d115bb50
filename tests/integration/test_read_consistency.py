"""Reads with `consistency` and `timeout`: on a whole cluster, without one of its shards, and on every engine."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from round_trips import CommandLog
from servers import StandInServer
from valkey_vector import (
    Connection,
    F,
    FilterQuery,
    Index,
    InvalidInputError,
    PartialResultWarning,
    Query,
    QueryBatchError,
    Record,
    RequestTimeoutError,
    SearchResult,
    ServerError,
    TextQuery,
    VectorQuery,
)
from valkey_vector.engines.search.shards import Shards
from valkey_vector.query import AggregateQuery, Count

HERE = [1.0, 0.0, 0.0, 0.0]
NUMBER = 60

Read = Callable[..., Any]

READS: dict[str, Callable[[Index], Read]] = {
    "search": lambda index: lambda **o: index.search(HERE, k=NUMBER, **o),
    "search few": lambda index: lambda **o: index.search(HERE, k=3, **o),
    "search filtered": lambda index: lambda **o: index.search(HERE, k=9, filter=F("n") > 20, **o),
    "search within": lambda index: (
        lambda **o: index.query(VectorQuery(vector=HERE, min_similarity=0.01, **o))
    ),
    "mmr": lambda index: lambda **o: index.search_mmr(HERE, k=3, **o),
    "text": lambda index: lambda **o: index.search_text("fox", k=NUMBER, **o),
    "hybrid": lambda index: lambda **o: index.search_hybrid(HERE, "fox", k=9, **o),
    "select": lambda index: index.select,
    "select some": lambda index: lambda **o: index.select(F("n") < 30, limit=5, **o),
    "select in order": lambda index: (
        lambda **o: index.select(order_by="n", descending=True, limit=9, **o)
    ),
    "aggregate": lambda index: (
        lambda **o: index.aggregate(AggregateQuery(**o).group_by("kind", number=Count()))
    ),
    "many": lambda index: lambda **o: index.search_many([VectorQuery(vector=HERE, k=3, **o)])[0],
}


def records() -> list[Record]:
    return [
        Record(
            id=f"r{n}",
            content=f"fox {n}",
            vector=[1.0, n / 100, 0.0, 0.0],
            metadata={"n": n, "kind": "ab"[n % 2]},
        )
        for n in range(NUMBER)
    ]


@pytest.fixture
def filled(open_index: Callable[..., Index]) -> Index:
    index = open_index(full_text=True)
    index.upsert(records())
    return index


@pytest.fixture
def lossy(lossy_cluster: StandInServer, index_name: str) -> Iterator[Index]:
    """An index on a cluster whose third shard can be lost."""
    with Connection.open(lossy_cluster.url) as connection:
        index = Index.open(index_name, dimension=4, connection=connection, full_text=True)
        index.upsert(records())
        yield index


def lose_shard(server: StandInServer, lost: bool = True) -> None:
    server.stand_in.state.shard_lost = lost


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("options", [{"consistency": "strict"}, {"consistency": "partial"}])
def test_a_read_of_all_shards_is_the_default_one_and_complete(
    filled: Index, name: str, options: dict[str, Any]
) -> None:
    read = READS[name](filled)
    found = read(timeout=20.0, **options)
    assert isinstance(found, SearchResult)
    assert found == read()
    assert found.partial is False


def test_counts_facets_and_iterations_take_the_options(filled: Index) -> None:
    options: Any = {"consistency": "partial", "timeout": 20.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert filled.count(**options) == NUMBER
        assert filled.facets(["kind"], **options) == filled.facets(["kind"])
        assert len(list(filled.iterate(FilterQuery(**options)))) == NUMBER
        query = FilterQuery(order_by="n", **options)
        assert [record.metadata["n"] for record in filled.iterate(query)] == list(range(NUMBER))


def test_async_reads_take_the_options(filled: Index) -> None:
    async def read() -> tuple[Any, int, int]:
        hits = await filled.asearch(HERE, k=3, consistency="partial", timeout=20.0)
        number = await filled.acount(consistency="partial", timeout=20.0)
        query = FilterQuery(consistency="partial", timeout=20.0)
        return hits, number, len([record async for record in filled.aiterate(query)])

    hits, number, iterated = asyncio.run(read())
    assert hits == filled.search(HERE, k=3)
    assert hits.partial is False
    assert number == iterated == NUMBER


@pytest.mark.wrong_dialect  # without CONSISTENT
def test_a_loose_read_of_several_nodes_may_be_partial_and_of_one_is_not(
    filled: Index, commands: CommandLog, request: pytest.FixtureRequest
) -> None:
    several = "cluster" in request.node.name.split("[")[-1]
    found = filled.search(HERE, k=3, consistency="loose")
    assert found == filled.search(HERE, k=3)
    assert found.partial is several
    if several:
        first = [each for each in commands.round_trips[-2] if each[0] == b"FT.SEARCH"]
        assert all(b"INCONSISTENT" in each and b"ALLSHARDS" in each for each in first)
        with pytest.warns(PartialResultWarning):
            filled.count(consistency="loose")


@pytest.mark.parametrize("name", READS)
def test_a_partial_read_answers_without_a_lost_shard_and_says_so(
    lossy: Index, lossy_cluster: StandInServer, name: str
) -> None:
    read = READS[name](lossy)
    whole = read(consistency="partial")
    assert whole.partial is False
    lose_shard(lossy_cluster)
    with pytest.raises((ServerError, QueryBatchError)):
        read()
    rest = read(consistency="partial")
    assert rest.partial is True
    assert rest
    if name in ("search", "text", "select"):
        assert 0 < len(rest) < len(whole)
    lose_shard(lossy_cluster, lost=False)
    assert read(consistency="partial").partial is False
    assert read(consistency="partial") == whole


def test_what_cannot_carry_the_mark_warns(lossy: Index, lossy_cluster: StandInServer) -> None:
    lose_shard(lossy_cluster)
    with pytest.warns(PartialResultWarning, match="the count may lack records") as counted:
        number = lossy.count(consistency="partial")
    assert 0 < number < NUMBER
    assert counted[0].filename == __file__
    with pytest.warns(PartialResultWarning, match="the iteration"):
        assert len(list(lossy.iterate(FilterQuery(consistency="partial")))) == number
    facet = lossy.facets(["kind"], consistency="partial")["kind"]
    assert facet.partial is True
    assert sum(value.count for value in facet.values) == number


def test_queries_of_a_batch_keep_their_own_consistency(
    lossy: Index, lossy_cluster: StandInServer
) -> None:
    lose_shard(lossy_cluster)
    queries: list[Query] = [
        VectorQuery(vector=HERE, k=3),
        VectorQuery(vector=HERE, k=3, consistency="partial"),
        TextQuery("fox", k=3, consistency="partial"),
    ]
    strict, *partial = lossy.search_many(queries, return_errors=True)
    assert isinstance(strict, ServerError)
    assert all(isinstance(one, SearchResult) and one.partial and one for one in partial)


def test_an_explanation_names_consistency_and_completeness(
    lossy: Index, lossy_cluster: StandInServer
) -> None:
    query = VectorQuery(vector=HERE, k=3, consistency="partial")
    assert "the answer is complete" in str(lossy.explain(query))
    lose_shard(lossy_cluster)
    explained = lossy.explain(query)
    assert (explained.consistency, explained.partial) == ("partial", True)
    assert "consistency: partial, the answer may lack records" in str(explained)
    assert "LOCALONLY" in str(explained)


def test_writes_and_repairs_stay_strict(lossy: Index, lossy_cluster: StandInServer) -> None:
    lose_shard(lossy_cluster)
    with pytest.raises(ServerError):
        lossy.delete_by_filter(F("n") < 10)
    with pytest.raises(ServerError):
        lossy.update_metadata(F("n") < 10, {"seen": True})
    lose_shard(lossy_cluster, lost=False)
    assert lossy.count() == NUMBER


def test_a_partial_read_asks_only_the_shards_that_answer(
    filled: Index, commands: CommandLog, request: pytest.FixtureRequest
) -> None:
    if "cluster" not in request.node.name.split("[")[-1]:
        return
    connection = filled.connection
    filled.search(HERE, k=1, consistency="partial")
    shards = Shards.of(connection)
    described = connection.execute_on_primaries("INFO", "server")
    assert not shards.probe(connection, [address.decode() for address in described])
    everything = filled.search(HERE, k=NUMBER)
    lost, *others = shards.living
    assert others
    expected = {hit.record.id for hit in everything}
    kept = {id for id in expected if not lost.serves(f"{filled.name}:{id}")}
    assert kept < expected
    for name, make in READS.items():
        read = make(filled)
        whole = read()
        shards.note_down([lost.address])
        before = len(commands.round_trips)
        found = read(consistency="partial")
        trips = commands.round_trips[before:]
        assert found.partial is True, name
        searches = [each for trip in trips for each in trip if each[0] == b"FT.SEARCH"]
        assert searches
        assert all(b"LOCALONLY" in each for each in searches), name
        if name == "aggregate":
            assert sum(row["number"] for row in found) == len(kept)
            continue
        ids = [getattr(each, "record", each).id for each in found]
        assert set(ids) <= kept, name
        if name in ("search", "select", "text", "search within"):
            assert set(ids) == kept, name
        if name in ("search", "select"):
            ranked = [getattr(each, "record", each).id for each in whole]
            assert ids == [id for id in ranked if id in kept]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"consistency": "eventual"}, "consistency must be"),
        ({"consistency": None}, "consistency must be"),
        ({"timeout": 0}, "timeout must be"),
        ({"timeout": -1.0}, "timeout must be"),
        ({"timeout": float("inf")}, "timeout must be"),
        ({"timeout": float("nan")}, "timeout must be"),
        ({"timeout": True}, "timeout must be"),
        ({"timeout": "1"}, "timeout must be"),
    ],
)
def test_an_invalid_option_is_named_before_anything_is_sent(
    index: Index, commands: CommandLog, options: dict[str, Any], named: str
) -> None:
    for read in (
        lambda: index.search(HERE, **options),
        lambda: index.search_mmr(HERE, **options),
        lambda: index.search_text("fox", **options),
        lambda: index.search_hybrid(HERE, "fox", **options),
        lambda: index.select(**options),
        lambda: index.count(**options),
        lambda: index.facets(["n"], **options),
        lambda: FilterQuery(**options),
        lambda: AggregateQuery(**options),
    ):
        with pytest.raises(InvalidInputError, match=named):
            read()
    assert commands.round_trips == []


def test_an_unknown_keyword_of_a_read_is_refused(index: Index) -> None:
    wrong: Any = {"consistancy": "partial"}
    reads: list[Read] = [index.search, index.search_text, index.count]
    for read in reads:
        with pytest.raises(TypeError, match="unexpected keyword argument 'consistancy'"):
            read(HERE, **wrong)
    within: Any = {"with_content": False}
    with pytest.raises(TypeError, match="with_content"):
        index.search(HERE, **within)


def test_the_server_gets_a_timeout_below_that_of_the_read(
    filled: Index, commands: CommandLog, engine_name: str
) -> None:
    filled.search(HERE, k=3, timeout=9.0)
    if engine_name == "native":
        return
    sent = [each for trip in commands.round_trips for each in trip if each[0] == b"FT.SEARCH"]
    assert 0 < int(sent[-1][sent[-1].index(b"TIMEOUT") + 1]) < 9_000


@pytest.mark.parametrize("name", READS)
def test_a_read_whose_time_is_over_raises_and_names_the_cure(filled: Index, name: str) -> None:
    read = READS[name](filled)
    read()
    with pytest.raises((RequestTimeoutError, QueryBatchError), match="pass a longer timeout="):
        read(timeout=1e-6)
    for quick in (
        lambda: filled.count(timeout=1e-6),
        lambda: filled.facets(["kind"], timeout=1e-6),
        lambda: list(filled.iterate(FilterQuery(timeout=1e-6))),
    ):
        with pytest.raises(RequestTimeoutError, match=r"timeout of 1e-06 seconds"):
            quick()


def test_a_query_of_a_batch_whose_time_is_over_leaves_the_others(filled: Index) -> None:
    queries = [VectorQuery(vector=HERE, k=3), VectorQuery(vector=HERE, k=3, timeout=1e-6)]
    found, late = filled.search_many(queries, return_errors=True)
    assert found == filled.search(HERE, k=3)
    assert isinstance(late, RequestTimeoutError)


def test_the_time_of_an_iteration_is_that_of_a_page(filled: Index) -> None:
    iteration = filled.iterate(FilterQuery(timeout=2.0))
    next(iteration)
    time.sleep(2.1)
    assert len(list(iteration)) == NUMBER - 1
