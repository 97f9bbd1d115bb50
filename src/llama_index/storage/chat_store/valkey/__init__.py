"""LlamaIndex chat store on Valkey: `ValkeyChatStore`."""

try:
    import llama_index.core  # noqa: F401 - only checks that it is installed
except ModuleNotFoundError as error:
    raise ImportError(
        'llama_index.storage.chat_store.valkey needs LlamaIndex: pip install "valkey-vector[llama-index]"'
    ) from error

from llama_index.core.storage.chat_store.loading import RECOGNIZED_CHAT_STORES

from llama_index.storage.chat_store.valkey.chat_store import ValkeyChatStore

__all__ = ["ValkeyChatStore"]

# `ChatMemoryBuffer.from_string` and `from_dict` look up the class of the chat store here.
RECOGNIZED_CHAT_STORES.setdefault(ValkeyChatStore.class_name(), ValkeyChatStore)  # type: ignore[arg-type]  # typed by its one entry
