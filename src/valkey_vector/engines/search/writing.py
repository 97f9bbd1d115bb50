"""Writes of the search engine: plain commands only, on one server and in a cluster alike.

Every released Valkey-Search (up to 1.2.1) can hang forever after scripts or transactions wrote keys that a search index
covers (valkey-io/valkey-search#1260). So no script touches a document here:

* One command writes all fields of a document, which is atomic. If it replaces another document, an HDEL of the fields
  that only the old one had follows. In between, ``version`` lists the valid fields for readers.
* Whoever changes an existing document holds its lock (see `valkey_vector.engines.search.locks`). Many new documents need no
  locks: ``HSETEX … FNX`` (Valkey 9) writes nothing if a field exists, and then the write is repeated under the lock. If the
  server has no such command, or the user may not run it, all ids of a batch are locked.
* On a single server, one EXISTS for a whole batch tells if any key exists; if so, all ids of the batch are locked.
* The generation is read before and after a batch. A batch that finds the index dropped afterwards removes what it
  wrote, and is written again for the current index.

Round trips for a batch: two for new documents, for up to `_FEW` that may exist, and for documents with a TTL; three for
more documents that exist; two for deletions and metadata updates. On a cluster, commands on several nodes have no order:
one more for each lock and each write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from valkey_vector.connection import Argument, Reply
from valkey_vector.connection.lanes import Lanes
from valkey_vector.engines.search.batch_values import BatchSettings, Overwrite, Tally
from valkey_vector.engines.search.batches import Batches
from valkey_vector.engines.search.document_commands import DocumentCommands
from valkey_vector.engines.search.key_states import KeyState, parse_states, state_commands
from valkey_vector.errors import AuthenticationError, ForeignKeyError, ServerError
from valkey_vector.records.record import WritePolicy
from valkey_vector.storage.hashes import BATCH, Documents, checked, in_batches
from valkey_vector.storage.layout import Prepared
from valkey_vector.storage.rows import MetadataReplacement, WriteOutcome

__all__ = ["SearchWriting"]

_FEW = 10
"""Maximum number of documents whose ids are locked without looking first whether they exist, on a single server."""


class SearchWriting:
    """Writes the documents of one index.

    Args:
        documents: the documents of the index.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._connection = documents.connection
        self._batches = Batches(documents)
        self._commands = DocumentCommands(documents)
        self._create_only = documents.connection.capabilities.create_only

    def write(
        self,
        batch: Sequence[Prepared],
        policy: WritePolicy,
        ttl: float | None,
        stamp: int | None,
        lanes: Lanes,
        *,
        sliding: bool,
    ) -> WriteOutcome:
        """Store a batch (see `valkey_vector.engines.base.Engine.write`)."""
        settings = BatchSettings(
            policy,
            None if ttl is None else max(1, round(ttl * 1000)),
            sliding,
            0,
            stamp,
            {document.id: position for position, document in enumerate(batch)},
            lane=0,
        )
        words = self._documents.unknown_words([document.text for document in batch])
        tally = Tally()
        there: list[Prepared]
        new: list[Prepared]
        # PEXPIREAT is a second command, and must not reach a document that another client wrote in between.
        must_lock = ttl is not None or not self._create_only
        few = len(batch) <= _FEW and not self._connection.capabilities.cluster
        if (few or not words) and self._locks_at_once(batch, policy, must_lock=must_lock):
            # The locks are taken together with all that is read before, and with the words.
            there, new = list(batch), []
        else:
            there, new, settings = self._read_before(words, batch, settings)
            words = []
            if policy is WritePolicy.FAIL and there:
                tally.present += self._present(there, settings)
                if tally.present:
                    return WriteOutcome(0, tuple(tally.present))
            if must_lock:
                there, new = list(batch), []
        versions: dict[str, bytes] = {}
        creating = self._commands.creating(new, settings, versions)
        with lanes.taken() as lane:
            settings = settings.on(lane)
            if there:  # first, because only this detects foreign keys
                self._write_locked(there, settings, tally, words=words)
            if new:
                self._write_new(new, creating, versions, settings, tally)
            while tally.overtaken:
                again, tally.overtaken = tally.overtaken, []
                self._write_locked(again, settings, tally, overtaken=True)
        return WriteOutcome(len(tally.written), tuple(tally.present), tally.failed)

    def replace_metadata(self, replacements: Sequence[MetadataReplacement]) -> list[bool | None]:
        """Replace metadata (see `valkey_vector.engines.base.Engine.replace_metadata`)."""
        words = self._documents.unknown_words([each.fields for each in replacements])
        checked(self._connection.pipeline(self._documents.adding_words(words)))
        self._documents.words_added(words)
        replaced: list[bool | None] = []
        for batch in in_batches(replacements, BATCH):
            ids = [each.id for each in batch]
            with self._batches.locked(ids, 0, refuse_foreign=False, steady=True) as (
                token,
                found,
                _,
            ):
                outcomes = [
                    state.is_version_of(each) for each, state in zip(batch, found, strict=True)
                ]
                sent = [
                    self._commands.replacing(each, state) if fits else []
                    for each, state, fits in zip(batch, found, outcomes, strict=True)
                ]
                changes = self._batches.changes(found, sent)
                commands = [command for each in sent for command in each]
                commands += self._batches.restored(map(self._documents.key, ids), found)
                number = outcomes.count(True)
                self._batches.send(commands, number, token, ids, lane=0, changes=changes)
            replaced += outcomes
        return replaced

    def delete(self, ids: Sequence[str], versions: Sequence[bytes | None] | None = None) -> int:
        """Delete documents (see `valkey_vector.engines.base.Engine.delete`)."""
        return self._delete(ids, versions, steady=versions is not None)

    def _delete(
        self, ids: Sequence[str], versions: Sequence[bytes | None] | None, *, steady: bool
    ) -> int:
        """Delete documents; with `steady`, none of them expires in the meantime."""
        expected = None if versions is None else dict(zip(ids, versions, strict=True))
        removed = 0
        for batch in in_batches(ids, BATCH):
            # A full server rejects locks, but also all changes; deletions must stay possible.
            with self._batches.locked(batch, 0, although_full=True, steady=steady) as (
                token,
                found,
                _,
            ):
                are_chosen = [
                    state.own and (expected is None or state.version == expected[id])
                    for id, state in zip(batch, found, strict=True)
                ]
                chosen = [
                    self._documents.key(id)
                    for id, is_chosen in zip(batch, are_chosen, strict=True)
                    if is_chosen
                ]
                changes = self._batches.changes(
                    found, [None if each else [] for each in are_chosen]
                )
                commands: list[list[Argument]] = [["UNLINK", key] for key in chosen]
                commands += self._batches.restored(map(self._documents.key, batch), found)
                replies = self._batches.send(
                    commands, len(chosen), token, batch, lane=0, changes=changes
                )
                removed += sum(replies[: len(chosen)])
        return removed

    def _write_new(
        self,
        batch: Sequence[Prepared],
        creating: Sequence[Sequence[Argument]],
        versions: Mapping[str, bytes],
        settings: BatchSettings,
        tally: Tally,
    ) -> None:
        """Store documents without TTL whose keys did not exist a moment ago, by commands that only create."""
        replies = self._batches.stored(creating, versions, settings.lane)
        for document, stored in zip(batch, replies, strict=True):
            if isinstance(stored, AuthenticationError):
                self._create_only = False
                tally.overtaken.append(document)
            elif isinstance(stored, ServerError):
                tally.failed[document.id] = stored
            elif stored:
                tally.written.append(document.id)
            elif settings.policy is WritePolicy.OVERWRITE:
                tally.overtaken.append(document)  # another client has just stored it, too
            else:
                tally.present.append(document.id)

    def _write_locked(
        self,
        batch: Sequence[Prepared],
        settings: BatchSettings,
        tally: Tally,
        *,
        overtaken: bool = False,
        words: Sequence[str] = (),
    ) -> None:
        """Store documents under their locks: existing ones, and all that have a TTL or cannot be created atomically.

        Args:
            batch: the documents.
            settings: settings of the batch.
            tally: records the outcome.
            overtaken: another client created the keys in the meantime, maybe with a TTL.
            words: words to add to the vocabulary.
        """
        ids = [document.id for document in batch]
        versions: dict[str, bytes] = {}
        adding = self._documents.adding_words(words)
        with self._batches.locked(ids, settings.lane, adding=adding) as (token, found, now):
            self._documents.words_added(words)
            settings = settings.at(now)
            states = dict(zip(ids, found, strict=True))
            if settings.policy is not WritePolicy.OVERWRITE:
                batch = self._created(batch, states, settings, tally, versions)
            writes = [
                self._commands.overwriting(
                    document, states[document.id], settings, versions, overtaken
                )
                for document in batch
            ]
            created = [id for id in versions if id not in {write.document.id for write in writes}]
            ends = [] if settings.milliseconds is None else self._commands.ends(created, settings)
            commands = [command for write in writes for command in write.commands]
            changes = b""
            if settings.milliseconds is None and len(writes) == len(found):
                changes = self._batches.changes(found, [write.commands for write in writes])
            sent = self._batches.stored(
                [*commands, *ends], versions, settings.lane, token, ids, changes=changes
            )
        replies = iter(sent)
        for write in writes:
            self._take(write, list(islice(replies, len(write.commands))), tally)
        limits = list(replies) if ends else [None] * len(created)
        for id, limited in zip(created, limits, strict=True):
            self._note(id, limited, tally)
        if changes and not {write.document.id for write in writes}.issubset(tally.written):
            self._batches.withdraw_changes(settings.lane)
        self._remove_without_end(tally, versions)

    def _created(
        self,
        batch: Sequence[Prepared],
        states: Mapping[str, KeyState],
        settings: BatchSettings,
        tally: Tally,
        versions: dict[str, bytes],
    ) -> list[Prepared]:
        """With SKIP and FAIL, create the missing documents; returns those that are still to be stored.

        Their keys hold records of a dropped index, or this user or server has no command that only creates.
        """
        absent: list[Prepared] = []
        left: list[Prepared] = []
        for document in batch:
            state = states[document.id]
            if state.is_alive(settings.now):
                tally.present.append(document.id)
            elif state.names or not self._create_only:
                left.append(document)
            else:
                absent.append(document)
        if not absent:
            return left
        new: dict[str, bytes] = {}
        commands = self._commands.creating(absent, settings, new)
        replies = self._batches.stored(commands, new, settings.lane, last=False)
        for document, stored in zip(absent, replies, strict=True):
            if isinstance(stored, AuthenticationError):
                self._create_only = False
                left.append(document)
            elif isinstance(stored, ServerError):
                tally.failed[document.id] = stored
            elif stored:
                versions[document.id] = new[document.id]
            else:
                tally.present.append(document.id)
        return left

    def _take(self, write: Overwrite, replies: Sequence[Reply], tally: Tally) -> None:
        """Record the replies to the commands that store one document."""
        id = write.document.id
        limited = replies[-1] if write.limited else None
        errors = [reply for reply in replies if isinstance(reply, ServerError)]
        if errors and errors[0] is not limited:
            tally.failed[id] = errors[0]
        elif write.was_absent and replies[write.at] < write.size:
            # Another client stored a document in the meantime, and some of its fields may remain.
            tally.overtaken.append(write.document)
        else:
            self._note(id, limited, tally)

    def _note(self, id: str, limited: Reply, tally: Tally) -> None:
        """Record a document as written, if its TTL was accepted, too."""
        if isinstance(limited, ServerError):
            tally.failed[id] = limited
            tally.without_end.append(id)
        else:
            tally.written.append(id)

    def _remove_without_end(self, tally: Tally, versions: Mapping[str, bytes]) -> None:
        """Remove documents whose TTL was rejected, because they would stay forever."""
        ids, tally.without_end = tally.without_end, []
        if ids:
            # `steady` sets a TTL, too, which this user may not.
            self._delete(ids, [versions[id] for id in ids], steady=False)

    def _present(self, there: Sequence[Prepared], settings: BatchSettings) -> list[str]:
        """The ids whose keys hold records now, before anything is written."""
        keys = [self._documents.key(document.id) for document in there]
        replies = self._connection.pipeline(
            state_commands(self._documents.entry, keys), lane=settings.lane
        )
        found = parse_states(self._documents.entry, keys, replies, refuse_foreign=True)
        pairs = zip(there, found, strict=True)
        return [document.id for document, state in pairs if state.is_alive(settings.now)]

    def _locks_at_once(
        self, batch: Sequence[Prepared], policy: WritePolicy, *, must_lock: bool
    ) -> bool:
        """Return True to lock all ids without looking first which of them exist: it takes no more round trips."""
        match policy:
            case WritePolicy.FAIL:
                return False  # nothing may be written if any exists
            case WritePolicy.SKIP:
                return must_lock
            case WritePolicy.OVERWRITE:
                few = len(batch) <= _FEW and not self._connection.capabilities.cluster
                return must_lock or few

    def _read_before(
        self, words: Sequence[str], batch: Sequence[Prepared], settings: BatchSettings
    ) -> tuple[list[Prepared], list[Prepared], BatchSettings]:
        """Read the server time and the generation, and which keys may exist; add words to the vocabulary.

        On a single server, one command for all keys tells if any exists. If so, all may exist.

        Returns:
            The documents that may exist, those that do not, and the settings at the server time.

        Raises:
            StaleIndexError: the index was dropped or created again.
            ForeignKeyError: a key is not a hash. On a single server, the locked write detects that.
        """
        prefix = self._documents.entry.prefix
        keys = [prefix + document.id for document in batch]
        reads: list[list[Argument]] = [["TIME"], self._batches.generation]
        cluster = self._connection.capabilities.cluster
        reads.extend([["HKEYS", key] for key in keys] if cluster else [["EXISTS", *keys]])
        adding = self._documents.adding_words(words)
        replies = self._connection.pipeline([*adding, *reads], lane=settings.lane)
        for key, reply in zip(keys, replies[-len(keys) :], strict=True) if cluster else ():
            if isinstance(reply, ServerError) and reply.message.startswith("WRONGTYPE"):
                raise ForeignKeyError.of(key, "a value that is no hash")
        (seconds, micros), generation, *found = checked(replies)[len(adding) :]
        self._documents.check_generation(generation)
        self._documents.words_added(words)
        settings = settings.at(int(seconds) * 1_000_000 + int(micros))
        if not cluster:
            return (list(batch), [], settings) if found[0] else ([], list(batch), settings)
        pairs = list(zip(batch, found, strict=True))
        there = [document for document, names in pairs if names]
        return there, [document for document, names in pairs if not names], settings
