"""Writes of the native engine: each batch is one script, atomic, that also keeps the change log."""

from __future__ import annotations

from collections.abc import Sequence

from valkey_vector.engines.native import scripts
from valkey_vector.engines.native.change_log import ChangeLog, refuse_foreign
from valkey_vector.engines.native.shared_replica import SharedReplica
from valkey_vector.records.record import WritePolicy
from valkey_vector.storage.hashes import BATCH, Documents, checked, in_batches
from valkey_vector.storage.layout import Prepared, document_fields
from valkey_vector.storage.record_version import Expiry, new_unique
from valkey_vector.storage.rows import MetadataReplacement, WriteOutcome

__all__ = ["NativeWriting"]


class NativeWriting:
    """Writes the documents of one index on a single server.

    Args:
        documents: of the index.
        log: its change log.
        shared: its replica in this process, which knows documents that the log has and that are gone.
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
        lane: int,
        *,
        sliding: bool,
    ) -> WriteOutcome:
        """Store a batch (see `valkey_vector.engines.base.Engine.write`).

        Raises:
            ForeignKeyError: a key is not a document; nothing of the batch was written.
        """
        entry = self._documents.entry
        lasts = 0 if ttl is None else max(1, round(ttl * 1000))
        expiry: Expiry = "" if ttl is None else "s" if sliding else "t"
        packed = [
            _packed(document_fields(document, entry, new_unique(), expiry)) for document in batch
        ]
        words = self._documents.unknown_words([document.text for document in batch])
        head = [
            policy.value,
            "" if stamp is None else str(stamp),
            str(-lasts if sliding else lasts),
        ]
        ids = [document.id for document in batch]
        commands = [
            *self._log.removing(self._shared.take_lost()),
            *self._documents.adding_words(words),
        ]
        commands.append(self._log.command(scripts.WRITE, *head, *packed, ids=ids))
        reply = checked(self._connection.pipeline(commands, lane=lane))[-1]
        refuse_foreign(reply)
        self._documents.words_added(words)
        _, written, present = reply
        return WriteOutcome(written, tuple(id.decode() for id in present))

    def replace_metadata(self, replacements: Sequence[MetadataReplacement]) -> list[bool | None]:
        """Write fields of documents that are still of the version that was read."""
        words = self._documents.unknown_words([each.fields for each in replacements])
        checked(self._connection.pipeline(self._documents.adding_words(words)))
        self._documents.words_added(words)
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
            replies = checked(self._connection.pipeline(commands))
            replaced += [None if reply == -1 else bool(reply) for reply in replies]
        return replaced

    def delete(self, ids: Sequence[str], versions: Sequence[bytes | None] | None = None) -> int:
        """Remove documents; with `versions`, one for each id, only those that are still of these versions.

        Raises:
            ForeignKeyError: a key is not a document; nothing was removed. With `versions` such keys are left alone.
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
            reply = checked(self._connection.pipeline(commands))[-1]
            refuse_foreign(reply)
            removed += reply[1]
        return removed

    def _refuse_foreign(self, ids: Sequence[str]) -> None:
        """Look for foreign keys before the first of several batches is removed."""
        commands = [
            self._log.command(scripts.FOREIGN, ids=batch) for batch in in_batches(ids, BATCH)
        ]
        for reply in checked(self._connection.pipeline(commands, retry=True)):
            refuse_foreign(reply)


def _packed(values: Sequence[str | bytes]) -> bytes:
    """Values with their lengths before them, as the script WRITE takes a document."""
    parts: list[bytes] = []
    for value in values:
        data = value.encode() if isinstance(value, str) else value
        parts += (len(data).to_bytes(4, "big"), data)
    return b"".join(parts)
