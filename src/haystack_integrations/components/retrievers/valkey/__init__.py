"""Haystack's retrievers on Valkey: `ValkeyEmbeddingRetriever`."""

from haystack_integrations.components.retrievers.valkey.embedding_retriever import (
    ValkeyEmbeddingRetriever,
)

__all__ = ["ValkeyEmbeddingRetriever"]
