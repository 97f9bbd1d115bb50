"""Documents as hashes on the server: writing, reading and removing them, for both engines.

On a single server a batch is one script. In a cluster the documents of a batch lie in many slots, so each is a
script of its own, all sent at once, and the index's generation is read along with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from valkey_vector.catalog import CatalogEntry, document_prefix, vocabulary_key
from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.document import CREATED, Prepared, document_fields
from valkey_vector.engines import scripts
from valkey_vector.engines.base import MetadataReplacement, Row, StaleIndexError, WriteOutcome
from valkey_vector.engines.steps import Ask, Steps, send
from valkey_vector.errors import ServerError
from valkey_vector.record import WritePolicy
from valkey_vector.text.fields import indexed_texts

__all__ = ["Documents", "in_batches", "remove_documents", "row_of"]

_T = TypeVar("_T")

_WORDS = 5_000
"""New words in one script."""

_KNOWN_WORDS = 200_000
"""Words remembered as told to the server; when there are more, they are told again."""

_BATCH = 500
"""Ids in one script or pipeline, so that no single request holds the server for long."""


def in_batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """The items in slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


class Documents:
    """The hashes of one index.

    Args:
        connection: where they are.
        entry: the index.
        own_keys: the catalogue and, for the native engine, the three keys of the change log.
    """

    def __init__(
        self, connection: Connection, entry: CatalogEntry, own_keys: Sequence[str]
    ) -> None:
        self._connection = connection
        self.entry = entry
        self._own_keys = list(own_keys)
        self._log = "log" if len(own_keys) > 1 else ""
        self._word_fields = {text.words for text in indexed_texts(entry.schema)}
        self._known_words: set[str] = set()

    def key(self, id: str) -> str:
        """The key of a document."""
        return self.entry.prefix + id

    def script(self, body: str, ids: Sequence[str], *arguments: Argument, lane: int = 0) -> Reply:
        """Run a script on the index's own keys and the keys of some documents.

        Raises:
            StaleIndexError: the index was dropped or created anew.
        """
        try:
            return self._connection.execute(*self.scripted(body, ids, *arguments), lane=lane)
        except ServerError as error:
            raise _stale(error) from error

    def scripted(self, body: str, ids: Sequence[str], *arguments: Argument) -> list[Argument]:
        """The command that runs a script on the index's own keys and the keys of some documents."""
        keys = [*self._own_keys, *map(self.key, ids)]
        return ["EVAL", body, str(len(keys)), *keys, self.entry.generation, *arguments]

    def ask(self, asks: Sequence[Ask]) -> list[list[Reply | ServerError]]:
        """The replies to the steps of several operations, in one round trip.

        Raises:
            StaleIndexError: the index was dropped or created anew.
        """
        answered = send(self._connection, asks)
        for reply in chain.from_iterable(answered):
            if isinstance(reply, ServerError) and isinstance(_stale(reply), StaleIndexError):
                raise StaleIndexError from reply
        return answered

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
        """Store a batch."""
        lasts = 0 if ttl is None else max(1, round(ttl * 1000))
        milliseconds = str(-lasts if sliding else lasts)
        packed = [_packed(document_fields(document, self.entry)) for document in batch]
        prefix = str(len(self.entry.prefix.encode()))
        words = self._unknown_words([document.text for document in batch])

        def head(position: int) -> list[Argument]:
            created = "" if stamp is None else str(stamp + position)
            return [self._log, policy.value, created, milliseconds, prefix]

        if self._connection.capabilities.cluster:
            return self._write_to_cluster(batch, packed, policy, head, lane=lane, words=words)
        keys = [*self._own_keys, *(self.key(document.id) for document in batch)]
        write = ["EVAL", scripts.WRITE, str(len(keys)), *keys, self.entry.generation]
        commands = [*self._telling(words), [*write, *head(0), *packed]]
        written, present = _checked(self._connection.pipeline(commands, lane=lane))[-1]
        self._told(words)
        return WriteOutcome(written, tuple(id.decode() for id in present))

    def replace_metadata(self, replacements: Sequence[MetadataReplacement]) -> list[bool | None]:
        """Write fields where the metadata still is as expected."""
        replaced: list[bool | None] = []
        words = self._unknown_words([each.fields for each in replacements])
        _checked(self._connection.pipeline(self._telling(words)))
        self._told(words)
        for batch in in_batches(replacements, _BATCH):
            commands = [
                self._single(
                    scripts.UPDATE_METADATA,
                    each.id,
                    [self._log, each.id, each.expected, *each.fields],
                )
                for each in batch
            ]
            if self._connection.capabilities.cluster:
                replies = self._guarded(commands, lane=0)
            else:
                replies = _checked(self._connection.pipeline(commands))
            replaced += [None if reply == -1 else bool(reply) for reply in replies]
        return replaced

    def fetch(self, ids: Sequence[str], fields: Sequence[str]) -> list[Row | None]:
        """Documents by id."""
        wanted = list(dict.fromkeys([CREATED, *fields]))
        found: list[Row | None] = []
        for batch in in_batches(ids, _BATCH):
            replies = self._connection.pipeline(self._reads(batch, wanted), retry=True)
            found += _rows(batch, wanted, _checked(replies))
        return found

    def fetching(self, ids: Sequence[str], fields: Sequence[str]) -> Steps[list[Row | None]]:
        """`fetch`, in steps."""
        wanted = list(dict.fromkeys([CREATED, *fields]))
        found: list[Row | None] = []
        for batch in in_batches(ids, _BATCH):
            found += _rows(batch, wanted, (yield Ask(self._reads(batch, wanted))))
        return found

    def delete(self, ids: Sequence[str]) -> int:
        """Remove documents."""
        removed = 0
        for batch in in_batches(ids, _BATCH):
            if self._connection.capabilities.cluster:
                commands = [["UNLINK", self.key(id)] for id in batch]
                removed += sum(_checked(self._connection.pipeline(commands)))
            else:
                removed += self.script(scripts.DELETE, batch, self._log, *batch)
        return removed

    def _reads(self, ids: Sequence[str], fields: Sequence[str]) -> list[list[Argument]]:
        return [["HMGET", self.key(id), *fields] for id in ids]

    def _unknown_words(self, documents: Sequence[Sequence[str | bytes]]) -> list[str]:
        """The words of documents, fields and values in turn, that this process has not told the server yet.

        Soon that is hardly any.
        """
        found: set[str] = set()
        for fields in documents if self._word_fields else ():
            for name, value in zip(fields[::2], fields[1::2], strict=True):
                if name in self._word_fields and isinstance(value, str):
                    found.update(value.split())
        return sorted(found - self._known_words)

    def _telling(self, words: Sequence[str]) -> list[list[Argument]]:
        """The commands that add words to the vocabulary; to be sent before the documents that have them."""
        keys = [self._own_keys[0], vocabulary_key(self.entry.name)]
        return [
            ["EVAL", scripts.ADD_WORDS, "2", *keys, self.entry.generation, *batch]
            for batch in in_batches(words, _WORDS)
        ]

    def _told(self, words: Sequence[str]) -> None:
        if words:
            if len(self._known_words) > _KNOWN_WORDS:
                self._known_words = set()
            self._known_words.update(words)

    def _write_to_cluster(
        self,
        batch: Sequence[Prepared],
        packed: Sequence[bytes],
        policy: WritePolicy,
        head: Callable[[int], list[Argument]],
        *,
        lane: int,
        words: Sequence[str],
    ) -> WriteOutcome:
        """One script for each document. With FAIL what is there is looked for first, so that normally
        nothing is written; a document that appears meanwhile is still not overwritten.
        """
        if policy is WritePolicy.FAIL:
            exist = self._guarded([["EXISTS", self.key(item.id)] for item in batch], lane=lane)
            if any(exist):
                there = zip(batch, exist, strict=True)
                return WriteOutcome(0, tuple(item.id for item, found in there if found))
        commands = [
            self._single(scripts.WRITE, item.id, [*head(position), fields])
            for position, (item, fields) in enumerate(zip(batch, packed, strict=True))
        ]
        telling = self._telling(words)
        replies = self._guarded([*telling, *commands], lane=lane)[len(telling) :]
        self._told(words)
        written, present = 0, []
        for item, reply in zip(batch, replies, strict=True):
            written += reply[0]
            if reply[1]:
                present.append(item.id)
        return WriteOutcome(written, tuple(present))

    def _single(self, body: str, id: str, arguments: Sequence[Argument]) -> list[Argument]:
        """A script on one document; in a cluster without the catalogue, which lies in another slot."""
        key = self.key(id)
        if self._connection.capabilities.cluster:
            return ["EVAL", body, "2", key, key, "", *arguments]
        keys = [*self._own_keys, key]
        return ["EVAL", body, str(len(keys)), *keys, self.entry.generation, *arguments]

    def _guarded(self, commands: Sequence[Sequence[Argument]], *, lane: int) -> list[Any]:
        """The replies of commands, sent along with a look at the index's generation."""
        look: list[Argument] = ["HGET", self._own_keys[0], "generation"]
        replies = _checked(self._connection.pipeline([look, *commands], lane=lane))
        if replies[0] is None or replies[0].decode() != self.entry.generation:
            raise StaleIndexError
        return replies[1:]


