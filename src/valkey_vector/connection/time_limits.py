"""Time limit of an operation: bounds every request that the operation sends, also from the threads it passes work to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar, Token

from valkey_vector.errors import RequestTimeoutError

__all__ = [
    "LimitedLock",
    "current_deadline",
    "deadline_within",
    "has_time_limit",
    "is_over",
    "seconds_left",
    "time_limit",
]

_deadline: ContextVar[float | None] = ContextVar("valkey_vector_deadline", default=None)
"""Moment of `time.monotonic` at which the operation must be over."""

current_deadline: Callable[[], float | None] = _deadline.get
"""Return the moment of `time.monotonic` at which the operation must be over; None without a `time_limit`."""


class time_limit:  # noqa: N801 - used like a function, as contextlib's own context managers
    """Context manager that limits the time of the requests in its block. A limit inside another one only shortens it.

    Args:
        seconds: > 0; None for no limit of its own.
    """

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._token: Token[float | None] | None = None

    def __enter__(self) -> None:
        if self._seconds is None:
            return
        outer = _deadline.get()
        own = time.monotonic() + self._seconds
        self._token = _deadline.set(own if outer is None else min(own, outer))

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _deadline.reset(self._token)


def has_time_limit() -> bool:
    """Return True inside a `time_limit`."""
    return _deadline.get() is not None


def is_over() -> bool:
    """Return True if the time of the operation is over."""
    deadline = _deadline.get()
    return deadline is not None and time.monotonic() >= deadline


def deadline_within(moment: float) -> float:
    """The earlier of a moment of `time.monotonic` and the end of the operation's time limit."""
    deadline = _deadline.get()
    return moment if deadline is None else min(moment, deadline)


def seconds_left(longest: float, command: str = "") -> float:
    """The time that a request may take: `longest`, or less if the operation's limit is nearer.

    Args:
        longest: seconds.
        command: name of the command to send, for the error.

    Raises:
        RequestTimeoutError: the operation's time is over.
    """
    deadline = _deadline.get()
    if deadline is None:
        return longest
    left = deadline - time.monotonic()
    if left <= 0:
        raise RequestTimeoutError("the time of the operation is over", command)
    return min(longest, left)


class LimitedLock:
    """Reentrant lock that an operation with a time limit waits for no longer than that."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        if not has_time_limit():
            self._lock.acquire()
        elif not self._lock.acquire(timeout=seconds_left(threading.TIMEOUT_MAX)):
            raise RequestTimeoutError("another thread of this process still reads the index")

    def __exit__(self, *_: object) -> None:
        self._lock.release()
