"""`ValkeyRecordManager`: LangChain record manager on Valkey."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.indexing import RecordManager

from langchain_valkey.closing import Closing
from valkey_vector import Connection
from valkey_vector.stores import IndexedKeys

__all__ = ["ValkeyRecordManager"]


class ValkeyRecordManager(Closing, RecordManager):
    """Record which documents were indexed, when (by the server's clock), and from which source.

    Pass it to ``index(documents, record_manager, store, cleanup=…)`` with `ValkeyVectorStore`, `ValkeyDocumentIndex`
    or any other store. Several processes may index at the same time.

    Args:
        namespace: any non-empty text, usually the names of the store and its index. Namespaces never share records.
        url: server URL. Defaults to ``VALKEY_URL``, or a private server that ends with the process.
        connection: open connection to share instead of `url`. `close` does not close it.
    """

    def __init__(
        self,
        namespace: str,
        *,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        super().__init__(namespace)
        self._core: IndexedKeys = IndexedKeys(namespace, url=url, connection=connection)

    def create_schema(self) -> None:
        """Do nothing: the server needs no schema."""

    async def acreate_schema(self) -> None:
        """Do nothing: the server needs no schema."""

    def get_time(self) -> float:
        """Return the server's time in seconds, with microseconds. Each call returns a later time."""
        return self._core.time()

    async def aget_time(self) -> float:
        """Async version of `get_time`."""
        return await self._core.atime()

    def update(
        self,
        keys: Sequence[str],
        *,
        group_ids: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        """Record that documents were indexed now.

        Args:
            keys: ids of the documents.
            group_ids: source of each document. None removes the sources of these documents.
            time_at_least: raise if the server's clock has not reached this time, in seconds.

        Raises:
            InvalidInputError: if the lengths differ, or `time_at_least` is in the future.
        """
        self._core.update(keys, groups=group_ids, time_at_least=time_at_least)

    async def aupdate(
        self,
        keys: Sequence[str],
        *,
        group_ids: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        """Async version of `update`."""
        await self._core.aupdate(keys, groups=group_ids, time_at_least=time_at_least)

    def exists(self, keys: Sequence[str]) -> list[bool]:
        """Return True for each key that is recorded, in the order of the keys."""
        return self._core.exists(keys)

    async def aexists(self, keys: Sequence[str]) -> list[bool]:
        """Async version of `exists`."""
        return await self._core.aexists(keys)

    def list_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Return the recorded keys that match every condition.

        Args:
            before: last update before this time, exclusive, in seconds.
            after: last update after this time, exclusive, in seconds.
            group_ids: sources to match. An empty list matches nothing, because LangChain deletes the listed keys.
            limit: maximum number of keys, at least 1. None returns all.
        """
        return self._core.select(before=before, after=after, groups=group_ids, limit=limit)

    async def alist_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Async version of `list_keys`."""
        return await self._core.aselect(before=before, after=after, groups=group_ids, limit=limit)

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Remove the records of keys. Keys that are not recorded are ignored."""
        self._core.delete(keys)

    async def adelete_keys(self, keys: Sequence[str]) -> None:
        """Async version of `delete_keys`."""
        await self._core.adelete(keys)
