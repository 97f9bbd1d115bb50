"""A server that dies, is down and restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from servers import TestServer, free_port, start_server
from valkey_vector.connection import Connection
from valkey_vector.errors import ConnectionLostError

PROMPT_SECONDS = 3.0


@pytest.fixture(params=[False, True], ids=["standalone", "cluster"])
def server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    with start_server(cluster=request.param) as server:
        yield server


def fails_promptly(call: Callable[[], Any]) -> ConnectionLostError:
    began = time.monotonic()
    with pytest.raises(ConnectionLostError) as caught:
        call()
    assert time.monotonic() - began < PROMPT_SECONDS
    assert isinstance(caught.value, ConnectionError)
    return caught.value


def works_again(call: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            call()
        except ConnectionLostError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


def test_an_outage_raises_promptly_and_the_same_connection_works_afterwards(
    server: TestServer,
) -> None:
    with Connection.open(server.url) as connection:
        connection.execute("SET", "k", "v")
        for _ in range(2):
            server.kill()
            for _ in range(3):
                fails_promptly(lambda: connection.execute("GET", "k"))
                fails_promptly(lambda: connection.pipeline([["GET", "k"], ["GET", "l"]]))
            fails_promptly(lambda: list(connection.scan("*")))
            fails_promptly(lambda: connection.execute("GET", "k", lane=1))
            server.restart()
            works_again(lambda: connection.execute("SET", "k", "v"))
            assert connection.execute("GET", "k", lane=1, retry=True) == b"v"


def test_commands_under_way_fail_when_the_server_dies(server: TestServer) -> None:
    with Connection.open(server.url) as connection, ThreadPoolExecutor(8) as threads:
        connection.execute("PING")
        futures = [threads.submit(connection.execute, "BLPOP", f"k{n}", "0") for n in range(8)]
        deadline = time.monotonic() + 10
        while b"blocked_clients:1" not in bytes(str(server.command("INFO", "clients")), "ascii"):
            assert time.monotonic() < deadline
        server.kill()
        for future in futures:
            fails_promptly(partial(future.result, PROMPT_SECONDS))


@pytest.mark.parametrize("wait", [0.0, 0.0005, 0.001, 0.002, 0.005, 0.02])
def test_there_is_no_moment_of_dying_at_which_a_command_outlasts_its_timeout(wait: float) -> None:
    # A command sent before GLIDE detects the outage waits for its timeout. Then the error is distinguished.
    with (
        start_server() as server,
        Connection.open(f"{server.url}?request_timeout=1") as connection,
    ):
        connection.execute("PING")
        server.kill()
        until = time.monotonic() + wait
        while time.monotonic() < until:
            pass
        fails_promptly(lambda: connection.execute("PING"))


def test_a_busy_connection_never_hangs_when_the_server_dies(server: TestServer) -> None:
    def busy(connection: Connection, lane: int) -> float:
        while True:
            began = time.monotonic()
            try:
                connection.execute("SET", f"k{lane}", "v", lane=lane)
            except ConnectionLostError:
                return time.monotonic() - began

    # A command that overtakes the news of the loss on its way into GLIDE waits there for its timeout.
    url = f"{server.url}?request_timeout=1"
    with Connection.open(url) as connection, ThreadPoolExecutor(8) as threads:
        for lane in range(5):
            connection.execute("PING", lane=lane)
        futures = [threads.submit(busy, connection, lane % 5) for lane in range(8)]
        time.sleep(0.1)
        server.kill()
        assert max(future.result(60) for future in futures) < PROMPT_SECONDS


def test_other_connections_coming_and_going_do_not_hide_an_outage() -> None:
    with (
        start_server() as other,
        start_server() as server,
        Connection.open(server.url) as connection,
    ):
        connection.execute("PING")
        server.kill()
        with Connection.open(other.url) as replacement:
            replacement.execute("PING")
            fails_promptly(lambda: connection.execute("PING"))


def test_idempotent_reads_survive_a_short_outage() -> None:
    with start_server() as server, ThreadPoolExecutor(1) as threads:
        url = f"{server.url}?retries=8&retry_delay=0.05"
        with Connection.open(url) as connection:
            connection.execute("PING")
            server.kill()
            restarted = threads.submit(server.restart)
            assert connection.execute("PING", retry=True) == b"PONG"
            assert connection.pipeline([["PING"]], retry=True) == [b"PONG"]
            restarted.result(20)


def test_without_retry_a_command_is_sent_once() -> None:
    with start_server() as server, Connection.open(server.url) as connection:
        connection.execute("SET", "n", "0")
        server.command("DEBUG", "RELOAD")
        with pytest.raises(ConnectionLostError):
            # The server carries this out and dies before it can answer.
            connection.pipeline([["INCR", "n"], ["DEBUG", "SEGFAULT"]])


def test_a_server_that_was_never_there_is_named_without_credentials() -> None:
    port = free_port()
    with Connection.open(f"valkey://user:hunter2secret@127.0.0.1:{port}/1") as connection:
        error = fails_promptly(lambda: connection.execute("PING"))
    assert f"valkey://127.0.0.1:{port}/1" in str(error)
    assert "refused" in str(error)
    assert "hunter2secret" not in str(error)


def test_a_server_that_starts_later_is_found_then() -> None:
    with start_server() as server:
        server.kill()
        with Connection.open(server.url) as connection:
            fails_promptly(lambda: connection.execute("PING"))
            server.restart()
            assert connection.execute("PING") == b"PONG"


def test_a_missing_unix_socket_is_an_outage(tmp_path: Any) -> None:
    with Connection.open(f"unix://{tmp_path}/none.sock") as connection:
        assert "none.sock" in str(fails_promptly(lambda: connection.execute("PING")))


def test_an_unknown_host_is_an_outage() -> None:
    with Connection.open("valkey://host.invalid") as connection, pytest.raises(ConnectionLostError):
        connection.execute("PING")


def test_threads_that_wait_for_a_failing_connection_fail_together() -> None:
    # A port that is bound but never accepts: connecting waits for its whole timeout.
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        port = silent.getsockname()[1]
        url = f"valkey://127.0.0.1:{port}?connection_timeout=0.5"
        with Connection.open(url) as connection, ThreadPoolExecutor(12) as threads:
            began = time.monotonic()
            futures = [threads.submit(connection.execute, "PING") for _ in range(12)]
            for future in futures:
                assert isinstance(future.exception(30), ConnectionLostError)
            assert time.monotonic() - began < PROMPT_SECONDS


def test_a_server_that_is_loading_its_data_is_an_outage() -> None:
    with (
        start_server(extra=["--appendonly", "yes"]) as server,
        Connection.open(server.url, request_timeout=0.5) as connection,
    ):
        connection.execute("PING")
        server.command("DEBUG", "SET-ACTIVE-EXPIRE", "1")
        with pytest.raises(ConnectionLostError, match="LOADING"):
            connection.execute("EVAL", "return redis.error_reply('LOADING data')", "0")
