"""Open an existing index by name, and say clearly why a name cannot be opened."""

from __future__ import annotations

from valkey_vector.attached.index import AttachedIndex
from valkey_vector.connection import Connection
from valkey_vector.errors import ConfigurationError, IndexNotFoundError
from valkey_vector.index.handle import IndexHandle
from valkey_vector.index.index import Index
from valkey_vector.index.settings import IndexSettings
from valkey_vector.storage.catalog import Catalog, check_index_name

__all__ = ["is_own_name", "open_any", "open_own", "own_handle"]


def open_own(connection: Connection, name: str) -> Index:
    """Open an index of this library that exists.

    Raises:
        IndexNotFoundError: there is no such index.
        ConfigurationError: another program created the index.
        IndexRecordLostError: the catalog record of the index is missing, but its documents exist.
    """
    check_index_name(name)
    index = Index.open(name, connection=connection)
    if index.exists():
        return index
    if _is_foreign(connection, name):
        raise ConfigurationError(
            f"another program created index {name!r}: `info` and `count` describe it, "
            f"and Index.attach({name!r}) searches it"
        )
    raise IndexNotFoundError(
        f"there is no index {name!r} on {connection.settings.location}; "
        "`valkey-vector indexes` lists the indexes of a server"
    )


def open_any(connection: Connection, name: str) -> Index | AttachedIndex:
    """Open an index of this library, or one that another program created in the search module.

    Raises:
        IndexNotFoundError: there is no such index.
    """
    if is_own_name(name) and Catalog(connection, name).read() is not None:
        return Index.open(name, connection=connection)
    if _is_foreign(connection, name):
        return AttachedIndex.open(name, connection=connection)
    return open_own(connection, name)


def own_handle(index: Index) -> IndexHandle:
    """A handle of its own for an index of this library, for what reads stored records as they are."""
    settings = IndexSettings.of(
        dimension=None,
        metric=None,
        algorithm=None,
        schema=None,
        engine="auto",
        full_text=None,
        embedding_model=None,
    )
    return IndexHandle(index.connection, index.name, settings)


def is_own_name(name: str) -> bool:
    """Return True if an index of this library can have the name."""
    try:
        check_index_name(name)
    except ConfigurationError:
        return False
    return True


def _is_foreign(connection: Connection, name: str) -> bool:
    """Return True if the search module has an index of this name."""
    if not connection.capabilities.has_search:
        return False
    return name.encode() in connection.execute("FT._LIST", retry=True)
