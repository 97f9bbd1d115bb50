"""A failed search names the node of the cluster; replies of a server tell its state and limits."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from valkey_vector.connection import SearchModule
from valkey_vector.connection.capabilities import Capabilities
from valkey_vector.engines.paging import PageSize
from valkey_vector.engines.search.outage import explained, gave_up, given_up, silent_primaries
from valkey_vector.engines.search.support import ServerSupport
from valkey_vector.errors import ConnectionLostError, RequestTimeoutError, ServerError
from valkey_vector.storage.rows import Row

LINE = "{id} {address}@{bus} {flags} - {ping} 1795916224838 3 connected 0-5460"


class FakeCluster:
    """Answers CLUSTER NODES, as every node of it would."""

    capabilities = SimpleNamespace(cluster=True)

    def __init__(self, nodes: dict[str, tuple[str, int]]) -> None:
        self.nodes = nodes

    def execute_on(self, address: str, *args: Any) -> bytes:
        lines = [
            LINE.format(id="a" * 40, address=name, bus=1, flags=flags, ping=ping)
            for name, (flags, ping) in self.nodes.items()
        ]
        return "\n".join(lines).encode()


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refusing() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_primary_that_refuses_connections_is_named(listening: str, refusing: str) -> None:
    cluster: Any = FakeCluster({listening: ("myself,master", 0), refusing: ("master", 0)})
    assert silent_primaries(cluster, [listening, refusing]) == [refusing]
    error = explained(
        cluster, given_up(ServerError("cancelled due to timeout")), [listening, refusing]
    )
    assert isinstance(error, ConnectionLostError)
    assert refusing in str(error)


def test_a_primary_that_the_others_hold_to_be_down_is_named(listening: str) -> None:
    hung = "127.0.0.1:7"
    cluster: Any = FakeCluster({listening: ("master", 0), hung: ("master,fail", 1795916224838)})
    assert silent_primaries(cluster, [listening]) == [hung]


def test_a_primary_that_is_back_or_was_replaced_is_not_named(listening: str, refusing: str) -> None:
    cluster: Any = FakeCluster({listening: ("master,fail", 0)})
    assert silent_primaries(cluster, [listening, refusing]) == []
    error = RequestTimeoutError("slow", "FT.SEARCH")
    assert explained(cluster, error, [listening]) is error


@pytest.mark.parametrize(
    "message",
    [
        "Search operation cancelled due to timeout",
        "Aggregate operation cancelled due to timeout",
        "Timeout limit was reached",
        "Socket closed",
    ],
)
def test_the_words_of_a_search_that_was_given_up(message: str) -> None:
    assert gave_up(ServerError(message, "FT.SEARCH"))
    assert isinstance(given_up(ServerError(message, "FT.SEARCH")), RequestTimeoutError)


def support(version: tuple[int, int, int] = (1, 2, 1), timeout: float = 30.0) -> ServerSupport:
    connection: Any = SimpleNamespace(
        capabilities=Capabilities("valkey", (9, 0, 0), False, SearchModule.VALKEY_SEARCH, version),
        settings=SimpleNamespace(request_timeout=timeout),
    )
    return ServerSupport(connection)


SEARCH = ["FT.SEARCH", "i", "q"]


@pytest.mark.parametrize(
    ("timeout", "sent"), [(30.0, "29000"), (0.25, "200"), (600.0, "60000"), (0.001, "1")]
)
def test_the_servers_timeout_is_below_the_clients(timeout: float, sent: str) -> None:
    command = support(timeout=timeout).with_options(SEARCH)
    assert list(command[3:5]) == ["TIMEOUT", sent]


def test_words_that_a_server_refuses_are_not_sent_again() -> None:
    learned = support()
    assert "CONSISTENT" in learned.with_options(SEARCH)
    assert learned.forget_option(ServerError("Unexpected argument `CONSISTENT`"))
    assert "CONSISTENT" not in learned.with_options(SEARCH)
    assert "ALLSHARDS" in learned.with_options(SEARCH)
    assert not learned.forget_option(ServerError("Unexpected argument `CONSISTENT`"))
    assert not learned.forget_option(ServerError("CONSISTENT is not a field"))
    assert "ALLSHARDS" not in support((1, 0, 0)).with_options(SEARCH)


def test_the_limit_on_a_query_is_read_and_otherwise_the_default() -> None:
    learned = support()
    assert learned.cap == 100_000
    status = learned.status_commands()
    refused = ServerError("NOPERM", "CONFIG")
    learned.learn(status, [[b"1", b"2"], b"run_id:abc\r\n", refused])
    assert learned.cap == 100_000
    assert "CONFIG" not in [command[0] for command in learned.status_commands()]
    other = support()
    setting = {b"search.max-nonvector-search-results-fetched": b"500"}
    other.learn(status, [[b"1", b"2"], b"run_id:abc\r\n", setting])
    assert other.cap == 500
    assert other.safe_total < 500


def test_another_process_is_another_run() -> None:
    learned = support()
    time, config = [b"1", b"2"], dict[bytes, bytes]()
    status = learned.status_commands()
    learned.learn(status, [time, b"run_id:abc\r\n", config])
    run = learned.run
    learned.learn(status, [time, b"run_id:abc\r\n", config])
    assert learned.run is run
    learned.learn(status, [time, b"run_id:def\r\n", config])
    assert learned.run is not run


def test_pages_hold_a_bounded_number_of_bytes() -> None:
    size = PageSize(100)
    size.learn([Row("a", {"content": bytes(4_000_000)})] * 100)
    assert size.rows == 4
    size.learn([Row("a", {"content": b"x"})] * 4)
    assert size.rows == 16
