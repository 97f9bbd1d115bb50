"""`ValkeyDocumentStore`: LlamaIndex document store on Valkey, over `ValkeyKVStore`."""

from __future__ import annotations

import logging

from llama_index.core.constants import DATA_KEY
from llama_index.core.schema import BaseNode
from llama_index.core.storage.docstore.keyval_docstore import KVDocumentStore
from llama_index.core.storage.docstore.utils import json_to_doc

from llama_index.storage.kvstore.valkey import ValkeyKVStore
from llama_index.storage.kvstore.valkey.kvstore import DEFAULT_BATCH_SIZE
from valkey_vector import Connection

__all__ = ["ValkeyDocumentStore"]

_logger = logging.getLogger(__name__)


class ValkeyDocumentStore(KVDocumentStore):
    """Store documents, nodes, their hashes, and the nodes of each document.

    Args:
        kvstore: key-value store to use. None creates one from `url` or `connection`.
        url: server URL. Defaults to ``VALKEY_URL``, or a private server that ends with the process.
        connection: open connection to share instead of `url`.
        namespace: documents of different namespaces never mix.
        batch_size: documents per request.

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
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        store = ValkeyKVStore.chosen(kvstore, url=url, connection=connection)
        super().__init__(store, namespace=namespace, batch_size=batch_size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._kvstore!r}, namespace={self._namespace!r})"

    @property
    def docs(self) -> dict[str, BaseNode]:
        """All documents by id. An entry that LlamaIndex cannot load is omitted and logged as a warning."""
        found: dict[str, BaseNode] = {}
        for key, item in self._kvstore.get_all(collection=self._node_collection).items():
            if isinstance(item.get(DATA_KEY), str):
                continue  # an index structure: earlier versions stored them in the same collection
            try:
                found[key] = json_to_doc(item)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                _logger.warning("omitting document %r of %s: %s", key, self._namespace, error)
        return found
