"""`ValkeyByteStore`: LangChain's key-value store of bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from langchain_core.stores import BaseStore

from langchain_valkey.closing import Closing
from valkey_vector import Connection
from valkey_vector.stores import ByteStore

__all__ = ["ValkeyByteStore"]


class ValkeyByteStore(Closing, BaseStore[str, bytes]):
    """Bytes by key, such as the vectors of `CacheBackedEmbeddings` or the documents of a parent retriever.

    Any text is a key. Reading or writing many is one round trip (for each 1000).

    Args:
        namespace: stores of different namespaces never see each other's keys. Any non-empty text.
        ttl: seconds until what is stored is gone; None keeps it.
        url: the server; by default ``VALKEY_URL``, or a private server that is gone with the process.
        connection: an open connection to share instead; it is not closed with the store.
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
        """The values of keys, in that order; None for one that is not stored."""
        return self._core.mget(keys)

    async def amget(self, keys: Sequence[str]) -> list[bytes | None]:
        """`mget`, awaited."""
        return await self._core.amget(keys)

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """Store values, each atomically with its time to live."""
        self._core.mset(key_value_pairs)

    async def amset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """`mset`, awaited."""
        await self._core.amset(key_value_pairs)

    def mdelete(self, keys: Sequence[str]) -> None:
        """Remove keys; those that are not stored are no error."""
        self._core.mdelete(keys)

    async def amdelete(self, keys: Sequence[str]) -> None:
        """`mdelete`, awaited."""
        await self._core.amdelete(keys)

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """The keys that begin with a text, each once, in no order; found with SCAN."""
        yield from self._core.yield_keys(prefix)

    async def ayield_keys(self, *, prefix: str | None = None) -> AsyncIterator[str]:
        """`yield_keys`, awaited."""
        async for key in self._core.ayield_keys(prefix):
            yield key
