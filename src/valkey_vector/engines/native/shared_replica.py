"""One replica for each index in a process, kept in step with the server's change log.

All `NativeEngine` objects of a process that have the same index on the same server share it; it is freed with the last of
them. A forked child begins with none: locks that the parent's other threads held at the fork would stay held for ever.

Every call of `SharedReplica.synchronise` ends, whatever others write meanwhile. What it applied is complete as of a moment
after it began.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress

from valkey_vector.connection import Connection
from valkey_vector.engines.native.change_log import (
    Change,
    ChangeLog,
    Changes,
    Incomplete,
    Many,
    Reload,
    word_fields,
)
from valkey_vector.engines.native.replica import Replica
from valkey_vector.errors import ServerError
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.layout import EXPIRES

__all__ = ["SharedReplica", "shared_replica"]

_LISTINGS = 3
"""Listings of changes that one synchronisation goes through; while they are applied, writers write more."""

_RELOADS = 2
"""Loads from the beginning in one synchronisation; a replica that then still differs is as right as the log."""

_TRUSTED_SECONDS = 60.0
"""After a log was completed and its digest still differs (a client of an earlier version writes), it is not compared."""

_BETWEEN_LOOKS = 1.0
"""Seconds from one look at all documents to the next."""

_LOST = 1_000
"""Ids of documents that are gone to be removed from the log by a read; fewer wait for a write of this process."""


class SharedReplica:
    """The replica of one index, for any number of threads.

    Args:
        entry: the index.

    Attributes:
        lock: hold it to use `replica`.
        replica: what the index holds.
        now: the server's time in milliseconds, as last heard of.
    """

    def __init__(self, entry: CatalogEntry) -> None:
        self.lock = threading.RLock()
        self._schema = entry.schema
        self._old_format = entry.lineage is None
        self.replica = self._empty()
        self.now = 0.0
        self._lost: set[str] = set()
        self._lost_lock = (
            threading.Lock()
        )  # writers take it while a reader holds the other for long
        self._trusted_until = -math.inf
        self._looked_through = -math.inf

    def synchronise(self, log: ChangeLog) -> None:
        """Apply what changed since last time: one round trip when little did.

        Raises:
            StaleIndexError: the index was dropped or created again.
            ServerError: the log lost a key and cannot be completed, because the server refuses writes.
        """
        with self.lock:
            self._synchronise(log)

    def _synchronise(self, log: ChangeLog) -> None:
        listings = reloads = 0
        whole = anyway = completed = False
        while True:
            if self.replica.sequence < 0:
                self.replica = self._empty()
                whole = True
            match log.since(self.replica.sequence, anyway=anyway):
                case Incomplete():
                    anyway = completed or not self._completed(log)
                    completed = True
                case Reload():
                    self.replica = self._empty()
                case Many(sequence, now):
                    if listings == _LISTINGS and self.replica.sequence >= 0:
                        return
                    listings += 1
                    self._apply_listing(log, sequence, now)
                case Changes() as changes:
                    self._apply(changes)
                    if self._is_in_step(changes):
                        return
                    if not whole and reloads < _RELOADS:
                        reloads += 1
                        self.replica = self._empty()
                    elif completed or not self._completed(log):
                        self._trusted_until = time.monotonic() + _TRUSTED_SECONDS
                        return
                    else:
                        completed = True

    def forget(self, log: ChangeLog, ids: Sequence[str]) -> None:
        """Remove documents that seem to be gone, if they are.

        The log keeps them until a write of this process, or until there are many: reads write nothing, so that they also
        work while the server refuses or delays writes.
        """
        if not ids:
            return
        with self.lock:
            # Under the lock, so that no newer state of a document is removed that another thread has just applied.
            lost = log.lost([id for id in ids if id in self.replica])
            for id in lost:
                self.replica.lose(id)
        with self._lost_lock:
            self._lost.update(lost)
            many = len(self._lost) >= _LOST
        if many:
            with suppress(
                ServerError
            ):  # a server that refuses it keeps them: the next process finds them again
                log.remove(self.take_lost())

    def look_through(self, log: ChangeLog) -> None:
        """Remove all documents that are gone, at most once a second: one that was met is seldom the only one."""
        with self.lock:
            if time.monotonic() < self._looked_through + _BETWEEN_LOOKS:
                return
            self._looked_through = time.monotonic()
            lost = log.lost_in(self.replica.ranges(_LOST))
        self.forget(log, lost)

    def take_lost(self) -> list[str]:
        """What `forget` found, to be removed from the log by a write of this process."""
        with self._lost_lock:
            lost, self._lost = sorted(self._lost), set()
        return lost

    def _empty(self) -> Replica:
        return Replica(self._schema.vector_fields, word_fields(self._schema))

    def _completed(self, log: ChangeLog) -> bool:
        """Complete the log; whether that was possible. Only for indexes of format 1 it may be impossible."""
        try:
            log.complete()
        except ServerError:
            if not self._old_format:
                raise
            return False
        return True

    def _is_in_step(self, changes: Changes) -> bool:
        if changes.digest is None or time.monotonic() < self._trusted_until:
            return True
        return (changes.digest, changes.size) == (self.replica.digest, self.replica.logged)

    def _apply(self, changes: Changes) -> None:
        for id in changes.deleted:
            self.replica.remove(id)
        for change in changes.changed:
            self._take(change, changes.now)
        self.now = changes.now
        self.replica.sequence = changes.sequence
        self.replica.pack()

    def _apply_listing(self, log: ChangeLog, sequence: int, now: float) -> None:
        """Apply all changes up to a sequence number, and some later ones."""
        listing = log.listing(self.replica.sequence)
        if listing is None:
            self.replica = self._empty()
            return
        deleted, changed = listing
        for id in deleted:
            self.replica.remove(id)
        for page in log.load(changed):
            for change in page:
                self._take(change, now)
        self.now = now
        self.replica.sequence = sequence
        self.replica.pack()

    def _take(self, change: Change, now: float) -> None:
        if change.fields is None:
            self.replica.hide(change.id, change.sequence)
            return
        unsure = math.inf
        if change.left >= 0 and EXPIRES not in change.fields:
            unsure = now + change.left
        self.replica.put(change.id, change.fields, change.sequence, unsure)


_Key = tuple[str, int, str | None, str, str, int]

_shared: weakref.WeakValueDictionary[_Key, SharedReplica] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def shared_replica(connection: Connection, entry: CatalogEntry) -> SharedReplica:
    """The replica of an index in this process; a new one if nobody has it."""
    settings = connection.settings
    # A private server has no name, and belongs to one connection object.
    private = id(connection) if settings.embedded and settings.embedded_directory is None else 0
    key = (
        settings.location, settings.database, settings.username, settings.read_from,
        f"{entry.name} {entry.generation}", private,
    )  # fmt: skip
    with _lock:
        found = _shared.get(key)
        if found is None:
            found = _shared[key] = SharedReplica(entry)
        return found


def _begin_in_child() -> None:
    global _shared, _lock
    _shared, _lock = weakref.WeakValueDictionary(), threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_begin_in_child)
