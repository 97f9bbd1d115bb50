"""Retries of a request: of one that the server rejected before executing it, and of a read after an outage."""

from __future__ import annotations

import time

from valkey_vector.connection.refusals import is_not_ready
from valkey_vector.connection.settings import ConnectionSettings
from valkey_vector.connection.time_limits import deadline_within, seconds_left
from valkey_vector.errors import ConnectionLostError, ServerError

__all__ = ["Retries"]

_FIRST_PAUSE = 0.05
_MAX_PAUSE = 0.5


class Retries:
    """Retry policy of one request.

    A server that is not ready rejects commands before it executes them. Such a request is sent again, also a write, until
    ``settings.request_timeout`` is over, or the `time_limit` of the operation. After any other outage only a request that
    can run twice is sent again, ``settings.retries`` times.

    Args:
        settings: timeout, and number and delay of retries.
        idempotent: True if the request can run twice.
        begun: time at which the request was first sent, on the monotonic clock; None for now.
        many_nodes: True if the request goes to several nodes at once. Then an error of one node does not prove that the
            other nodes have not executed it.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        idempotent: bool,
        begun: float | None = None,
        *,
        many_nodes: bool = False,
    ) -> None:
        first = time.monotonic() if begun is None else begun
        self._deadline = deadline_within(first + settings.request_timeout)
        self._settings = settings
        self._idempotent = idempotent
        self._many_nodes = many_nodes
        self._outages = 0
        self._pause = _FIRST_PAUSE

    def again(self, outcome: object) -> bool:
        """Return True, after a delay, if the request is to be sent again.

        Args:
            outcome: the error of the request, its reply, or the replies of a pipeline with errors among them.
        """
        if self._was_rejected(outcome):
            if time.monotonic() + self._pause > self._deadline:
                return False
            time.sleep(self._pause)
            self._pause = min(2 * self._pause, _MAX_PAUSE)
            return True
        if self._idempotent and isinstance(outcome, ConnectionLostError):
            settings, outages = self._settings, self._outages
            if outages < settings.retries:
                self._outages += 1
                time.sleep(seconds_left(settings.retry_delay * settings.retry_factor**outages))
                return True
        return False

    def _was_rejected(self, outcome: object) -> bool:
        """Return True if no part of the request was executed or, if it can run twice, if any part was rejected."""
        replies = outcome if isinstance(outcome, list) else [outcome]
        errors = [reply for reply in replies if isinstance(reply, ServerError)]
        if not errors:
            return False
        if self._idempotent:
            return any(map(is_not_ready, errors))
        return (
            len(errors) == len(replies) and all(map(is_not_ready, errors)) and not self._many_nodes
        )
