"""`Collections`: named collections of JSON objects by key, the base of key-value and document stores.

A collection is stored in a fixed number of hashes, ``_collection:<namespace>:<number>:<collection>``. The checksum of a
key selects the hash. So a cluster distributes a collection over its nodes, and each command uses one server key. Only
dropping a namespace scans the keys of the server.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.errors import InvalidInputError, ServerError
from valkey_vector.records.metadata import dump, load
from valkey_vector.records.validation import check_k
from valkey_vector.storage.keyspace import Keyspace, check_texts, in_parts, succeeded

__all__ = ["Collections", "JsonObject", "Namespaced", "bucket_of", "readable"]

JsonObject: TypeAlias = Mapping[str, Any]
"""Dict with text keys. Values: None, booleans, numbers, texts, dates, and lists and dicts of them."""

BUCKETS = 64
"""Number of hashes of a collection. Part of the stored layout: with another number, stored objects are not found."""

_Encoded: TypeAlias = tuple[str, bytes]

_log = logging.getLogger("valkey_vector.stores.collections")

_PAGE = 512
"""Entries of a hash that the server scans in one step. Limits the time that one reply blocks the server."""


class Namespaced(Connected):
    """Base of stores whose keys all belong to one namespace.

    Args:
        namespace: any non-empty text. Different namespaces do not share data.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the store.

    Raises:
        ConfigurationError: the namespace is not non-empty text, or both `url` and `connection` are passed.
    """

    kind: ClassVar[str]
    """Prefix of the keys; see `Keyspace`."""

    def __init__(
        self,
        namespace: str,
        *,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        super().__init__(namespace, url=url, connection=connection)
        self._keyspace = Keyspace(self.kind, namespace)

    def drop(self) -> None:
        """Remove all data of the namespace. Scans all keys of the server."""
        self._keyspace.remove(self.connection)

    adrop = async_version(drop)


class Collections(Namespaced):
    """Store of JSON objects by collection and key. Each method has an async version with the prefix ``a``."""

    kind = "collection"

    def put(self, collection: str, key: str, value: JsonObject) -> None:
        """Store an object. Replaces the object with the same key. Cost: one round trip.

        Raises:
            InvalidInputError: the key is not text, or the object cannot be stored without loss.
        """
        hash = self._hash(collection, key)
        self.connection.execute(*_setting(hash, [_encoded(collection, key, value)]))

    def put_many(
        self, collection: str, items: Iterable[tuple[str, JsonObject]], *, batch_size: int = 500
    ) -> None:
        """Store objects. If a key occurs twice, the last object is stored.

        Args:
            collection: the collection to write to.
            items: pairs of key and object. Each batch is checked before it is sent.
            batch_size: maximum number of objects in one request, ≥ 1.

        Raises:
            InvalidInputError: as for `put`. If `items` is a list, nothing was stored.

        Cost: one round trip for each batch.

        Atomicity: each object is stored as a whole or not at all. A batch that fails can be stored in part.
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
        """Return the object of a key. Returns None if it does not exist. Cost: one round trip.

        Raises:
            ServerError: another program wrote the stored value.
        """
        stored = self.connection.execute("HGET", self._hash(collection, key), key, retry=True)
        return None if stored is None else load(stored, _owner(collection, key))

    def get_all(self, collection: str) -> dict[str, dict[str, Any]]:
        """Return all objects of a collection by key, in no particular order.

        The result may or may not contain objects that are written or removed during the call. An object that another
        program wrote is left out, and the log names its key in a warning.

        Cost: one round trip for each few ten thousand objects.
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
        """Remove an object. Returns True if it existed. Cost: one round trip."""
        return bool(self.connection.execute("HDEL", self._hash(collection, key), key))

    aput = async_version(put)
    aput_many = async_version(put_many)
    aget = async_version(get)
    aget_all = async_version(get_all)
    adelete = async_version(delete)

    def _hash(self, collection: str, key: str) -> bytes:
        """Return the server key of the hash that stores a key."""
        (checked,) = check_texts([key], "key")
        return self._numbered(collection, bucket_of(checked, BUCKETS))

    def _numbered(self, collection: str, number: int) -> bytes:
        (checked,) = check_texts([collection], "collection")
        return self._keyspace.key(f"{number}:{checked}")


def readable(stored: bytes, owner: str) -> dict[str, Any] | None:
    """Decode a stored object. Logs a warning and returns None if another program wrote it.

    Args:
        stored: bytes that `dump` wrote.
        owner: name of the object for the warning.
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
        raise InvalidInputError(f"{owner} must be a dict, not a {type(value).__name__}")
    return checked, dump(value, owner)


def _owner(collection: str, key: str) -> str:
    return f"the value of {key!r} in collection {collection!r}"


def _setting(hash: bytes, items: Sequence[_Encoded]) -> list[Argument]:
    """Return the command that stores objects of one bucket."""
    command: list[Argument] = ["HSET", hash]
    for key, stored in items:
        command += [key, stored]
    return command


def bucket_of(name: str, buckets: int) -> int:
    """Return the bucket number of a name, 0 to `buckets` - 1. It is the same in all processes."""
    return zlib.crc32(name.encode()) % buckets
