"""LlamaIndex index store on Valkey: `ValkeyIndexStore`."""

try:
    import llama_index.core  # noqa: F401 - only checks that it is installed
except ModuleNotFoundError as error:
    raise ImportError(
        'llama_index.storage.index_store.valkey needs LlamaIndex: pip install "valkey-vector[llama-index]"'
    ) from error

from llama_index.storage.index_store.valkey.index_store import ValkeyIndexStore

__all__ = ["ValkeyIndexStore"]
