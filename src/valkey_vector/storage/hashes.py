"""Documents as hashes on the server, read by id, for both engines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.connection.lua import read_lua
from valkey_vector.connection.pipelines import Pipelined, Request, run, send
from valkey_vector.errors import ServerError
from valkey_vector.storage.catalog import Catalog, CatalogEntry, vocabulary_key
from valkey_vector.storage.layout import CREATED, EXPIRES
from valkey_vector.storage.record_version import VERSION, identifying_fields, own_fields
from valkey_vector.storage.rows import Row, StaleIndexError
from valkey_vector.storage.slot_bindings import SlotBindings
from valkey_vector.text.fields import indexed_texts
from valkey_vector.text.marks import is_mark

__all__ = ["Documents", "checked", "in_batches", "row_of", "stale_or"]

_T = TypeVar("_T")

BATCH = 500
"""Ids in one script or pipeline. Limits the time that one request blocks the server."""

_ADD_TERMS = read_lua(__package__, "vocabulary_add")

_TERM_BATCH = 5_000
"""New terms in one script."""

_MAX_KNOWN_TERMS = 200_000
"""Maximum number of terms remembered as known to the server. Above it, terms are sent again."""


def in_batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Split items into slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


class Documents:
    """Documents of one index.

    Args:
        connection: connection to the server.
        entry: catalog entry of the index.
    """

    def __init__(self, connection: Connection, entry: CatalogEntry) -> None:
        self.connection = connection
        self.slots = SlotBindings(connection, entry)
        self.catalog_key = Catalog(connection, entry.name).key
        self._term_fields = {text.words for text in indexed_texts(entry.schema)}
        self._known_terms: set[str] = set()

    @property
    def entry(self) -> CatalogEntry:
        """Catalog entry of the index, with the numeric slots bound so far."""
        return self.slots.entry

    def key(self, id: str) -> str:
        """Key of a document."""
        return self.entry.prefix + id

    def send_requests(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]]:
        """Send several requests in one round trip, and return their replies. An error takes the place of its reply.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        answered = send(self.connection, requests)
        for reply in chain.from_iterable(answered):
            if isinstance(reply, ServerError) and isinstance(stale_or(reply), StaleIndexError):
                raise StaleIndexError from reply
        return answered

    def fetch(self, ids: Sequence[str], fields: Sequence[str]) -> list[Row | None]:
        """Fetch documents by id, in the same order. None for a missing document."""
        return run(self, self.fetching(ids, fields))

    def fetching(self, ids: Sequence[str], fields: Sequence[str]) -> Pipelined[list[Row | None]]:
        """Pipelined `fetch`.

        A document whose time to live is over counts as missing, although its key can still exist: a writer can have
        delayed the expiration of the key, or have been killed before it set one. So the server's time is fetched, too.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        wanted = list(dict.fromkeys([*self.read_fields(fields), EXPIRES]))
        nothing = [None] * len(wanted)
        found: list[Row | None] = []
        for batch in in_batches(ids, BATCH):
            commands: list[list[Argument]] = [["TIME"], *self._reads(batch, wanted)]
            time, *replies = yield Request(commands, errors=True)
            ((seconds, micros),) = checked([time])
            now = int(seconds) * 1000 + int(micros) // 1000
            # A key of another type belongs to another program: it is not a document.
            replies = [nothing if _is_of_another_type(each) else each for each in replies]
            checked(replies)
            rows = [
                row_of(self.entry, id, wanted, reply)
                for id, reply in zip(batch, replies, strict=True)
            ]
            unknown = (reply for row, reply in zip(rows, replies, strict=True) if row is None)
            if any(reply[wanted.index(VERSION)] is not None for reply in unknown):
                # Another lineage: the document belongs to a dropped index, or this process uses a dropped one.
                (generation,) = yield Request([["HGET", self.catalog_key, "generation"]])
                self.check_generation(generation)
            found += [None if row is None or _is_over(row, now) else row for row in rows]
        return found

    def _reads(self, ids: Sequence[str], fields: Sequence[str]) -> list[list[Argument]]:
        return [["HMGET", self.key(id), *fields] for id in ids]

    def check_generation(self, generation: bytes | None) -> None:
        """Compare the generation in the catalog with the one that this process uses.

        Raises:
            StaleIndexError: the index was dropped or created again.
        """
        if generation is None or generation.decode() != self.entry.generation:
            raise StaleIndexError

    def read_fields(self, fields: Sequence[str]) -> list[str]:
        """Return these fields, and those that `row_of` needs."""
        return list(dict.fromkeys([CREATED, *identifying_fields(self.entry), *fields]))

    def unknown_words(self, documents: Sequence[Sequence[str | bytes]]) -> list[str]:
        """Return the terms of documents that this process has not sent to the vocabulary yet, sorted.

        Args:
            documents: for each document, field names and values in turn.
        """
        found: set[str] = set()
        for fields in documents if self._term_fields else ():
            for name, value in zip(fields[::2], fields[1::2], strict=True):
                if name in self._term_fields and isinstance(value, str):
                    found.update(value.split())
        return sorted(term for term in found - self._known_terms if not is_mark(term))

    def adding_words(self, words: Sequence[str]) -> list[list[Argument]]:
        """Return the commands that add terms to the vocabulary. Send them before the documents with these terms."""
        keys = [self.catalog_key, vocabulary_key(self.entry.name)]
        return [
            ["EVAL", _ADD_TERMS, "2", *keys, self.entry.generation, *batch]
            for batch in in_batches(words, _TERM_BATCH)
        ]

    def words_added(self, words: Sequence[str]) -> None:
        """Remember that the vocabulary contains these terms."""
        if words:
            if len(self._known_terms) > _MAX_KNOWN_TERMS:
                self._known_terms = set()
            self._known_terms.update(words)


def row_of(
    entry: CatalogEntry, id: str, names: Sequence[str], values: Sequence[bytes | None]
) -> Row | None:
    """Create the row of a document from the reply to HMGET (see `Documents.read_fields`).

    Returns:
        The row, or None if the hash is not a document of this index.
    """
    pairs = zip(names, values, strict=True)
    fields = own_fields(entry, {name: value for name, value in pairs if value is not None})
    return None if fields is None else Row(id, fields)


def checked(replies: Sequence[Reply | ServerError]) -> list[Any]:
    """Return the replies if none of them is an error.

    Raises:
        StaleIndexError: a script reports that the index was dropped or created again.
        ServerError: the first error among the replies.
    """
    for reply in replies:
        if isinstance(reply, ServerError):
            raise stale_or(reply)
    return list(replies)


def _is_over(row: Row, now: int) -> bool:
    """Return True if a document has expired; `now` in milliseconds."""
    expires = row.fields.get(EXPIRES, b"")
    return expires.isdigit() and int(expires) <= now


def _is_of_another_type(reply: Reply | ServerError) -> bool:
    return isinstance(reply, ServerError) and reply.message.startswith("WRONGTYPE")


def stale_or(error: ServerError) -> Exception:
    """Return the error, or StaleIndexError if a script of this library reports that the index is stale."""
    return StaleIndexError() if error.message.startswith("STALE ") else error
