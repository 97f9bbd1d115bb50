"""Texts and bytes that break careless encodings, and how the stateful tests of the secondary indexes are run."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from valkey_vector.connection import Connection

PIECES = [
    "", "\x00", "\x00\x00", "\x01", "\x00\x01", ":", "::", "ÿ", "a", "b", "ab", "A", "é", "e\u0301", "ß",
    "{", "}", "*", "[", "(", "-", "+", "\n", "\U0010ffff", "spo:", "'", '"', "İ",
]  # fmt: skip
BYTES = [b"", b"\x00", b"\x00\x01", b"\x00\xff", b"\xff", b"\xfe", b"\x01", b":", b"a", b"b"]

texts = st.lists(st.sampled_from(PIECES), max_size=3).map("".join)
byte_strings = st.lists(st.sampled_from(BYTES), max_size=3).map(b"".join)


class Machine(RuleBasedStateMachine):
    """A stateful test of one index; `opened` is set by `run`."""

    connection: Connection

    def __init__(self) -> None:
        super().__init__()
        self.name = f"{{x}}:{uuid4().hex}"


def run(
    machine: type[Machine], connection: Connection, examples: int = 12, steps: int = 25
) -> None:
    """Runs a machine against a server."""
    machine.connection = connection
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )


def paged(page: Callable[[str | None], tuple[tuple[object, ...], str | None]]) -> list[object]:
    """Everything on the pages that follow each other."""
    found: list[object] = []
    cursor: str | None = None
    while True:
        items, cursor = page(cursor)
        found += items
        if cursor is None:
            return found
