"""Semantic cache for Haystack pipelines on Valkey: `ValkeySemanticCache` and its two components."""

# The store's package comes first: its import checks the installation.
from haystack_integrations.document_stores import valkey as _store  # noqa: F401, I001 - it comes first: its import checks the installation
from haystack_integrations.components.caching.valkey.cache import ValkeySemanticCache
from haystack_integrations.components.caching.valkey.checker import ValkeySemanticCacheChecker
from haystack_integrations.components.caching.valkey.writer import ValkeySemanticCacheWriter

__all__ = ["ValkeySemanticCache", "ValkeySemanticCacheChecker", "ValkeySemanticCacheWriter"]
