"""Commands of a pipeline that a node of a cluster rejected are sent again, in an order that keeps their meaning."""

from __future__ import annotations

from typing import Any

import pytest

from valkey_vector.connection.client import _repeatable
from valkey_vector.errors import ServerError

MOVED = ServerError("MOVED 7 127.0.0.1:7000", "HSET")
WRONG = ServerError("WRONGTYPE Operation against a key", "HSET")
COMMANDS: list[list[Any]] = [
    ["HSET", "a", "f", "1"],
    ["HDEL", b"a", "g"],
    ["PEXPIREAT", "a", "99"],
    ["HSET", "b", "f", "1"],
    ["EVAL", "return 1", "1", "c", "x"],
]


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([1, 1, 1, 1, 1], []),
        ([MOVED, MOVED, MOVED, 1, 1], [0, 1, 2]),
        ([1, MOVED, MOVED, 1, MOVED], [1, 2, 4]),
        ([WRONG, 1, 1, MOVED, 1], [3]),
    ],
)
def test_rejected_commands_are_sent_again(replies: list[Any], expected: list[int]) -> None:
    assert _repeatable(COMMANDS, replies) == expected


@pytest.mark.parametrize(
    "replies", [[MOVED, 1, 1, MOVED, 1], [MOVED, MOVED, 0, MOVED, 1], [MOVED, 1, MOVED, MOVED, 1]]
)
def test_a_command_is_not_sent_after_a_later_one_on_its_key(replies: list[Any]) -> None:
    """The time to live would be set before the record is written, and the record would stay for good."""
    assert _repeatable(COMMANDS, replies) == [3]
