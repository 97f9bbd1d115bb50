"""Replicas answer searches where `read_from` says so; everything that leads to a change reads from primaries."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from round_trips import CommandLog
from servers import TestServer, start_server
from valkey_vector import F, Index, Record
from valkey_vector.connection import Connection
from valkey_vector.stores import ByteStore

HERE = [1.0, 0.0, 0.0, 0.0]
_CALLS = re.compile(rb"cmdstat_(\w[\w.]*):calls=(\d+)")


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary and its replica, with a search module."""

    primary: TestServer
    replica: TestServer

    def searches(self) -> list[int]:
        """The number of FT.SEARCH that each has executed since `forget`."""
        return [calls_of(node.command("INFO", "commandstats")) for node in self.nodes]

    def forget(self) -> None:
        for node in self.nodes:
            node.command("CONFIG", "RESETSTAT")

    @property
    def nodes(self) -> Sequence[TestServer]:
        return self.primary, self.replica

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The replica receives nothing from its primary in this block."""
        self.replica.command("REPLICAOF", "NO", "ONE")
        yield
        self.replica.command("REPLICAOF", self.primary.host, self.primary.port)
        self.in_sync()

    def in_sync(self) -> None:
        until(lambda: "master_link_status:up" in text(self.replica, "replication"))


def calls_of(reply: object) -> int:
    assert isinstance(reply, bytes)
    return sum(int(calls) for name, calls in _CALLS.findall(reply) if name.upper() == b"FT.SEARCH")


def text(node: TestServer, section: str) -> str:
    reply = node.command("INFO", section)
    assert isinstance(reply, bytes)
    return reply.decode()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with start_server(search=True) as primary, start_server(search=True) as replica:
        assert isinstance(primary, TestServer)
        assert isinstance(replica, TestServer)
        replica.command("REPLICAOF", primary.host, primary.port)
        found = Pair(primary, replica)
        found.in_sync()
        yield found


@pytest.fixture
def name(pair: Pair, index_name: str) -> Iterator[str]:
    yield index_name
    with Index.open(index_name, url=pair.primary.url) as index:
        index.drop()


def filled(pair: Pair, name: str) -> None:
    with Index.open(name, url=pair.primary.url, dimension=4) as index:
        index.upsert(
            [Record(id=f"r{n}", vector=[1, n, 0, 0], metadata={"n": n}) for n in range(20)]
        )
        with Connection.open(pair.primary.url) as connection:
            connection.execute("WAIT", "1", "10000")
        counting = ("FT.SEARCH", search_index(index), "*", "LIMIT", "0", "0")
        until(lambda: pair.replica.command(*counting) == [20])


def search_index(index: Index) -> str:
    engine = index._handle.existing()
    assert engine is not None
    return engine.entry.search_index


@pytest.mark.parametrize(
    ("read_from", "shares"),
    [("primary", (40, 0)), ("prefer_replica", (0, 40)), ("all_nodes", (20, 20))],
)
def test_searches_are_distributed_as_read_from_says(
    pair: Pair, name: str, read_from: str, shares: tuple[int, int]
) -> None:
    filled(pair, name)
    with Index.open(name, url=f"{pair.primary.url}?read_from={read_from}") as index:
        index.search(HERE, k=3)
        pair.forget()
        for _ in range(40):
            assert len(index.search(HERE, k=3)) == 3
        primary, replica = pair.searches()
    # A search that also asks for the server's state, four times a second, goes to the primary.
    assert primary + replica == 40
    assert abs(replica - shares[1]) <= 10


def test_changes_and_stores_do_not_read_from_replicas(pair: Pair, name: str) -> None:
    filled(pair, name)
    with (
        Connection.open(f"{pair.primary.url}?read_from=prefer_replica") as connection,
        Index.open(name, connection=connection) as index,
    ):
        store = ByteStore(name, connection=connection)
        with pair.paused():
            index.upsert([Record(id="new", vector=HERE, metadata={"n": 99})])
            assert index.upsert([Record(id="new", vector=HERE)], policy="SKIP").skipped == ("new",)
            index.upsert([Record(id="new", vector=HERE, metadata={"n": 98})])
            assert index.update_metadata(F("n") == 98, {"n": 97}) == 1
            assert index.delete_by_filter(F("n") == 97) == 1
            assert not index.verify().findings
            store.mset({"k": b"v"})
            assert store.mget(["k"]) == [b"v"]


def test_a_search_of_a_replica_can_be_older_than_a_write(pair: Pair, name: str) -> None:
    filled(pair, name)
    with Index.open(name, url=f"{pair.primary.url}?read_from=prefer_replica") as index:
        index.search(HERE, k=1)
        with pair.paused():
            index.upsert([Record(id="new", vector=HERE)])
            seen = [hit.record.id for _ in range(10) for hit in index.search(HERE, k=1)]
            assert "r0" in seen
        until(lambda: index.search(HERE, k=1)[0].record.id == "new")


def test_primaries_answer_while_a_replica_does_not_have_the_index(pair: Pair, name: str) -> None:
    filled(pair, name)
    with Index.open(name, url=f"{pair.primary.url}?read_from=prefer_replica") as index:
        index.search(HERE, k=1)
        with pair.paused():
            pair.replica.command("FT.DROPINDEX", search_index(index))
            for _ in range(5):
                assert len(index.search(HERE, k=3)) == 3


def test_a_connection_that_reads_from_primaries_has_no_second_client(
    pair: Pair, name: str, commands: CommandLog
) -> None:
    filled(pair, name)
    with Connection.open(pair.primary.url) as connection:
        Index.open(name, connection=connection).search(HERE, k=1)
        assert list(connection._open_clients()._resources.clients) == [0]


def test_a_server_without_replicas_answers_itself() -> None:
    with (
        start_server(search=True) as server,
        Index.open("i", url=f"{server.url}?read_from=prefer_replica", dimension=4) as index,
    ):
        index.upsert([Record(id="1", vector=HERE, metadata={"n": 1})])
        assert [hit.record.id for hit in index.search(HERE, filter={"n": 1})] == ["1"]
        assert index.count() == 1
