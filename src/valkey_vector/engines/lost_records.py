"""Detection of indexes whose catalog entry was lost while their documents remain.

An eviction or a clean-up job can remove the entry. The index would then read as empty, and a new index of the same name
would not contain the documents. So if there is no entry, the server is searched for traces of the index.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.memory import MEMORY_COMMANDS, ServerMemory
from valkey_vector.errors import ServerError
from valkey_vector.storage.catalog import CatalogEntry, document_prefix, own_keys
from valkey_vector.storage.hashes import checked
from valkey_vector.storage.record_version import VERSION

__all__ = ["Traces", "generations_in", "lineages_of", "traces_of"]

_LINEAGE = re.compile(rb"([0-9a-f]{8}):[\w-]+:")


@dataclass(frozen=True, slots=True)
class Traces:
    """The remaining parts of an index without a catalog entry.

    Attributes:
        generations: the generations of its search indexes on the server.
        change_log: the change log of the native engine exists.
        documents: a document exists; only checked on a server that may have evicted the rest.
    """

    generations: frozenset[str]
    change_log: bool
    documents: bool

    def __bool__(self) -> bool:
        return bool(self.generations or self.change_log or self.documents)

    def are_of(self, entry: CatalogEntry) -> bool:
        """Return True if the index of this entry was lost, and False if it was dropped."""
        if entry.engine == "search":
            return entry.search_generation in self.generations
        return self.change_log


def traces_of(connection: Connection, name: str) -> Traces:
    """Search for traces of an index without a catalog entry.

    Cost: one round trip; on a server that evicts keys, a SCAN if that finds nothing.

    Raises:
        ServerError: the server is unreachable.
    """
    changes, *_ = own_keys(name)
    commands: list[Sequence[Argument]] = [["EXISTS", changes], *MEMORY_COMMANDS]
    if connection.capabilities.has_search:
        commands.append(["FT._LIST"])
    exists, *replies = connection.pipeline(commands, retry=True)
    checked([exists])
    listed = replies[2] if len(replies) > 2 and not isinstance(replies[2], ServerError) else []
    generations = generations_in(listed, name)
    memory = ServerMemory.of(replies[:2])
    documents = False
    if not generations and not exists and (memory.evicts_any_key or memory.evicted > 0):
        documents = bool(lineages_of(connection, name, first=True))
    return Traces(generations, bool(exists), documents)


def generations_in(listed: Iterable[bytes], name: str) -> frozenset[str]:
    """Return the generations of the search indexes of a name. `listed`: the reply to FT._LIST."""
    wanted = re.compile(re.escape(name.encode()) + rb"-([0-9a-f]{8})")
    found = [wanted.fullmatch(each) for each in listed]
    return frozenset(match[1].decode() for match in found if match is not None)


def lineages_of(connection: Connection, name: str, *, first: bool = False) -> frozenset[str]:
    """Return the lineages of the documents under the prefix of an index.

    Cost: a SCAN of the server, and one round trip for each page of keys with that prefix.

    Args:
        connection: connection to the server.
        name: name of the index.
        first: stop at the first lineage.
    """
    found: set[str] = set()
    for keys in connection.scan(f"{document_prefix(name)}*"):
        versions = connection.pipeline([["HGET", key, VERSION] for key in keys], retry=True)
        for version in versions:
            if isinstance(version, bytes) and (match := _LINEAGE.match(version)):
                found.add(match[1].decode())
                if first:
                    return frozenset(found)
    return frozenset(found)
