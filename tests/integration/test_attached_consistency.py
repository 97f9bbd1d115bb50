"""Reads of an attached index with `consistency` and `timeout`, also on a cluster without one of its shards."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from attached_indexes import definition_of, packed, write_hashes
from round_trips import CommandLog
from servers import Server, StandInServer, start_server
from valkey_vector import (
    AttachedIndex,
    Connection,
    ConnectionLostError,
    F,
    Index,
    InvalidInputError,
    PartialResultWarning,
    RequestTimeoutError,
    SearchResult,
    ServerError,
    create_index,
    drop_index,
)
from valkey_vector.engines.search.primaries import Primaries
from valkey_vector.engines.search.shards import Shards
from valkey_vector.engines.search.support import ServerSupport
from valkey_vector.query import AggregateQuery, Count

HERE = [1.0, 0.0]
NUMBER = 60

READS: dict[str, Callable[..., Any]] = {
    "search": lambda index, **o: index.search(HERE, k=NUMBER, **o),
    "search few": lambda index, **o: index.search(HERE, k=3, **o),
    "search filtered": lambda index, **o: index.search(HERE, k=9, filter=F("n") > 20, **o),
    "search within": lambda index, **o: index.search(HERE, k=NUMBER, max_distance=0.04, **o),
    "select": lambda index, **o: index.select(**o),
    "select some": lambda index, **o: index.select(F("n") < 30, limit=5, fields=["x"], **o),
    "select in order": lambda index, **o: index.select(
        order_by="n", descending=True, limit=9, fields=["n"], **o
    ),
    "select by a stored field": lambda index, **o: index.select(order_by="note", offset=2, **o),
    "aggregate": lambda index, **o: index.aggregate(AggregateQuery(**o).group_by("t", number=Count())),
}  # fmt: skip


def fill(connection: Connection, name: str) -> AttachedIndex:
    """Hashes and an index over them, as another program may have written them."""
    rows = {
        f"{name}:{n}": {
            "v": packed(1.0, n / 100), "t": "ab"[n % 2], "n": str(n), "x": f"fox {n}", "note": f"{n:03}",
        }
        for n in range(NUMBER)
    }  # fmt: skip
    write_hashes(connection, rows)
    create_index(connection, definition_of(name, f"{name}:"))
    index = Index.attach(f"{name}-foreign", connection=connection)
    index.wait_until_indexed()
    return index


def fill_json(connection: Connection, name: str) -> AttachedIndex:
    """The same as JSON documents."""
    for n in range(NUMBER):
        value = {"v": [1.0, n / 100], "t": "ab"[n % 2], "n": n, "x": f"fox {n}", "note": f"{n:03}"}
        connection.execute("JSON.SET", f"{name}:{n}", "$", json.dumps(value))
    create_index(connection, definition_of(name, f"{name}:", on="json"))
    index = Index.attach(f"{name}-foreign", connection=connection)
    index.wait_until_indexed()
    return index


@pytest.fixture(
    params=["search", *(["cluster"] if "VALKEY_SEARCH_CLUSTER_URL" in os.environ else [])]
)
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    server: Server = request.getfixturevalue(f"{request.param}_server")
    with Connection.open(server.url) as opened:
        yield opened


@pytest.fixture
def filled(connection: Connection, index_name: str) -> AttachedIndex:
    return fill(connection, index_name)


@pytest.fixture
def lossy(lossy_cluster: StandInServer, index_name: str) -> Iterator[AttachedIndex]:
    """An index on a cluster whose third shard can be lost."""
    with Connection.open(lossy_cluster.url) as connection:
        yield fill(connection, index_name)


def lose_shard(server: StandInServer, lost: bool = True) -> None:
    server.stand_in.state.shard_lost = lost


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("options", [{"consistency": "strict"}, {"consistency": "partial"}])
def test_a_read_of_all_shards_is_the_default_one_and_complete(
    filled: AttachedIndex, name: str, options: dict[str, Any]
) -> None:
    read = READS[name]
    found = read(filled, timeout=20.0, **options)
    assert isinstance(found, SearchResult)
    assert found
    assert found == read(filled)
    assert found.partial is False


def test_counts_facets_and_iterations_take_the_options(filled: AttachedIndex) -> None:
    options: Any = {"consistency": "partial", "timeout": 20.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert filled.count(**options) == NUMBER
        assert filled.facets(["t"], **options) == filled.facets(["t"])
        assert list(filled.iterate(**options)) == list(filled.iterate())
        assert len(list(filled.iterate(F("n") < 9, **options))) == 9


def test_async_reads_take_the_options(filled: AttachedIndex) -> None:
    options: Any = {"consistency": "partial", "timeout": 20.0}

    async def read() -> tuple[Any, Any, int, int, Any]:
        return (
            await filled.asearch(HERE, k=3, **options),
            await filled.aselect(limit=5, **options),
            await filled.acount(**options),
            len([document async for document in filled.aiterate(**options)]),
            await filled.afacets(["t"], **options),
        )

    hits, selected, number, iterated, facets = asyncio.run(read())
    assert hits == filled.search(HERE, k=3)
    assert selected == filled.select(limit=5)
    assert hits.partial is selected.partial is False
    assert number == iterated == NUMBER
    assert facets == filled.facets(["t"])


@pytest.mark.wrong_dialect  # without CONSISTENT
def test_a_loose_read_of_several_nodes_may_be_partial_and_of_one_is_not(
    filled: AttachedIndex, commands: CommandLog
) -> None:
    several = filled.connection.capabilities.cluster
    found = filled.search(HERE, k=3, consistency="loose")
    assert found == filled.search(HERE, k=3)
    assert found.partial is several
    if not several:
        return
    sent = [each for trip in commands.round_trips for each in trip if each[0] == b"FT.SEARCH"]
    assert any(b"INCONSISTENT" in each and b"ALLSHARDS" in each for each in sent)
    with pytest.warns(PartialResultWarning, match="the count"):
        filled.count(consistency="loose")
    assert filled.facets(["t"], consistency="loose")["t"].partial is True


def test_an_index_in_one_slot_is_complete_at_every_consistency(
    connection: Connection, index_name: str
) -> None:
    if not connection.capabilities.cluster:
        return
    index = fill(connection, f"{{{index_name}}}")
    Shards.of(connection).note_down(["127.0.0.1:1"])
    for name, read in READS.items():
        for consistency in ("strict", "partial"):
            assert read(index, consistency=consistency).partial is False, name
    drop_index(connection, index.name)


@pytest.mark.parametrize("name", READS)
def test_a_partial_read_answers_without_a_lost_shard_and_says_so(
    lossy: AttachedIndex, lossy_cluster: StandInServer, name: str
) -> None:
    read = READS[name]
    whole = read(lossy, consistency="partial")
    assert whole.partial is False
    lose_shard(lossy_cluster)
    with pytest.raises(ServerError):
        read(lossy)
    rest = read(lossy, consistency="partial")
    assert rest.partial is True
    assert rest
    if name in ("search", "select"):
        assert 0 < len(rest) < len(whole)
    lose_shard(lossy_cluster, lost=False)
    assert read(lossy, consistency="partial") == whole


def test_a_partial_read_of_json_documents_answers_without_a_lost_shard(index_name: str) -> None:
    speaks: Literal["valkey-search-1.2.1"] = "valkey-search-1.2.1"
    with (
        start_server(search=True, json=True, cluster=True, speaks=speaks) as server,
        Connection.open(server.url) as connection,
    ):
        assert isinstance(server, StandInServer)
        index = fill_json(connection, index_name)
        whole = {name: read(index) for name, read in READS.items()}
        lose_shard(server)
        for name, read in READS.items():
            with pytest.raises(ServerError):
                read(index)
            rest = read(index, consistency="partial")
            assert rest.partial is True, name
            assert rest, name
            if name in ("search", "select"):
                assert [each for each in whole[name] if each in rest] == rest
                assert len(rest) < len(whole[name])


def test_numbers_and_iterations_without_a_shard_warn(
    lossy: AttachedIndex, lossy_cluster: StandInServer
) -> None:
    lose_shard(lossy_cluster)
    with pytest.warns(PartialResultWarning, match="the count may lack records") as counted:
        number = lossy.count(consistency="partial")
    assert 0 < number < NUMBER
    assert counted[0].filename == __file__
    with pytest.warns(PartialResultWarning, match="the iteration"):
        assert len(list(lossy.iterate(consistency="partial"))) == number
    facet = lossy.facets(["t"], consistency="partial")["t"]
    assert facet.partial is True
    assert sum(value.count for value in facet.values) == number


@pytest.mark.parametrize("on", ["hash", "json"])
def test_a_partial_read_of_documents_asks_only_the_shards_that_answer(
    connection: Connection, index_name: str, commands: CommandLog, on: Any
) -> None:
    if not connection.capabilities.cluster:
        return
    if on == "json" and connection.execute("COMMAND", "INFO", "JSON.SET")[0] is None:
        return
    index = fill(connection, index_name) if on == "hash" else fill_json(connection, index_name)
    index.search(HERE, k=1, consistency="partial")
    shards = Shards.of(connection)
    described = connection.execute_on_primaries("INFO", "server")
    assert not shards.probe(connection, [address.decode() for address in described])
    lost, *others = shards.living
    assert others
    expected = [document.key for document in index.select()]
    kept = {key for key in expected if not lost.serves(key)}
    assert 0 < len(kept) < NUMBER
    for name, read in READS.items():
        whole = read(index)
        shards.note_down([lost.address])
        before = len(commands.round_trips)
        found = read(index, consistency="partial")
        sent = [each for trip in commands.round_trips[before:] for each in trip]
        assert found.partial is True, name
        searches = [each for each in sent if each[0] == b"FT.SEARCH"]
        assert searches, name
        assert all(b"LOCALONLY" in each for each in searches), name
        read_keys = {
            each[1].decode() for each in sent if each[0] in (b"HMGET", b"HGETALL", b"JSON.GET")
        }
        assert read_keys <= kept, name
        if name == "aggregate":
            assert sum(row["number"] for row in found) == len(kept)
            continue
        keys = [getattr(each, "document", each).key for each in found]
        assert set(keys) <= kept, name
        if name in ("search", "select"):
            ranked = [getattr(each, "document", each).key for each in whole]
            assert keys == [key for key in ranked if key in kept], name


def test_in_a_cluster_with_replicas_each_primary_is_searched(
    connection: Connection,
    index_name: str,
    commands: CommandLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not connection.capabilities.cluster:
        return
    index = fill(connection, index_name)
    expected = {name: read(index) for name, read in READS.items()}
    support = ServerSupport.of(connection)
    monkeypatch.setattr(ServerSupport, "_learn_replicas", lambda *_: None)
    support.primaries_alone = Primaries()
    before = len(commands.round_trips)
    assert {name: read(index) for name, read in READS.items()} == expected
    assert index.count() == NUMBER
    sent = [each for trip in commands.round_trips[before:] for each in trip]
    searches = [each for each in sent if each[0] == b"FT.SEARCH"]
    assert searches
    assert all(b"LOCALONLY" in each and b"CONSISTENT" in each for each in searches)
    assert any(each[0] == b"CLUSTER" for each in sent)


def test_a_scan_of_all_keys_without_a_shard_is_an_error(
    lossy: AttachedIndex, lossy_cluster: StandInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valkey_vector.attached.candidates._MAX_FOUND", 1)
    assert len(lossy.select(consistency="partial")) == NUMBER
    lose_shard(lossy_cluster)
    with pytest.raises(ConnectionLostError, match="scans all keys, which needs every shard"):
        lossy.select(consistency="partial")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"consistency": "eventual"}, "consistency must be"),
        ({"consistency": None}, "consistency must be"),
        ({"timeout": 0}, "timeout must be"),
        ({"timeout": float("nan")}, "timeout must be"),
        ({"timeout": True}, "timeout must be"),
    ],
)
def test_an_invalid_option_is_named_before_anything_is_sent(
    filled: AttachedIndex, commands: CommandLog, options: dict[str, Any], named: str
) -> None:
    before = len(commands.round_trips)
    for read in (
        lambda: filled.search(HERE, **options),
        lambda: filled.select(**options),
        lambda: filled.iterate(**options),
        lambda: filled.count(**options),
        lambda: filled.facets(["n"], **options),
    ):
        with pytest.raises(InvalidInputError, match=named):
            read()
    assert len(commands.round_trips) == before


def test_an_unknown_keyword_of_a_read_is_refused(filled: AttachedIndex) -> None:
    wrong: Any = {"consistancy": "partial"}
    for read in (filled.select, filled.iterate, filled.count):
        with pytest.raises(TypeError, match="unexpected keyword argument 'consistancy'"):
            read(**wrong)


def test_the_server_gets_a_timeout_below_that_of_the_read(
    filled: AttachedIndex, commands: CommandLog
) -> None:
    filled.search(HERE, k=3, timeout=9.0)
    sent = [each for trip in commands.round_trips for each in trip if each[0] == b"FT.SEARCH"]
    assert 0 < int(sent[-1][sent[-1].index(b"TIMEOUT") + 1]) < 9_000


@pytest.mark.parametrize("name", READS)
def test_a_read_whose_time_is_over_raises_and_names_the_cure(
    filled: AttachedIndex, name: str
) -> None:
    read = READS[name]
    read(filled)
    with pytest.raises(RequestTimeoutError, match="pass a longer timeout="):
        read(filled, timeout=1e-6)
    for quick in (
        lambda: filled.count(timeout=1e-6),
        lambda: filled.facets(["t"], timeout=1e-6),
        lambda: list(filled.iterate(timeout=1e-6)),
    ):
        with pytest.raises(RequestTimeoutError, match=r"timeout of 1e-06 seconds"):
            quick()


def test_a_read_of_a_server_that_hangs_ends_in_time(index_name: str) -> None:
    with start_server(search=True) as server, Connection.open(server.url) as connection:
        index = fill(connection, index_name)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for read in (
                lambda: index.search(HERE, k=3, timeout=0.4),
                lambda: index.select(timeout=0.4),
                lambda: index.count(F("n") > 1, timeout=0.4),
                lambda: list(index.iterate(timeout=0.4)),
                lambda: asyncio.run(index.asearch(HERE, k=3, timeout=0.4)),
            ):
                begun = time.monotonic()
                with pytest.raises(RequestTimeoutError, match=r"its timeout of 0\.4 seconds"):
                    read()
                assert time.monotonic() - begun < 2.0
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert len(index.search(HERE, k=3)) == 3


def test_a_reply_that_the_server_may_have_cut_off_is_not_returned(
    index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start_server(search=True) as server, Connection.open(server.url) as connection:
        index = fill(connection, index_name)
        real = connection.pipeline

        def late(*commands: Any, **options: Any) -> Any:
            time.sleep(1.65)  # longer than TIMEOUT, shorter than the timeout of the read
            return real(*commands, **options)

        index.search(HERE)
        monkeypatch.setattr(connection, "pipeline", late)
        with pytest.raises(RequestTimeoutError, match="may be cut off"):
            index.search(HERE, timeout=2.0)


def test_a_search_is_filled_up_if_compared_documents_are_removed_meanwhile(
    filled: AttachedIndex, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the vector search finds too few, all documents are compared; then their fields are fetched."""
    from valkey_vector.attached import nearest

    monkeypatch.setattr(nearest, "_growing", lambda *_: ())
    monkeypatch.setattr(nearest, "_SPARE", 4)
    rank, removed = nearest.NearestSearch._ranked, iter([range(3), range(3, 12), ()])

    def removing(search: nearest.NearestSearch, *arguments: Any) -> Any:
        ranked = rank(search, *arguments)
        for n in next(removed):
            filled.connection.execute("DEL", f"{index_name}:{n}")
        return ranked

    monkeypatch.setattr(nearest.NearestSearch, "_ranked", removing)
    assert [hit.document.values["n"] for hit in filled.search(HERE, k=5)] == [3, 4, 5, 6, 7]
    assert [hit.document.values["n"] for hit in filled.search(HERE, k=5)] == [12, 13, 14, 15, 16]
