"""`ValkeyDocumentStore`: LlamaIndex's document store over `ValkeyKVStore`."""

from __future__ import annotations

from llama_index.core.storage.docstore.keyval_docstore import KVDocumentStore

from llama_index.storage.kvstore.valkey import ValkeyKVStore
from llama_index.storage.kvstore.valkey.kvstore import DEFAULT_BATCH_SIZE
from valkey_vector import Connection

__all__ = ["ValkeyDocumentStore"]


class ValkeyDocumentStore(KVDocumentStore):
    """Documents and nodes, their hashes, and which nodes are of which document, on Valkey.

    Args:
        kvstore: where to keep them; None makes one, of the next two arguments.
        url: the server; without it ``VALKEY_URL``, or a private server.
        connection: an open connection to share instead.
        namespace: documents of different namespaces never mix.
        batch_size: documents in one request.

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
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        store = ValkeyKVStore.chosen(kvstore, url=url, connection=connection)
        super().__init__(store, namespace=namespace, batch_size=batch_size)
