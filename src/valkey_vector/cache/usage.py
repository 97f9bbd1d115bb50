"""Usage buffer of a cache: collects statistics and uses in the process, and sends them with the next command.

Counting a hit costs no extra round trip. Buffered data is sent with the next pipeline, or alone after a short delay. A
process that crashes loses at most the data of that delay. All keys are in one cluster slot, that of the index's keys.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from valkey_vector.cache.eviction import REPORT, Eviction, Place, Victim
from valkey_vector.cache.statistics import COUNTS, CacheStatistics, Count
from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.observation import note_counts
from valkey_vector.errors import ServerError, ValkeyVectorError
from valkey_vector.storage.catalog import own_key

__all__ = ["Reported", "UsageBuffer"]

_MIN_SECONDS = 0.1
"""Minimum seconds that data stays in the buffer, because a report makes a hit more expensive."""

_MAX_BUFFERED = 1_000
"""Maximum number of buffered uses; the oldest are dropped, only in an outage. Also the ids in one command."""


@dataclass(slots=True)
class Pending:
    """Data that has not been sent yet.

    Attributes:
        counts: counter name -> increment.
        uses: (id, milliseconds to which the use extends the time to live, or 0), in order.
        places: stored entries, to be added to the eviction data.
        evicted: evicted entries.
    """

    counts: dict[str, float] = field(default_factory=dict)
    uses: list[tuple[str, int]] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    evicted: list[Victim] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.counts or self.uses or self.places or self.evicted)

    def add(self, later: Pending) -> None:
        """Append later data."""
        for name, amount in later.counts.items():
            self.counts[name] = self.counts.get(name, 0.0) + amount
        self.uses = [*self.uses, *later.uses][-_MAX_BUFFERED:]
        self.places = [*self.places, *later.places][-_MAX_BUFFERED:]
        self.evicted = [*self.evicted, *later.evicted][-_MAX_BUFFERED:]


@dataclass(frozen=True, slots=True)
class Reported:
    """Reply of the server to a report.

    Attributes:
        time: time of the server, in seconds since 1970.
        victims: entries to remove before a new one is stored.
    """

    time: float
    victims: tuple[Victim, ...]


class UsageBuffer:
    """Usage buffer of one cache in this process. Thread-safe. A forked child starts with an empty buffer.

    Args:
        connection: connection to the server.
        name: name of the cache.
        eviction: eviction settings. None: the number of entries is not limited.
        extends_ttl: uses extend the time to live.
        every: seconds after which buffered data is sent alone.
        entry_prefix: key prefix of the entries.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        eviction: Eviction | None,
        *,
        extends_ttl: bool,
        every: float,
        entry_prefix: str,
    ) -> None:
        self._connection = connection
        self._stats_key = own_key(name, "stats")
        self._keys = [self._stats_key, own_key(name, "uses"), own_key(name, "ends")]
        self._eviction = eviction
        self._extends_ttl = extends_ttl
        self._every = every
        self._entry_prefix = entry_prefix
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._pending = Pending()
        self._since = time.monotonic()
        self._timer: threading.Timer | None = None
        self._pid = os.getpid()

    def note(
        self,
        counts: Mapping[str, float],
        *,
        uses: list[tuple[str, int]] | None = None,
        place: Place | None = None,
        evicted: tuple[Victim, ...] = (),
    ) -> None:
        """Buffer data for the next command.

        Args:
            counts: counter name -> increment.
            uses: used entries, and the milliseconds to which their time to live is extended (0: not).
            place: a stored entry.
            evicted: evicted entries.
        """
        note_counts(counts)
        bounded = self._eviction is not None
        relevant = uses if uses is not None and (bounded or self._extends_ttl) else []
        places = [place] if place is not None and bounded else []
        self._buffer(Pending(dict(counts), list(relevant), places, list(evicted)))

    def take_if_due(self) -> Pending:
        """Take the buffered data if it has waited for the minimum time, otherwise nothing."""
        if time.monotonic() < self._since + min(_MIN_SECONDS, self._every):
            return Pending()
        return self.take()

    def take(self) -> Pending:
        """Take the buffered data. The caller must send it, or return it with `restore`."""
        self._check_process()
        with self._lock:
            taken, self._pending = self._pending, Pending()
            self._since = time.monotonic()
        return taken

    def restore(self, pending: Pending) -> None:
        """Return data to the buffer that could not be sent."""
        self._buffer(pending, before=True)

    def commands(self, pending: Pending, place: Place | None = None) -> list[list[Argument]]:
        """Return the commands that send the data. The first is the report; see `reported`.

        Args:
            pending: the data to send.
            place: an entry about to be stored, for which the server selects entries to evict.
        """
        policy = "" if self._eviction is None else self._eviction.policy
        report: list[Argument] = ["EVAL", REPORT, str(len(self._keys)), *self._keys, policy]
        report.append(str(len(pending.counts)))
        for name, amount in pending.counts.items():
            report += [name, repr(amount)]
        bounded = self._eviction is not None
        report.append(str(len(pending.evicted)))
        for victim in pending.evicted:
            report += [victim.id, victim.score]
        uses = pending.uses if bounded else []
        report.append(str(len(uses)))
        for id, ttl_ms in uses:
            report += [id, str(ttl_ms)]
        report.append(str(len(pending.places)))
        for stored in pending.places:
            report += [stored.id, str(stored.ttl_ms)]
        if place is not None and self._eviction is not None:
            report += [place.id, str(place.ttl_ms), str(self._eviction.max_entries)]
        prolonged = {id: ttl_ms for id, ttl_ms in pending.uses if ttl_ms}
        return [report, *(self._extend_ttl(id, ttl_ms) for id, ttl_ms in prolonged.items())]

    def reported(self, reply: Any) -> Reported:
        """Decode the reply to a report.

        Raises:
            ServerError: the server rejected the report.
        """
        if isinstance(reply, ServerError):
            raise reply
        now, victims = reply
        pairs = zip(victims[::2], victims[1::2], strict=True)
        return Reported(
            int(now) / 1_000_000,
            tuple(Victim(id.decode(), score.decode()) for id, score in pairs),
        )

    def report(self, place: Place | None = None) -> Reported:
        """Send all data now, and request eviction for an entry. Cost: one round trip."""
        pending = self.take()
        try:
            replies = self._connection.pipeline(self.commands(pending, place))
            return self.reported(replies[0])
        except ServerError:
            self.restore(pending)
            raise

    def flush(self) -> None:
        """Send the buffered data, if any."""
        if self._pending and self._pid == os.getpid():
            self.report()

    def close(self) -> None:
        """Send the buffered data, and stop the timer that would send it."""
        try:
            self.flush()
        finally:
            with self._lock:
                timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()

    def statistics(self) -> CacheStatistics:
        """Return the statistics of this process and of all that other processes sent."""
        self.flush()
        found = self._connection.execute("HMGET", self._stats_key, *COUNTS, retry=True)
        counts = {
            name: CacheStatistics.number(value)
            for name, value in zip(COUNTS, found, strict=True)
            if value is not None
        }
        return CacheStatistics.of(counts)

    def reset(self) -> None:
        """Set the statistics to zero."""
        self.flush()
        self._connection.execute("HDEL", self._stats_key, *COUNTS)

    def forget(self, ids: list[str]) -> None:
        """Remove the eviction data of removed entries."""
        self._check_process()
        if self._eviction is not None and ids:
            removed = set(ids)
            with self._lock:
                remaining = [place for place in self._pending.places if place.id not in removed]
                self._pending.places = remaining
            self._connection.pipeline(
                [
                    ["ZREM", key, *ids[start : start + _MAX_BUFFERED]]
                    for start in range(0, len(ids), _MAX_BUFFERED)
                    for key in self._keys[1:]
                ]
            )

    def forget_all(self, *, counts: bool) -> None:
        """Remove the eviction data of all entries and, with `counts`, the statistics."""
        taken = self.take()
        if not counts:
            self._buffer(Pending(taken.counts))
        self._connection.execute("DEL", *(self._keys if counts else self._keys[1:]))

    def failed(self) -> None:
        """Count an operation that continued without the cache."""
        self.note({Count.FAILURES: 1})

    def _extend_ttl(self, id: str, ttl_ms: int) -> list[Argument]:
        return ["PEXPIRE", self._entry_prefix + id, str(ttl_ms)]

    def _buffer(self, pending: Pending, *, before: bool = False) -> None:
        if not pending:
            return
        self._check_process()
        with self._lock:
            first, second = (pending, self._pending) if before else (self._pending, pending)
            first.add(second)
            self._pending = first
            if self._timer is None:
                self._since = time.monotonic()
                self._timer = threading.Timer(self._every, _flush, [weakref.ref(self)])
                self._timer.daemon = True
                self._timer.name = "valkey-vector-report"
                self._timer.start()

    def _check_process(self) -> None:
        """Clear the buffer in a forked child: the parent sends its own data."""
        if self._pid != os.getpid():
            self._begin()


def _flush(reference: weakref.ref[UsageBuffer]) -> None:
    """Send the buffer from a timer thread. In an outage the data stays in the buffer and is sent later."""
    usage = reference()
    if usage is None:
        return
    with usage._lock:
        usage._timer = None
    try:
        usage.flush()
    except ValkeyVectorError:
        return
