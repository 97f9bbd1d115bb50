"""Connections with equal settings share the clients of a process; other connections do not."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from child_processes import in_child
from servers import TestServer, start_server
from valkey_vector.connection import Connection
from valkey_vector.errors import AuthenticationError, ConfigurationError
from valkey_vector.index.index import Index
from valkey_vector.stores import MessageLog

# From Python 3.12 on a fork with threads warns; that it works all the same is what is tested here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


@pytest.fixture
def server() -> Iterator[TestServer]:
    with start_server() as server:
        yield server


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def clients_of(server: TestServer) -> int:
    """Return the number of connections of the server, without this one."""
    text = server.command("CLIENT", "LIST")
    assert isinstance(text, bytes)
    return len(text.splitlines()) - 1


def client_id(connection: Connection) -> int:
    found = connection.execute("CLIENT", "ID")
    assert isinstance(found, int)
    return found


def test_a_hundred_connections_by_url_hold_the_descriptors_of_one(server: TestServer) -> None:
    with Connection.open(server.url) as first:
        first.execute("PING")
        held, clients = descriptors(), clients_of(server)
        others = [Connection.open(server.url) for _ in range(100)]
        for other in others:
            other.execute("PING")
        assert descriptors() == held
        assert clients_of(server) == clients
        for other in others:
            other.close()
        assert first.execute("PING") == b"PONG"


def test_a_hundred_stores_by_url_hold_the_descriptors_of_one(server: TestServer) -> None:
    with MessageLog("first", url=server.url) as first:
        first.append([b"x"])
        held, clients = descriptors(), clients_of(server)
        others = [MessageLog(f"log{n}", url=server.url) for n in range(100)]
        for other in others:
            other.append([b"x"])
        with Index.open("shared", dimension=2, url=server.url, engine="native") as index:
            assert index.count() == 0
        assert descriptors() == held
        assert clients_of(server) == clients
        for other in others:
            other.close()


def test_the_last_connection_that_closes_closes_the_clients(server: TestServer) -> None:
    one, other = Connection.open(server.url), Connection.open(server.url)
    one.execute("PING")
    assert client_id(one) == client_id(other)
    one.close()
    one.close()
    assert other.execute("PING") == b"PONG"
    assert clients_of(server) == 1
    other.close()
    assert clients_of(server) == 0
    for closed in (one, other):
        with pytest.raises(ConfigurationError, match="closed"):
            closed.execute("PING")


def test_connections_that_are_garbage_collected_release_their_share(server: TestServer) -> None:
    one, other = Connection.open(server.url), Connection.open(server.url)
    one.execute("PING")
    del one
    gc.collect()
    assert other.execute("PING") == b"PONG"
    other.close()
    assert clients_of(server) == 0
    lost = Connection.open(server.url)
    lost.execute("PING")
    del lost
    gc.collect()
    assert clients_of(server) == 0


def test_a_connection_opened_after_the_last_was_closed_has_clients_of_its_own(
    server: TestServer,
) -> None:
    with Connection.open(server.url) as one:
        before = client_id(one)
    with Connection.open(server.url) as other:
        assert client_id(other) != before


@pytest.mark.parametrize(
    "difference",
    ["username=app&password=good-enough", "request_timeout=7", "db=1", "client_name=me"],
)
def test_different_settings_are_not_shared(server: TestServer, difference: str) -> None:
    server.command("ACL", "SETUSER", "app", "on", ">good-enough", "~*", "&*", "+@all")
    with (
        Connection.open(server.url) as one,
        Connection.open(f"{server.url}?{difference}") as other,
    ):
        assert client_id(one) != client_id(other)


def test_a_wrong_password_fails_although_another_connection_has_the_right_one(
    server: TestServer,
) -> None:
    server.command("ACL", "SETUSER", "app", "on", ">good-enough", "~*", "&*", "+@all")
    with (
        Connection.open(f"valkey://app:good-enough@{server.host}:{server.port}") as right,
        Connection.open(f"valkey://app:wrong-one@{server.host}:{server.port}") as wrong,
    ):
        right.execute("PING")
        with pytest.raises(AuthenticationError):
            wrong.execute("PING")


def test_closing_in_a_forked_child_leaves_the_parents_connections_alone(server: TestServer) -> None:
    with Connection.open(server.url) as one, Connection.open(server.url) as other:
        one.execute("PING")

        def use_and_close() -> bool:
            one.close()
            works = bool(other.execute("PING") == b"PONG")
            other.close()
            with Connection.open(server.url) as again:
                return works and again.execute("PING") == b"PONG"

        ours = client_id(one)
        assert in_child(use_and_close)
        assert client_id(one) == client_id(other) == ours


def test_threads_that_open_use_and_close_do_not_disturb_each_other(server: TestServer) -> None:
    def use(number: int) -> None:
        for _ in range(30):
            with Connection.open(server.url) as connection:
                connection.execute("INCR", f"n{number}")

    with ThreadPoolExecutor(8) as threads:
        for future in [threads.submit(use, number) for number in range(8)]:
            future.result(60)
    with Connection.open(server.url) as connection:
        assert connection.execute("MGET", *(f"n{n}" for n in range(8))) == [b"30"] * 8
        assert clients_of(server) == 1


def test_a_connection_closed_by_one_thread_stays_open_for_others(server: TestServer) -> None:
    with Connection.open(server.url) as stays:
        stays.execute("PING")
        ended = threading.Event()

        def send() -> int:
            sent = 0
            while not ended.is_set():
                stays.execute("PING")
                sent += 1
            return sent

        with ThreadPoolExecutor(2) as threads:
            futures = [threads.submit(send) for _ in range(2)]
            for _ in range(50):
                Connection.open(server.url).close()
            ended.set()
            assert all(future.result(10) for future in futures)


def test_stores_of_several_event_loops_share_clients(server: TestServer) -> None:
    async def write(number: int) -> None:
        async with MessageLog(f"loop{number}", url=server.url) as log:
            await log.aappend([b"x"])

    with Connection.open(server.url) as connection:
        connection.execute("PING")
        for number in range(5):
            asyncio.run(write(number))
        assert clients_of(server) == 1
