"""LlamaIndex key-value store on Valkey: `ValkeyKVStore`."""

try:
    import llama_index.core  # noqa: F401 - only checks that it is installed
except ModuleNotFoundError as error:
    raise ImportError(
        'llama_index.storage.kvstore.valkey needs LlamaIndex: pip install "valkey-vector[llama-index]"'
    ) from error

from llama_index.storage.kvstore.valkey.kvstore import ValkeyKVStore

__all__ = ["ValkeyKVStore"]
