"""A server that another one has replaced as the primary is left for that one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from servers import TestServer, start_server
from valkey_vector.connection import Connection
from valkey_vector.errors import ConnectionLostError, ServerError, ValkeyVectorError


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def says(server: TestServer, words: bytes) -> bool:
    info = server.command("INFO", "replication")
    assert isinstance(info, bytes)
    return words in info


@contextmanager
def pair() -> Iterator[tuple[TestServer, TestServer]]:
    with start_server() as primary, start_server() as replica:
        replica.command("REPLICAOF", primary.host, primary.port)
        until(lambda: says(replica, b"master_link_status:up"))
        yield primary, replica


def fail_over(primary: TestServer, replica: TestServer) -> None:
    primary.command("FAILOVER", "TO", replica.host, replica.port)
    until(lambda: says(replica, b"role:master") and says(primary, b"role:slave"))


def works_again(call: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            call()
        except ValkeyVectorError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def test_after_a_failover_the_same_connection_writes_to_the_new_primary() -> None:
    with pair() as (one, other):
        url = f"valkey://{one.host}:{one.port},{other.host}:{other.port}?cluster=false"
        with Connection.open(url) as connection:
            connection.execute("SET", "before", "v")
            connection.execute("PING", lane=1)
            for old, new in ((one, other), (other, one)):
                time.sleep(1)
                fail_over(old, new)
                assert connection.execute("SET", "after", "v") == "OK"
                assert connection.pipeline([["SET", "x", "v"], ["GET", "before"]], lane=1)
                assert new.command("GET", "after") == b"v"


def test_a_pipeline_that_was_refused_as_a_whole_is_sent_to_the_new_primary() -> None:
    with pair() as (one, other):
        url = f"valkey://{one.host}:{one.port},{other.host}:{other.port}?cluster=false"
        with Connection.open(url) as connection:
            connection.execute("SET", "n", "0")
            time.sleep(1)
            fail_over(one, other)
            assert connection.pipeline([["INCR", "n"], ["INCR", "n"]]) == [1, 2]
            assert other.command("GET", "n") == b"2"


def test_threads_that_write_during_a_failover_all_go_on_afterwards() -> None:
    with pair() as (one, other), ThreadPoolExecutor(8) as threads:
        url = f"valkey://{one.host}:{one.port},{other.host}:{other.port}?cluster=false"
        with Connection.open(url) as connection:
            connection.execute("PING")
            time.sleep(1)
            fail_over(one, other)

            def write(number: int) -> None:
                works_again(lambda: connection.execute("SET", f"k{number}", "v"))

            for future in [threads.submit(write, number) for number in range(40)]:
                future.result(30)
            assert other.command("DBSIZE") == 40


def test_a_write_to_the_address_of_a_replica_raises_a_clear_error() -> None:
    with pair() as (one, other):
        with (
            Connection.open(f"{other.url}?cluster=false") as connection,
            pytest.raises(ConnectionLostError, match="primary"),
        ):
            connection.execute("SET", "k", "v")
        with Connection.open(one.url) as connection:
            connection.execute("PING")
            fail_over(one, other)
            with pytest.raises(
                ServerError, match=rf"{one.port} leads to a replica: connect to the pr"
            ):
                connection.execute("SET", "k", "v")
