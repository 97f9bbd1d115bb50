"""`ByteStore`: bytes by key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.errors import InvalidInputError, PartialWriteError, ServerError
from valkey_vector.storage.keyspace import Keyspace, check_texts, in_parts, lifetime, succeeded

__all__ = ["ByteStore"]


class ByteStore(Connected):
    """Bytes under the keys of one namespace. Any text is a key, any text but the empty one a namespace.

    Every method has an asynchronous twin. Keys are spread over a cluster's nodes.

    Args:
        namespace: stores of different namespaces never see each other's keys.
        ttl: seconds until what is stored is gone; None keeps it.
        url: the server; see `Connected`.
        connection: an open one to share instead.

    Raises:
        ConfigurationError: the namespace is not acceptable, or both url and connection are given.
        InvalidInputError: `ttl` is no positive number.
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
        super().__init__(url=url, connection=connection)

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of keys, in that order; None for one that is not stored. One round trip for each 1000."""
        values: list[bytes | None] = []
        for part in in_parts(check_texts(keys, "key")):
            commands: list[list[Argument]] = [["GET", self._keys.key(key)] for key in part]
            values += succeeded(self._connection.pipeline(commands, retry=True))
        return values

    def mset(self, pairs: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> None:
        """Store values, each atomically with its time to live. One round trip for each 1000, or 4 MiB.

        Raises:
            InvalidInputError: these are no pairs, a key is no text, or a value no bytes. Nothing was stored.
            PartialWriteError: the server refused some; says which.
        """
        listed = _listed(pairs)
        check_texts([key for key, _ in listed], "key")
        for key, value in listed:
            if not isinstance(value, (bytes, bytearray, memoryview)):
                raise InvalidInputError(
                    f"the value of key {key!r} is a {type(value).__name__}, not bytes"
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
        """Remove keys; returns how many there were. An empty list removes nothing."""
        removed = 0
        for part in in_parts(dict.fromkeys(check_texts(keys, "key"))):
            commands: list[list[Argument]] = [["UNLINK", self._keys.key(key)] for key in part]
            removed += sum(succeeded(self._connection.pipeline(commands)))
        return removed

    def yield_keys(self, prefix: str | None = None) -> Iterator[str]:
        """The keys that begin with a text, each once, in no order; the server is not blocked meanwhile.

        A key that is there throughout is found. The server looks through all keys of its database.
        """
        for keys in self._scan(prefix):
            yield from map(self._keys.name, keys)

    async def ayield_keys(self, prefix: str | None = None) -> AsyncIterator[str]:
        """`yield_keys`, awaited."""
        batches = self._scan(prefix)
        while (keys := await offload(next, batches, None)) is not None:
            for key in keys:
                yield self._keys.name(key)

    def clear(self) -> int:
        """Remove every key of this namespace, and no other; returns how many there were."""
        return self._keys.remove(self._connection)

    amget = twin(mget)
    amset = twin(mset)
    amdelete = twin(mdelete)
    aclear = twin(clear)

    def _scan(self, prefix: str | None) -> Iterator[list[bytes]]:
        (checked,) = check_texts(["" if prefix is None else prefix], "prefix")
        return self._keys.scan(self._connection, checked)


def _bytes_of(value: bytes) -> int:
    return value.nbytes if isinstance(value, memoryview) else len(value)


def _listed(pairs: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise InvalidInputError(
            f"what to store must be a dict or pairs, not a {type(pairs).__name__}"
        )
    listed = list(pairs.items() if isinstance(pairs, Mapping) else pairs)
    for pair in listed:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InvalidInputError(f"what to store must be pairs of key and value, not {pair!r}")
    return listed
