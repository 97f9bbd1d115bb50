"""When a request is sent again."""

from __future__ import annotations

from typing import Any

import pytest

from valkey_vector.cache.failure_count import FailureCount
from valkey_vector.cache.failures import Failures
from valkey_vector.connection import Connection
from valkey_vector.connection.clients import Clients
from valkey_vector.connection.retries import Retries
from valkey_vector.connection.settings import ConnectionSettings
from valkey_vector.errors import ConnectionLostError, RequestTimeoutError, ServerError

SETTINGS = ConnectionSettings(retries=1, retry_delay=0.001)
LOADING, TRYAGAIN = ConnectionLostError("LOADING data"), ServerError("TRYAGAIN keys")
LOST, SLOW, WRONG = ConnectionLostError("lost"), RequestTimeoutError("slow"), ServerError("ERR no")


@pytest.mark.parametrize(
    ("outcome", "write", "read", "fan_out"),
    [
        (LOADING, True, True, False),
        (TRYAGAIN, True, True, False),
        (ServerError("CLUSTERDOWN down"), True, True, False),
        (ServerError("MASTERDOWN down"), True, True, False),
        (ServerError("BUSY script"), True, True, False),
        (ServerError("MOVED 17 h:1"), True, True, False),
        (ServerError("ASK 17 h:1"), True, True, False),
        (ServerError("Search query queue depth exceeded"), True, True, False),
        (ServerError("BUSYGROUP exists"), False, False, False),
        (LOST, False, True, False),
        (SLOW, False, False, False),
        (WRONG, False, False, False),
        (b"LOADING", False, False, False),
        ([], False, False, False),
        ([LOADING, TRYAGAIN], True, True, False),
        ([LOADING, b"value"], False, True, False),
        ([b"value", WRONG], False, False, False),
    ],
)
def test_what_is_sent_again(outcome: Any, write: bool, read: bool, fan_out: bool) -> None:
    assert Retries(SETTINGS, idempotent=False).again(outcome) is write
    assert Retries(SETTINGS, idempotent=True).again(outcome) is read
    assert Retries(SETTINGS, idempotent=False, many_nodes=True).again(outcome) is fan_out


def test_a_read_is_sent_again_so_often_after_an_outage() -> None:
    retries = Retries(SETTINGS, idempotent=True)
    assert [retries.again(LOST) for _ in range(3)] == [True, False, False]


def test_nothing_is_sent_again_after_the_request_timeout() -> None:
    retries = Retries(ConnectionSettings(request_timeout=0.01), idempotent=True)
    assert not retries.again(LOADING)


def test_a_cache_rests_after_a_server_that_was_not_ready() -> None:
    for error, rests in ((LOADING, True), (SLOW, True), (LOST, False)):
        failures = Failures("cache", "miss", FailureCount())
        failures.note(error)
        assert failures.resting() is rests


class RejectingClient:
    """Nodes of a cluster, of which some are not ready at first."""

    cluster = True

    def __init__(self, *rounds: list[Any]) -> None:
        self.rounds = list(rounds)
        self.sent: list[list[Any]] = []

    def pipeline(self, commands: Any, **_: Any) -> list[Any]:
        self.sent.append(list(commands))
        return self.rounds.pop(0)


def sent_by(client: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr(Clients, "admit", lambda _: None)
    monkeypatch.setattr(Clients, "send", lambda *args: args[-1](client))
    with Connection(ConnectionSettings(request_timeout=0.4)) as connection:
        return connection.pipeline([["SET", "a", "1"], ["SET", "b", "2"], ["SET", "c", "3"]])


def test_only_the_commands_of_a_pipeline_that_a_node_rejected_are_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved, down = ServerError("MOVED 17 h:1"), ServerError("CLUSTERDOWN down")
    client = RejectingClient([b"OK", moved, down], [down, b"OK"], [b"OK"])
    assert sent_by(client, monkeypatch) == [b"OK"] * 3
    assert [[command[1] for command in sent] for sent in client.sent] == [
        list("abc"),
        ["b", "c"],
        ["b"],
    ]


def test_after_half_the_request_timeout_the_rejections_are_the_replies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved = ServerError("MOVED 17 h:1")
    client = RejectingClient([b"OK", moved, WRONG], *[[moved]] * 10)
    assert sent_by(client, monkeypatch) == [b"OK", moved, WRONG]
    assert 2 <= len(client.sent) <= 4
