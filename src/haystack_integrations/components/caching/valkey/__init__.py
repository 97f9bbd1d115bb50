"""A semantic cache for Haystack's pipelines, on Valkey: `ValkeySemanticCache` and its two components."""

# First the store's package: it says what is missing or mixed up in the installation.
from haystack_integrations.document_stores import valkey as _store  # noqa: F401, I001
from haystack_integrations.components.caching.valkey.cache import ValkeySemanticCache
from haystack_integrations.components.caching.valkey.checker import ValkeySemanticCacheChecker
from haystack_integrations.components.caching.valkey.writer import ValkeySemanticCacheWriter

__all__ = ["ValkeySemanticCache", "ValkeySemanticCacheChecker", "ValkeySemanticCacheWriter"]
