"""A server that is not ready rejects commands; they are sent again within the request timeout, then raised."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from clusters import ClusterNode, TestCluster
from servers import TestServer, start_server
from valkey_vector.connection import Connection
from valkey_vector.errors import ConnectionLostError, ServerError

SPIN = "local e = tonumber(ARGV[1]) repeat local t = redis.call('TIME') until t[1] * 1000 + t[2] / 1000 >= e"
SLOTS = ("0", "16383")


@contextmanager
def later(seconds: float, call: Callable[[], object]) -> Iterator[None]:
    def waited() -> None:
        time.sleep(seconds)
        call()

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(waited)
        yield
        future.result(30)


@contextmanager
def busy(server: TestServer, seconds: float) -> Iterator[None]:
    end = str(int((time.time() + seconds) * 1000))
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(server.command, "EVAL", SPIN, "0", end)
        time.sleep(0.3)
        yield
        future.result(30)


@pytest.fixture
def node() -> Iterator[TestServer]:
    with start_server(cluster=True) as server:
        yield server


@pytest.fixture
def moving() -> Iterator[tuple[TestCluster, Callable[[], None]]]:
    """A cluster that moves the slot of ``{t}``, of whose keys one is still missing; and what ends the move."""
    with TestCluster(2) as cluster:
        slot = cluster.nodes[0].command("CLUSTER", "KEYSLOT", "{t}a")
        assert isinstance(slot, int)
        own, other = cluster.nodes if slot < 8192 else reversed(cluster.nodes)
        own.command("SET", "{t}a", "old")
        ids = [identity(server) for server in (own, other)]
        other.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        own.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])

        def settle() -> None:
            for server in (own, other):
                server.command("CLUSTER", "SETSLOT", slot, "STABLE")

        yield cluster, settle


def identity(node: ClusterNode) -> bytes:
    name = node.command("CLUSTER", "MYID")
    assert isinstance(name, bytes)
    return name


def test_a_write_waits_until_the_server_has_loaded_its_data() -> None:
    slow = ["--key-load-delay", "300", "--loading-process-events-interval-bytes", "1024"]
    with (
        start_server(extra=[*slow, "--enable-debug-command", "yes"]) as server,
        Connection.open(server.url) as connection,
    ):
        connection.pipeline([["SET", f"k{number}", "x" * 50] for number in range(3000)])
        with ThreadPoolExecutor(1) as threads:
            reload = threads.submit(server.command, "DEBUG", "RELOAD", timeout=30)
            time.sleep(0.4)
            assert connection.execute("INCR", "n") == 1
            assert connection.pipeline([["INCR", "n"], ["GET", "k0"]]) == [2, b"x" * 50]
            reload.result(30)


def test_a_write_waits_until_a_script_no_longer_blocks_the_server() -> None:
    with (
        start_server(extra=["--busy-reply-threshold", "50"]) as server,
        Connection.open(server.url) as connection,
    ):
        connection.execute("PING")
        with busy(server, 1.2):
            assert connection.execute("INCR", "n") == 1
        with busy(server, 1.2):
            assert connection.pipeline([["INCR", "n"], ["INCR", "n"]]) == [2, 3]


def test_writes_wait_until_the_cluster_is_up_again(node: TestServer) -> None:
    with Connection.open(node.url) as connection:
        connection.execute("SET", "n", "0")
        node.command("CLUSTER", "DELSLOTSRANGE", *SLOTS)
        with later(0.5, lambda: node.command("CLUSTER", "ADDSLOTSRANGE", *SLOTS)):
            assert connection.pipeline([["INCR", "n"], ["SET", "k", "v"]]) == [1, "OK"]
        assert connection.execute("GET", "n", retry=True) == b"1"


def test_writes_wait_until_their_keys_are_on_one_node(
    moving: tuple[TestCluster, Callable[[], None]],
) -> None:
    cluster, settle = moving
    with Connection.open(cluster.url) as connection:
        connection.execute("PING")
        with later(0.5, settle):
            assert connection.pipeline([["MSET", "{t}a", "1", "{t}b", "2"]] * 2) == ["OK", "OK"]


def test_a_pipeline_of_writes_is_not_sent_again_if_part_of_it_was_executed(
    moving: tuple[TestCluster, Callable[[], None]],
) -> None:
    cluster, _ = moving
    with Connection.open(cluster.url) as connection:
        done, rejected = connection.pipeline([["INCR", "x"], ["MSET", "{t}a", "1", "{t}b", "2"]])
        assert done == 1
        assert isinstance(rejected, ServerError)
        assert rejected.message.startswith("TRYAGAIN ")
        assert connection.execute("GET", "x") == b"1"


def test_after_the_request_timeout_the_servers_own_error_is_raised(node: TestServer) -> None:
    with Connection.open(node.url, request_timeout=0.7) as connection:
        connection.execute("PING")
        node.command("CLUSTER", "DELSLOTSRANGE", *SLOTS)
        began = time.monotonic()
        with pytest.raises(ConnectionLostError, match="CLUSTERDOWN "):
            connection.pipeline([["INCR", "n"]])
        assert 0.3 < time.monotonic() - began < 2.0
    with (
        start_server(extra=["--busy-reply-threshold", "50"]) as server,
        Connection.open(server.url, request_timeout=0.7) as connection,
    ):
        connection.execute("PING")
        with busy(server, 3.0):
            with pytest.raises(ServerError, match="BUSY ") as caught:
                connection.execute("INCR", "n")
            assert type(caught.value) is ServerError
            (reply,) = connection.pipeline([["INCR", "n"]])
            assert isinstance(reply, ServerError)
        assert connection.execute("GET", "n") is None
