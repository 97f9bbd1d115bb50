"""What the checker and the writer have in common: the cache they share, written down and loaded with them."""

from __future__ import annotations

from typing import Any, Self

from haystack import default_from_dict, default_to_dict

from haystack_integrations.components.caching.valkey.cache import ValkeySemanticCache

__all__ = ["SharesCache"]


class SharesCache:
    """A component over a cache."""

    cache: ValkeySemanticCache

    def warm_up(self) -> None:
        """Load the embedder's model."""
        self.cache.warm_up()

    def to_dict(self) -> dict[str, Any]:
        """The component as a dict."""
        return default_to_dict(self, cache=self.cache)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The component that `to_dict` described."""
        return default_from_dict(cls, data)

    def close(self) -> None:
        """Let go of the server."""
        self.cache.close()

    async def close_async(self) -> None:
        """Async version of `close`."""
        await self.cache.close_async()
