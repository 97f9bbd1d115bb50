"""`ValkeyIndexStore`: LlamaIndex's index store over `ValkeyKVStore`."""

from __future__ import annotations

from llama_index.core.storage.index_store.keyval_index_store import KVIndexStore

from llama_index.storage.kvstore.valkey import ValkeyKVStore
from valkey_vector import Connection

__all__ = ["ValkeyIndexStore"]


class ValkeyIndexStore(KVIndexStore):
    """The structures of indexes on Valkey.

    Args:
        kvstore: where to keep them; None makes one, of the next two arguments.
        url: the server; without it ``VALKEY_URL``, or a private server.
        connection: an open connection to share instead.
        namespace: structures of different namespaces never mix.

    Raises:
        ConfigurationError: a setting is wrong (a ValueError).
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
        super().__init__(store, namespace=namespace)
