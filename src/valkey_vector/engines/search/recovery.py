"""Recovery of a search index that a node of a cluster has lost, or has in another version than the other nodes.

Before a search, Valkey-Search compares the fingerprint of the index on the nodes. Three events break an index (1.2.1):

* FLUSHALL or FLUSHDB on a node. The node creates its indexes again, but without their fingerprints
  (``SchemaManager::OnFlushDBEnded`` in ``src/schema_manager.cc``). Every search then fails, and FT.CREATE reports that the
  index exists. Only a new index has the same fingerprint everywhere (`renew_if_broken`).
* A restart of a node without its data. The node knows no index until another node announces its indexes: every 30 seconds,
  and after FT.CREATE and FT.DROPINDEX (``MetadataManager::BroadcastMetadata`` in ``src/coordinator/metadata_manager.cc``).
  Creating an index on the empty node would not help: its version could differ (`announce`).
* A restart of a node from an append-only file that was not rewritten since the index was created. The node has the records
  and believes that it knows all indexes, so announcements do not help. Only a new index does (`renew`).
"""

from __future__ import annotations

import secrets
import time

from valkey_vector.connection import Argument, Connection, SearchModule
from valkey_vector.connection.lua import read_lua
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.definition import define
from valkey_vector.errors import (
    AuthenticationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)
from valkey_vector.storage.catalog import Catalog, CatalogEntry
from valkey_vector.storage.layout import CREATED
from valkey_vector.storage.rows import StaleIndexError

__all__ = ["PATIENCE", "announce", "probe_command", "renew", "renew_if_broken"]

PATIENCE = 1.0
"""Seconds for which nodes may differ about an index, because FT.CREATE reaches them one after another."""

_PROBES = 10
_PAUSE = 0.05
_DIFFERENT = "fingerprint mismatch"
"""Error of an INCONSISTENT search if a node has another version of the index. Such a search does not compare slots."""

_RENEW = read_lua(__package__, "recovery_renew")


def probe_command(entry: CatalogEntry, milliseconds: int, scope: str) -> list[Argument]:
    """FT.SEARCH that finds nothing and compares no slots.

    Args:
        entry: catalog entry of the index.
        milliseconds: time limit.
        scope: ``ALLSHARDS`` to fail if a node has no index or another version, or ``SOMESHARDS``.
    """
    command: list[Argument] = ["FT.SEARCH", entry.search_index, f"@{CREATED}:[-1 -1]"]
    command += ["LIMIT", "0", "0", "DIALECT", "2", "TIMEOUT", str(milliseconds)]
    return [*command, scope, "INCONSISTENT"]


def renew_if_broken(connection: Connection, entry: CatalogEntry, waited: float) -> None:
    """Create the search index again under a new name, if nodes have different versions of it for good.

    Processes that use the old name get an error from the server, and open the index again. So none of them searches the
    new index before it is complete. If several processes try, one succeeds.

    Args:
        connection: connection to a cluster of Valkey-Search.
        entry: catalog entry of the index.
        waited: seconds for which searches have failed because nodes disagree.

    Raises:
        StaleIndexError: the index has a new name now, or was dropped.

    Cost:
        Nothing before `PATIENCE`, then one round trip if the index is intact.
    """
    if waited < min(PATIENCE, connection.settings.request_timeout / 4):
        return
    if connection.capabilities.module is not SearchModule.VALKEY_SEARCH:
        return
    if _is_broken(connection, entry):
        renew(connection, entry)


def renew(connection: Connection, entry: CatalogEntry) -> None:
    """Create the search index again under a new name; see `renew_if_broken`. Does nothing if the user may not.

    Raises:
        StaleIndexError: the index has a new name now, or was dropped.
    """
    renewal = secrets.token_hex(4)
    try:
        # Removes nothing: it shows that the user may replace the index.
        _drop(connection, f"{entry.name}-{renewal}")
        key = Catalog(connection, entry.name).key
        marks = [entry.generation, entry.renewal or "", renewal]
        if connection.execute("EVAL", _RENEW, "1", key, *marks):
            _drop(connection, entry.search_index)
    except AuthenticationError:
        return
    raise StaleIndexError


def announce(connection: Connection, entry: CatalogEntry, address: str) -> None:
    """Make a node that knows all indexes announce them, so that nodes without them create them.

    It creates and drops an index that covers no key. The copies have the version and the fields of the original.

    Args:
        connection: connection to a cluster of Valkey-Search.
        entry: catalog entry of the index.
        address: address of a node that knows the index.
    """
    name = f"{entry.search_index}-announcement"
    nothing = f"{entry.prefix}{secrets.token_hex(8)}"
    creation: list[Argument] = ["FT.CREATE", name, "ON", "HASH", "PREFIX", "1", nothing]
    creation += ["SKIPINITIALSCAN", "SCHEMA", CREATED, "NUMERIC"]
    for command in (creation, ["FT.DROPINDEX", name]):
        try:
            connection.execute_on(address, *command)
        except (ConnectionLostError, RequestTimeoutError):
            raise
        except ServerError:
            continue  # another process announces, or the user may not: the nodes announce by themselves


def _is_broken(connection: Connection, entry: CatalogEntry) -> bool:
    """Return True if each of several searches finds a node with another version of the index.

    Each reads one node of each shard, which the server chooses at random: a replica may only be behind.
    """
    milliseconds = int(min(1000, 1000 * connection.settings.request_timeout))
    command = probe_command(entry, milliseconds, "ALLSHARDS")
    for _ in range(_PROBES):
        try:
            connection.execute(*command, retry=True)
        except (ConnectionLostError, RequestTimeoutError, AuthenticationError):
            raise
        except ServerError as error:
            if _DIFFERENT not in error.message.lower():
                return False
        else:
            return False
        time.sleep(_PAUSE)
    return True


def _drop(connection: Connection, name: str) -> None:
    try:
        define(connection, "FT.DROPINDEX", name)
    except ServerError as error:
        if not commands.index_is_missing(error.message):
            raise
