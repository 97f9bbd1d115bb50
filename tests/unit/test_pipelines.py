"""Pipelined operations: requests share round trips, and an error concerns only its own operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from valkey_vector.connection import pipelines
from valkey_vector.connection.pipelines import Pipelined, Request, noting_requests, run, run_all
from valkey_vector.errors import ConnectionLostError, InvalidInputError, ServerError
from valkey_vector.storage.rows import StaleIndexError


class Echo:
    """Replies with each command's second word; an exception in its place is the reply."""

    def __init__(self) -> None:
        self.rounds: list[list[Request]] = []

    def send_requests(self, requests: Sequence[Request]) -> list[list[Any]]:
        self.rounds.append(list(requests))
        replies: list[list[Any]] = []
        for request in requests:
            words: list[Any] = [command[1] for command in request.commands]
            replies.append([ServerError(word) if word == "bad" else word for word in words])
            if "gone" in words:
                raise ConnectionLostError("gone")
        return replies


def requesting(*rounds: Sequence[str]) -> Pipelined[list[str]]:
    heard: list[str] = []
    for words in rounds:
        heard += yield Request([["ECHO", word] for word in words])
    return heard


def failing(error: Exception) -> Pipelined[list[str]]:
    yield Request([["ECHO", "a"]])
    raise error


def test_operations_share_their_rounds_until_each_is_done() -> None:
    echo = Echo()
    found = run_all(
        echo,
        [
            requesting(["a"], ["b"]),
            requesting(["c", "d"]),
            requesting(),
            requesting(["e"], ["f"], ["g"]),
        ],
    )
    assert found == [["a", "b"], ["c", "d"], [], ["e", "f", "g"]]
    assert [len(round) for round in echo.rounds] == [3, 2, 1]


def test_a_round_carries_no_more_commands_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "_MAX_COMMANDS", 5)
    echo = Echo()
    many = [requesting(["a", "b"]) for _ in range(6)] + [requesting(["x"] * 9)]
    assert run_all(echo, many) == [["a", "b"]] * 6 + [["x"] * 9]
    sizes = [sum(len(request.commands) for request in requests) for requests in echo.rounds]
    assert sizes == [4, 4, 4, 9]  # one operation's own are not divided


def test_an_error_is_that_of_its_operation_alone() -> None:
    outcomes = run_all(
        Echo(),
        [
            requesting(["a"]),
            requesting(["b", "bad"]),
            failing(InvalidInputError("no")),
            requesting(["c"]),
        ],
    )
    assert outcomes[0] == ["a"]
    assert isinstance(outcomes[1], ServerError)
    assert isinstance(outcomes[2], InvalidInputError)
    assert outcomes[3] == ["c"]
    with pytest.raises(ServerError, match="bad"):
        run(Echo(), requesting(["bad"]))


def test_an_operation_can_handle_an_error() -> None:
    def careful() -> Pipelined[str]:
        try:
            yield Request([["ECHO", "bad"]])
        except ServerError:
            (word,) = yield Request([["ECHO", "better"]])
            return str(word)
        return "?"

    assert run(Echo(), careful()) == "better"


@pytest.mark.parametrize(
    "error", [ConnectionLostError("away"), StaleIndexError(), AssertionError("a mistake")]
)
def test_an_outage_or_a_stale_index_fails_all_operations(error: Exception) -> None:
    with pytest.raises(type(error)):
        run_all(Echo(), [requesting(["a"]), failing(error)])
    with pytest.raises(ConnectionLostError):
        run_all(Echo(), [requesting(["a"]), requesting(["gone"])])


def test_requests_are_noted_and_errors_reach_the_operation() -> None:
    def patient() -> Pipelined[list[str]]:
        heard: list[str] = []
        for words in (["a"], ["bad"], ["b", "c"]):
            try:
                heard += yield Request([["ECHO", word] for word in words])
            except ServerError as error:
                heard.append(error.message)
        return heard

    requests: list[Request] = []
    assert run(Echo(), noting_requests(patient(), requests)) == ["a", "bad", "b", "c"]
    assert [len(each.commands) for each in requests] == [1, 1, 2]
    with pytest.raises(ServerError):
        run(Echo(), noting_requests(requesting(["bad"]), requests))
    assert run(Echo(), noting_requests(requesting(), requests)) == []
    assert len(requests) == 4
