"""`SharesCache`: shared cache and serialization of the checker and the writer."""

from __future__ import annotations

from typing import Any, Self

from haystack import default_from_dict, default_to_dict

from haystack_integrations.components.caching.valkey.cache import ValkeySemanticCache

__all__ = ["SharesCache"]


class SharesCache:
    """Base of the components that share a cache."""

    cache: ValkeySemanticCache

    def warm_up(self) -> None:
        """Load the embedder's model."""
        self.cache.warm_up()

    def to_dict(self) -> dict[str, Any]:
        """Serialize the component to a dict."""
        return default_to_dict(self, cache=self.cache)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Create a component from the dict of `to_dict`."""
        return default_from_dict(cls, data)

    def close(self) -> None:
        """Close the connection of the cache."""
        self.cache.close()

    async def close_async(self) -> None:
        """Async version of `close`."""
        await self.cache.close_async()
