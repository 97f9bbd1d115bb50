"""Semantic cache for LlamaIndex on Valkey: `CachedQueryEngine`, `CachedLLM` and `QueryEmbedder`."""

try:
    import llama_index.core  # noqa: F401 - only checks that it is installed
except ModuleNotFoundError as error:
    raise ImportError(
        'llama_index.storage.cache.valkey needs LlamaIndex: pip install "valkey-vector[llama-index]"'
    ) from error

from llama_index.storage.cache.valkey.embedder import QueryEmbedder
from llama_index.storage.cache.valkey.llm import CachedLLM
from llama_index.storage.cache.valkey.query_engine import CachedQueryEngine

__all__ = ["CachedLLM", "CachedQueryEngine", "QueryEmbedder"]
