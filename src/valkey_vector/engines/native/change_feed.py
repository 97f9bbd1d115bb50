"""The changes in the native engine's change log in their order, for a reader that shows them. Reads only.

The log has the last change of each id, so of several changes between two polls the last one is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from valkey_vector.connection import Connection
from valkey_vector.connection.batches import in_batches
from valkey_vector.storage.catalog import Catalog, CatalogEntry, change_log_keys
from valkey_vector.storage.hashes import checked
from valkey_vector.storage.rows import StaleIndexError

__all__ = ["ChangeFeed", "Logged", "Poll"]

_MOST = 10_000
"""Largest number of changes in one poll."""

_CHECKED = 1_000
"""Keys in one request of `removed`."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One change.

    Attributes:
        id: id of the record.
        sequence: number of the change: about its time in microseconds by the server's clock.
        written: the record was written; otherwise it was removed.
    """

    id: str
    sequence: int
    written: bool


@dataclass(frozen=True, slots=True)
class Poll:
    """The changes after a sequence number.

    Attributes:
        changes: in their order.
        sequence: number to poll after.
        complete: False if there are more changes to poll for now.
        trimmed: True if older deletions were removed from the log before they were read.
        now: the server's time in milliseconds.
        ends: ids with a time to live that is over or soon will be -> its end in milliseconds.
    """

    changes: Sequence[Logged]
    sequence: int
    complete: bool
    trimmed: bool
    now: int
    ends: dict[str, int]


class ChangeFeed:
    """The change log of one index.

    Args:
        connection: connection to the server.
        entry: catalog entry of the index.
    """

    def __init__(self, connection: Connection, entry: CatalogEntry) -> None:
        self._connection = connection
        self._entry = entry
        self._catalog = Catalog(connection, entry.name).key
        self._changes, self._deletions, self._expiry = change_log_keys(entry.name)

    def poll(self, since: int | None, ahead: float) -> Poll:
        """Fetch the changes after a sequence number.

        Args:
            since: the number; None fetches only the current number.
            ahead: seconds before their end from which expirations are in `ends`.

        Cost: two round trips.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        # The number first: what happens while the rest is read has a higher one, and is left for the next poll.
        state, time = checked(
            self._connection.pipeline(
                [["HMGET", self._catalog, "generation", "seq", "floor"], ["TIME"]], retry=True
            )
        )
        if state[0] is None or state[0].decode() != self._entry.generation:
            raise StaleIndexError
        last, floor = int(state[1] or 0), int(state[2] or 0)
        now = int(time[0]) * 1000 + int(time[1]) // 1000
        low, high = f"({last if since is None else since}", str(last)
        limit = ["LIMIT", "0", str(_MOST)]
        written, deleted, ends = checked(
            self._connection.pipeline(
                [
                    ["ZRANGEBYSCORE", self._changes, low, high, "WITHSCORES", *limit],
                    ["ZRANGEBYSCORE", self._deletions, low, high, "WITHSCORES", *limit],
                    [
                        "ZRANGEBYSCORE",
                        self._expiry,
                        "-inf",
                        str(now + round(ahead * 1000)),
                        "WITHSCORES",
                    ],
                ],
                retry=True,
            )
        )
        lists = [_scored(written), _scored(deleted)]
        full = [pairs[-1][1] for pairs in lists if len(pairs) == _MOST]
        until = min([*full, last])  # what is listed up to here is complete
        changes = [
            Logged(id, number, of_written)
            for pairs, of_written in zip(lists, (True, False), strict=True)
            for id, number in pairs
            if number <= until
        ]
        return Poll(
            sorted(changes, key=lambda each: each.sequence),
            until,
            not full,
            since is not None and since < floor,
            now,
            dict(_scored(ends)),
        )

    def removed(self, ids: Sequence[str]) -> list[str]:
        """Return the ids whose keys do not exist. Cost: a round trip for each 1,000 ids."""
        found: list[str] = []
        for batch in in_batches(ids, _CHECKED):
            commands = [["EXISTS", self._entry.prefix + id] for id in batch]
            replies = checked(self._connection.pipeline(commands, retry=True))
            found += [id for id, exists in zip(batch, replies, strict=True) if not exists]
        return found


def _scored(reply: Any) -> list[tuple[str, int]]:
    """Decode a reply with ids and scores; clients return a dict or a flat list."""
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return [(id.decode(), int(float(score))) for id, score in pairs]
