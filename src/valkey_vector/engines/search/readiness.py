"""Readiness of a cluster with Valkey-Search: each node knows its slots and the index, and has indexed its documents.

A primary that just started, or just received its first slots, does not know its own slots yet. It then aborts at a
CONSISTENT search that another node forwards to it (Valkey-Search 1.2.1, ``PerformSlotConsistencyCheck`` in
``src/coordinator/server.cc``). It looks its slots up about once a second, and for each search that it receives itself. So
each primary first receives an inconsistent search.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence

from valkey_vector.connection import Connection
from valkey_vector.connection.time_limits import seconds_left
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.recovery import PATIENCE, announce, probe_command, renew
from valkey_vector.errors import (
    AuthenticationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.rows import StaleIndexError

__all__ = ["await_backfill", "await_nodes"]

_TIMEOUT = 500
"""Time limit in milliseconds of the search that makes a node look up its slots."""

_LONGEST_PAUSE = 0.5

_ANNOUNCED_SECONDS = 6.0
"""Seconds for which a node may ignore announcements of the index, before the index is created again."""


def await_nodes(connection: Connection, entry: CatalogEntry, addresses: Iterable[str]) -> None:
    """Wait until every primary can be searched. A primary that lost the index, for example by a restart, gets it again.

    Args:
        connection: connection to the cluster.
        entry: catalog entry of the index.
        addresses: addresses of the primaries.

    Raises:
        StaleIndexError: no node has the index: it was dropped.
        RequestTimeoutError: a node is not ready within `request_timeout`.
    """
    start = announced = time.monotonic()
    deadline = start + seconds_left(connection.settings.request_timeout)
    everybody = waiting = list(addresses)
    renewal = start + min(_ANNOUNCED_SECONDS, (deadline - start) / 2)
    pause = 0.005
    while True:
        unknown = [address for address in waiting if not _knows_index(connection, entry, address)]
        if len(unknown) == len(everybody):
            raise StaleIndexError
        if unknown and time.monotonic() > renewal:
            renew(connection, entry)
            renewal = math.inf  # the user may not
        elif unknown and time.monotonic() > announced + PATIENCE:
            knowing = next(address for address in everybody if address not in unknown)
            announce(connection, entry, knowing)
            announced = time.monotonic()
        waiting = [
            address
            for address in waiting
            if address in unknown or not _has_indexed(connection, entry, address)
        ]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise RequestTimeoutError(_unready(entry, waiting, unknown), "FT.SEARCH")
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, 2 * pause)


def _unready(entry: CatalogEntry, waiting: Sequence[str], unknown: Sequence[str]) -> str:
    if unknown:
        return (
            f"{' and '.join(unknown)} of the cluster does not have the search index {entry.search_index!r} of index "
            f"{entry.name!r}, and a search would be incomplete. It is created again by the next search of a user who may "
            "run FT.CREATE and FT.DROPINDEX"
        )
    return (
        f"{' and '.join(waiting)} of the cluster is still indexing {entry.name!r}, and a search would be incomplete; "
        "call wait_until_indexed() before searching"
    )


def await_backfill(connection: Connection, name: str, indexed_share: Callable[[], float]) -> None:
    """Wait until a server without a cluster has indexed the documents that are older than its index.

    Args:
        connection: connection to the server.
        name: name of the index.
        indexed_share: returns the share that is indexed, 0 to 1.

    Raises:
        RequestTimeoutError: this takes longer than `request_timeout`.
    """
    deadline = time.monotonic() + seconds_left(connection.settings.request_timeout)
    pause = 0.005
    while (share := indexed_share()) < 1.0:
        if time.monotonic() > deadline:
            raise RequestTimeoutError(
                f"index {name!r} is {share:.0%} indexed, and a search would be incomplete; "
                "call wait_until_indexed() before searching"
            )
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, 2 * pause)


def _knows_index(connection: Connection, entry: CatalogEntry, address: str) -> bool:
    """Send a node a search, so that it looks up its slots; False if it does not know the index yet."""
    try:
        connection.execute_on(address, *probe_command(entry, _TIMEOUT, "SOMESHARDS"))
    except (ConnectionLostError, RequestTimeoutError, AuthenticationError):
        raise
    except ServerError as error:
        return not commands.index_is_missing(error.message)
    return True


def _has_indexed(connection: Connection, entry: CatalogEntry, address: str) -> bool:
    """Return True if a node has indexed the documents that are older than the index."""
    try:
        reply = connection.execute_on(address, "FT.INFO", entry.search_index, "LOCAL")
    except ServerError as error:
        if commands.index_is_missing(error.message):
            return False
        raise
    return str(commands.described(reply).get("backfill_in_progress", "0")) == "0"
