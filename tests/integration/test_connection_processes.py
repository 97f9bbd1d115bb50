"""Connections across processes: fork, spawn, pickling, copying."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from child_processes import in_child
from servers import TestServer, start_server
from valkey_vector.connection import Connection
from valkey_vector.errors import ValkeyVectorError

# From Python 3.12 on a fork with threads warns; that it works all the same is what is tested here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


@pytest.fixture(params=[False, True], ids=["standalone", "cluster"])
def server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    with start_server(cluster=request.param) as server:
        yield server


def restart_soon(server: TestServer) -> None:
    time.sleep(0.3)
    server.restart()


def test_a_connection_in_use_works_in_a_forked_child_and_in_the_parent(server: TestServer) -> None:
    with Connection.open(server.url) as connection:
        connection.execute("SET", "k", "v")
        connection.execute("PING", lane=1)
        ours = connection.execute("CLIENT", "ID")

        def use() -> bool:
            return (
                connection.execute("GET", "k") == b"v"
                and connection.pipeline([["GET", "k"]], lane=1) == [b"v"]
                and connection.execute("SET", "child", "x", lane=2) == "OK"
                and connection.execute("CLIENT", "ID") != ours
            )

        for _ in range(3):
            assert in_child(use)
            assert connection.execute("CLIENT", "ID") == ours
        assert connection.execute("GET", "child") == b"x"


def test_a_fork_while_other_threads_send_does_not_leave_the_child_waiting(
    server: TestServer,
) -> None:
    with Connection.open(f"{server.url}?max_in_flight=1") as connection:
        connection.execute("PING")
        ended = threading.Event()

        def send() -> None:
            while not ended.is_set():
                connection.execute("PING")

        with ThreadPoolExecutor(4) as threads:
            futures = [threads.submit(send) for _ in range(4)]
            try:
                for _ in range(40):
                    assert in_child(lambda: connection.execute("PING") == b"PONG")
            finally:
                ended.set()
            for future in futures:
                future.result(10)


def test_a_connection_that_was_not_used_yet_works_in_a_forked_child(server: TestServer) -> None:
    with Connection.open(server.url) as connection:
        assert in_child(lambda: connection.execute("PING") == b"PONG")
        assert connection.execute("PING") == b"PONG"


def test_closing_in_a_forked_child_leaves_the_parent_connected(server: TestServer) -> None:
    with Connection.open(server.url) as connection:
        ours = connection.execute("CLIENT", "ID")

        def close() -> bool:
            connection.close()
            return True

        assert in_child(close)
        assert connection.execute("CLIENT", "ID") == ours


def test_a_connection_that_failed_before_does_not_hold_a_forked_child_up(
    server: TestServer, capfd: pytest.CaptureFixture[str]
) -> None:
    refused = (f"valkey://nobody:wrong@{server.host}:{server.port}", f"{server.url}/99999")
    for lost in refused * 4:
        with Connection.open(lost) as failing, pytest.raises(ValkeyVectorError):
            failing.execute("PING")
    server.kill()
    assert in_child(lambda: True)
    assert "Traceback" not in capfd.readouterr().err


def test_a_child_forked_during_an_outage_works_when_the_server_is_back(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with start_server() as server, Connection.open(server.url) as connection:
        connection.execute("PING")
        server.kill()

        def wait_and_use() -> bool:
            deadline = time.monotonic() + 8
            while time.monotonic() < deadline:
                try:
                    return bool(connection.execute("PING") == b"PONG")
                except ConnectionError:
                    time.sleep(0.05)
            return False

        with ThreadPoolExecutor(1) as threads:
            restarted = threads.submit(restart_soon, server)
            assert in_child(wait_and_use)
            restarted.result(20)
    assert "Traceback" not in capfd.readouterr().err


def test_a_connection_is_pickled_as_its_settings(server: TestServer) -> None:
    with Connection.open(f"{server.url}?request_timeout=7") as connection:
        connection.execute("PING")
        for again in (
            pickle.loads(pickle.dumps(connection)),  # noqa: S301 (made in this line)
            copy.copy(connection),
            copy.deepcopy(connection),
        ):
            with again:
                assert again.settings == connection.settings
                assert again.execute("PING") == b"PONG"
        assert connection.execute("PING") == b"PONG"


def test_a_connection_can_be_sent_to_a_spawned_process(server: TestServer) -> None:
    with Connection.open(server.url) as connection:
        connection.execute("SET", "k", "v")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(Connection.execute, (connection, "GET", "k")) == b"v"


def test_a_temporary_embedded_server_is_shared_with_a_spawned_process() -> None:
    with Connection.open("embedded://") as connection:
        connection.execute("SET", "shared-with-child", "v")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            arguments = (connection, "GET", "shared-with-child")
            assert pool.apply(Connection.execute, arguments) == b"v"
        assert pickle.loads(pickle.dumps(connection)).settings.unix_socket  # noqa: S301
        connection.execute("DEL", "shared-with-child")
