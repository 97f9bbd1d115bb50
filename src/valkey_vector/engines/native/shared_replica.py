"""One replica per index and process, synchronized with the change log of the server.

All `NativeEngine` objects of a process share it if they use the same index on the same server. It is freed with the last
of them. A forked child starts without replicas, because locks that other threads of the parent held would never be
released.

`SharedReplica.synchronize` always ends, even if other clients keep writing. The replica is then complete as of a moment
after the call began.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from valkey_vector.connection import Connection
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.connection.time_limits import LimitedLock
from valkey_vector.engines.native.change_log import (
    ChangeLog,
    Changes,
    Incomplete,
    Many,
    Reload,
    word_fields,
)
from valkey_vector.engines.native.freed_memory import return_freed_memory
from valkey_vector.engines.native.replica import Replica
from valkey_vector.errors import ServerError
from valkey_vector.storage.catalog import CatalogEntry

__all__ = ["SharedReplica", "shared_replica"]

_BACKLOGS = 3
"""Largest number of backlogs in one synchronization; other clients may write while one is applied."""

_RELOADS = 2
"""Largest number of complete loads in one synchronization. If the digest still differs, the log itself is incomplete."""

_TRUSTED_SECONDS = 60.0
"""Seconds without comparing digests, after a completed log still had another digest: a client of an earlier version writes."""

_CHECK_INTERVAL = 1.0
"""Smallest number of seconds between two checks of all documents."""

_MAX_LOST = 1_000
"""Number of removed documents from which on a read removes their ids from the log; fewer wait for the next write."""


_LARGE_LOAD = 10_000
"""Number of loaded documents from which on the memory of the replies is returned to the operating system."""


class SharedReplica:
    """The replica of one index. Thread-safe.

    Args:
        entry: the catalog entry of the index.

    Attributes:
        lock: must be held while `replica` is used.
        replica: the content of the index.
        now: the last known time of the server in milliseconds.
    """

    def __init__(self, entry: CatalogEntry) -> None:
        self.lock = LimitedLock()
        self._schema = entry.schema
        self._old_format = entry.lineage is None
        self.replica = self._empty()
        self.now = 0.0
        self._lost: set[str] = set()
        # A lock of its own: writers take it while a reader may hold `lock` for long.
        self._lost_lock = threading.Lock()
        self._trusted_until = -math.inf
        self._all_checked = -math.inf
        self._written = False
        self._fetched: tuple[int, Any] | None = None

    @property
    def outdated(self) -> bool:
        """True if the replica is empty, or lacks a write of this process."""
        return self._written or self.replica.sequence < 0

    def writing_after(self) -> int | None:
        """The sequence number to fetch the changes after, together with a small write; None to fetch none.

        The next search then needs no round trip for them. A process that only writes, and does not search in between,
        fetches nothing.
        """
        return None if self.outdated else self.replica.sequence

    def note_write(self, after: int | None = None, reply: Any = None) -> None:
        """Note that this process changed the index: the next read synchronizes before it searches.

        Args:
            after: the sequence number that `writing_after` returned, if the changes were fetched with the write.
            reply: the reply to `ChangeLog.syncing`.
        """
        # The changes first: between the two, a reader at worst fetches them once more.
        self._fetched = None if after is None else (after, reply)
        self._written = True

    def with_own_writes(self, log: ChangeLog) -> Pipelined[None]:
        """Apply at least the writes of this process.

        The replica can lack later changes of other processes. The caller must notice them by the sequence number.

        Cost: none if the changes came with the last write; otherwise that of `synchronize` if there was a write.
        """
        if self._fetched is not None:
            self._apply_fetched(log)
        if self.outdated:
            yield Request(current=True)

    def _apply_fetched(self, log: ChangeLog) -> None:
        """Apply the changes that came with the last write, if they follow on those that were applied."""
        with self.lock:
            self._written = False
            fetched, self._fetched = self._fetched, None
            if fetched is not None and fetched[0] == self.replica.sequence:
                changes = log.synced(fetched[1])
                if isinstance(changes, Changes):
                    self._apply(changes)
                    if self._is_complete(changes):
                        return
            self._written = True

    def synchronize(self, log: ChangeLog) -> None:
        """Apply the changes since the last synchronization.

        Cost: one round trip for up to 1,000 changes, otherwise one more for each 1,000.

        Raises:
            StaleIndexError: the index was dropped or created again.
            ServerError: the log lost a key and cannot be completed, because the server refuses writes.
        """
        with self.lock:
            self._written, self._fetched = False, None
            self._synchronize(log)

    def _synchronize(self, log: ChangeLog) -> None:
        backlogs = reloads = 0
        loaded = anyway = completed = False
        while True:
            if self.replica.sequence < 0:
                self.replica = self._empty()
                loaded = True
            match log.since(self.replica.sequence, anyway=anyway):
                case Incomplete():
                    anyway = completed or not self._completed(log)
                    completed = True
                case Reload():
                    self.replica = self._empty()
                case Many(sequence, now):
                    if backlogs == _BACKLOGS and self.replica.sequence >= 0:
                        return
                    backlogs += 1
                    self._apply_backlog(log, sequence, now)
                case Changes() as changes:
                    self._apply(changes)
                    if self._is_complete(changes):
                        return
                    if not loaded and reloads < _RELOADS:
                        reloads += 1
                        self.replica = self._empty()
                    elif completed or not self._completed(log):
                        self._trusted_until = time.monotonic() + _TRUSTED_SECONDS
                        return
                    else:
                        completed = True

    def forget(self, log: ChangeLog, ids: Sequence[str]) -> None:
        """Remove documents that no longer exist from the replica.

        Their ids stay in the log until the next write of this process, or until there are many. Reads write nothing, so
        they also work while the server refuses or delays writes.

        Cost: one round trip for each 1,000 ids.
        """
        if not ids:
            return
        with self.lock:
            # Under the lock, so that a newer version which another thread applies meanwhile is not removed.
            lost = log.lost([id for id in ids if id in self.replica])
            for id in lost:
                self.replica.lose(id)
        with self._lost_lock:
            self._lost.update(lost)
            many = len(self._lost) >= _MAX_LOST
        if many:
            # If the server refuses the write, the ids stay in its log and the next process finds them.
            with suppress(ServerError):
                log.remove(self.take_lost())

    def check_all(self, log: ChangeLog) -> None:
        """Check all documents, and remove those that no longer exist; at most once a second.

        Call it when one missing document was found: there are usually more.
        """
        with self.lock:
            if time.monotonic() < self._all_checked + _CHECK_INTERVAL:
                return
            self._all_checked = time.monotonic()
            lost = log.lost_in(self.replica.ranges(_MAX_LOST))
        self.forget(log, lost)

    def take_lost(self) -> list[str]:
        """Return the ids that `forget` found; the caller removes them from the log."""
        with self._lost_lock:
            lost, self._lost = sorted(self._lost), set()
        return lost

    def _empty(self) -> Replica:
        return Replica(self._schema.vector_fields, word_fields(self._schema))

    def _completed(self, log: ChangeLog) -> bool:
        """Complete the log; return False if the server refuses, which only an index of format 1 permits."""
        try:
            log.complete()
        except ServerError:
            if not self._old_format:
                raise
            return False
        return True

    def _is_complete(self, changes: Changes) -> bool:
        if changes.digest is None or time.monotonic() < self._trusted_until:
            return True
        return (changes.digest, changes.size) == (self.replica.digest, self.replica.logged)

    def _apply(self, changes: Changes) -> None:
        for id in changes.deleted:
            self.replica.remove(id)
        self.replica.put(changes.changed, changes.now)
        self.now = changes.now
        self.replica.sequence = changes.sequence
        self.replica.pack()

    def _apply_backlog(self, log: ChangeLog, sequence: int, now: float) -> None:
        """Apply all changes up to a sequence number, and possibly later ones."""
        backlog = log.backlog(self.replica.sequence, sequence)
        if backlog is None:
            self.replica = self._empty()
            return
        for id in backlog.deleted:
            self.replica.remove(id)
        self.replica.reserve(backlog.size)
        for page in log.load(backlog.listings):
            self.replica.put(page, now)
        self.now = now
        self.replica.sequence = sequence
        self.replica.pack()
        if backlog.size > _LARGE_LOAD:
            return_freed_memory()


_Key = tuple[str, int, str | None, str, str, int]

_shared: weakref.WeakValueDictionary[_Key, SharedReplica] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def shared_replica(connection: Connection, entry: CatalogEntry) -> SharedReplica:
    """Return the replica of an index in this process; create it if there is none."""
    settings = connection.settings
    # A private server has no address, and belongs to one connection object.
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
