"""Readiness of the nodes of a cluster with Valkey-Search: each knows its slots and the index, and has indexed its documents.

A primary that was started or given its first slots a moment ago has not looked up its own slots yet, and aborts at a
search with CONSISTENT that another node passes on to it (Valkey-Search 1.2.1, ``PerformSlotConsistencyCheck`` in
``src/coordinator/server.cc``). It looks them up about once a second, and for each search of its own. So each primary is
sent one that asks nothing of the others, before any consistent one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from valkey_vector.connection import Argument, Connection
from valkey_vector.engines.base import StaleIndexError
from valkey_vector.engines.search import commands
from valkey_vector.errors import (
    AuthenticationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.layout import CREATED

__all__ = ["await_nodes"]

_TIMEOUT = "500"
"""Milliseconds for the search that has a node look up its slots."""

_LONGEST_PAUSE = 0.5


def await_nodes(connection: Connection, entry: CatalogEntry, addresses: Iterable[str]) -> None:
    """Wait until every primary can be searched.

    Args:
        connection: to the cluster.
        entry: of the index.
        addresses: of its primaries.

    Raises:
        StaleIndexError: no node has the index: it was dropped.
        RequestTimeoutError: it takes longer than a request may.
    """
    deadline = time.monotonic() + connection.settings.request_timeout
    waiting = list(addresses)
    number, pause = len(waiting), 0.005
    while True:
        unknown = [address for address in waiting if not _knows_index(connection, entry, address)]
        if len(unknown) == number:
            raise StaleIndexError
        waiting = [
            address
            for address in waiting
            if address in unknown or not _has_indexed(connection, entry, address)
        ]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise RequestTimeoutError(
                f"{' and '.join(waiting)} of the cluster has not indexed {entry.name!r} yet, and a search would find a "
                "part only; use wait_until_indexed() before searching",
                "FT.SEARCH",
            )
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, 2 * pause)


def _knows_index(connection: Connection, entry: CatalogEntry, address: str) -> bool:
    """Have a node look up its slots, by a search of its own; False if it does not know the index yet."""
    command: list[Argument] = ["FT.SEARCH", entry.search_index, f"@{CREATED}:[-1 -1]"]
    command += [
        "LIMIT",
        "0",
        "0",
        "DIALECT",
        "2",
        "TIMEOUT",
        _TIMEOUT,
        "SOMESHARDS",
        "INCONSISTENT",
    ]
    try:
        connection.execute_on(address, *command)
    except (ConnectionLostError, RequestTimeoutError, AuthenticationError):
        raise
    except ServerError as error:
        return not commands.index_is_missing(error.message)
    return True


def _has_indexed(connection: Connection, entry: CatalogEntry, address: str) -> bool:
    """Whether a node has indexed the documents that were there before the index."""
    try:
        reply = connection.execute_on(address, "FT.INFO", entry.search_index, "LOCAL")
    except ServerError as error:
        if commands.index_is_missing(error.message):
            return False
        raise
    return str(commands.described(reply).get("backfill_in_progress", "0")) == "0"
