"""`ValkeyIndexStore`: LlamaIndex index store on Valkey, over `ValkeyKVStore`."""

from __future__ import annotations

from llama_index.core.constants import DATA_KEY
from llama_index.core.data_structs.data_structs import IndexStruct
from llama_index.core.storage.index_store.keyval_index_store import (
    DEFAULT_COLLECTION_SUFFIX,
    KVIndexStore,
)

from llama_index.storage.kvstore.valkey import ValkeyKVStore
from valkey_vector import Connection
from valkey_vector.concurrency.threads import offload

__all__ = ["ValkeyIndexStore"]

_SUFFIX = "/index_structs"
"""Suffix of the namespace. LlamaIndex's default, ``/data``, is also the suffix of document stores."""

_MOVED = "/index_structs_moved"


class ValkeyIndexStore(KVIndexStore):
    """Store index structures, separately from a document store of the same namespace.

    On first use, copies structures that earlier versions stored with the documents of the namespace.

    Args:
        kvstore: key-value store to use. None creates one from `url` or `connection`.
        url: server URL. Defaults to ``VALKEY_URL``, or a private server that ends with the process.
        connection: open connection to share instead of `url`.
        namespace: structures of different namespaces never mix.

    Raises:
        ConfigurationError: if a setting is invalid (a ValueError).
    """

    def __init__(
        self,
        kvstore: ValkeyKVStore | None = None,
        *,
        url: str | None = None,
        connection: Connection | None = None,
        namespace: str | None = None,
    ) -> None:
        store = ValkeyKVStore.chosen(kvstore, url=url, connection=connection)
        super().__init__(store, namespace=namespace, collection_suffix=_SUFFIX)
        self._moved = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._kvstore!r}, namespace={self._namespace!r})"

    def delete_index_struct(self, key: str) -> None:
        """Remove a structure."""
        self._move()
        super().delete_index_struct(key)

    async def adelete_index_struct(self, key: str) -> None:
        """Async version of `delete_index_struct`."""
        await offload(self._move)
        await super().adelete_index_struct(key)

    def get_index_struct(self, struct_id: str | None = None) -> IndexStruct | None:
        """Return the structure with an id, or None. Without an id, return the only structure."""
        self._move()
        return super().get_index_struct(struct_id)

    async def aget_index_struct(self, struct_id: str | None = None) -> IndexStruct | None:
        """Async version of `get_index_struct`."""
        await offload(self._move)
        return await super().aget_index_struct(struct_id)

    def index_structs(self) -> list[IndexStruct]:
        """Return all structures of the namespace."""
        self._move()
        return super().index_structs()

    async def async_index_structs(self) -> list[IndexStruct]:
        """Async version of `index_structs`."""
        await offload(self._move)
        return await super().async_index_structs()

    def _move(self) -> None:
        """Copy the structures of earlier versions, once per namespace. One round trip if that is done."""
        if self._moved:
            return
        store, done = self._kvstore, f"{self._namespace}{_MOVED}"
        if store.get("done", collection=done) is None:
            earlier = store.get_all(collection=f"{self._namespace}{DEFAULT_COLLECTION_SUFFIX}")
            # The data of a structure is JSON text; the data of a document is a dict.
            structs = {
                key: item for key, item in earlier.items() if isinstance(item.get(DATA_KEY), str)
            }
            newer = store.get_all(collection=self._collection) if structs else {}
            for key, item in structs.items():
                if key not in newer:
                    store.put(key, item, collection=self._collection)
            store.put("done", {"copied": len(structs)}, collection=done)
        self._moved = True
