"""Cache entries on the server: read word for word or by similarity, written with room made for them, removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from valkey_vector.cache.entries import SCOPE_ID, STORED_AT
from valkey_vector.cache.eviction import Eviction, Place
from valkey_vector.cache.ledger import Ledger
from valkey_vector.cache.statistics import Count
from valkey_vector.catalog import document_prefix
from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.document import CREATED, decode_record, record_fields
from valkey_vector.errors import ServerError
from valkey_vector.filters import F, Filter, all_of
from valkey_vector.index import Index
from valkey_vector.query import VectorQuery
from valkey_vector.record import Hit, Record, Vector
from valkey_vector.vectors import check_vector

__all__ = ["Claim", "Draft", "Storage"]

_FIELDS = list(dict.fromkeys([CREATED, *record_fields(vectors=False, payloads=True)]))
_BATCH = 500

_RELEASE = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)
"""KEYS: a lock. ARGV: the token of its holder."""

_RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
"""KEYS: a lock. ARGV: the token of its holder, milliseconds."""


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
        if len(ids) == 1 and not pending:
            return [
                self._record(ids[0], self.connection.execute(*self._reading(ids[0]), retry=True))
            ], None
        report = self.ledger.commands(pending) if pending else []
        found: list[Record | None] = []
        refusal: ServerError | None = None
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            extra = report if start == 0 else []
            commands = [*(self._reading(id) for id in batch), *extra]
            try:
                replies = self.connection.pipeline(commands, retry=not extra)
            except ServerError:
                if extra:
                    self.ledger.restore(pending)
                raise
            if extra and isinstance(reply := replies[len(batch)], ServerError):
                refusal = reply
                self.ledger.restore(pending)
            found += [self._record(id, reply) for id, reply in zip(batch, replies, strict=False)]
        return found, refusal

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
        commands: list[list[Argument]] = [
            ["SET", self._lock(id), token, "NX", "PX", str(milliseconds)],
            self._reading(id),
        ]
        granted, values = self.connection.pipeline(commands)
        for reply in (granted, values):
            if isinstance(reply, ServerError):
                raise reply
        if granted is not None and self.connection.capabilities.cluster:
            # The two lie on different nodes: what was read may be from before the lock was granted.
            values = self.connection.execute(*self._reading(id), retry=True)
        return Claim(granted is not None, self._record(id, values))

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

    def _reading(self, id: str) -> list[Argument]:
        return ["HMGET", self._prefix + id, *_FIELDS]

    def _record(self, id: str, reply: Reply) -> Record | None:
        if isinstance(reply, ServerError):
            raise reply
        if reply[0] is None:
            return None
        pairs = zip(_FIELDS, reply, strict=True)
        return decode_record(id, {name: value for name, value in pairs if value is not None})

    def _lock(self, id: str) -> str:
        return f"{{{self.index.name}}}:making:{id}"


def _completed(record: Record, time: float) -> Record:
    """With the time of storing; a vector without a direction is left out: nothing is similar to it."""
    vector = record.vector
    if vector is not None and not np.any(check_vector(vector, None, "the prompt")):
        vector = None
    return replace(record, vector=vector, metadata={STORED_AT: time, **record.metadata})
