"""Named collections of JSON objects, each under a key of its own: what key-value and document stores are made of.

A collection is a fixed number of hashes, ``_collection:<namespace>:<number>:<collection>``, over which its keys are
spread by their checksum. So a cluster shares a collection out among its nodes, every command has one key of the server,
and nothing but dropping a whole namespace looks through the keys of the server.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.errors import InvalidInputError, ServerError
from valkey_vector.records.metadata import dump, load
from valkey_vector.records.validation import check_k
from valkey_vector.storage.keyspace import Keyspace, check_texts, in_parts, succeeded

__all__ = ["Collections", "JsonObject", "Namespaced", "bucket_of", "readable"]

JsonObject: TypeAlias = Mapping[str, Any]
"""Text keys to what metadata can hold: None, booleans, numbers, texts, dates, and lists and dicts of them."""

BUCKETS = 64
"""Hashes of a collection. Part of the layout: what was written with another number is not found."""

_Encoded: TypeAlias = tuple[str, bytes]

_log = logging.getLogger("valkey_vector.stores.collections")

_PAGE = 512
"""Entries of one hash that the server looks at in one step, so that no reply holds it up for long."""


class Namespaced(Connected):
    """Something that keeps all it has under the keys of one namespace.

    Args:
        namespace: what is in different namespaces never mixes; any non-empty text.
        url: the server (see `Connection.open`); by default ``VALKEY_URL`` or the embedded server.
        connection: an open connection to use instead; it is not closed with this.

    Raises:
        ConfigurationError: the namespace is not such text, or both a URL and a connection are given.
    """

    kind: ClassVar[str]
    """What its keys begin with; see `Keyspace`."""

    def __init__(
        self,
        namespace: str,
        *,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        super().__init__(url=url, connection=connection)
        self._keyspace = Keyspace(self.kind, namespace)

    def drop(self) -> None:
        """Remove everything in the namespace. Looks through all keys of the server for its own."""
        self._keyspace.remove(self.connection)

    adrop = twin(drop)


class Collections(Namespaced):
    """JSON objects by collection and key. Every method has an asynchronous twin named with a leading ``a``."""

    kind = "collection"

    def put(self, collection: str, key: str, value: JsonObject) -> None:
        """Store an object, in place of what was there. One round trip.

        Raises:
            InvalidInputError: the key is no text, or the object would not come back as it is.
        """
        hash = self._hash(collection, key)
        self.connection.execute(*_setting(hash, [_encoded(collection, key, value)]))

    def put_many(
        self, collection: str, items: Iterable[tuple[str, JsonObject]], *, batch_size: int = 500
    ) -> None:
        """Store objects, one round trip for each batch; of a key that occurs twice the last one stays.

        Each object is stored whole or not at all; a batch that fails can be partly stored.

        Args:
            collection: where.
            items: keys and objects; a batch is checked before it is sent.
            batch_size: how many in one request, from 1 on.

        Raises:
            InvalidInputError: as for `put`. Of a list nothing was stored.
        """
        check_k(batch_size, "batch_size")
        encoded: Iterable[_Encoded] = (_encoded(collection, key, value) for key, value in items)
        if isinstance(items, Sequence):
            encoded = list(encoded)
        for batch in in_parts(encoded, batch_size, lambda pair: len(pair[0]) + len(pair[1])):
            buckets: dict[bytes, list[_Encoded]] = {}
            for key, stored in batch:
                buckets.setdefault(self._hash(collection, key), []).append((key, stored))
            commands = [_setting(hash, part) for hash, part in buckets.items()]
            succeeded(self.connection.pipeline(commands))

    def get(self, collection: str, key: str) -> dict[str, Any] | None:
        """The object under a key; None if there is none. One round trip.

        Raises:
            ServerError: something else wrote what is there.
        """
        stored = self.connection.execute("HGET", self._hash(collection, key), key, retry=True)
        return None if stored is None else load(stored, _owner(collection, key))

    def get_all(self, collection: str) -> dict[str, dict[str, Any]]:
        """Every object of a collection by its key, in no particular order.

        One round trip for a few ten thousand objects, more for more. What is written or removed meanwhile may be in it or
        not. An object that something else wrote is left out, with a warning in the log that names its key.
        """
        found: dict[str, dict[str, Any]] = {}
        cursors = {self._numbered(collection, number): b"0" for number in range(BUCKETS)}
        while cursors:
            commands: list[list[Argument]] = [
                ["HSCAN", key, at, "COUNT", str(_PAGE)] for key, at in cursors.items()
            ]
            replies = succeeded(self.connection.pipeline(commands, retry=True))
            for key, (cursor, entries) in zip(list(cursors), replies, strict=True):
                for name, stored in zip(entries[::2], entries[1::2], strict=True):
                    key_of_it = name.decode(errors="replace")
                    loaded = readable(stored, _owner(collection, key_of_it))
                    if loaded is not None:
                        found[key_of_it] = loaded
                if cursor == b"0":
                    del cursors[key]
                else:
                    cursors[key] = cursor
        return found

    def delete(self, collection: str, key: str) -> bool:
        """Remove an object; whether it was there. One round trip."""
        return bool(self.connection.execute("HDEL", self._hash(collection, key), key))

    aput = twin(put)
    aput_many = twin(put_many)
    aget = twin(get)
    aget_all = twin(get_all)
    adelete = twin(delete)

    def _hash(self, collection: str, key: str) -> bytes:
        """The server's key of the hash that a key belongs to."""
        (checked,) = check_texts([key], "key")
        return self._numbered(collection, bucket_of(checked, BUCKETS))

    def _numbered(self, collection: str, number: int) -> bytes:
        (checked,) = check_texts([collection], "collection")
        return self._keyspace.key(f"{number}:{checked}")


def readable(stored: bytes, owner: str) -> dict[str, Any] | None:
    """The object that is stored; None, with a warning, if something else wrote it: its neighbors can be read all the same.

    Args:
        stored: by `dump`, normally.
        owner: how the warning names it.
    """
    try:
        return load(stored, owner)
    except ServerError as error:
        _log.warning("%s; it is left out", error.message)
        return None


def _encoded(collection: str, key: str, value: JsonObject) -> _Encoded:
    (checked,) = check_texts([key], "key")
    owner = _owner(collection, checked)
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{owner} is a {type(value).__name__}, not a dict")
    return checked, dump(value, owner)


def _owner(collection: str, key: str) -> str:
    return f"the value of {key!r} in collection {collection!r}"


def _setting(hash: bytes, items: Sequence[_Encoded]) -> list[Argument]:
    """The command that stores objects of one bucket."""
    command: list[Argument] = ["HSET", hash]
    for key, stored in items:
        command += [key, stored]
    return command


def bucket_of(name: str, buckets: int) -> int:
    """The number, from 0 on, of the bucket that a name belongs to; the same in every process."""
    return zlib.crc32(name.encode()) % buckets
