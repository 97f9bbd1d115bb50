"""Commands, pipelines, scans and separate sockets on a real server, from one thread and from many."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest

from round_trips import CommandLog
from servers import TestServer, start_server
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Connection, SearchModule
from valkey_vector.errors import ConfigurationError, RequestTimeoutError, ServerError


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with start_server(extra=["--bind", "127.0.0.1", "-::1"]) as server:
        yield server


@pytest.fixture
def connection(server: TestServer) -> Iterator[Connection]:
    server.command("FLUSHALL")
    with Connection.open(server.url) as connection:
        yield connection


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def blocked_clients(server: TestServer) -> int:
    info = server.command("INFO", "clients")
    assert isinstance(info, bytes)
    return int(info.split(b"blocked_clients:")[1].split()[0])


def connected_clients(server: TestServer) -> int:
    listed = server.command("CLIENT", "LIST")
    assert isinstance(listed, bytes)
    return listed.count(b"\n") - 1  # but the one that asks


def test_replies_are_decoded(connection: Connection) -> None:
    assert connection.execute("SET", "k", b"\x00\xff") == "OK"
    assert connection.execute("GET", "k") == b"\x00\xff"
    assert connection.execute("GET", "missing") is None
    assert connection.execute("RPUSH", "l", "a", "b") == 2
    assert connection.execute("LRANGE", b"l", "0", "-1") == [b"a", b"b"]
    assert connection.execute("HSET", "h", "ä", "漢") == 1
    assert connection.execute("HGETALL", "h") == {"ä".encode(): "漢".encode()}


def test_an_error_has_the_servers_words_and_the_commands_name(connection: Connection) -> None:
    connection.execute("SET", "k", "v")
    with pytest.raises(ServerError) as caught:
        connection.execute("LPUSH", "k", "secret-argument")
    assert caught.value.command == "LPUSH"
    assert caught.value.message.startswith("WRONGTYPE Operation against a key")
    assert "secret-argument" not in str(caught.value)


def test_a_pipeline_is_one_round_trip_with_each_error_in_its_place(
    connection: Connection, commands: CommandLog
) -> None:
    connection.execute("PING")
    commands.clear()
    replies = connection.pipeline([["SET", "k", "v"], ["LPUSH", "k", "x"], [b"GET", b"k"]])
    assert len(commands.round_trips) == 1
    assert (replies[0], replies[2]) == ("OK", b"v")
    assert type(replies[1]) is ServerError
    assert (replies[1].command, replies[1].message[:9]) == ("LPUSH", "WRONGTYPE")


def test_a_refused_command_in_a_pipeline_prints_nothing(
    connection: Connection, capfd: pytest.CaptureFixture[str]
) -> None:
    connection.pipeline([["NOSUCHCOMMAND"]])
    assert capfd.readouterr() == ("", "")


def test_a_pipeline_may_be_empty_or_long(connection: Connection) -> None:
    assert connection.pipeline([]) == []
    size = 20_000
    replies = connection.pipeline([["INCR", "n"] for _ in range(size)])
    assert replies == list(range(1, size + 1))


def test_a_command_must_be_named(connection: Connection) -> None:
    with pytest.raises(ConfigurationError):
        connection.execute()
    with pytest.raises(ConfigurationError, match="empty command"):
        connection.pipeline([["PING"], []])


def test_an_argument_that_is_no_text_is_refused_and_leaves_the_connection_usable(
    connection: Connection,
) -> None:
    wrong: Any = 3
    for _ in range(300):  # more often than requests may be in flight
        with pytest.raises(TypeError):
            connection.execute("GET", wrong)
    assert connection.execute("PING") == b"PONG"


def test_scan_finds_every_matching_key_and_no_other(connection: Connection) -> None:
    connection.pipeline([["SET", f"a:{number}", ""] for number in range(2500)])
    connection.pipeline([["SET", f"b:{number}", ""] for number in range(100)])
    batches = list(connection.scan("a:*", count=100))
    assert all(batches)
    assert {key for batch in batches for key in batch} == {b"a:%d" % n for n in range(2500)}
    assert list(connection.scan(b"nothing:*")) == []


def test_capabilities_are_requested_once(connection: Connection, commands: CommandLog) -> None:
    assert connection.capabilities.server == "valkey"
    assert connection.capabilities.server_version >= (9, 0, 0)
    assert connection.capabilities.module is SearchModule.NONE
    assert not connection.capabilities.cluster
    assert len(commands.round_trips) == 1


def test_a_search_module_is_recognised() -> None:
    with start_server(search=True) as server, Connection.open(server.url) as connection:
        found = connection.capabilities
        assert found.module is SearchModule.REDISEARCH
        assert found.module_version >= (2, 10, 0)
        assert found.description.startswith("RediSearch 2.10")


def test_the_database_of_the_url_is_used(server: TestServer, connection: Connection) -> None:
    with Connection.open(f"{server.url}/3") as third:
        third.execute("SET", "only-in-3", "")
    assert connection.execute("EXISTS", "only-in-3") == 0
    connection.execute("SELECT", "0")


def test_a_database_that_the_server_lacks_is_a_configuration_error(server: TestServer) -> None:
    with (
        Connection.open(f"{server.url}/99") as connection,
        pytest.raises(ConfigurationError, match="database"),
    ):
        connection.execute("PING")


def test_a_unix_socket_works(server: TestServer) -> None:
    with Connection.open(f"valkey+unix://{server.socket_path}?db=2") as connection:
        assert b" db=2 " in connection.execute("CLIENT", "INFO")
        assert connection.capabilities.server == "valkey"


def test_ipv6_works(server: TestServer) -> None:
    assert socket.has_ipv6
    with Connection.open(f"valkey://[::1]:{server.port}") as connection:
        assert connection.execute("PING") == b"PONG"


def test_the_server_sees_the_name_of_the_client(server: TestServer) -> None:
    with Connection.open(f"{server.url}?client_name=my-app") as connection:
        info = connection.execute("CLIENT", "INFO")
    assert b" name=my-app " in info
    assert b"valkey-vector" in info
    assert b" resp=2 " in info


def test_each_lane_has_its_own_socket_connected_on_first_use(server: TestServer) -> None:
    with Connection.open(f"{server.url}?write_connections=2") as connection:
        ids = {connection.execute("CLIENT", "ID", lane=lane) for lane in (0, 1, 2, 0, 1, 2)}
        assert len(ids) == 3
        for lane in (-1, 3):
            with pytest.raises(ConfigurationError, match="lane"):
                connection.execute("PING", lane=lane)
        assert connection.pipeline([["CLIENT", "ID"]], lane=1)[0] in ids


def test_a_slow_command_times_out_and_the_connection_keeps_working(server: TestServer) -> None:
    with Connection.open(f"{server.url}?request_timeout=0.2") as connection:
        connection.execute("PING")
        server.command("CLIENT", "PAUSE", "5000", "WRITE")
        with pytest.raises(RequestTimeoutError) as caught:
            connection.execute("SET", "key", "value")
        assert isinstance(caught.value, TimeoutError)
        assert connection.execute("PING", lane=1) == b"PONG"
        server.command("CLIENT", "UNPAUSE")


def test_a_pipeline_may_take_longer_than_one_command(server: TestServer) -> None:
    with Connection.open(f"{server.url}?request_timeout=0.3") as connection:
        commands = [["DEBUG", "SLEEP", "0.02"] for _ in range(40)]
        assert connection.pipeline(commands) == ["OK"] * 40


def test_thirty_two_threads_get_their_own_replies(connection: Connection) -> None:
    def work(thread: int) -> None:
        for number in range(150):
            key, value = f"k:{thread}:{number}", f"{thread}-{number}".encode()
            connection.execute("SET", key, value, lane=thread % 5)
            assert connection.execute("GET", key) == value
            assert connection.pipeline([["GET", key], ["ECHO", key]]) == [value, key.encode()]

    with ThreadPoolExecutor(32) as threads:
        for future in [threads.submit(work, thread) for thread in range(32)]:
            future.result(60)


def test_more_callers_than_requests_in_flight_wait_instead_of_failing(server: TestServer) -> None:
    with Connection.open(f"{server.url}?max_in_flight=2") as connection:
        with ThreadPoolExecutor(16) as threads:
            futures = [threads.submit(connection.execute, "INCR", "waits") for _ in range(400)]
        assert sorted(future.result() for future in futures) == list(range(1, 401))


def test_waiting_for_a_place_ends_with_the_request_timeout(server: TestServer) -> None:
    url = f"{server.url}?max_in_flight=1&request_timeout=1"
    with Connection.open(url) as connection, ThreadPoolExecutor(1) as threads:
        connection.execute("PING")
        long = threads.submit(connection.execute, "BLPOP", "nothing", "0.9")
        until(lambda: blocked_clients(server) == 1)
        with Connection.open(f"{server.url}?max_in_flight=1&request_timeout=0.05") as hasty:
            hasty.execute("PING")
            assert hasty.execute("PING") == b"PONG"
        assert long.result(10) is None


def test_a_connection_works_in_one_event_loop_after_another(connection: Connection) -> None:
    async def use() -> list[Any]:
        return await asyncio.gather(*(offload(connection.execute, "PING") for _ in range(20)))

    for _ in range(2):
        assert asyncio.run(use()) == [b"PONG"] * 20


def test_a_connection_works_in_two_event_loops_at_once(connection: Connection) -> None:
    barrier = threading.Barrier(2)

    async def use() -> int:
        barrier.wait(10)
        return sum([await offload(connection.execute, "PING") == b"PONG" for _ in range(200)])

    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(lambda: asyncio.run(use())) for _ in range(2)]:
            assert future.result(30) == 200


async def test_a_connection_is_an_asynchronous_context_manager_too(server: TestServer) -> None:
    async with Connection.open(server.url) as connection:
        assert await offload(connection.execute, "PING") == b"PONG"
    with pytest.raises(ConfigurationError, match="closed"):
        connection.execute("PING")


def test_a_closed_connection_raises_a_clear_error_and_can_be_closed_twice(
    server: TestServer,
) -> None:
    connection = Connection.open(server.url)
    connection.execute("PING")
    connection.close()
    connection.close()
    for use in (
        lambda: connection.execute("PING", retry=True),
        lambda: connection.pipeline([["PING"]]),
        lambda: list(connection.scan("*")),
        lambda: connection.capabilities,
    ):
        with pytest.raises(ConfigurationError, match="closed"):
            use()


def test_closing_an_unused_connection_touches_nothing() -> None:
    Connection.open("valkey://host.invalid").close()


def test_closing_lets_commands_under_way_end(server: TestServer) -> None:
    connection = Connection.open(server.url)
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(connection.execute, "BLPOP", "waited-for", "20")
        until(lambda: blocked_clients(server) == 1)
        connection.close()
        server.command("RPUSH", "waited-for", "came")
        assert future.result(10) == [b"waited-for", b"came"]


def test_closing_while_many_threads_send_ends_in_clear_errors_only(server: TestServer) -> None:
    for _ in range(10):
        connection = Connection.open(server.url)
        connection.execute("PING")
        started = threading.Barrier(9)

        def work(connection: Connection, started: threading.Barrier) -> None:
            def send_for_ever() -> NoReturn:
                while True:
                    connection.execute("PING")

            started.wait(10)
            with pytest.raises(ConfigurationError, match="closed"):
                send_for_ever()

        with ThreadPoolExecutor(8) as threads:
            futures = [threads.submit(work, connection, started) for _ in range(8)]
            started.wait(10)
            connection.close()
            for future in futures:
                future.result(10)


def test_a_forgotten_connection_is_closed_without_noise(
    server: TestServer, capfd: pytest.CaptureFixture[str]
) -> None:
    gc.collect()
    before = connected_clients(server)
    connection = Connection.open(server.url)
    connection.execute("PING")
    assert connected_clients(server) == before + 1
    gone = weakref.ref(connection)
    del connection
    gc.collect()
    assert gone() is None
    until(lambda: connected_clients(server) == before)
    assert capfd.readouterr() == ("", "")


def test_connecting_prints_nothing(server: TestServer, capfd: pytest.CaptureFixture[str]) -> None:
    with Connection.open(server.url) as connection:
        assert connection.capabilities.server == "valkey"
    assert capfd.readouterr() == ("", "")
