"""Writer connections of one bulk write: each carries one batch at a time."""

from __future__ import annotations

import threading

import pytest

from valkey_vector.connection.lanes import Lanes


def test_a_batch_waits_until_a_connection_is_free() -> None:
    lanes, taken = Lanes(2), list[int]()

    def take() -> None:
        with lanes.taken() as lane:
            taken.append(lane)

    thread = threading.Thread(target=take)
    with lanes.taken() as first:
        with lanes.taken() as second:
            assert {first, second} == {1, 2}
            thread.start()
            thread.join(0.1)
            assert not taken
        thread.join(10)
        assert taken == [second]


def test_a_connection_is_free_again_after_an_error() -> None:
    lanes, taken = Lanes(1), list[int]()

    def fail() -> None:
        with lanes.taken() as lane:
            taken.append(lane)
            raise ValueError("refused")

    for _ in range(2):
        with pytest.raises(ValueError, match="refused"):
            fail()
    assert taken == [1, 1]


def test_a_single_batch_uses_the_ordinary_connection_without_waiting() -> None:
    lanes = Lanes(0)
    with lanes.taken() as first, lanes.taken() as second:
        assert first == second == 0
