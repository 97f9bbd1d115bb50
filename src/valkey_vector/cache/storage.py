"""Storage of cache entries: read by exact prompt or by similarity, write with eviction, remove, and lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from valkey_vector.cache.entries import SCOPE_ID, STORED_AT
from valkey_vector.cache.eviction import Eviction, Place
from valkey_vector.cache.statistics import Count
from valkey_vector.cache.usage import UsageBuffer
from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.connection.lua import read_lua
from valkey_vector.errors import ServerError, UnreadableRecordError
from valkey_vector.filters import F, Filter, all_of
from valkey_vector.index.index import Index
from valkey_vector.query import VectorQuery
from valkey_vector.records.record import Hit, Record, Vector
from valkey_vector.records.vectors import check_vector
from valkey_vector.storage.catalog import CatalogEntry, document_prefix, own_key
from valkey_vector.storage.decoding import decode_record
from valkey_vector.storage.hashes import row_of
from valkey_vector.storage.layout import record_fields
from valkey_vector.storage.record_version import identifying_fields

__all__ = ["Claim", "Draft", "Storage"]

_BATCH = 500

_RELEASE = read_lua(__package__, "lock_release")

_RENEW = read_lua(__package__, "lock_renew")


@dataclass(frozen=True, slots=True)
class Draft:
    """Entry to write.

    Attributes:
        record: record of the entry, without the time of storing, which is the server's.
        ttl: time to live in seconds; None: the entry does not expire.
        sliding: True if each use restarts the time to live.
    """

    record: Record
    ttl: float | None
    sliding: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """Result of competing for the single-flight lock of an entry.

    Attributes:
        held: True if the lock was acquired.
        record: the entry, if it already exists.
    """

    held: bool
    record: Record | None


class Storage:
    """Entries of one cache on the server. Every method blocks, and raises `ServerError` on an outage.

    Args:
        index: index of the entries.
        eviction: eviction settings. None: the number of entries is not limited.
        extends_ttl: True if uses extend the time to live.
        report_every: maximum seconds until buffered usage is sent.
    """

    def __init__(
        self, index: Index, eviction: Eviction | None, *, extends_ttl: bool, report_every: float
    ) -> None:
        self.index = index
        self._prefix = document_prefix(index.name)
        self.usage = UsageBuffer(
            index.connection,
            index.name,
            eviction,
            extends_ttl=extends_ttl,
            every=report_every,
            entry_prefix=self._prefix,
        )

    @property
    def connection(self) -> Connection:
        """Connection to the server."""
        return self.index.connection

    def read(self, ids: Sequence[str]) -> tuple[list[Record | None], ServerError | None]:
        """Fetch entries by id, and send the buffered usage in the same round trip.

        Returns:
            The entries, and the error if the server rejected the usage, for example because its memory is full.

        Cost:
            One round trip for each 500 entries.
        """
        pending = self.usage.take_if_due()
        report = self.usage.commands(pending) if pending else []
        found: list[Record | None] = []
        rejection: ServerError | None = None
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            extra = report if start == 0 else []
            try:
                records, others = self._read(batch, extra)
            except UnreadableRecordError:
                raise  # the server has received the usage
            except ServerError:
                if extra:
                    self.usage.restore(pending)
                raise
            if others and isinstance(others[0], ServerError):
                rejection = others[0]
                self.usage.restore(pending)
            found += records
        return found, rejection

    def _read(
        self,
        ids: Sequence[str],
        beside: Sequence[Sequence[Argument]] = (),
        *,
        before: bool = False,
    ) -> tuple[list[Record | None], list[Reply | ServerError]]:
        """Fetch entries by id, and send other commands in the same round trip, after or `before` the reads.

        An entry of another index of this name is read again with the current index. Otherwise a process that uses a
        dropped index would never find entries that other processes store in the new one.

        Returns:
            The entries, and the replies to the other commands.
        """
        entry = self._entry()
        reads = [] if entry is None else [self._reading(id, entry) for id in ids]
        others = [list(command) for command in beside]
        replies: list[Reply | ServerError]
        if len(reads) == 1 and not others:
            replies = [self.connection.execute(*reads[0], retry=True)]
        else:
            sent = [*others, *reads] if before else [*reads, *others]
            replies = self.connection.pipeline(sent, retry=not others)
        if entry is None:
            return [None] * len(ids), replies
        other_replies = replies[: len(others)] if before else replies[len(ids) :]
        found = replies[len(others) :] if before else replies[: len(ids)]
        pairs = list(zip(ids, found, strict=True))
        if any(_is_of_another(entry, reply) for _, reply in pairs):
            self.index._handle.forget()
            current = self._entry()
            if current is not None and current.generation != entry.generation:
                return self._read(ids)[0], other_replies
        return [self._record(id, reply, entry) for id, reply in pairs], other_replies

    def _entry(self) -> CatalogEntry | None:
        """Catalog entry of the index; None if the index does not exist."""
        engine = self.index._handle.existing()
        return None if engine is None else engine.entry

    def similar(self, vectors: Sequence[Vector], scope_id: str, k: int) -> Sequence[Sequence[Hit]]:
        """Return the k nearest entries of a scope for each vector. Cost: one round trip."""
        within = F(SCOPE_ID) == scope_id
        if len(vectors) == 1:
            return [self.index.search(vectors[0], k=k, filter=within, with_payloads=True)]
        queries = [
            VectorQuery(vector=vector, k=k, filter=within, with_payloads=True) for vector in vectors
        ]
        return self.index.search_many(queries)

    def write(self, draft: Draft) -> None:
        """Store an entry. Evicts other entries first if the cache is full."""
        ttl_ms = 0 if draft.ttl is None else max(1, round(draft.ttl * 1000))
        place = Place(draft.record.id, ttl_ms)
        reported = self.usage.report(place)
        if reported.victims:
            evicted = self.index.delete([victim.id for victim in reported.victims])
            self.usage.note({Count.EVICTIONS: evicted}, evicted=reported.victims)
        record = _completed(draft.record, reported.time)
        if record.vector is None and draft.record.vector is not None:
            self.index.create(dimension=len(draft.record.vector))  # it can be the first vector
        self.index.upsert([record], ttl=draft.ttl, sliding=draft.sliding)
        self.usage.note({Count.STORES: 1}, place=place)

    def claim(self, id: str, token: str, milliseconds: int) -> Claim:
        """Try to acquire the lock of an entry, and fetch the entry in the same round trip.

        Args:
            id: id of the entry.
            token: random token of the caller.
            milliseconds: time after which the lock expires.
        """
        lock = self._lock(id)
        setting: list[Argument] = ["SET", lock, token, "NX", "PX", str(milliseconds)]
        unknown = self._entry() is None
        try:
            (record,), (granted,) = self._read([id], [setting], before=True)
            if isinstance(granted, ServerError):
                raise granted
            if granted is not None and (unknown or self.connection.capabilities.cluster):
                # The entry was read on another node, or before the index existed, so possibly before the lock.
                (record,), _ = self._read([id])
        except UnreadableRecordError:
            self.release(id, token)
            raise
        return Claim(granted is not None, record)

    def release(self, id: str, token: str) -> None:
        """Release the lock of an entry if the token holds it."""
        self.connection.execute("EVAL", _RELEASE, "1", self._lock(id), token)

    def renew(self, claims: Sequence[tuple[str, str]], milliseconds: int) -> None:
        """Renew locks: pairs of id and token."""
        self.connection.pipeline(
            [
                ["EVAL", _RENEW, "1", self._lock(id), token, str(milliseconds)]
                for id, token in claims
            ]
        )

    def remove(self, ids: Sequence[str]) -> int:
        """Remove entries by id. Returns the number of removed entries."""
        wanted = list(ids)
        removed = self.index.delete(wanted)
        self.usage.forget(wanted)
        return removed

    def remove_matching(self, conditions: Sequence[Filter], older_than: float | None) -> int:
        """Remove the entries that match all conditions. Returns the number of removed entries."""
        parts = list(conditions)
        if older_than is not None:
            seconds, micros = self.connection.execute("TIME", retry=True)
            parts.append(F(STORED_AT) <= int(seconds) + int(micros) / 1_000_000 - older_than)
        chosen = self.index.select(all_of(parts), with_content=False)
        return self.remove([record.id for record in chosen])

    def clear(self) -> int:
        """Remove all entries. Returns the number of removed entries."""
        removed = self.index.delete_all()
        self.usage.forget_all(counts=False)
        return removed

    def drop(self) -> None:
        """Remove all entries, the index and the statistics."""
        self.index.drop()
        self.usage.forget_all(counts=True)

    def _reading(self, id: str, entry: CatalogEntry) -> list[Argument]:
        return ["HMGET", self._prefix + id, *_fields(entry)]

    def _record(self, id: str, reply: Reply, entry: CatalogEntry) -> Record | None:
        if isinstance(reply, ServerError):
            raise reply
        row = row_of(entry, id, _fields(entry), reply)
        return None if row is None else decode_record(id, row.fields)

    def _lock(self, id: str) -> str:
        return own_key(self.index.name, f"making:{id}")


def _fields(entry: CatalogEntry) -> list[str]:
    """Hash fields of an entry."""
    fields = record_fields(vectors=False, payloads=True)
    return list(dict.fromkeys([*identifying_fields(entry), *fields]))


def _is_of_another(entry: CatalogEntry, reply: Reply) -> bool:
    """Return True if a reply is a hash of another index of this name: a dropped one, or the one that replaced this."""
    return (
        not isinstance(reply, ServerError)
        and reply[0] is not None
        and row_of(entry, "", _fields(entry), reply) is None
    )


def _completed(record: Record, time: float) -> Record:
    """Add the time of storing to a record. Removes a zero vector, to which no prompt is similar."""
    vector = record.vector
    if vector is not None and not np.any(check_vector(vector, None, "the prompt")):
        vector = None
    return replace(record, vector=vector, metadata={STORED_AT: time, **record.metadata})
