"""Client of the native engine's change log: fetch the changes since a sequence number, and the current documents.

The log and its scripts are described in `valkey_vector.engines.native.scripts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from valkey_vector.connection import Argument, Reply
from valkey_vector.engines.native import scripts
from valkey_vector.engines.native.loading import Backlog, Listing, Loading, scored
from valkey_vector.engines.native.page import Page, page_of
from valkey_vector.errors import ForeignKeyError, ServerError
from valkey_vector.filters.plan import TAGS
from valkey_vector.schema.schema import Schema
from valkey_vector.storage.catalog import vector_name
from valkey_vector.storage.hashes import Documents, checked, in_batches, stale_or
from valkey_vector.storage.layout import CREATED, EXPIRES
from valkey_vector.storage.record_version import VERSION
from valkey_vector.storage.rows import StaleIndexError
from valkey_vector.text.fields import indexed_texts

__all__ = [
    "ChangeLog",
    "Changes",
    "Checked",
    "Incomplete",
    "Many",
    "Reload",
    "Since",
    "refuse_foreign",
    "word_fields",
]

_MAX_DOCUMENTS = 1_000
"""Largest number of documents in one script, so that no script blocks the server for long."""


@dataclass(frozen=True, slots=True)
class Changes:
    """All changes since a sequence number.

    Attributes:
        sequence: number of the last change.
        now: the server's time in milliseconds.
        digest: of all sequence numbers in the log; None if the log has none.
        deleted: ids of the deleted documents.
        changed: the written documents.
        size: number of documents in the log.
    """

    sequence: int
    now: float
    digest: int | None
    deleted: Sequence[str]
    changed: Page
    size: int


@dataclass(frozen=True, slots=True)
class Many:
    """More changes than one reply holds; `ChangeLog.backlog` returns them.

    Attributes:
        sequence: number of the last change.
        now: the server's time in milliseconds.
    """

    sequence: int
    now: float


@dataclass(frozen=True, slots=True)
class Reload:
    """The changes are unknown: everything must be loaded again."""


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The log lacks documents (see `ChangeLog.complete`)."""


Since: TypeAlias = Changes | Many | Reload | Incomplete


@dataclass(frozen=True, slots=True)
class Checked:
    """Result of a check that documents still exist.

    Attributes:
        now: the server's time in milliseconds.
        activity: while it stays the same, no document was removed without a log entry; '' if the server does not report it.
        lost: ids that are no longer documents.
        logged: number of documents in the log in the checked range.
    """

    now: float
    activity: str
    lost: Sequence[str]
    logged: int


def word_fields(schema: Schema) -> list[str]:
    """Return the hash fields that hold terms and stems."""
    texts = indexed_texts(schema)
    return list(dict.fromkeys(name for each in texts for name in (each.words, each.stems)))


