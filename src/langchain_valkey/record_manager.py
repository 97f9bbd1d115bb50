"""`ValkeyRecordManager`: what LangChain's `index` remembers of the documents it wrote."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.indexing import RecordManager

from langchain_valkey.closing import Closing
from valkey_vector import Connection
from valkey_vector.stores import IndexedKeys

__all__ = ["ValkeyRecordManager"]


class ValkeyRecordManager(Closing, RecordManager):
    """Remembers which documents were indexed, when by the server's clock, and from which source.

    For ``index(documents, record_manager, store, cleanup=…)`` with `ValkeyVectorStore`, `ValkeyDocumentIndex` or any
    other store. Several processes may index at the same time.

    Args:
        namespace: usually names the store and its index. Any non-empty text; namespaces never meet.
        url: the server; by default ``VALKEY_URL``, or a private server that is gone with the process.
        connection: an open connection to share instead; it is not closed with this.
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
        """Nothing: the server needs no schema."""

    async def acreate_schema(self) -> None:
        """Nothing: the server needs no schema."""

    def get_time(self) -> float:
        """The server's time in seconds, exact to the microsecond; later than at any call before."""
        return self._core.time()

    async def aget_time(self) -> float:
        """`get_time`, awaited."""
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
            keys: their ids.
            group_ids: the source of each; without, they belong to none, also if they did before.
            time_at_least: refuse if the server's clock has not reached this time.

        Raises:
            InvalidInputError: not as many groups as keys, or `time_at_least` is in the future.
        """
        self._core.update(keys, groups=group_ids, time_at_least=time_at_least)

    async def aupdate(
        self,
        keys: Sequence[str],
        *,
        group_ids: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        """`update`, awaited."""
        await self._core.aupdate(keys, groups=group_ids, time_at_least=time_at_least)

    def exists(self, keys: Sequence[str]) -> list[bool]:
        """Whether each key is recorded, in the order of the keys."""
        return self._core.exists(keys)

    async def aexists(self, keys: Sequence[str]) -> list[bool]:
        """`exists`, awaited."""
        return await self._core.aexists(keys)

    def list_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """The recorded keys that fit.

        Args:
            before: last updated before this time, itself excluded.
            after: last updated after it, itself excluded.
            group_ids: of these sources. An empty list matches nothing: what it lists is about to be deleted.
            limit: at most so many, at least 1; None for all.
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
        """`list_keys`, awaited."""
        return await self._core.aselect(before=before, after=after, groups=group_ids, limit=limit)

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Forget keys; those that are not recorded are no error."""
        self._core.delete(keys)

    async def adelete_keys(self, keys: Sequence[str]) -> None:
        """`delete_keys`, awaited."""
        await self._core.adelete(keys)
