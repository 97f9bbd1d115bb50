"""`ValkeyByteStore`: LangChain byte store on Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from langchain_core.stores import BaseStore

from langchain_valkey.closing import Closing
from valkey_vector import Connection
from valkey_vector.stores import ByteStore

__all__ = ["ValkeyByteStore"]


class ValkeyByteStore(Closing, BaseStore[str, bytes]):
    """Store bytes by key, for `CacheBackedEmbeddings`, `ParentDocumentRetriever` and the like.

    A key is any text. Cost: one round trip per 1000 keys.

    Args:
        namespace: any non-empty text. Stores of different namespaces never share keys.
        ttl: time to live of each value in seconds. None stores without expiration.
        url: server URL. Defaults to ``VALKEY_URL``, or a private server that ends with the process.
        connection: open connection to share instead of `url`. `close` does not close it.
    """

    def __init__(
        self,
        namespace: str = "langchain",
        *,
        ttl: float | None = None,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._core: ByteStore = ByteStore(namespace, ttl=ttl, url=url, connection=connection)

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values in the order of the keys, with None for a key that is not stored."""
        return self._core.mget(keys)

    async def amget(self, keys: Sequence[str]) -> list[bytes | None]:
        """Async version of `mget`."""
        return await self._core.amget(keys)

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """Store values. Each value and its TTL are written atomically."""
        self._core.mset(key_value_pairs)

    async def amset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """Async version of `mset`."""
        await self._core.amset(key_value_pairs)

    def mdelete(self, keys: Sequence[str]) -> None:
        """Remove keys. Keys that are not stored are ignored."""
        self._core.mdelete(keys)

    async def amdelete(self, keys: Sequence[str]) -> None:
        """Async version of `mdelete`."""
        await self._core.amdelete(keys)

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """Iterate over the keys with a prefix, each once, in no particular order. Scans all keys of the server."""
        yield from self._core.yield_keys(prefix)

    async def ayield_keys(self, *, prefix: str | None = None) -> AsyncIterator[str]:
        """Async version of `yield_keys`."""
        async for key in self._core.ayield_keys(prefix):
            yield key
