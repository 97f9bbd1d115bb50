"""Haystack retrievers on Valkey: by embedding, by text, and hybrid."""

# The store's package comes first: its import checks the installation.
from haystack_integrations.document_stores import valkey as _store  # noqa: F401, I001 - it comes first: its import checks the installation
from haystack_integrations.components.retrievers.valkey.embedding_retriever import (
    ValkeyEmbeddingRetriever,
)
from haystack_integrations.components.retrievers.valkey.hybrid_retriever import (
    ValkeyHybridRetriever,
)
from haystack_integrations.components.retrievers.valkey.text_retriever import ValkeyTextRetriever

__all__ = ["ValkeyEmbeddingRetriever", "ValkeyHybridRetriever", "ValkeyTextRetriever"]
