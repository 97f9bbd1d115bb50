"""Operations in steps: what they ask together goes together, and what goes wrong is each one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from valkey_vector.connection import pipelines as steps
from valkey_vector.connection.pipelines import Ask, Steps, alone, together
from valkey_vector.engines.base import StaleIndexError
from valkey_vector.errors import ConnectionLostError, InvalidInputError, ServerError


class Echo:
    """Replies with each command's second word; an exception in its place is the reply."""

    def __init__(self) -> None:
        self.rounds: list[list[Ask]] = []

    def ask(self, asks: Sequence[Ask]) -> list[list[Any]]:
        self.rounds.append(list(asks))
        replies: list[list[Any]] = []
        for one in asks:
            words: list[Any] = [command[1] for command in one.commands]
            replies.append([ServerError(word) if word == "bad" else word for word in words])
            if "gone" in words:
                raise ConnectionLostError("gone")
        return replies


def asking(*rounds: Sequence[str]) -> Steps[list[str]]:
    heard: list[str] = []
    for words in rounds:
        heard += yield Ask([["ECHO", word] for word in words])
    return heard


def failing(error: Exception) -> Steps[list[str]]:
    yield Ask([["ECHO", "a"]])
    raise error


def test_operations_share_their_rounds_until_each_is_done() -> None:
    echo = Echo()
    found = together(
        echo, [asking(["a"], ["b"]), asking(["c", "d"]), asking(), asking(["e"], ["f"], ["g"])]
    )
    assert found == [["a", "b"], ["c", "d"], [], ["e", "f", "g"]]
    assert [len(one) for one in echo.rounds] == [3, 2, 1]


def test_a_round_carries_no_more_commands_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_MOST", 5)
    echo = Echo()
    many = [asking(["a", "b"]) for _ in range(6)] + [asking(["x"] * 9)]
    assert together(echo, many) == [["a", "b"]] * 6 + [["x"] * 9]
    sizes = [sum(len(one.commands) for one in asked) for asked in echo.rounds]
    assert sizes == [4, 4, 4, 9]  # one operation's own are not divided


def test_an_error_is_that_of_its_operation_alone() -> None:
    outcomes = together(
        Echo(),
        [asking(["a"]), asking(["b", "bad"]), failing(InvalidInputError("no")), asking(["c"])],
    )
    assert outcomes[0] == ["a"]
    assert isinstance(outcomes[1], ServerError)
    assert isinstance(outcomes[2], InvalidInputError)
    assert outcomes[3] == ["c"]
    with pytest.raises(ServerError, match="bad"):
        alone(Echo(), asking(["bad"]))


def test_an_operation_may_make_up_for_an_error() -> None:
    def careful() -> Steps[str]:
        try:
            yield Ask([["ECHO", "bad"]])
        except ServerError:
            (word,) = yield Ask([["ECHO", "better"]])
            return str(word)
        return "?"

    assert alone(Echo(), careful()) == "better"


@pytest.mark.parametrize(
    "error", [ConnectionLostError("away"), StaleIndexError(), AssertionError("a mistake")]
)
def test_an_outage_or_a_stale_index_is_nobodys_own(error: Exception) -> None:
    with pytest.raises(type(error)):
        together(Echo(), [asking(["a"]), failing(error)])
    with pytest.raises(ConnectionLostError):
        together(Echo(), [asking(["a"]), asking(["gone"])])
