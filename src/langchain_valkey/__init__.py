"""LangChain on Valkey: `ValkeyVectorStore`, `ValkeyRetriever`, and `ValkeyTranslator` for self-queries."""

try:
    import langchain_core  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(
        'langchain_valkey needs langchain-core: pip install "valkey-vector[langchain]"'
    ) from error

from langchain_valkey.documents import PartialAddError
from langchain_valkey.retriever import ValkeyRetriever
from langchain_valkey.translator import ValkeyTranslator
from langchain_valkey.vectorstore import ValkeyVectorStore

__all__ = ["PartialAddError", "ValkeyRetriever", "ValkeyTranslator", "ValkeyVectorStore"]
