"""Writes of the native engine: each batch is one atomic script that also updates the change log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from valkey_vector.connection import Argument
from valkey_vector.connection.lanes import Lanes
from valkey_vector.engines.native import scripts
from valkey_vector.engines.native.change_log import ChangeLog, refuse_foreign
from valkey_vector.engines.native.shared_replica import SharedReplica
from valkey_vector.errors import ServerError
from valkey_vector.records.record import WritePolicy
from valkey_vector.storage.hashes import BATCH, Documents, checked, in_batches
from valkey_vector.storage.layout import Prepared, document_fields
from valkey_vector.storage.record_version import Expiry, new_unique
from valkey_vector.storage.rows import MetadataReplacement, WriteOutcome

__all__ = ["NativeWriting"]

_FEW = 10
"""Largest number of documents in a write with which the changes are fetched."""

_CHANGES = 50
"""Largest number of changed documents that are fetched with a write."""


class NativeWriting:
    """Writes the documents of one index on a single server.

    Args:
        documents: the documents of the index.
        log: the change log of the index.
        shared: the replica of this process; it knows which documents of the log were removed without an entry.
    """

    def __init__(self, documents: Documents, log: ChangeLog, shared: SharedReplica) -> None:
        self._documents = documents
        self._connection = documents.connection
        self._log = log
        self._shared = shared

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
        """Store a batch (see `valkey_vector.engines.base.Engine.write`).

        Atomicity: the batch.

        Cost: one round trip.

        Raises:
            ForeignKeyError: a key is not a document; nothing of the batch was written.
        """
        entry = self._documents.entry
        ttl_ms = 0 if ttl is None else max(1, round(ttl * 1000))
        expiry: Expiry = "" if ttl is None else "s" if sliding else "t"
        packed = [
            _packed(document_fields(document, entry, new_unique(), expiry)) for document in batch
        ]
        terms = self._documents.unknown_words([document.text for document in batch])
        head = [
            policy.value,
            "" if stamp is None else str(stamp),
            str(-ttl_ms if sliding else ttl_ms),
        ]
        ids = [document.id for document in batch]
        commands = [
            *self._log.removing(self._shared.take_lost()),
            *self._documents.adding_words(terms),
        ]
        commands.append(self._log.command(scripts.WRITE, *head, *packed, ids=ids))
        with lanes.taken() as lane:
            reply = self._sent(commands, len(batch), lane)[-1]
        refuse_foreign(reply)
        self._documents.words_added(terms)
        _, written, present = reply
        return WriteOutcome(written, tuple(id.decode() for id in present))

    def replace_metadata(self, replacements: Sequence[MetadataReplacement]) -> list[bool | None]:
        """Replace the metadata of documents whose version is unchanged (see `Engine.replace_metadata`).

        Atomicity: each document.
        """
        terms = self._documents.unknown_words([each.fields for each in replacements])
        checked(self._connection.pipeline(self._documents.adding_words(terms)))
        self._documents.words_added(terms)
        replaced: list[bool | None] = []
        for batch in in_batches(replacements, BATCH):
            commands = [
                self._log.command(
                    scripts.UPDATE_METADATA,
                    each.version or b"", each.expected,
                    str(len(each.removed)), *each.removed, *each.fields,
                    ids=[each.id],
                )
                for each in batch
            ]  # fmt: skip
            replies = self._sent(commands, len(batch))
            replaced += [None if reply == -1 else bool(reply) for reply in replies]
        return replaced

    def delete(self, ids: Sequence[str], versions: Sequence[bytes | None] | None = None) -> int:
        """Delete documents (see `valkey_vector.engines.base.Engine.delete`).

        Atomicity: a batch of 500.

        Raises:
            ForeignKeyError: a key is not a document; nothing was deleted. With `versions`, such keys are ignored.
        """
        exact = versions is not None
        if not exact and len(ids) > BATCH:
            self._refuse_foreign(ids)
        pairs = list(zip(ids, versions or [None] * len(ids), strict=True))
        removed = 0
        for batch in in_batches(pairs, BATCH):
            wanted = [version or b"" for _, version in batch] if exact else []
            command = self._log.command(
                scripts.DELETE, "exact" if exact else "", *wanted, ids=[id for id, _ in batch]
            )
            commands = [*self._log.removing(self._shared.take_lost()), command]
            reply = self._sent(commands, len(batch))[-1]
            refuse_foreign(reply)
            removed += reply[1]
        return removed

    def _sent(self, commands: Sequence[Sequence[Argument]], size: int, lane: int = 0) -> list[Any]:
        """Send commands that change documents, and fetch the changes with them if the next search will need them.

        Args:
            commands: the commands.
            size: number of documents.
            lane: the connection to use.
        """
        after = None
        if size <= _FEW and self._connection.settings.read_from == "primary":
            after = self._shared.writing_after()
        if after is None:
            replies = checked(self._connection.pipeline(commands, lane=lane))
            self._shared.note_write()
            return replies
        commands = [*commands, self._log.syncing(after, most=_CHANGES)]
        *replies, changes = self._connection.pipeline(commands, lane=lane)
        replies = checked(replies)
        if isinstance(changes, ServerError):  # the next search reports it
            self._shared.note_write()
        else:
            self._shared.note_write(after, changes)
        return replies

    def _refuse_foreign(self, ids: Sequence[str]) -> None:
        """Check all keys before the first of several batches is deleted."""
        commands = [
            self._log.command(scripts.FOREIGN, ids=batch) for batch in in_batches(ids, BATCH)
        ]
        for reply in checked(self._connection.pipeline(commands, retry=True)):
            refuse_foreign(reply)


def _packed(values: Sequence[str | bytes]) -> bytes:
    """Encode a document for the script WRITE: each value after its length."""
    parts: list[bytes] = []
    for value in values:
        data = value.encode() if isinstance(value, str) else value
        parts += (len(data).to_bytes(4, "big"), data)
    return b"".join(parts)
