"""The two sources of changes: the native engine's change log, and a comparison of the versions of all records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from valkey_vector.connection import Connection
from valkey_vector.engines.base import Engine
from valkey_vector.engines.native.change_feed import ChangeFeed
from valkey_vector.filters.plan import Everything
from valkey_vector.index.handle import IndexHandle
from valkey_vector.storage.catalog import Catalog, CatalogEntry
from valkey_vector.storage.record_version import EXPIRES, VERSION
from valkey_vector.storage.rows import Row, StaleIndexError

__all__ = ["ComparedVersions", "LoggedChanges"]

_Found: TypeAlias = tuple[float, Literal["written", "deleted", "expired"], str]


class LoggedChanges:
    """The changes in the native engine's change log.

    Args:
        connection: connection to the server.
        entry: catalog entry of the index.
        interval: seconds between two polls.
    """

    def __init__(self, connection: Connection, entry: CatalogEntry, interval: float) -> None:
        self._feed = ChangeFeed(connection, entry)
        # A record that is missing at the next poll is known to have expired only if its end was known before.
        self._ahead = 2 * interval + 5.0
        self._sequence = 0
        self._ends: dict[str, int] = {}
        self._expired: set[str] = set()
        self._missed: tuple[float, str] | None = None

    @property
    def description(self) -> str:
        """Sentence that says how changes are found, and which are not."""
        return "reading the change log of the native engine at intervals: of several changes of a record, the last is seen"

    def begin(self) -> None:
        """Skip all changes until now."""
        poll = self._feed.poll(None, self._ahead)
        self._sequence, self._ends = poll.sequence, poll.ends
        over = [id for id, end in poll.ends.items() if end <= poll.now]
        self._expired = set(self._feed.removed(over))

    def poll(self) -> Sequence[_Found]:
        """The changes since the last poll."""
        found: list[_Found] = []
        before = self._ends.keys()
        while True:
            poll = self._feed.poll(self._sequence, self._ahead)
            if poll.trimmed:
                self._missed = (
                    poll.now / 1000,
                    "the change log was trimmed before it was read: deletions may be missing",
                )
            for change in poll.changes:
                moment = change.sequence / 1_000_000
                if change.written:
                    self._expired.discard(change.id)
                    found.append((moment, "written", change.id))
                elif change.id in self._expired:
                    self._expired.discard(change.id)  # reported when its time was over
                else:
                    end = self._ends.get(change.id)
                    is_over = end is not None and end <= change.sequence // 1000
                    found.append((moment, "expired" if is_over else "deleted", change.id))
            self._sequence, self._ends = poll.sequence, poll.ends
            if poll.complete:
                break
        over = [id for id, end in poll.ends.items() if end <= poll.now and id not in self._expired]
        for id in self._feed.removed(over):
            self._expired.add(id)
            found.append((poll.ends[id] / 1000, "expired", id))
        self._expired &= before | poll.ends.keys()
        return sorted(found)

    def missed(self) -> tuple[float, str] | None:
        """Time and reason if changes may be missing; once."""
        missed, self._missed = self._missed, None
        return missed


class ComparedVersions:
    """The differences between all versions of records now and before.

    Args:
        handle: handle of the index.
        engine: its engine.
    """

    def __init__(self, handle: IndexHandle, engine: Engine) -> None:
        self._connection = handle.connection
        self._handle = handle
        self._engine = engine
        self._known: dict[str, tuple[bytes | None, int | None]] = {}
        self._seconds = 0.0

    @property
    def description(self) -> str:
        """Sentence that says how changes are found, and which are not."""
        return (
            f"comparing the versions of all {len(self._known):,} records at intervals, which took {self._seconds:.1f} "
            "seconds: a record that is written and deleted in between is not seen"
        )

    def begin(self) -> None:
        """Read the versions of all records."""
        begun = time.monotonic()
        self._known = self._listed()
        self._seconds = time.monotonic() - begun

    def poll(self) -> Sequence[_Found]:
        """The differences since the last poll."""
        before, now = self._known, self._listed()
        # A record that is written while the records are listed may be left out.
        absent = [id for id in before if id not in now]
        for row in self._engine.fetch(absent, [VERSION, EXPIRES]) if absent else ():
            if row is not None:
                now[row.id] = _state(row)
        self._check_generation()
        moment = self._now()
        found: list[_Found] = [
            (moment, "written", id) for id, state in now.items() if before.get(id) != state
        ]
        for id in absent:
            if id not in now:
                end = before[id][1]
                is_over = end is not None and end / 1000 <= moment
                found.append((moment, "expired" if is_over else "deleted", id))
        self._known = now
        return sorted(found)

    def missed(self) -> tuple[float, str] | None:
        """Nothing: a comparison always ends with the current state."""
        return None

    def _listed(self) -> dict[str, tuple[bytes | None, int | None]]:
        pages = self._engine.select(Everything(), [VERSION, EXPIRES])
        return {row.id: _state(row) for page in pages for row in page}

    def _check_generation(self) -> None:
        """Raise StaleIndexError if the index was dropped or created again."""
        entry = Catalog(self._connection, self._handle.name).read()
        if entry is None or entry.generation != self._engine.entry.generation:
            raise StaleIndexError

    def _now(self) -> float:
        seconds, micros = self._connection.execute("TIME", retry=True)
        return int(seconds) + int(micros) / 1_000_000


def _state(row: Row) -> tuple[bytes | None, int | None]:
    return row.version, _end(row.fields)


def _end(fields: Mapping[str, bytes]) -> int | None:
    text = fields.get(EXPIRES, b"")
    return int(text) if text.isdigit() else None