def _packed(values: Sequence[str | bytes]) -> bytes:
    """Values with their lengths before them, as the script WRITE takes a document."""
    parts: list[bytes] = []
    for value in values:
        data = value.encode() if isinstance(value, str) else value
        parts += (len(data).to_bytes(4, "big"), data)
    return b"".join(parts)


def remove_documents(connection: Connection, name: str) -> int:
    """Remove every document under an index's prefix, indexed or not; returns how many there were."""
    removed = 0
    for keys in connection.scan(f"{document_prefix(name)}*"):
        if connection.capabilities.cluster:
            commands: list[list[Argument]] = [["EVAL", scripts.REMOVE, "1", key] for key in keys]
            removed += sum(_checked(connection.pipeline(commands)))
        else:
            for batch in in_batches(keys, _BATCH):
                removed += connection.execute("EVAL", scripts.REMOVE, str(len(batch)), *batch)
    return removed


def _rows(ids: Sequence[str], names: Sequence[str], replies: Sequence[Any]) -> Iterator[Row | None]:
    for id, reply in zip(ids, replies, strict=True):
        yield row_of(id, names, reply)


def row_of(id: str, names: Sequence[str], values: Sequence[bytes | None]) -> Row | None:
    """The row of a document from an HMGET of fields, the first of which every document has."""
    if values[0] is None:
        return None
    pairs = zip(names, values, strict=True)
    return Row(id, {name: value for name, value in pairs if value is not None})


def _checked(replies: Sequence[Reply | ServerError]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, ServerError):
            raise _stale(reply)
    return list(replies)


def _stale(error: ServerError) -> Exception:
    return StaleIndexError() if "STALE" in error.message else error
