"""A cluster is detected, or set explicitly; a single node in cluster mode is a cluster, too."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from clusters import TestCluster
from round_trips import CommandLog
from servers import TestServer, free_port, start_server
from valkey_vector.connection import Connection
from valkey_vector.errors import ServerError

KEYS = 3000


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with start_server(cluster=True) as server:
        yield server


@pytest.fixture(params=["", "?cluster=true"], ids=["found out", "told"])
def connection(request: pytest.FixtureRequest, server: TestServer) -> Iterator[Connection]:
    server.command("FLUSHALL")
    with Connection.open(f"{server.url}{request.param}") as connection:
        yield connection


def test_a_lone_node_in_cluster_mode_is_a_cluster(connection: Connection) -> None:
    assert connection.capabilities.cluster
    assert connection.capabilities.server == "valkey"
    assert connection.capabilities.server_version >= (9, 0, 0)


def test_commands_and_pipelines_reach_any_slot(connection: Connection) -> None:
    replies = connection.pipeline([["SET", f"k:{number}", str(number)] for number in range(KEYS)])
    assert replies == ["OK"] * KEYS
    assert connection.execute("GET", "k:17", lane=1) == b"17"
    reply = connection.pipeline([["LPUSH", "k:1", "x"], ["GET", "k:2"]])
    assert type(reply[0]) is ServerError
    assert reply[1] == b"2"


def test_scan_covers_the_cluster(connection: Connection) -> None:
    connection.pipeline([["SET", f"a:{number}", ""] for number in range(KEYS)])
    connection.pipeline([["SET", f"b:{number}", ""] for number in range(10)])
    found = [key for batch in connection.scan("a:*", count=100) for key in batch]
    assert set(found) == {b"a:%d" % number for number in range(KEYS)}
    assert list(connection.scan("c:*")) == []


def test_keys_of_different_slots_in_one_command_are_an_error(connection: Connection) -> None:
    with pytest.raises(ServerError, match="CROSSSLOT"):
        connection.execute("SINTER", "a", "b")


def test_one_of_several_hosts_suffices(server: TestServer) -> None:
    url = f"valkey://127.0.0.1:{free_port()},{server.host}:{server.port}"
    for rest in ("", "?cluster=true"):
        with Connection.open(url + rest) as connection:
            assert connection.execute("SET", "k", "v") == "OK"
            assert connection.capabilities.cluster


def test_finding_out_costs_one_round_trip(server: TestServer, commands: CommandLog) -> None:
    with Connection.open(server.url) as connection:
        connection.execute("GET", "k")
        assert connection.capabilities.cluster
        assert len(commands.round_trips) == 2


def test_a_standalone_server_is_detected_and_named(server: TestServer) -> None:
    with start_server() as plain:
        for rest in ("", "?cluster=false"):
            with Connection.open(f"{plain.url}{rest}") as connection:
                assert not connection.capabilities.cluster
                assert connection.execute("SINTER", "a", "b") == set()
        with (
            Connection.open(f"{plain.url}?cluster=true") as connection,
            pytest.raises(ServerError),
        ):
            connection.execute("GET", "k")


def test_a_node_of_a_cluster_that_is_used_as_a_single_server_says_so_at_once() -> None:
    with TestCluster(2) as cluster:
        one = cluster.nodes[0]
        with Connection.open(f"{one.url}?cluster=false") as connection:
            connection.execute("PING")
            began = time.monotonic()
            assert (
                connection.execute("SET", "bar", "v") == "OK"
            )  # in slot 5061, which this node has
            with pytest.raises(
                ServerError, match="is part of a cluster: connect with cluster=true"
            ) as caught:
                connection.execute("SET", "foo", "v")
            assert "MOVED 12182 " in str(caught.value)
            assert time.monotonic() - began < 3


def test_a_database_other_than_zero_is_passed_on() -> None:
    with start_server(cluster=True, extra=["--cluster-databases", "4"]) as server:
        with Connection.open(f"{server.url}/2") as connection:
            connection.execute("SET", "k", "v")
            assert b"db=2" in connection.execute("CLIENT", "INFO")
        with Connection.open(server.url) as connection:
            assert connection.execute("GET", "k") is None


def test_a_primary_and_its_replica_can_share_the_reads() -> None:
    with start_server() as primary, start_server() as replica:
        replica.command("REPLICAOF", primary.host, primary.port)
        for url in (
            f"{primary.url},{replica.host}:{replica.port}?read_from=prefer_replica",
            f"{primary.url}?read_from=prefer_replica",
        ):
            with Connection.open(url) as connection:
                connection.execute("SET", "k", "v")
                connection.execute("WAIT", "1", "10000")
                assert connection.execute("GET", "k") == b"v"
