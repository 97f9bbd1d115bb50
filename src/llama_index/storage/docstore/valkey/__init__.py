"""LlamaIndex document store on Valkey: `ValkeyDocumentStore`."""

try:
    import llama_index.core  # noqa: F401 - only checks that it is installed
except ModuleNotFoundError as error:
    raise ImportError(
        'llama_index.storage.docstore.valkey needs LlamaIndex: pip install "valkey-vector[llama-index]"'
    ) from error

from llama_index.storage.docstore.valkey.docstore import ValkeyDocumentStore

__all__ = ["ValkeyDocumentStore"]