class ChangeLog:
    """The change log of one index.

    Args:
        documents: the documents of the index.
        keys: the keys of the log: changes, deletions, expiry.
    """

    def __init__(self, documents: Documents, keys: Sequence[str]) -> None:
        self._documents = documents
        self._connection = documents.connection
        self._keys = [documents.catalog_key, *keys]
        entry = documents.entry
        schema = entry.schema
        fields = [VERSION, CREATED, EXPIRES]  # the version first: the scripts look at it
        fields += [vector_name(field.name) for field in schema.vector_fields]
        fields += [TAGS, *(f"n{number}" for number in range(schema.numeric_slots))]
        self._fields = [*fields, *entry.declared_numeric_fields, *word_fields(schema)]
        self._loading = Loading(documents, self._keys, self._fields, self._by_id)

    def command(self, body: str, *arguments: Argument, ids: Sequence[str] = ()) -> list[Argument]:
        """Return the command that runs a script on the log and on some documents."""
        entry = self._documents.entry
        keys = [*self._keys, *map(self._documents.key, ids)]
        head = [entry.generation, entry.lineage or "", entry.prefix]
        return ["EVAL", body, str(len(keys)), *keys, *head, *arguments]

    def run(self, body: str, *arguments: Argument, ids: Sequence[str] = ()) -> Reply:
        """Run a script that writes.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        return self._sent(self.command(body, *arguments, ids=ids), retry=False)

    def since(self, sequence: int, *, anyway: bool = False) -> Since:
        """Fetch the changes after a sequence number, as of one moment.

        Args:
            sequence: the last one that the caller has applied; -1 for all.
            anyway: read the log even if it lacks documents.

        Cost: one round trip.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        reply = self._sent(self.syncing(sequence, anyway=anyway), retry=True)
        return self.synced(reply)

    def syncing(
        self, sequence: int, *, anyway: bool = False, most: int | None = None
    ) -> list[Argument]:
        """Return the command that fetches the changes after a sequence number; `synced` decodes its reply.

        Args:
            sequence: the last one that the caller has applied; -1 for all.
            anyway: read the log even if it lacks documents.
            most: largest number of changed documents in the reply; None for that of `since`.
        """
        return self.command(
            scripts.SYNC, str(sequence), str(most or _MAX_DOCUMENTS), "anyway" if anyway else "",
            str(len(self._fields)), *self._fields,
        )  # fmt: skip

    def synced(self, reply: Any) -> Since:
        """Decode the changes after a sequence number."""
        match reply[0]:
            case b"incomplete":
                return Incomplete()
            case b"reload":
                return Reload()
            case b"many":
                return Many(int(reply[1]), float(reply[2]))
        _, last, now, digest, deleted, ids, numbers, page, size = reply
        return Changes(
            int(last),
            float(now),
            None if digest is None else int(digest),
            [id.decode() for id in deleted],
            page_of(
                self._documents.entry,
                self._fields,
                [id.decode() for id in ids],
                list(map(int, numbers)),
                page,
            ),
            size,
        )

    def backlog(self, sequence: int, last: int) -> Backlog | None:
        """List what was deleted or written after a sequence number (see `Loading.backlog`)."""
        return self._loading.backlog(sequence, last)

    def load(self, listings: Iterable[Listing]) -> Iterator[Page]:
        """Read the current content of listed documents (see `Loading.load`)."""
        return self._loading.load(listings)

    def _by_id(self, fields: Sequence[str], changed: Sequence[tuple[str, int]]) -> Page:
        ids = [id for id, _ in changed]
        reply = self._sent(self.command(scripts.LOAD, str(len(fields)), *fields, *ids), retry=True)
        return page_of(self._documents.entry, fields, ids, [each for _, each in changed], reply)

    def fetching(
        self, ids: Sequence[str], fields: Sequence[str], sequence: int | None
    ) -> list[Argument]:
        """Return the command that fetches fields of documents; its reply begins with 0 if the index is not at `sequence`."""
        known = "" if sequence is None else str(sequence)
        return self.command(scripts.FETCH, known, str(len(fields)), *fields, *ids)

    def checking(
        self,
        ids: Sequence[str] = (),
        sequence: int | None = None,
        *,
        numbers: tuple[int, int] | None = None,
        activity: bool = False,
    ) -> list[Argument]:
        """Return the command that checks whether documents exist; `checked` decodes its reply.

        Args:
            ids: ids of documents.
            sequence: the last number that the caller has applied; None to accept any state of the log.
            numbers: also check all documents in the log with sequence numbers from the first to the second.
            activity: report the server's activity.
        """
        known = "" if sequence is None else str(sequence)
        low, high = ("", "") if numbers is None else map(str, numbers)
        return self.command(scripts.CHECK, known, "activity" if activity else "", low, high, *ids)

    @staticmethod
    def checked(reply: Any) -> Checked | None:
        """Decode the reply to a check; None if the index is not at the given sequence number."""
        if reply[0] == 0:
            return None
        lost = [id.decode() for id in reply[3]]
        return Checked(float(reply[1]), reply[2].decode(), lost, reply[4])

    def lost(self, ids: Sequence[str]) -> list[str]:
        """Return the ids that are no longer documents.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        found: list[str] = []
        for batch in in_batches(ids, _MAX_DOCUMENTS):
            reply = self.checked(self._sent(self.checking(batch), retry=True))
            found += [] if reply is None else reply.lost
        return found

    def lost_in(self, ranges: Sequence[tuple[int, int]]) -> list[str]:
        """Return the ids with sequence numbers in these ranges that are no longer documents.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        commands = [self.checking(numbers=each) for each in ranges]
        replies = checked(self._connection.pipeline(commands, retry=True)) if commands else []
        return [id.decode() for reply in replies for id in reply[3]]

    def complete(self) -> None:
        """Add all missing documents to the log. Idempotent.

        Cost: a SCAN of the server.

        Raises:
            StaleIndexError: the index was dropped or created again.
            ServerError: the server refuses writes, or SCAN.
        """
        skip = len(self._documents.entry.prefix.encode())
        for keys in self._connection.scan(f"{self._documents.entry.prefix}*"):
            for batch in in_batches(keys, _MAX_DOCUMENTS):
                self.run(scripts.REGISTER, *(key[skip:] for key in batch))
        self.run(scripts.SEAL)

    def held(self) -> dict[str, bool]:
        """Return the ids in the log, each with True if the log expects it to have expired.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        catalog, changes, _, expiry = self._keys
        (seconds, micros), generation, ids, ends = checked(
            self._connection.pipeline(
                [
                    ["TIME"],
                    ["HGET", catalog, "generation"],
                    ["ZRANGEBYSCORE", changes, "-inf", "+inf"],
                    ["ZRANGEBYSCORE", expiry, "-inf", "+inf", "WITHSCORES"],
                ],
                retry=True,
            )
        )
        self._documents.check_generation(generation)
        now = int(seconds) * 1000 + int(micros) // 1000
        ended = {id for id, end in zip(*scored(ends), strict=True) if end <= now}
        return {id: id in ended for id in (name.decode() for name in ids)}

    def reconcile(self, ids: Sequence[str]) -> None:
        """Add existing documents to the log, and remove missing ones.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        for batch in in_batches(ids, _MAX_DOCUMENTS):
            self.run(scripts.REGISTER, *batch)
        self.remove(ids)

    def removing(self, ids: Sequence[str]) -> list[list[Argument]]:
        """Return the commands that remove from the log the ids that are not documents."""
        return [self.command(scripts.FORGET, *batch) for batch in in_batches(ids, _MAX_DOCUMENTS)]

    def remove(self, ids: Sequence[str]) -> None:
        """Remove from the log the ids that are not documents.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        checked(self._connection.pipeline(self.removing(ids)))

    def drop(self) -> None:
        """Remove the log, unless the index was created again."""
        self._connection.execute("EVAL", scripts.DROP, str(len(self._keys)), *self._keys)

    def _sent(self, command: Sequence[Argument], *, retry: bool) -> Reply:
        try:
            return self._connection.execute(*command, retry=retry)
        except ServerError as error:
            stale = stale_or(error)
            if isinstance(stale, StaleIndexError):
                raise stale from error
            raise


def refuse_foreign(reply: Any) -> None:
    """Check the reply of a script that writes.

    Raises:
        ForeignKeyError: the reply names a key that is not a document.
    """
    if reply[0] == b"foreign":
        kind = reply[2].decode()
        found = "another program's hash" if kind == "hash" else f"a value of type {kind}"
        raise ForeignKeyError.of(reply[1].decode(errors="replace"), found)
