"""Error policy of a cache: raise, or continue without the cache, log one warning and count the failure.

After a request times out, or the server was not ready for the whole timeout, the cache sends no request for a few
seconds. Otherwise every call of the application would wait for the whole timeout.
"""

from __future__ import annotations

import logging
import time
from typing import Literal, Protocol, TypeAlias

from valkey_vector.connection.refusals import is_not_ready
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
"""Seconds without requests after a request waited for the whole timeout."""

_log = logging.getLogger("valkey_vector.cache")


class FailureCounter(Protocol):
    """A counter of failures, such as the usage buffer of a cache."""

    def failed(self) -> None:
        """Count one failure."""


class Failures:
    """The failures of one cache in this process. Thread-safe.

    Args:
        name: name of the cache.
        on_error: ``raise`` or ``miss``.
        counter: counts the failures, and buffers the counts while the server is unreachable.

    Raises:
        ConfigurationError: `on_error` is not ``raise`` or ``miss``.
    """

    def __init__(self, name: str, on_error: OnError, counter: FailureCounter) -> None:
        if on_error not in ("raise", "miss"):
            raise ConfigurationError(f"on_error must be 'raise' or 'miss', not {on_error!r}")
        self._name = name
        self._on_error = on_error
        self._counter = counter
        self._failing: dict[Part, Exception] = {}
        self._rests_until = 0.0

    def resting(self) -> bool:
        """Return True while no request should be sent, because a recent one waited in vain. Counts as a failure."""
        rests = time.monotonic() < self._rests_until
        if rests:
            self._counter.failed()
        return rests

    def note(self, error: Exception, part: Part = "server") -> None:
        """Raise the error, or count it. Logs a warning for the first error since this part worked.

        Args:
            error: the error.
            part: the part that failed. An outage is one failure, in whichever part it was detected.
        """
        if self._on_error == "raise":
            raise error
        self._counter.failed()
        if isinstance(error, (ConnectionLostError, RequestTimeoutError)) and part != "embedder":
            part = "server"
            if isinstance(error, RequestTimeoutError) or is_not_ready(error):
                self._rests_until = time.monotonic() + _REST
        if self._failing.setdefault(part, error) is error:
            _log.warning(
                "cache %r: %s failed; the application continues without it until it works again: %s: %s",
                self._name,
                _PARTS[part],
                type(error).__name__,
                error,
            )

    def works(self, part: Part = "server") -> None:
        """Report that a part works. Its next failure logs a warning again."""
        self._failing.pop(part, None)
        if part != "embedder":
            self._failing.pop("server", None)
