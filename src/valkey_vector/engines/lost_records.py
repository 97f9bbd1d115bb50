"""Detection of indexes whose catalog entry was lost, by eviction or by a clean-up job, while their documents remain.

Without the entry the index would read as empty, and a new index of the same name would not contain the documents, both
without an error. So if there is no entry, traces of an index are searched for.
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
    """What is left of an index without a record.

    Attributes:
        generations: of search indexes that the server keeps for it.
        change_log: the change log of the native engine is there.
        documents: a document is there; only looked for on a server that may have evicted the rest.
    """

    generations: frozenset[str]
    change_log: bool
    documents: bool

    def __bool__(self) -> bool:
        return bool(self.generations or self.change_log or self.documents)

    def are_of(self, entry: CatalogEntry) -> bool:
        """Whether an index that this process knows was lost, not dropped."""
        if entry.engine == "search":
            return entry.generation in self.generations
        return self.change_log


def traces_of(connection: Connection, name: str) -> Traces:
    """Look for an index without a record, in one round trip; on a server that evicts keys also for documents.

    Raises:
        ServerError: an outage.
    """
    changes, *_ = own_keys(name)
    commands: list[Sequence[Argument]] = [["EXISTS", changes], *MEMORY_COMMANDS]
    if connection.capabilities.has_search:
        commands.append(["FT._LIST"])
    there, *replies = connection.pipeline(commands, retry=True)
    checked([there])
    listed = replies[2] if len(replies) > 2 and not isinstance(replies[2], ServerError) else []
    generations = generations_in(listed, name)
    memory = ServerMemory.of(replies[:2])
    documents = False
    if not generations and not there and (memory.evicts_any_key or memory.evicted > 0):
        documents = bool(lineages_of(connection, name, first=True))
    return Traces(generations, bool(there), documents)


def generations_in(listed: Iterable[bytes], name: str) -> frozenset[str]:
    """The generations of an index whose search indexes are among those of a server, by the reply of FT._LIST."""
    wanted = re.compile(re.escape(name.encode()) + rb"-([0-9a-f]{8})")
    found = [wanted.fullmatch(each) for each in listed]
    return frozenset(match[1].decode() for match in found if match is not None)


def lineages_of(connection: Connection, name: str, *, first: bool = False) -> frozenset[str]:
    """The lineages of documents under the prefix of an index; looks at every key of the server.

    Args:
        connection: to the server.
        name: of the index.
        first: one is enough.
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
