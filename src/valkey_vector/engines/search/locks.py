"""Locks on records: a client that changes an existing record of the search engine holds its lock.

No script and no transaction may touch a key that a search index covers (see `valkey_vector.engines.search.writing`), so
what must not be interleaved (compare and write, write and remove stale fields) is done by plain commands under a lock. The
locks of an index lie in one hash, ``{name}:locks``, which no search index covers: a field for each id, its value the
holder's token and the millisecond at which it lapses if the holder died. A batch takes all its locks or none, so
nobody waits while holding one.
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
        connection: to the server.
        name: of the index.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.key = locks_key(name)

    @contextmanager
    def held(self, ids: Sequence[str]) -> Iterator[None]:
        """Hold the locks of ids; wait for other holders. At least two round trips.

        Raises:
            RequestTimeoutError: another client held a lock for longer than the request timeout.
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
        """Take the locks of ids, all or none, and send reads that run while they are held.

        On a single server one round trip does both; in a cluster order holds on one node only, so there it takes two.

        Args:
            ids: of the records.
            beside: the commands of the reads.
            lane: connection to use.
            although_full: go on without locks where the server has no memory for them.

        Returns:
            The token to release the locks with, empty if there are none, and the replies to the reads.

        Raises:
            RequestTimeoutError: another client held a lock for longer than the request timeout.
        """
        # A holder has done its work, or failed, within the time that a request may take.
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
                    f"record {busy.decode(errors='replace')!r} is being changed by another client, for too long",
                    "EVAL",
                )
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(_LONGEST, 2 * pause)

    def releasing(self, token: str, ids: Sequence[str]) -> list[Argument]:
        """Return the command that releases locks."""
        return ["EVAL", _RELEASE, "1", self.key, token, *ids]
