"""Commands that store the documents of the search engine: create, overwrite, replace the metadata, set the expiration."""

from __future__ import annotations

import re
from collections.abc import Sequence

from valkey_vector.connection import Argument
from valkey_vector.engines.search.batch_values import BatchSettings, Overwrite
from valkey_vector.engines.search.key_states import KeyState
from valkey_vector.storage.hashes import Documents
from valkey_vector.storage.layout import Prepared, document_fields
from valkey_vector.storage.record_version import CREATED, EXPIRES, new_unique, new_uniques
from valkey_vector.storage.rows import MetadataReplacement

__all__ = ["DocumentCommands"]

_REPLACED = re.compile(rb"tags|n[0-9]+|f_.*|(?:words|stems|length)_.*")
"""The hash fields that index the metadata."""


class DocumentCommands:
    """Creates the commands that store documents of one index.

    Args:
        documents: the documents of the index.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def creating(
        self, batch: Sequence[Prepared], settings: BatchSettings, versions: dict[str, bytes]
    ) -> list[list[Argument]]:
        """The commands that store each document only if its key has none of its fields."""
        entry, stamp, expiry = self._documents.entry, settings.stamp, settings.expiry
        prefix, positions = entry.prefix, settings.positions
        end: list[Argument] = [EXPIRES, settings.ends] if expiry == "t" else []
        commands: list[list[Argument]] = []
        for document, unique in zip(batch, new_uniques(len(batch)), strict=True):
            id = document.id
            fields = document_fields(document, entry, unique, expiry)
            versions[id] = str(fields[-1]).encode()
            fields += (*end, CREATED, str(stamp + positions[id]))
            size = str(len(fields) // 2)
            commands.append(["HSETEX", prefix + id, "FNX", "FIELDS", size, *fields])
        return commands

    def ends(self, ids: Sequence[str], settings: BatchSettings) -> list[list[Argument]]:
        """The commands that set the expiration of documents."""
        return [["PEXPIREAT", self._documents.key(id), settings.ends] for id in ids]

    def overwriting(
        self,
        document: Prepared,
        state: KeyState,
        settings: BatchSettings,
        versions: dict[str, bytes],
        overtaken: bool,
    ) -> Overwrite:
        """The commands that store a document in place of another; the creation time of the other stays."""
        key = self._documents.key(document.id)
        fields = self._fields(document, settings, versions)
        created = state.fields.get(CREATED) if state.own else None
        if created is None:
            created = str(settings.stamp + settings.positions[document.id]).encode()
        fields += [CREATED, created]
        commands: list[list[Argument]] = [["HSET", key, *fields]]
        persist = settings.milliseconds is None and (overtaken or state.may_end)
        if persist:
            # Before HSET, because a key that expires after HSET would remove the new document. And after HSET, because
            # the key may expire before the first command, and another client may write it again with a TTL.
            commands = [["PERSIST", key], *commands, ["PERSIST", key]]
        named = {name.encode() for name in fields[::2] if isinstance(name, str)}
        if stale := sorted(state.names - named):
            commands.append(["HDEL", key, *stale])
        if settings.milliseconds is not None:
            commands.append(["PEXPIREAT", key, settings.ends])
        return Overwrite(
            document=document,
            commands=commands,
            at=1 if persist else 0,
            size=len(fields) // 2,
            was_absent=not state.names,
            limited=settings.milliseconds is not None,
        )

    def replacing(self, each: MetadataReplacement, state: KeyState) -> list[list[Argument]]:
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

    def _fields(
        self,
        document: Prepared,
        settings: BatchSettings,
        versions: dict[str, bytes],
    ) -> list[Argument]:
        # Also adds the version of the document to `versions`.
        fields = document_fields(document, self._documents.entry, new_unique(), settings.expiry)
        versions[document.id] = str(fields[-1]).encode()
        if settings.expiry == "t":
            fields += [EXPIRES, settings.ends]
        return fields
