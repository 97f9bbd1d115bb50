"""Writes of the search engine: plain commands only, on one server and in a cluster alike.

Every released Valkey-Search (up to 1.2.1) can hang for good after scripts or transactions wrote keys that a search index
covers (valkey-io/valkey-search#1260). So no script touches a document here:

* A document is written by one command with all its fields, which is atomic. Where it replaces another, an HDEL of fields
  that only the other had follows; ``version`` tells readers which fields are valid in between.
* Whoever changes a document that exists holds its lock (see `valkey_vector.engines.locks`). New documents take none: they
  are written by ``HSETEX … FNX`` (Valkey 9), which writes nothing where a field is there, and if so the write is
  repeated under the lock. On a server without it, or for a user who may not run it, all ids of a batch are locked.
* The generation is read before and after a batch. A batch that finds the index dropped afterwards removes what it
  wrote, and is written again for the index that is there now.

Round trips for a batch: two for new documents, three with a time to live, two more for documents that exist already; to
delete or to change metadata two. In a cluster, where commands on several nodes have no order, one more for each lock and
each write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from valkey_vector.connection import Argument, Reply
from valkey_vector.document import METADATA, Prepared, document_fields
from valkey_vector.engines.base import MetadataReplacement, WriteOutcome
from valkey_vector.engines.documents import BATCH, Documents, checked, in_batches
from valkey_vector.engines.key_states import KeyState, look, states
from valkey_vector.engines.search_batches import Batches
from valkey_vector.errors import AuthenticationError, ForeignKeyError, ServerError
from valkey_vector.record import WritePolicy
from valkey_vector.record_version import (
    CREATED,
    EXPIRES,
    VERSION,
    Expiry,
    expiry_of,
    new_unique,
)

__all__ = ["SearchWriting"]

_REPLACED = re.compile(rb"tags|n[0-9]+|f_.*|(?:words|stems|length)_.*")
"""The hash fields that hold what is indexed of the metadata."""


@dataclass(slots=True)
class _Tally:
    """The outcome of a batch so far."""

    written: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    failed: dict[str, ServerError] = field(default_factory=dict)
    overtaken: list[Prepared] = field(default_factory=list)
    endless: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Settings of one batch.

    Attributes:
        policy: for documents that exist.
        milliseconds: that they live; None for ever.
        sliding: their time to live will be prolonged, on their keys.
        now: the server's time in microseconds.
        stamp: time of creation of the first document, in microseconds.
        positions: of the documents by id.
        lane: connection to use.
    """

    policy: WritePolicy
    milliseconds: int | None
    sliding: bool
    now: int
    stamp: int
    positions: Mapping[str, int]
    lane: int

    @property
    def expiry(self) -> Expiry:
        if self.milliseconds is None:
            return ""
        return "s" if self.sliding else "t"

    @property
    def ends(self) -> str:
        """The millisecond at which its documents end."""
        return str(self.now // 1000 + (self.milliseconds or 0))


class SearchWriting:
    """Writes the documents of one index.

    Args:
        documents: of the index.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._connection = documents.connection
        self._batches = Batches(documents)
        self._create_only = documents.connection.capabilities.create_only

    def write(
        self,
        batch: Sequence[Prepared],
        policy: WritePolicy,
        ttl: float | None,
        stamp: int | None,
        lane: int,
        *,
        sliding: bool,
    ) -> WriteOutcome:
        """Store a batch (see `valkey_vector.engines.base.Engine.write`)."""
        words = self._documents.unknown_words([document.text for document in batch])
        look: list[list[Argument]] = [["TIME"], self._batches.generation]
        look += [["HKEYS", self._documents.key(document.id)] for document in batch]
        (seconds, micros), generation, *names = self._looked(
            [*self._documents.adding_words(words), *look], len(words), batch, lane
        )
        self._documents.check_generation(generation)
        self._documents.words_added(words)
        now = int(seconds) * 1_000_000 + int(micros)
        settings = _Batch(
            policy,
            None if ttl is None else max(1, round(ttl * 1000)),
            sliding,
            now,
            now if stamp is None else stamp,
            {document.id: position for position, document in enumerate(batch)},
            lane,
        )
        there = [document for document, found in zip(batch, names, strict=True) if found]
        new = [document for document, found in zip(batch, names, strict=True) if not found]
        tally = _Tally()
        if policy is WritePolicy.FAIL and there:
            tally.present += self._present(there, settings)
            if tally.present:
                return WriteOutcome(0, tuple(tally.present))
        if not self._create_only:
            there, new = list(batch), []
        if there:  # first, because only this finds keys that must not be written
            self._write_locked(there, settings, tally)
        if new:
            self._write_new(new, settings, tally)
        if tally.overtaken:
            self._write_locked(tally.overtaken, settings, tally, overtaken=True)
        return WriteOutcome(len(tally.written), tuple(tally.present), tally.failed)

    def replace_metadata(self, replacements: Sequence[MetadataReplacement]) -> list[bool | None]:
        """Write fields where the document still is as expected."""
        words = self._documents.unknown_words([each.fields for each in replacements])
        checked(self._connection.pipeline(self._documents.adding_words(words)))
        self._documents.words_added(words)
        replaced: list[bool | None] = []
        for batch in in_batches(replacements, BATCH):
            ids = [each.id for each in batch]
            with self._batches.locked(ids, 0, refuse_foreign=False, steady=True) as (token, found):
                outcomes = [_fits(each, state) for each, state in zip(batch, found, strict=True)]
                commands: list[list[Argument]] = []
                for each, state, fits in zip(batch, found, outcomes, strict=True):
                    if fits:
                        commands += self._replacing(each, state)
                commands += self._batches.restored(map(self._documents.key, ids), found)
                self._batches.send(commands, outcomes.count(True), token, ids, lane=0)
            replaced += outcomes
        return replaced

    def delete(self, ids: Sequence[str], versions: Sequence[bytes | None] | None = None) -> int:
        """Remove documents (see `valkey_vector.engines.base.Engine.delete`)."""
        expected = None if versions is None else dict(zip(ids, versions, strict=True))
        removed = 0
        for batch in in_batches(ids, BATCH):
            # A full server lets nobody change a document, and room is made by deleting.
            steady = expected is not None
            with self._batches.locked(batch, 0, although_full=True, steady=steady) as (
                token,
                found,
            ):
                chosen = [
                    self._documents.key(id)
                    for id, state in zip(batch, found, strict=True)
                    if state.own and (expected is None or state.version == expected[id])
                ]
                commands: list[list[Argument]] = [["UNLINK", key] for key in chosen]
                commands += self._batches.restored(map(self._documents.key, batch), found)
                replies = self._batches.send(commands, len(chosen), token, batch, lane=0)
                removed += sum(replies[: len(chosen)])
        return removed

    def _write_new(self, batch: Sequence[Prepared], settings: _Batch, tally: _Tally) -> None:
        """Store documents that were not there a moment ago."""
        writes: list[list[Argument]] = []
        ends: list[list[Argument]] = []
        versions: dict[str, bytes] = {}
        for document in batch:
            fields = self._fields(document, settings)
            versions[document.id] = _version(fields)
            fields += [CREATED, str(settings.stamp + settings.positions[document.id])]
            key = self._documents.key(document.id)
            writes.append(["HSETEX", key, "FNX", "FIELDS", str(len(fields) // 2), *fields])
            if settings.milliseconds is not None:
                ends.append(["PEXPIREAT", key, settings.ends])
        # Not along with the write: where that writes nothing, somebody else's document would get this time to live.
        replies = self._batches.stored(writes, versions, settings.lane, last=not ends)
        written: list[Prepared] = []
        for document, stored in zip(batch, replies, strict=True):
            if isinstance(stored, AuthenticationError):
                self._create_only = False
                tally.overtaken.append(document)
            elif isinstance(stored, ServerError):
                tally.failed[document.id] = stored
            elif stored:
                written.append(document)
            elif settings.policy is WritePolicy.OVERWRITE:
                tally.overtaken.append(document)  # somebody else has just stored it, too
            else:
                tally.present.append(document.id)
        if ends:
            chosen = {self._documents.key(document.id) for document in written}
            ends = [command for command in ends if command[1] in chosen]
            replies = self._batches.stored(ends, versions, settings.lane)
        for position, document in enumerate(written):
            self._note(document.id, replies[position : position + 1] if ends else (), tally)
        self._remove_endless(tally, versions)

    def _write_locked(
        self,
        batch: Sequence[Prepared],
        settings: _Batch,
        tally: _Tally,
        *,
        overtaken: bool = False,
    ) -> None:
        """Store documents that exist, or about which that is not known, under their locks.

        Args:
            batch: the documents.
            settings: of the batch.
            tally: takes in the outcome.
            overtaken: they were written over records that appeared meanwhile, whose time to live their keys may have.
        """
        ids = [document.id for document in batch]
        commands: list[list[Argument]] = []
        counts: dict[str, int] = {}
        versions: dict[str, bytes] = {}
        with self._batches.locked(ids, settings.lane) as (token, found):
            for document, state in zip(batch, found, strict=True):
                if settings.policy is not WritePolicy.OVERWRITE and state.is_alive(settings.now):
                    tally.present.append(document.id)
                    continue
                persist = settings.milliseconds is None and (overtaken or _may_end(state))
                mine = self._overwriting(document, state, settings, versions, persist=persist)
                counts[document.id] = len(mine)
                commands += mine
            sent = self._batches.stored(commands, versions, settings.lane, token, ids)
        replies = iter(sent)
        for id, count in counts.items():
            own = list(islice(replies, count))
            stored = [reply for reply in own[: count - 1] if isinstance(reply, ServerError)]
            if stored:
                tally.failed[id] = stored[0]
            elif settings.milliseconds is None and isinstance(own[-1], ServerError):
                tally.failed[id] = own[-1]
            else:
                self._note(id, own[-1:], tally)
        self._remove_endless(tally, versions)

    def _overwriting(
        self,
        document: Prepared,
        state: KeyState,
        settings: _Batch,
        versions: dict[str, bytes],
        *,
        persist: bool,
    ) -> list[list[Argument]]:
        """The commands that store a document in place of another; the other's time of creation is kept."""
        key = self._documents.key(document.id)
        fields = self._fields(document, settings)
        created = state.fields.get(CREATED) if state.own else None
        if created is None:
            created = str(settings.stamp + settings.positions[document.id]).encode()
        versions[document.id] = _version(fields)
        fields += [CREATED, created]
        commands: list[list[Argument]] = []
        if persist:
            # Before it is stored: a key that ends between two commands would take the new document with it. And after,
            # because one that ends before the first command may be written anew by somebody else before the second.
            commands.append(["PERSIST", key])
        commands.append(["HSET", key, *fields])
        if persist:
            commands.append(["PERSIST", key])
        named = {name.encode() for name in fields[::2] if isinstance(name, str)}
        if stale := sorted(state.names - named):
            commands.append(["HDEL", key, *stale])
        if settings.milliseconds is not None:
            commands.append(["PEXPIREAT", key, settings.ends])
        return commands

    def _replacing(self, each: MetadataReplacement, state: KeyState) -> list[list[Argument]]:
        """The commands that write the fields of a metadata update."""
        key = self._documents.key(each.id)
        named = {name.encode() for name in each.fields[::2] if isinstance(name, str)}
        commands: list[list[Argument]] = [["HSET", key, *each.fields]]
        removed = {name.encode() for name in each.removed}
        stale = [
            name for name in state.names - named if name in removed or _REPLACED.fullmatch(name)
        ]
        if stale:
            commands.append(["HDEL", key, *sorted(stale)])
        return commands

    def _fields(self, document: Prepared, settings: _Batch) -> list[Argument]:
        entry = self._documents.entry
        fields: list[Argument] = [*document_fields(document, entry, new_unique(), settings.expiry)]
        if settings.expiry == "t":
            fields += [EXPIRES, settings.ends]
        return fields

    def _note(self, id: str, limited: Sequence[Reply], tally: _Tally) -> None:
        """Note a document as stored, if its time to live was accepted, too."""
        if limited and isinstance(limited[0], ServerError):
            tally.failed[id] = limited[0]
            tally.endless.append(id)
        else:
            tally.written.append(id)

    def _remove_endless(self, tally: _Tally, versions: Mapping[str, bytes]) -> None:
        """Remove documents whose time to live was refused: nobody else ever would."""
        endless, tally.endless = tally.endless, []
        if endless:
            self.delete(endless, [versions[id] for id in endless])

    def _present(self, there: Sequence[Prepared], settings: _Batch) -> list[str]:
        """The ids of those whose keys hold records now, before anything is written."""
        keys = [self._documents.key(document.id) for document in there]
        replies = self._connection.pipeline(look(keys), lane=settings.lane)
        found = states(self._documents.entry, keys, replies, refuse_foreign=True)
        pairs = zip(there, found, strict=True)
        return [document.id for document, state in pairs if state.is_alive(settings.now)]

    def _looked(
        self,
        commands: Sequence[Sequence[Argument]],
        skipped: int,
        batch: Sequence[Prepared],
        lane: int,
    ) -> list[Any]:
        """The replies to the look before a batch, without those to what adds words to the vocabulary.

        Raises:
            ForeignKeyError: a key is not a hash.
        """
        replies = self._connection.pipeline(commands, lane=lane)
        names = replies[-len(batch) :]
        for document, reply in zip(batch, names, strict=True):
            if isinstance(reply, ServerError) and reply.message.startswith("WRONGTYPE"):
                raise ForeignKeyError.of(
                    self._documents.key(document.id), "a value that is no hash"
                )
        return checked(replies)[-len(batch) - 2 :] if skipped else checked(replies)


def _fits(each: MetadataReplacement, state: KeyState) -> bool | None:
    """Whether a document is as an update read it; None if it is gone."""
    if not state.own:
        return None
    if each.version is None:
        return state.version is None and state.fields.get(METADATA) == each.expected
    return state.version == each.version


def _may_end(state: KeyState) -> bool:
    """Whether a key that exists may have a time to live."""
    return bool(state.names) and (state.version is None or expiry_of(state.version) != "")


def _version(fields: Sequence[Argument]) -> bytes:
    """The version among the fields of a document."""
    value = fields[fields.index(VERSION) + 1]
    return value.encode() if isinstance(value, str) else value
