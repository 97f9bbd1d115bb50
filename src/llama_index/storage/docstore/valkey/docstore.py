"""`ValkeyDocumentStore`: LlamaIndex's document store over `ValkeyKVStore`."""

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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._kvstore!r}, namespace={self._namespace!r})"

    @property
    def docs(self) -> dict[str, BaseNode]:
        """All documents by id. One that LlamaIndex cannot make of what is stored is left out, with a warning in the log."""
        found: dict[str, BaseNode] = {}
        for key, item in self._kvstore.get_all(collection=self._node_collection).items():
            if isinstance(item.get(DATA_KEY), str):
                continue  # the structure of an index: earlier versions stored them in the same place
            try:
                found[key] = json_to_doc(item)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                _logger.warning("document %r of %s is left out: %s", key, self._namespace, error)
        return found
