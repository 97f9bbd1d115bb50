"""LangChain on Valkey: vector store, retriever, self-queries, caches, chat history, byte store, record manager, document index."""

try:
    import langchain_core  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(
        'langchain_valkey needs langchain-core: pip install "valkey-vector[langchain]"'
    ) from error

from langchain_valkey.byte_store import ValkeyByteStore
from langchain_valkey.caches import ValkeyCache, ValkeySemanticCache
from langchain_valkey.chat_history import ValkeyChatMessageHistory
from langchain_valkey.document_index import ValkeyDocumentIndex
from langchain_valkey.documents import PartialAddError
from langchain_valkey.record_manager import ValkeyRecordManager
from langchain_valkey.retriever import ValkeyRetriever
from langchain_valkey.translator import ValkeyTranslator
from langchain_valkey.vectorstore import ValkeyVectorStore

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
