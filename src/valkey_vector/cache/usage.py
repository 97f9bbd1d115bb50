"""Counts and uses of a cache: collected in this process, and sent along with the next command.

A hit must not cost a round trip more only to be counted. What there is to tell waits here and rides with the next
pipeline that goes to the server, or goes alone after a moment; a process that dies takes at most that moment with it.
All keys it touches lie in one slot of a cluster, that of the index's own keys.
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
from valkey_vector.errors import ServerError, ValkeyVectorError

__all__ = ["Ledger", "Reported"]

_SOON = 0.1
"""Seconds that what there is to tell waits for more at least: a hit alone is cheaper than a hit with a report."""

_MOST = 1_000
"""Uses that wait; beyond, the oldest are not told: only an outage lets it come to that. And ids in one command."""


@dataclass(slots=True)
class Pending:
    """What has not been told yet.

    Attributes:
        counts: name -> how much it grew.
        uses: (id, milliseconds that the use prolonged its life to, or 0), in order.
        places: entries that were stored, to be accounted for if they are not.
        gone: entries that were evicted.
    """

    counts: dict[str, float] = field(default_factory=dict)
    uses: list[tuple[str, int]] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    gone: list[Victim] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.counts or self.uses or self.places or self.gone)

    def add(self, later: Pending) -> None:
        """Take in what came after this."""
        for name, amount in later.counts.items():
            self.counts[name] = self.counts.get(name, 0.0) + amount
        self.uses = [*self.uses, *later.uses][-_MOST:]
        self.places = [*self.places, *later.places][-_MOST:]
        self.gone = [*self.gone, *later.gone][-_MOST:]


@dataclass(frozen=True, slots=True)
class Reported:
    """What the server said to a report.

    Attributes:
        time: the server's, in seconds since 1970.
        victims: entries to remove before one is stored.
    """

    time: float
    victims: tuple[Victim, ...]


class Ledger:
    """The bookkeeping of one cache in this process. Thread-safe, and new in a forked child.

    Args:
        connection: to the server.
        name: of the cache.
        eviction: how entries make room; None where any number may stay.
        prolongs: an entry's use prolongs its life.
        every: seconds after which what waits is sent alone.
        entry_prefix: what the key of an entry begins with.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        eviction: Eviction | None,
        *,
        prolongs: bool,
        every: float,
        entry_prefix: str,
    ) -> None:
        own = f"{{{name}}}"
        self._connection = connection
        self._stats_key = f"{own}:stats"
        self._keys = [self._stats_key, f"{own}:uses", f"{own}:ends"]
        self._eviction = eviction
        self._prolongs = prolongs
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
        gone: tuple[Victim, ...] = (),
    ) -> None:
        """Have something told with the next command, or in a moment.

        Args:
            counts: name -> by how much it grows.
            uses: entries that were used, and milliseconds that this prolongs their lives to (0: not).
            place: of an entry that was stored.
            gone: entries that were evicted.
        """
        bounded = self._eviction is not None
        told = uses if uses is not None and (bounded or self._prolongs) else []
        places = [place] if place is not None and bounded else []
        self._wait(Pending(dict(counts), list(told), places, list(gone)))

    def take_if_due(self) -> Pending:
        """What there is to tell, if the oldest of it has waited for a moment; else nothing."""
        if time.monotonic() < self._since + min(_SOON, self._every):
            return Pending()
        return self.take()

    def take(self) -> Pending:
        """What there is to tell; it is the caller's to send, or to give back with `restore`."""
        self._check_process()
        with self._lock:
            taken, self._pending = self._pending, Pending()
            self._since = time.monotonic()
        return taken

    def restore(self, pending: Pending) -> None:
        """Give back what could not be sent."""
        self._wait(pending, before=True)

    def commands(self, pending: Pending, place: Place | None = None) -> list[list[Argument]]:
        """The commands that tell it, of which the first is the report; see `reported`.

        Args:
            pending: what to tell.
            place: ask for room for this entry, which is about to be stored.
        """
        policy = "" if self._eviction is None else self._eviction.policy
        report: list[Argument] = ["EVAL", REPORT, str(len(self._keys)), *self._keys, policy]
        report.append(str(len(pending.counts)))
        for name, amount in pending.counts.items():
            report += [name, repr(amount)]
        bounded = self._eviction is not None
        report.append(str(len(pending.gone)))
        for victim in pending.gone:
            report += [victim.id, victim.score]
        uses = pending.uses if bounded else []
        report.append(str(len(uses)))
        for id, lasts in uses:
            report += [id, str(lasts)]
        report.append(str(len(pending.places)))
        for stored in pending.places:
            report += [stored.id, str(stored.lasts)]
        if place is not None and self._eviction is not None:
            report += [place.id, str(place.lasts), str(self._eviction.max_entries)]
        prolonged = {id: lasts for id, lasts in pending.uses if lasts}
        return [report, *(self._prolong(id, lasts) for id, lasts in prolonged.items())]

    def reported(self, reply: Any) -> Reported:
        """What the report's reply says.

        Raises:
            ServerError: the server refused the report.
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
        """Tell everything now, and ask for room; one round trip."""
        pending = self.take()
        try:
            replies = self._connection.pipeline(self.commands(pending, place))
            return self.reported(replies[0])
        except ServerError:
            self.restore(pending)
            raise

    def flush(self) -> None:
        """Tell what waits, if anything does."""
        if self._pending and self._pid == os.getpid():
            self.report()

    def statistics(self) -> CacheStatistics:
        """The counts of all processes that have told them, and of this one."""
        self.flush()
        found = self._connection.execute("HMGET", self._stats_key, *COUNTS, retry=True)
        counts = {
            name: CacheStatistics.number(value)
            for name, value in zip(COUNTS, found, strict=True)
            if value is not None
        }
        return CacheStatistics.of(counts)

    def reset(self) -> None:
        """Set the counts to nothing."""
        self.flush()
        self._connection.execute("HDEL", self._stats_key, *COUNTS)

    def forget(self, ids: list[str]) -> None:
        """Entries were removed: keep no account of them."""
        self._check_process()
        if self._eviction is not None and ids:
            gone = set(ids)
            with self._lock:
                kept = [place for place in self._pending.places if place.id not in gone]
                self._pending.places = kept
            self._connection.pipeline(
                [
                    ["ZREM", key, *ids[start : start + _MOST]]
                    for start in range(0, len(ids), _MOST)
                    for key in self._keys[1:]
                ]
            )

    def forget_all(self, *, counts: bool) -> None:
        """All entries were removed; the counts go only if told so."""
        taken = self.take()
        if not counts:
            self.note(taken.counts)
        self._connection.execute("DEL", *(self._keys if counts else self._keys[1:]))

    def failed(self) -> None:
        """Count an operation that went without the cache."""
        self.note({Count.FAILURES: 1})

    def _prolong(self, id: str, lasts: int) -> list[Argument]:
        return ["PEXPIRE", self._entry_prefix + id, str(lasts)]

    def _wait(self, pending: Pending, *, before: bool = False) -> None:
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
                self._timer.start()

    def _check_process(self) -> None:
        """A forked child has nothing to tell of what its parent did."""
        if self._pid != os.getpid():
            self._begin()


def _flush(reference: weakref.ref[Ledger]) -> None:
    """Runs in a timer's thread; an outage is no matter: what waits is sent later."""
    ledger = reference()
    if ledger is None:
        return
    with ledger._lock:
        ledger._timer = None
    try:
        ledger.flush()
    except ValkeyVectorError:
        return
