"""The public operations that have spans, by class."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from valkey_vector.attached.index import AttachedIndex
from valkey_vector.cache.embeddings import EmbeddingsCache
from valkey_vector.cache.exact import ExactCache
from valkey_vector.cache.semantic import SemanticCache
from valkey_vector.index.index import Index

__all__ = ["OPERATIONS"]

OPERATIONS: Mapping[type, tuple[str, ...]] = MappingProxyType(
    {
        Index: (
            "aggregate",
            "count",
            "create",
            "delete",
            "delete_all",
            "delete_by_filter",
            "drop",
            "explain",
            "facets",
            "get",
            "query",
            "repair",
            "search",
            "search_hybrid",
            "search_many",
            "search_mmr",
            "search_text",
            "select",
            "update_metadata",
            "upsert",
            "verify",
        ),
        AttachedIndex: ("aggregate", "count", "facets", "get", "search", "select"),
        SemanticCache: (
            "calibrate",
            "clear",
            "get_or_compute",
            "invalidate",
            "lookup",
            "lookup_many",
            "store",
        ),
        ExactCache: ("clear", "delete", "lookup", "store"),
        EmbeddingsCache: ("clear", "delete", "embed", "mget", "mset"),
    }
)
"""Class -> names of its operations. Each has an async version with the prefix ``a``."""
