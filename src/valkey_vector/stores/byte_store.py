"""`ByteStore`: key-value store of bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.errors import InvalidInputError, PartialWriteError, ServerError
from valkey_vector.storage.keyspace import Keyspace, check_texts, in_parts, lifetime, succeeded

__all__ = ["ByteStore"]


class ByteStore(Connected):
    """Key-value store of bytes. Any text is a valid key.

    Each method has an async version with the prefix ``a``. In a cluster the keys are distributed over all nodes.

    Args:
        namespace: any non-empty text. Stores with different namespaces do not share keys.
        ttl: time to live of a value in seconds, > 0. None: values do not expire.
        url: the server; see `Connected`.
        connection: an open connection to use instead. It is not closed with the store.

    Raises:
        ConfigurationError: the namespace is not valid, or both `url` and `connection` are passed.
        InvalidInputError: `ttl` is not a positive number.
    """

    def __init__(
        self,
        namespace: str = "default",
        *,
        ttl: float | None = None,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._keys = Keyspace("bytes", namespace)
        self._milliseconds = lifetime(ttl)
        super().__init__(namespace, url=url, connection=connection)

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of keys, in the same order. None for a key that is not stored.

        Cost: one round trip for each 1000 keys.
        """
        values: list[bytes | None] = []
        for part in in_parts(check_texts(keys, "key")):
            commands: list[list[Argument]] = [["GET", self._keys.key(key)] for key in part]
            values += succeeded(self._connection.pipeline(commands, retry=True))
        return values

    def mset(self, pairs: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> None:
        """Store values.

        Raises:
            InvalidInputError: `pairs` are not pairs, a key is not text, or a value is not bytes. Nothing was stored.
            PartialWriteError: the server refused some values. The error lists them.

        Cost: one round trip for each 1000 values or 4 MiB.

        Atomicity: each value is stored together with its time to live. Other values can be stored without it.
        """
        listed = _listed(pairs)
        check_texts([key for key, _ in listed], "key")
        for key, value in listed:
            if not isinstance(value, (bytes, bytearray, memoryview)):
                raise InvalidInputError(
                    f"the value of key {key!r} must be bytes, not a {type(value).__name__}"
                )
        ending = [] if self._milliseconds is None else ["PX", str(self._milliseconds)]
        refused: dict[str, Exception] = {}
        for part in in_parts(listed, weigh=lambda pair: len(pair[0]) + _bytes_of(pair[1])):
            replies = self._connection.pipeline(
                [["SET", self._keys.key(key), bytes(value), *ending] for key, value in part]
            )
            for (key, _), reply in zip(part, replies, strict=True):
                if isinstance(reply, ServerError):
                    refused[key] = reply
        if refused:
            raise PartialWriteError(len(listed) - len(refused), refused)

    def mdelete(self, keys: Sequence[str]) -> int:
        """Remove keys. Returns the number of keys that existed. An empty list removes nothing."""
        removed = 0
        for part in in_parts(dict.fromkeys(check_texts(keys, "key"))):
            commands: list[list[Argument]] = [["UNLINK", self._keys.key(key)] for key in part]
            removed += sum(succeeded(self._connection.pipeline(commands)))
        return removed

    def yield_keys(self, prefix: str | None = None) -> Iterator[str]:
        """Iterate over the keys with a prefix, each once, in no particular order.

        Returns every key that exists during the whole iteration. Does not block the server.

        Cost: the server scans all keys of its database.
        """
        for keys in self._scan(prefix):
            yield from map(self._keys.name, keys)

    async def ayield_keys(self, prefix: str | None = None) -> AsyncIterator[str]:
        """Async version of `yield_keys`."""
        batches = self._scan(prefix)
        while (keys := await offload(next, batches, None)) is not None:
            for key in keys:
                yield self._keys.name(key)

    def clear(self) -> int:
        """Remove all keys of this namespace and no other key. Returns their number."""
        return self._keys.remove(self._connection)

    amget = async_version(mget)
    amset = async_version(mset)
    amdelete = async_version(mdelete)
    aclear = async_version(clear)

    def _scan(self, prefix: str | None) -> Iterator[list[bytes]]:
        (checked,) = check_texts(["" if prefix is None else prefix], "prefix")
        return self._keys.scan(self._connection, checked)


def _bytes_of(value: bytes) -> int:
    return value.nbytes if isinstance(value, memoryview) else len(value)


def _listed(pairs: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise InvalidInputError(
            f"pairs must be a dict or (key, value) pairs, not a {type(pairs).__name__}"
        )
    listed = list(pairs.items() if isinstance(pairs, Mapping) else pairs)
    for pair in listed:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InvalidInputError(f"pairs must hold (key, value) pairs, not {pair!r}")
    return listed
