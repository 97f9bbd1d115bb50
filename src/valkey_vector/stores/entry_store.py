"""`EntryStore`: bytes by namespace and key with a time to live for each entry, such as cached results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.storage.keyspace import Keyspace, check_texts, in_parts, lifetime, succeeded
from valkey_vector.stores.item_records import ItemName, Namespace, encode_namespace

__all__ = ["EntryStore"]


class EntryStore(Connected):
    """Store of bytes by namespace and key. Any texts are valid labels and keys.

    Each method has an async version with the prefix ``a``. In a cluster the keys are distributed over all nodes.

    Args:
        name: any non-empty text. Stores with different names do not share entries.
        url: the server; see `Connected`.
        connection: an open connection to use instead. It is not closed with the store.

    Raises:
        ConfigurationError: the name is not valid, or both `url` and `connection` are passed.
    """

    def __init__(
        self,
        name: str = "default",
        *,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._keyspace = Keyspace("entry", name)
        super().__init__(name, url=url, connection=connection)

    def get(self, names: Sequence[ItemName]) -> dict[ItemName, bytes]:
        """Return the entries that exist, by name. Cost: one round trip for each 1000 names."""
        found: dict[ItemName, bytes] = {}
        for part in in_parts(dict.fromkeys(names)):
            commands: list[list[Argument]] = [["GET", self._key(name)] for name in part]
            replies = succeeded(self._connection.pipeline(commands, retry=True))
            pairs = zip(part, replies, strict=True)
            found.update((name, value) for name, value in pairs if value is not None)
        return found

    def put(self, entries: Mapping[ItemName, tuple[bytes, float | None]]) -> None:
        """Store entries. Cost: one round trip for each 1000.

        Args:
            entries: for each name, its value and its time to live in seconds, > 0, or None to never expire.

        Raises:
            InvalidInputError: a name is not text, or a time to live is not a positive number. Nothing was stored.
        """
        commands: list[list[Argument]] = []
        for name, (value, ttl) in entries.items():
            milliseconds = lifetime(ttl)
            ending = [] if milliseconds is None else ["PX", str(milliseconds)]
            commands.append(["SET", self._key(name), value, *ending])
        for part in in_parts(commands):
            succeeded(self._connection.pipeline(part))

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Remove the entries of namespaces, but not of namespaces below them. Scans all keys of the server.

        Args:
            namespaces: the namespaces to clear. None: all.
        """
        if namespaces is None:
            self._keyspace.remove(self._connection)
            return
        for namespace in namespaces:
            self._keyspace.remove(self._connection, _prefix(namespace))

    aget = async_version(get)
    aput = async_version(put)
    aclear = async_version(clear)

    def _key(self, name: ItemName) -> bytes:
        namespace, key = name
        (checked,) = check_texts([key], "key")
        return self._keyspace.key(_prefix(namespace) + checked)


def _prefix(namespace: Namespace) -> str:
    """Return the key prefix that only the entries of a namespace have."""
    return encode_namespace(namespace).decode() + "\1"
