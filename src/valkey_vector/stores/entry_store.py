"""`EntryStore`: bytes by namespace and key, each with a time to live of its own, such as results to be used again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.storage.keyspace import Keyspace, check_texts, in_parts, lifetime, succeeded
from valkey_vector.stores.item_records import ItemName, Namespace, encode_namespace

__all__ = ["EntryStore"]


class EntryStore(Connected):
    """Bytes by namespace and key. Any texts are labels and keys. Keys are spread over the nodes of a cluster.

    Every method has an async version named with a leading ``a``.

    Args:
        name: stores of different names never see each other's entries; any non-empty text.
        url: the server; see `Connected`.
        connection: an open one to share instead.

    Raises:
        ConfigurationError: the name is not acceptable, or both url and connection are given.
    """

    def __init__(
        self,
        name: str = "default",
        *,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._keyspace = Keyspace("entry", name)
        super().__init__(url=url, connection=connection)

    def get(self, names: Sequence[ItemName]) -> dict[ItemName, bytes]:
        """The entries that exist, by name. One round trip for each 1000."""
        found: dict[ItemName, bytes] = {}
        for part in in_parts(dict.fromkeys(names)):
            commands: list[list[Argument]] = [["GET", self._key(name)] for name in part]
            replies = succeeded(self._connection.pipeline(commands, retry=True))
            pairs = zip(part, replies, strict=True)
            found.update((name, value) for name, value in pairs if value is not None)
        return found

    def put(self, entries: Mapping[ItemName, tuple[bytes, float | None]]) -> None:
        """Store entries, each with the seconds until it expires, or None to keep it. One round trip for each 1000.

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
        """Remove the entries of namespaces, and of none below them; or all. Looks through all keys of the server.

        Args:
            namespaces: which; None for all.
        """
        if namespaces is None:
            self._keyspace.remove(self._connection)
            return
        for namespace in namespaces:
            self._keyspace.remove(self._connection, _prefix(namespace))

    aget = twin(get)
    aput = twin(put)
    aclear = twin(clear)

    def _key(self, name: ItemName) -> bytes:
        namespace, key = name
        (checked,) = check_texts([key], "key")
        return self._keyspace.key(_prefix(namespace) + checked)


def _prefix(namespace: Namespace) -> str:
    """What the entries of a namespace begin with, and no others."""
    return encode_namespace(namespace).decode() + "\1"
