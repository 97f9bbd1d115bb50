"""LlamaIndex vector store on Valkey: `ValkeyVectorStore`."""

try:
    import llama_index.core  # noqa: F401 - only checks that it is installed
except ModuleNotFoundError as error:
    raise ImportError(
        'llama_index.vector_stores.valkey needs LlamaIndex: pip install "valkey-vector[llama-index]"'
    ) from error

from llama_index.vector_stores.valkey.vector_store import ValkeyVectorStore

__all__ = ["ValkeyVectorStore"]
