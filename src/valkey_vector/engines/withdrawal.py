"""Removal of the catalog entry of a new index whose search index the server refused to create.

If the entry stayed, it would block the name: the index could not be searched, and a user without the rights could not
drop it.
"""

from __future__ import annotations

from valkey_vector.connection import Connection
from valkey_vector.connection.lua import read_lua
from valkey_vector.storage.catalog import Catalog, CatalogEntry

__all__ = ["withdraw"]

_WITHDRAW = read_lua(__package__, "withdrawal")


def withdraw(connection: Connection, catalog: Catalog, entry: CatalogEntry) -> None:
    """Remove the catalog entry of an index that was just created, unless it was dropped or created again meanwhile.

    The fields that describe the retained documents of an earlier index stay.

    Cost: one round trip.
    """
    keep = "" if entry.lineage == catalog.new_lineage else "keep"
    connection.execute("EVAL", _WITHDRAW, "1", catalog.key, entry.generation, keep)
