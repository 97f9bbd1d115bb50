"""LangChain adapter: vector store, retrievers, caches, chat history, byte store, record manager, document index."""

from typing import TYPE_CHECKING

from valkey_vector.concurrency.deferred_imports import deferred

try:
    import langchain_core  # noqa: F401 - only checks that it is installed
except ModuleNotFoundError as error:
    raise ImportError(
        'langchain_valkey needs langchain-core: pip install "valkey-vector[langchain]"'
    ) from error

if TYPE_CHECKING:
    from langchain_valkey.byte_store import ValkeyByteStore
    from langchain_valkey.caches import ValkeyCache, ValkeySemanticCache
    from langchain_valkey.chat_history import ValkeyChatMessageHistory
    from langchain_valkey.document_index import ValkeyDocumentIndex
    from langchain_valkey.documents import PartialAddError
    from langchain_valkey.record_manager import ValkeyRecordManager
    from langchain_valkey.retriever import ValkeyRetriever
    from langchain_valkey.translator import ValkeyTranslator
    from langchain_valkey.vectorstore import ValkeyVectorStore
else:
    __getattr__, __dir__ = deferred(
        __name__,
        {
            "langchain_valkey.byte_store": ["ValkeyByteStore"],
            "langchain_valkey.caches": ["ValkeyCache", "ValkeySemanticCache"],
            "langchain_valkey.chat_history": ["ValkeyChatMessageHistory"],
            "langchain_valkey.document_index": ["ValkeyDocumentIndex"],
            "langchain_valkey.documents": ["PartialAddError"],
            "langchain_valkey.record_manager": ["ValkeyRecordManager"],
            "langchain_valkey.retriever": ["ValkeyRetriever"],
            "langchain_valkey.translator": ["ValkeyTranslator"],
            "langchain_valkey.vectorstore": ["ValkeyVectorStore"],
        },
    )

__all__ = [
    "PartialAddError",
    "ValkeyByteStore",
    "ValkeyCache",
    "ValkeyChatMessageHistory",
    "ValkeyDocumentIndex",
    "ValkeyRecordManager",
    "ValkeyRetriever",
    "ValkeySemanticCache",
    "ValkeyTranslator",
    "ValkeyVectorStore",
]
