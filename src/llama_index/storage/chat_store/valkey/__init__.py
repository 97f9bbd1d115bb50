"""LlamaIndex's chat stores on Valkey: `ValkeyChatStore`."""

try:
    import llama_index.core  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(
        'llama_index.storage.chat_store.valkey needs LlamaIndex: pip install "valkey-vector[llama-index]"'
    ) from error

from llama_index.storage.chat_store.valkey.chat_store import ValkeyChatStore

__all__ = ["ValkeyChatStore"]
