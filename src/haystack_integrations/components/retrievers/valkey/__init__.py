"""Haystack's retrievers on Valkey: `ValkeyEmbeddingRetriever`."""

# First the store's package: it says what is missing or mixed up in the installation.
from haystack_integrations.document_stores import valkey as _store  # noqa: F401, I001
from haystack_integrations.components.retrievers.valkey.embedding_retriever import (
    ValkeyEmbeddingRetriever,
)

__all__ = ["ValkeyEmbeddingRetriever"]
