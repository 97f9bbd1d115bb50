"""Locks on records: whoever changes an existing record of the search engine holds its lock.

No script and no transaction may touch a key that a search index covers (see `valkey_vector.engines.search.writing`).
Commands that must not interleave (compare and write, write and remove stale fields) are sent under a lock instead. The
locks of an index are fields of one hash, ``{name}:locks``, which no search index covers. A field's name is the id. Its
value is the holder's token and the time in milliseconds at which the lock lapses if the holder died. A batch takes all
its locks or none, so no client waits while it holds a lock.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.connection.lua import read_lua
from valkey_vector.errors import RequestTimeoutError, ServerError
from valkey_vector.storage.catalog import locks_key

__all__ = ["Locks"]

_ACQUIRE = read_lua(__package__, "locks_acquire")

_RELEASE = read_lua(__package__, "locks_release")

_SHORTEST, _LONGEST = 0.001, 0.05
"""Seconds between two attempts to take a lock."""


class Locks:
    """The locks on the records of one index.

    Args:
        connection: connection to the server.
        name: name of the index.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.key = locks_key(name)

    @contextmanager
    def held(self, ids: Sequence[str]) -> Iterator[None]:
        """Hold the locks of ids; waits for other holders.

        Raises:
            RequestTimeoutError: another client held a lock for longer than the request timeout.

        Cost: two round trips if no other client holds the locks.
        """
        token, _ = self.acquire(ids)
        try:
            yield
        finally:
            self._connection.execute(*self.releasing(token, ids))

    def acquire(
        self,
        ids: Sequence[str],
        beside: Sequence[Sequence[Argument]] = (),
        *,
        lane: int = 0,
        although_full: bool = False,
    ) -> tuple[str, list[Reply | ServerError]]:
        """Take the locks of ids, all or none, and send reads that run while the locks are held.

        Args:
            ids: ids of the records.
            beside: commands of the reads.
            lane: the writer connection.
            although_full: continue without locks if the server is out of memory.

        Returns:
            The token that releases the locks, empty if none were taken, and the replies to the reads.

        Raises:
            RequestTimeoutError: another client held a lock for longer than the request timeout.

        Cost: one round trip on a single server; two on a cluster, where commands on several nodes have no order.
        """
        # A holder is done, or has failed, after the request timeout.
        lapses = self._connection.settings.request_timeout
        deadline = time.monotonic() + 1.5 * lapses
        token = secrets.token_urlsafe(9)
        pause = _SHORTEST
        command: list[Argument] = ["EVAL", _ACQUIRE, "1", self.key, token]
        command += [str(round(lapses * 1000)), *ids]
        together = [] if self._connection.capabilities.cluster else beside
        while True:
            busy, *replies = self._connection.pipeline([command, *together], lane=lane)
            if isinstance(busy, ServerError):
                if not (although_full and busy.message.startswith("OOM ")):
                    raise busy
                token, busy = "", None
            if busy is None:
                if beside and not together:
                    replies = self._connection.pipeline(beside, lane=lane)
                return token, replies
            if time.monotonic() > deadline:
                raise RequestTimeoutError(
                    f"record {busy.decode(errors='replace')!r} is being changed by another client for too long; try again",
                    "EVAL",
                )
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(_LONGEST, 2 * pause)

    def releasing(self, token: str, ids: Sequence[str]) -> list[Argument]:
        """Return the command that releases locks."""
        return ["EVAL", _RELEASE, "1", self.key, token, *ids]
