"""Cache entries on the server: read word for word or by similarity, written with room made for them, removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from valkey_vector.cache.entries import SCOPE_ID, STORED_AT
from valkey_vector.cache.eviction import Eviction, Place
from valkey_vector.cache.statistics import Count
from valkey_vector.cache.usage import Ledger
from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.connection.lua import read_lua
from valkey_vector.errors import ServerError, UnreadableRecordError
from valkey_vector.filters import F, Filter, all_of
from valkey_vector.index.index import Index
from valkey_vector.query import VectorQuery
from valkey_vector.records.record import Hit, Record, Vector
from valkey_vector.records.vectors import check_vector
from valkey_vector.storage.catalog import CatalogEntry, document_prefix
from valkey_vector.storage.hashes import row_of
from valkey_vector.storage.layout import decode_record, record_fields
from valkey_vector.storage.record_version import identifying_fields

__all__ = ["Claim", "Draft", "Storage"]

_BATCH = 500

_RELEASE = read_lua(__package__, "lock_release")

_RENEW = read_lua(__package__, "lock_renew")


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry to be written.

    Attributes:
        record: its record, but for the time of storing, which the server gives.
        ttl: seconds that it lives; None for ever.
        sliding: uses prolong its life.
    """

    record: Record
    ttl: float | None
    sliding: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of the wish to be the one who makes an entry.

    Attributes:
        held: the wish was granted.
        record: the entry, if it was there already.
    """

    held: bool
    record: Record | None


class Storage:
    """The server's side of one cache. Every method blocks, and raises `ServerError` on an outage.

    Args:
        index: of the entries.
        eviction: how entries make room; None where any number may stay.
        prolongs: an entry's use prolongs its life.
        report_every: seconds after which counts are sent at the latest.
    """

    def __init__(
        self, index: Index, eviction: Eviction | None, *, prolongs: bool, report_every: float
    ) -> None:
        self.index = index
        self._prefix = document_prefix(index.name)
        self.ledger = Ledger(
            index.connection,
            index.name,
            eviction,
            prolongs=prolongs,
            every=report_every,
            entry_prefix=self._prefix,
        )

    @property
    def connection(self) -> Connection:
        """The connection to the server."""
        return self.index.connection

    def read(self, ids: Sequence[str]) -> tuple[list[Record | None], ServerError | None]:
        """Entries by id, and what the ledger has to tell along with it: one round trip for each 500.

        Returns:
            The entries, and the error with which the server refused what it was told, if it did (a full one does).
        """
        pending = self.ledger.take_if_due()
        report = self.ledger.commands(pending) if pending else []
        found: list[Record | None] = []
        refusal: ServerError | None = None
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            extra = report if start == 0 else []
            try:
                records, told = self._read(batch, extra)
            except UnreadableRecordError:
                raise  # what was pending has arrived
            except ServerError:
                if extra:
                    self.ledger.restore(pending)
                raise
            if told and isinstance(told[0], ServerError):
                refusal = told[0]
                self.ledger.restore(pending)
            found += records
        return found, refusal

    def _read(
        self,
        ids: Sequence[str],
        beside: Sequence[Sequence[Argument]] = (),
        *,
        before: bool = False,
    ) -> tuple[list[Record | None], list[Reply | ServerError]]:
        """Entries by id, and the replies to other commands in the same round trip, sent after or `before` the reads.

        An entry of another index is looked at again with the index that is there now: a process that knows a dropped
        one would never find what others store in the new one.
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
        told = replies[: len(others)] if before else replies[len(ids) :]
        found = replies[len(others) :] if before else replies[: len(ids)]
        pairs = list(zip(ids, found, strict=True))
        if any(_is_of_another(entry, reply) for _, reply in pairs):
            self.index._handle.forget()
            current = self._entry()
            if current is not None and current.generation != entry.generation:
                return self._read(ids)[0], told
        return [self._record(id, reply, entry) for id, reply in pairs], told

    def _entry(self) -> CatalogEntry | None:
        """The index as the server knows it; None if there is none."""
        engine = self.index._handle.existing()
        return None if engine is None else engine.entry

    def similar(self, vectors: Sequence[Vector], scope_id: str, k: int) -> list[list[Hit]]:
        """For each vector the k nearest entries of a scope, in one round trip."""
        within = F(SCOPE_ID) == scope_id
        if len(vectors) == 1:
            return [self.index.search(vectors[0], k=k, filter=within, with_payloads=True)]
        queries = [
            VectorQuery(vector=vector, k=k, filter=within, with_payloads=True) for vector in vectors
        ]
        return self.index.search_many(queries)

    def write(self, draft: Draft) -> None:
        """Store an entry, after making room for it."""
        lasts = 0 if draft.ttl is None else max(1, round(draft.ttl * 1000))
        place = Place(draft.record.id, lasts)
        reported = self.ledger.report(place)
        if reported.victims:
            evicted = self.index.delete([victim.id for victim in reported.victims])
            self.ledger.note({Count.EVICTIONS: evicted}, gone=reported.victims)
        record = _completed(draft.record, reported.time)
        if record.vector is None and draft.record.vector is not None:
            self.index.create(dimension=len(draft.record.vector))  # for it may be the first vector
        self.index.upsert([record], ttl=draft.ttl, sliding=draft.sliding)
        self.ledger.note({Count.STORES: 1}, place=place)

    def claim(self, id: str, token: str, milliseconds: int) -> Claim:
        """Ask to be the one who makes an entry, unless it is there."""
        lock = self._lock(id)
        setting: list[Argument] = ["SET", lock, token, "NX", "PX", str(milliseconds)]
        unknown = self._entry() is None
        try:
            (record,), (granted,) = self._read([id], [setting], before=True)
            if isinstance(granted, ServerError):
                raise granted
            if granted is not None and (unknown or self.connection.capabilities.cluster):
                # Read on another node, or before there was an index: it may be from before the lock was granted.
                (record,), _ = self._read([id])
        except UnreadableRecordError:
            self.release(id, token)
            raise
        return Claim(granted is not None, record)

    def release(self, id: str, token: str) -> None:
        """Let go of what was claimed."""
        self.connection.execute("EVAL", _RELEASE, "1", self._lock(id), token)

    def renew(self, claims: Sequence[tuple[str, str]], milliseconds: int) -> None:
        """Hold on to what was claimed: pairs of id and token."""
        self.connection.pipeline(
            [
                ["EVAL", _RENEW, "1", self._lock(id), token, str(milliseconds)]
                for id, token in claims
            ]
        )

    def remove(self, ids: Sequence[str]) -> int:
        """Remove entries by id; returns how many were there."""
        wanted = list(ids)
        removed = self.index.delete(wanted)
        self.ledger.forget(wanted)
        return removed

    def remove_matching(self, conditions: Sequence[Filter], older_than: float | None) -> int:
        """Remove the entries that meet all conditions; returns how many there were."""
        parts = list(conditions)
        if older_than is not None:
            seconds, micros = self.connection.execute("TIME", retry=True)
            parts.append(F(STORED_AT) <= int(seconds) + int(micros) / 1_000_000 - older_than)
        chosen = self.index.select(all_of(parts), with_content=False)
        return self.remove([record.id for record in chosen])

    def clear(self) -> int:
        """Remove all entries; returns how many there were."""
        removed = self.index.delete_all()
        self.ledger.forget_all(counts=False)
        return removed

    def drop(self) -> None:
        """Remove all entries, the index and the counts."""
        self.index.drop()
        self.ledger.forget_all(counts=True)

    def _reading(self, id: str, entry: CatalogEntry) -> list[Argument]:
        return ["HMGET", self._prefix + id, *_fields(entry)]

    def _record(self, id: str, reply: Reply, entry: CatalogEntry) -> Record | None:
        if isinstance(reply, ServerError):
            raise reply
        row = row_of(entry, id, _fields(entry), reply)
        return None if row is None else decode_record(id, row.fields)

    def _lock(self, id: str) -> str:
        return f"{{{self.index.name}}}:making:{id}"


def _fields(entry: CatalogEntry) -> list[str]:
    """The hash fields of an entry."""
    fields = record_fields(vectors=False, payloads=True)
    return list(dict.fromkeys([*identifying_fields(entry), *fields]))


def _is_of_another(entry: CatalogEntry, reply: Reply) -> bool:
    """Whether a reply shows a hash of another index of the name: of a dropped one, or of the one that replaced this."""
    return (
        not isinstance(reply, ServerError)
        and reply[0] is not None
        and row_of(entry, "", _fields(entry), reply) is None
    )


def _completed(record: Record, time: float) -> Record:
    """With the time of storing; a vector without a direction is left out: nothing is similar to it."""
    vector = record.vector
    if vector is not None and not np.any(check_vector(vector, None, "the prompt")):
        vector = None
    return replace(record, vector=vector, metadata={STORED_AT: time, **record.metadata})
