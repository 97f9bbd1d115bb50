"""Writes of the search engine: plain commands only, on one server and in a cluster alike.

Every released Valkey-Search (up to 1.2.1) can hang for good after scripts or transactions wrote keys that a search index
covers (valkey-io/valkey-search#1260). So no script touches a document here:

* A document is written by one HSET of all its fields, which is atomic, followed by an HDEL of fields that only the
  document before had; ``version`` tells readers which fields are valid in between.
* Whoever changes a document that exists holds its lock (see `valkey_vector.engines.locks`). New documents take none: the
  reply to HSET says whether any field was there, and if so the write is repeated under the lock.
* SKIP and FAIL write with ``HSETEX … FNX`` (Valkey 9), which writes nothing where a field is there; a server without
  it has all ids of such a batch locked.
* The generation is read before and after a batch. A batch that finds the index dropped afterwards removes what it
  wrote, and is written again for the index that is there now.

Round trips for a batch: two for new documents, four where some exist already; in a cluster one more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from valkey_vector.connection import Argument, Reply
from valkey_vector.document import METADATA, Prepared, document_fields
from valkey_vector.engines.base import MetadataReplacement, StaleIndexError, WriteOutcome
from valkey_vector.engines.documents import BATCH, Documents, checked, in_batches
from valkey_vector.engines.locks import Locks, is_out_of_memory
from valkey_vector.errors import ForeignKeyError, ServerError
from valkey_vector.record import WritePolicy
from valkey_vector.record_version import (
    CREATED,
    EXPIRES,
    VERSION,
    Expiry,
    expiry_of,
    new_versions,
    own_fields,
)

__all__ = ["SearchWriting"]

_FINISH = """
local token = ARGV[3]
if token ~= '' then
  for i = 4, #ARGV do
    local held = redis.call('HGET', KEYS[2], ARGV[i])
    if held and string.sub(held, 1, #token + 1) == token .. ' ' then redis.call('HDEL', KEYS[2], ARGV[i]) end
  end
end
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
if ARGV[2] ~= '0' then redis.call('HINCRBY', KEYS[1], 'seq', ARGV[2]) end
return 1
"""
"""KEYS: catalogue, locks; no search index covers them. ARGV: generation, documents written, token of the locks ('':
none), ids locked. Releases the locks and counts the writes. Returns 0 if the index was dropped or created anew."""

_STATE = (VERSION, CREATED, EXPIRES, METADATA)
_VERSION = re.compile(rb"[0-9a-f]*:[\w-]+:[a-z]*(?:;.*)?")
_REPLACED = re.compile(rb"tags|n[0-9]+|f_.*|(?:words|stems|length)_.*")
"""The hash fields that hold what is indexed of the metadata."""


@dataclass(frozen=True, slots=True)
class _State:
    """A key as it was found.

    Attributes:
        names: of all its hash fields; none if there is no such key.
        fields: `_STATE`, as far as it has them.
        own: it is a record of the index, not one that a dropped index left behind.
    """

    names: frozenset[bytes]
    fields: Mapping[str, bytes]
    own: bool


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
        self._locks = Locks(documents.connection, documents.entry.name)
        self._versions = new_versions()

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
        look: list[list[Argument]] = [["TIME"], self._generation()]
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
        if policy is not WritePolicy.OVERWRITE:
            there = self._not_present(there, settings, tally)
            if policy is WritePolicy.FAIL and tally.present:
                return WriteOutcome(0, tuple(tally.present))
            if not self._connection.capabilities.create_only:
                there, new = [*there, *new], []
        if there:  # first, because only this finds keys that must not be written
            self._write_locked(there, settings, tally)
        if new:
            self._write_new(new, settings, tally)
        if tally.overtaken:
            self._write_locked(tally.overtaken, settings, tally)
        return WriteOutcome(len(tally.written), tuple(tally.present), tally.failed)

    def replace_metadata(self, replacements: Sequence[MetadataReplacement]) -> list[bool | None]:
        """Write fields where the document still is as expected."""
        words = self._documents.unknown_words([each.fields for each in replacements])
        checked(self._connection.pipeline(self._documents.adding_words(words)))
        self._documents.words_added(words)
        replaced: list[bool | None] = []
        for batch in in_batches(replacements, BATCH):
            ids = [each.id for each in batch]
            with self._locked(ids, 0) as token:
                states = self._states(ids, lane=0)
                outcomes = [_fits(each, state) for each, state in zip(batch, states, strict=True)]
                commands: list[list[Argument]] = []
                for each, state, fits in zip(batch, states, outcomes, strict=True):
                    if fits:
                        commands += self._replacing(each, state)
                self._sent(commands, outcomes.count(True), token, ids, lane=0)
            replaced += outcomes
        return replaced

    def delete(self, ids: Sequence[str], versions: Sequence[bytes | None] | None = None) -> int:
        """Remove documents (see `valkey_vector.engines.base.Engine.delete`)."""
        expected = None if versions is None else dict(zip(ids, versions, strict=True))
        removed = 0
        for batch in in_batches(ids, BATCH):
            states = dict(zip(batch, self._states(batch, lane=0, foreign=True), strict=True))
            there = [id for id, state in states.items() if state.own]
            if there:
                removed += self._delete_locked(there, expected)
        return removed

    def _delete_locked(
        self, ids: Sequence[str], expected: Mapping[str, bytes | None] | None
    ) -> int:
        # A full server lets nobody change a document, and room is made by deleting.
        with self._locked(ids, 0, although_full=True) as token:
            chosen = list(ids)
            if expected is not None:
                states = zip(ids, self._states(ids, lane=0), strict=True)
                chosen = [id for id, state in states if _unchanged(state, expected[id])]
            commands: list[list[Argument]] = [["UNLINK", self._documents.key(id)] for id in chosen]
            return sum(self._sent(commands, len(chosen), token, ids, lane=0))

    def _write_new(self, batch: Sequence[Prepared], settings: _Batch, tally: _Tally) -> None:
        """Store documents that were not there a moment ago."""
        commands: list[list[Argument]] = []
        sizes: list[int] = []
        uniques = list(islice(self._versions, len(batch)))
        versions: dict[str, bytes] = {}
        for document, unique in zip(batch, uniques, strict=True):
            fields = self._fields(document, unique, settings)
            fields += [CREATED, str(settings.stamp + settings.positions[document.id])]
            key = self._documents.key(document.id)
            sizes.append(len(fields) // 2)
            versions[document.id] = _value(fields, VERSION)
            if settings.policy is WritePolicy.OVERWRITE:
                commands.append(["HSET", key, *fields])
            else:
                commands.append(["HSETEX", key, "FNX", "FIELDS", str(sizes[-1]), *fields])
            if settings.milliseconds is not None:
                commands.append(["PEXPIREAT", key, settings.ends])
        step = 1 if settings.milliseconds is None else 2
        replies = self._finished(commands, len(batch), "", (), settings, versions)
        for position, document in enumerate(batch):
            stored, *limited = replies[step * position : step * (position + 1)]
            if isinstance(stored, ServerError):
                tally.failed[document.id] = stored
            elif settings.policy is WritePolicy.OVERWRITE and stored < sizes[position]:
                tally.overtaken.append(document)  # somebody else has just stored it, too
            elif settings.policy is not WritePolicy.OVERWRITE and not stored:
                tally.present.append(document.id)
            else:
                self._note(document.id, limited, tally)
        self._remove_endless(tally, versions)

    def _write_locked(self, batch: Sequence[Prepared], settings: _Batch, tally: _Tally) -> None:
        """Store documents that exist, or about which that is not known, under their locks."""
        ids = [document.id for document in batch]
        commands: list[list[Argument]] = []
        counts: dict[str, int] = {}
        versions: dict[str, bytes] = {}
        with self._locked(ids, settings.lane) as token:
            states = self._states(ids, lane=settings.lane, foreign=True)
            for document, state in zip(batch, states, strict=True):
                if settings.policy is not WritePolicy.OVERWRITE and _alive(state, settings.now):
                    tally.present.append(document.id)
                    continue
                mine = self._overwriting(document, state, settings, versions)
                counts[document.id] = len(mine)
                commands += mine
            sent = self._finished(commands, len(counts), token, ids, settings, versions)
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
        state: _State,
        settings: _Batch,
        versions: dict[str, bytes],
    ) -> list[list[Argument]]:
        """The commands that store a document in place of another; the other's time of creation is kept."""
        key = self._documents.key(document.id)
        fields = self._fields(document, next(self._versions), settings)
        created = state.fields.get(CREATED) if state.own else None
        if created is None:
            created = str(settings.stamp + settings.positions[document.id]).encode()
        fields += [CREATED, created]
        versions[document.id] = _value(fields, VERSION)
        commands: list[list[Argument]] = []
        old = state.fields.get(VERSION)
        if settings.milliseconds is None and state.names and (old is None or expiry_of(old)):
            # Before it is stored: a key that ends between two commands would take the new document with it.
            commands.append(["PERSIST", key])
        commands.append(["HSET", key, *fields])
        named = {name.encode() for name in fields[::2] if isinstance(name, str)}
        if stale := sorted(state.names - named):
            commands.append(["HDEL", key, *stale])
        if settings.milliseconds is not None:
            commands.append(["PEXPIREAT", key, settings.ends])
        return commands

    def _replacing(self, each: MetadataReplacement, state: _State) -> list[list[Argument]]:
        """The commands that write the fields of a metadata update."""
        key = self._documents.key(each.id)
        named = {name.encode() for name in each.fields[::2] if isinstance(name, str)}
        commands: list[list[Argument]] = [["HSET", key, *each.fields]]
        stale = [name for name in state.names - named if _REPLACED.fullmatch(name)]
        if stale:
            commands.append(["HDEL", key, *sorted(stale)])
        if ends := state.fields.get(EXPIRES):
            # Should its time have been over between the two commands, what was written ends at once.
            commands.append(["PEXPIREAT", key, ends])
        return commands

    def _fields(self, document: Prepared, unique: str, settings: _Batch) -> list[Argument]:
        entry = self._documents.entry
        fields: list[Argument] = [*document_fields(document, entry, unique, settings.expiry)]
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

    def _finished(
        self,
        commands: Sequence[Sequence[Argument]],
        count: int,
        token: str,
        ids: Sequence[str],
        settings: _Batch,
        versions: Mapping[str, bytes],
    ) -> list[Any]:
        """The replies of commands that write documents, an error in its command's place.

        Raises:
            StaleIndexError: the index was dropped meanwhile; what was written is removed again.
        """
        try:
            return self._sent(commands, count, token, ids, lane=settings.lane, errors=True)
        except StaleIndexError:
            self._undo(versions, settings.lane)
            raise

    def _sent(
        self,
        commands: Sequence[Sequence[Argument]],
        count: int,
        token: str,
        ids: Sequence[str],
        *,
        lane: int,
        errors: bool = False,
    ) -> list[Any]:
        """Send commands, and with them or (in a cluster, where order holds on one node only) after them what ends a batch.

        Raises:
            StaleIndexError: the index was dropped or created anew.
            ServerError: a command was refused, unless `errors` are wanted in their command's place.
        """
        keys = [self._documents.catalog_key, self._locks.key]
        generation = self._documents.entry.generation
        finish: list[Argument] = ["EVAL", _FINISH, "2", *keys, generation, str(count), token]
        finish += ids if token else []
        if self._connection.capabilities.cluster:
            replies = self._connection.pipeline(commands, lane=lane)
            replies.append(self._connection.execute(*finish, lane=lane))
        else:
            replies = self._connection.pipeline([*commands, finish], lane=lane)
        *found, current = replies
        checked([current] if errors else replies)
        if not current:
            raise StaleIndexError
        return found

    def _undo(self, versions: Mapping[str, bytes], lane: int) -> None:
        """Remove what was written for an index that was dropped meanwhile, unless somebody else has written there."""
        ids = list(versions)
        token = self._locks.acquire(ids, lane=lane)
        keys = [self._documents.key(id) for id in ids]
        found = self._connection.pipeline([["HGET", key, VERSION] for key in keys], lane=lane)
        commands: list[list[Argument]] = [
            ["UNLINK", key]
            for id, key, version in zip(ids, keys, found, strict=True)
            if version == versions[id]
        ]
        checked(self._connection.pipeline(commands, lane=lane))
        self._connection.execute(*self._locks.releasing(token, ids), lane=lane)

    def _not_present(
        self, there: Sequence[Prepared], settings: _Batch, tally: _Tally
    ) -> list[Prepared]:
        """Those whose keys exist without being a record that is there for the policies SKIP and FAIL."""
        ids = [document.id for document in there]
        states = zip(there, self._states(ids, lane=settings.lane, foreign=True), strict=True)
        absent: list[Prepared] = []
        for document, state in states:
            if _alive(state, settings.now):
                tally.present.append(document.id)
            else:
                absent.append(document)
        return absent

    def _states(self, ids: Sequence[str], *, lane: int, foreign: bool = False) -> list[_State]:
        """Keys as they are, in one round trip.

        Args:
            ids: whose.
            lane: connection to use.
            foreign: refuse keys that are not records of an index; otherwise they count as not there.

        Raises:
            StaleIndexError: the index was dropped or created anew.
            ForeignKeyError: see `foreign`.
        """
        if not ids:
            return []
        commands: list[list[Argument]] = [self._generation()]
        for id in ids:
            key = self._documents.key(id)
            commands += [["HKEYS", key], ["HMGET", key, *_STATE]]
        generation, *replies = self._connection.pipeline(commands, lane=lane)
        self._documents.check_generation(*checked([generation]))
        pairs = zip(ids, replies[::2], replies[1::2], strict=True)
        return [self._state(id, names, values, foreign=foreign) for id, names, values in pairs]

    def _state(self, id: str, names: Reply, values: Reply, *, foreign: bool) -> _State:
        if isinstance(names, ServerError):
            if not names.message.startswith("WRONGTYPE"):
                raise names
            if foreign:
                raise ForeignKeyError.of(self._documents.key(id), "a value that is no hash")
            return _State(frozenset(), {}, own=False)
        (values,) = checked([values])
        fields = {
            name: value for name, value in zip(_STATE, values, strict=True) if value is not None
        }
        if names and foreign and not self._is_record(fields):
            raise ForeignKeyError.of(self._documents.key(id), "another program's hash")
        own = METADATA in fields and own_fields(self._documents.entry, fields) is not None
        return _State(frozenset(names), fields, own)

    def _is_record(self, fields: Mapping[str, bytes]) -> bool:
        """Whether a hash was written by this library, for whichever index of this name."""
        version = fields.get(VERSION)
        if version is None:
            return (
                METADATA in fields and CREATED in fields and self._documents.entry.lineage is None
            )
        return METADATA in fields and _VERSION.fullmatch(version) is not None

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

    def _generation(self) -> list[Argument]:
        return ["HGET", self._documents.catalog_key, "generation"]

    @contextmanager
    def _locked(
        self, ids: Sequence[str], lane: int, *, although_full: bool = False
    ) -> Iterator[str]:
        """Hold the locks of documents; `_sent` releases them. After a failure they are released, or lapse, by themselves.

        Args:
            ids: of the documents.
            lane: connection to use.
            although_full: go on without locks, and with an empty token, where the server is too full for them.
        """
        try:
            token = self._locks.acquire(ids, lane=lane)
        except ServerError as error:
            if not (although_full and is_out_of_memory(error)):
                raise
            token = ""
        try:
            yield token
        except BaseException:
            if token:
                with suppress(ServerError):  # the failure itself is what is raised
                    self._connection.execute(*self._locks.releasing(token, ids), lane=lane)
            raise


def _fits(each: MetadataReplacement, state: _State) -> bool | None:
    """Whether a document is as an update read it; None if it is gone."""
    if not state.own:
        return None
    if each.version is None:
        return VERSION not in state.fields and state.fields.get(METADATA) == each.expected
    return state.fields.get(VERSION) == each.version


def _unchanged(state: _State, version: bytes | None) -> bool:
    return state.own and state.fields.get(VERSION) == version


def _alive(state: _State, now: int) -> bool:
    """Whether a record is there whose time is not over. `now`: microseconds."""
    ends = state.fields.get(EXPIRES)
    return state.own and (ends is None or int(ends) > now // 1000)


def _value(fields: Sequence[Argument], name: str) -> bytes:
    value = fields[fields.index(name) + 1]
    return value.encode() if isinstance(value, str) else value
