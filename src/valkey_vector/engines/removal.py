"""Removal of the documents of dropped indexes, which any process can complete."""

from __future__ import annotations

from collections.abc import Sequence

from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.lua import read_lua
from valkey_vector.engines.search.locks import Locks
from valkey_vector.errors import ServerError
from valkey_vector.storage.catalog import Catalog, document_prefix
from valkey_vector.storage.hashes import BATCH, checked, in_batches
from valkey_vector.storage.layout import CREATED, METADATA
from valkey_vector.storage.record_version import VERSION

__all__ = ["complete_removals", "drop_search_index"]

_FIELDS = (VERSION, METADATA, CREATED)

_REMOVE = read_lua(__package__, "removal")


def complete_removals(connection: Connection, catalog: Catalog) -> int:
    """Remove the documents of the dropped indexes of a name, and return their number.

    Documents that another client writes meanwhile, for a new index of this name, stay.

    Cost: a SCAN of the server for each dropped index.
    """
    removed = 0
    for lineage, generation in catalog.removals().items():
        if generation and connection.capabilities.has_search:
            drop_search_index(connection, catalog.name, generation)
        was_search = bool(generation) or connection.capabilities.cluster
        removed += _remove_documents(connection, catalog, lineage, was_search=was_search)
        catalog.removed(lineage)
    return removed


def drop_search_index(connection: Connection, name: str, generation: str) -> None:
    """Remove the search index of a generation, if an interrupted drop left it on the server."""
    from valkey_vector.engines.search.commands import index_is_missing
    from valkey_vector.engines.search.definition import define

    try:
        define(connection, "FT.DROPINDEX", f"{name}-{generation}")
    except ServerError as error:
        if not index_is_missing(error.message):
            raise


def _remove_documents(
    connection: Connection, catalog: Catalog, lineage: str, *, was_search: bool
) -> int:
    """Remove the documents of a lineage: under locks if a search index may cover them, otherwise by script.

    Args:
        connection: connection to the server.
        catalog: catalog of the name.
        lineage: lineage of the documents.
        was_search: the dropped index used the search engine; decides if there is no new index of the name.
    """
    removed = 0
    for keys in connection.scan(f"{document_prefix(catalog.name)}*"):
        for batch in in_batches(keys, BATCH):
            current = catalog.engine()
            if current == "search" or (current is None and was_search):
                removed += _remove_under_locks(connection, catalog.name, lineage, batch)
            else:
                command: list[Argument] = ["EVAL", _REMOVE, str(len(batch)), *batch, f"{lineage}:"]
                removed += connection.execute(*command)
    return removed


def _remove_under_locks(
    connection: Connection, name: str, lineage: str, keys: Sequence[bytes]
) -> int:
    """Remove documents of a lineage with plain commands, because a search index may cover their keys."""
    candidates = _of_lineage(connection, lineage, keys)
    if not candidates:
        return 0
    skip = len(document_prefix(name).encode())
    locks = Locks(connection, name)
    with locks.held([key[skip:].decode() for key in candidates]):
        commands: list[list[Argument]] = [
            ["UNLINK", key] for key in _of_lineage(connection, lineage, candidates)
        ]
        return sum(checked(connection.pipeline(commands)))


def _of_lineage(connection: Connection, lineage: str, keys: Sequence[bytes]) -> list[bytes]:
    """Return the keys that are documents of a lineage; an empty lineage means format 1."""
    replies = connection.pipeline([["HMGET", key, *_FIELDS] for key in keys], retry=True)
    found: list[bytes] = []
    for key, reply in zip(keys, replies, strict=True):
        if isinstance(reply, ServerError):
            if reply.message.startswith("WRONGTYPE"):
                continue
            raise reply
        version, metadata, created = reply
        unversioned = not lineage and version is None and created is not None
        if metadata is not None and (
            unversioned or (version or b"").startswith(f"{lineage}:".encode())
        ):
            found.append(key)
    return found
