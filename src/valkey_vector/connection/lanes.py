"""Writer connections of one bulk write, each of which carries one batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

__all__ = ["Lanes"]


class Lanes:
    """The connections on which the batches of one write are sent. Thread-safe.

    Args:
        count: number of writer connections. 0: the batches use the ordinary connection, lane 0, without waiting.
    """

    def __init__(self, count: int) -> None:
        self._free: SimpleQueue[int] | None = None
        if count:
            self._free = SimpleQueue()
            for lane in range(1, count + 1):
                self._free.put(lane)

    @contextmanager
    def taken(self) -> Iterator[int]:
        """Wait for a connection that carries no batch, and hold it; yields its lane."""
        if self._free is None:
            yield 0
            return
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)
