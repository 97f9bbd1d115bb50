"""Withdrawal of the record of a new index whose search index the server refused to create.

Without it the record would block the name: nobody could search the index, and a user who lacks rights could not drop it.
"""

from __future__ import annotations

from valkey_vector.connection import Connection
from valkey_vector.connection.lua import read_lua
from valkey_vector.storage.catalog import Catalog, CatalogEntry

__all__ = ["withdraw"]

_WITHDRAW = read_lua(__package__, "withdrawal")


def withdraw(connection: Connection, catalog: Catalog, entry: CatalogEntry) -> None:
    """Remove the record of an index that was just created, unless it was dropped or created again meanwhile.

    What is needed to read the kept documents of an earlier index stays.
    """
    keep = "" if entry.lineage == catalog.new_lineage else "keep"
    connection.execute("EVAL", _WITHDRAW, "1", catalog.key, entry.generation, keep)
