"""Records the round trips that one piece of code makes: the commands, the replies, and how long each took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from valkey_vector.connection.observation import current_observation, note_request

__all__ = ["RecordedTrip", "current_recorder", "recorded", "recording"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RecordedTrip:
    """One round trip.

    Attributes:
        commands: name and arguments of each command.
        reply: what the client returned: of a pipeline, one reply for each command. None if it raised.
        seconds: time until the reply arrived.
    """

    commands: tuple[tuple[str | bytes, ...], ...]
    reply: Any
    seconds: float


_recorder: ContextVar[list[RecordedTrip] | None] = ContextVar("_recorder", default=None)

current_recorder: Callable[[], list[RecordedTrip] | None] = _recorder.get
"""Return the list that round trips are appended to; None if nothing records."""


@contextmanager
def recording() -> Iterator[list[RecordedTrip]]:
    """Record the round trips of the block, also those of its asynchronous calls. They are appended to the list."""
    trips: list[RecordedTrip] = []
    token = _recorder.set(trips)
    try:
        yield trips
    finally:
        _recorder.reset(token)


def recorded(send: Callable[[], T], commands: Sequence[Sequence[str | bytes]]) -> T:
    """Send commands; count them if they are observed, and record the round trip if something records.

    Cost: reads two context variables if nothing observes or records.

    Args:
        send: sends the commands.
        commands: the commands; none for a single command whose errors need no name.
    """
    if current_observation() is not None:
        note_request(len(commands) or 1)
    trips = _recorder.get()
    if trips is None:
        return send()
    begun = time.perf_counter()
    reply: Any = None
    try:
        reply = send()
    finally:
        seconds = time.perf_counter() - begun
        trips.append(RecordedTrip(tuple(tuple(each) for each in commands), reply, seconds))
    return reply  # type: ignore[no-any-return]  # what `send` returned
