"""What a cache does when the server or the embedder fails: raise, or go on without, warned of once and counted.

A server that does not answer in time is not asked again for some seconds: otherwise every call of the application would wait
as long as a request may take.
"""

from __future__ import annotations

import logging
import time
from typing import Literal, Protocol, TypeAlias

from valkey_vector.errors import ConfigurationError, ConnectionLostError, RequestTimeoutError

__all__ = ["FailureCounter", "Failures", "OnError"]

OnError: TypeAlias = Literal["raise", "miss"]
Part: TypeAlias = Literal["server", "searching", "storing", "counting", "embedder", "entry"]

_PARTS: dict[Part, str] = {
    "server": "the server",
    "searching": "searching for similar prompts",
    "storing": "storing answers",
    "counting": "counting hits",
    "embedder": "the embedder",
    "entry": "reading an entry",
}

_REST = 5.0
"""Seconds for which a server that did not answer in time is not asked."""

_log = logging.getLogger("valkey_vector.cache")


class FailureCounter(Protocol):
    """Where failures are counted, such as the ledger of a cache."""

    def failed(self) -> None:
        """Count one more."""


class Failures:
    """The failures of one cache in this process. Thread-safe.

    Args:
        name: of the cache.
        on_error: ``raise`` or ``miss``.
        ledger: where they are counted; what cannot be told to the server waits there until it can.

    Raises:
        ConfigurationError: `on_error` is neither.
    """

    def __init__(self, name: str, on_error: OnError, ledger: FailureCounter) -> None:
        if on_error not in ("raise", "miss"):
            raise ConfigurationError(f"on_error must be 'raise' or 'miss', not {on_error!r}")
        self._name = name
        self._on_error = on_error
        self._ledger = ledger
        self._failing: dict[Part, Exception] = {}
        self._rests_until = 0.0

    def resting(self) -> bool:
        """Whether to go on without asking the server, because it did not answer just now. This counts as a failure."""
        rests = time.monotonic() < self._rests_until
        if rests:
            self._ledger.failed()
        return rests

    def note(self, error: Exception, part: Part = "server") -> None:
        """Raise the error, or count it and warn if it is the first since this part worked.

        Args:
            error: what happened.
            part: what failed. An outage is one failure, whatever met it.
        """
        if self._on_error == "raise":
            raise error
        self._ledger.failed()
        if isinstance(error, (ConnectionLostError, RequestTimeoutError)) and part != "embedder":
            part = "server"
            if isinstance(error, RequestTimeoutError):
                self._rests_until = time.monotonic() + _REST
        if self._failing.setdefault(part, error) is error:
            _log.warning(
                "cache %r: %s failed, and the application goes on without until it works again: %s: %s",
                self._name,
                _PARTS[part],
                type(error).__name__,
                error,
            )

    def works(self, part: Part = "server") -> None:
        """It did what it was asked: the next failure is a new one."""
        self._failing.pop(part, None)
        if part != "embedder":
            self._failing.pop("server", None)
