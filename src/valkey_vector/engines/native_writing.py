"""Writes of the native engine: each batch is one script, atomic, that also keeps the change log."""

from __future__ import annotations

from collections.abc import Sequence

from valkey_vector.connection import Argument, Reply
from valkey_vector.document import Prepared, document_fields
from valkey_vector.engines import scripts
from valkey_vector.engines.base import MetadataReplacement, WriteOutcome
from valkey_vector.engines.documents import BATCH, Documents, checked, in_batches, stale_or
from valkey_vector.errors import ServerError
from valkey_vector.record import WritePolicy
from valkey_vector.record_version import Expiry, new_unique

__all__ = ["NativeWriting"]


class NativeWriting:
    """Writes the documents of one index on a single server.

    Args:
        documents: of the index.
        log_keys: the three keys of its change log.
    """

    def __init__(self, documents: Documents, log_keys: Sequence[str]) -> None:
        self._documents = documents
        self._connection = documents.connection
        self._own_keys = [documents.catalog_key, *log_keys]

    def script(self, body: str, ids: Sequence[str], *arguments: Argument, lane: int = 0) -> Reply:
        """Run a script on the index's own keys and the keys of some documents.

        Raises:
            StaleIndexError: the index was dropped or created anew.
        """
        try:
            return self._connection.execute(*self.scripted(body, ids, *arguments), lane=lane)
        except ServerError as error:
            raise stale_or(error) from error

    def scripted(self, body: str, ids: Sequence[str], *arguments: Argument) -> list[Argument]:
        """The command that runs a script on the index's own keys and the keys of some documents."""
        keys = [*self._own_keys, *map(self._documents.key, ids)]
        generation = self._documents.entry.generation
        return ["EVAL", body, str(len(keys)), *keys, generation, *arguments]

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
        entry = self._documents.entry
        lasts = 0 if ttl is None else max(1, round(ttl * 1000))
        milliseconds = str(-lasts if sliding else lasts)
        expiry: Expiry = "" if ttl is None else "s" if sliding else "t"
        packed = [
            _packed(document_fields(document, entry, new_unique(), expiry)) for document in batch
        ]
        words = self._documents.unknown_words([document.text for document in batch])
        head = [
            "log", policy.value, "" if stamp is None else str(stamp), milliseconds,
            str(len(entry.prefix.encode())),
        ]  # fmt: skip
        ids = [document.id for document in batch]
        commands = self._documents.adding_words(words)
        commands.append(self.scripted(scripts.WRITE, ids, *head, *packed))
        written, present = checked(self._connection.pipeline(commands, lane=lane))[-1]
        self._documents.words_added(words)
        return WriteOutcome(written, tuple(id.decode() for id in present))

    def replace_metadata(self, replacements: Sequence[MetadataReplacement]) -> list[bool | None]:
        """Write fields where the document still is as expected."""
        words = self._documents.unknown_words([each.fields for each in replacements])
        checked(self._connection.pipeline(self._documents.adding_words(words)))
        self._documents.words_added(words)
        replaced: list[bool | None] = []
        for batch in in_batches(replacements, BATCH):
            commands = [
                self.scripted(
                    scripts.UPDATE_METADATA, [each.id], "log", each.id, each.expected, *each.fields
                )
                for each in batch
            ]
            replies = checked(self._connection.pipeline(commands))
            replaced += [None if reply == -1 else bool(reply) for reply in replies]
        return replaced

    def delete(self, ids: Sequence[str], versions: Sequence[bytes | None] | None = None) -> int:  # noqa: ARG002
        """Remove documents."""
        removed = 0
        for batch in in_batches(ids, BATCH):
            removed += self.script(scripts.DELETE, batch, "log", *batch)
        return removed


def _packed(values: Sequence[str | bytes]) -> bytes:
    """Values with their lengths before them, as the script WRITE takes a document."""
    parts: list[bytes] = []
    for value in values:
        data = value.encode() if isinstance(value, str) else value
        parts += (len(data).to_bytes(4, "big"), data)
    return b"".join(parts)
