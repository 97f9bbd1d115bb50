"""`ValkeySemanticCacheChecker`: the component before a generator, which answers what was answered before."""

from __future__ import annotations

from typing import Any

from haystack import component, default_from_dict, default_to_dict
from haystack.dataclasses import ChatMessage

from haystack_integrations.components.caching.valkey.cache import ValkeySemanticCache
from haystack_integrations.components.caching.valkey.replies import hit_details, to_replies
from valkey_vector.cache import CacheHit

__all__ = ["ValkeySemanticCacheChecker"]


@component
class ValkeySemanticCacheChecker:
    """Looks a question up. Either ``replies`` and ``hit`` come out, or ``query``: connect that to what makes the answer.

    Args:
        cache: where answers are kept; the same as the writer's.
    """

    def __init__(self, cache: ValkeySemanticCache) -> None:
        self.cache = cache

    def warm_up(self) -> None:
        """Load the embedder's model."""
        self.cache.warm_up()

    def to_dict(self) -> dict[str, Any]:
        """The component as a dict."""
        return default_to_dict(self, cache=self.cache)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ValkeySemanticCacheChecker:
        """The component that `to_dict` described."""
        return default_from_dict(cls, data)

    @component.output_types(replies=list[ChatMessage], hit=dict[str, Any], query=str)
    def run(self, query: str, scope: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look a question up.

        Args:
            query: what is asked, without what every prompt has in common.
            scope: over the cache's own: tenant, conversation, … An answer serves in the very same scope only.

        Returns:
            ``replies`` as they were written, and ``hit`` (``similarity``, ``exact``, ``query`` it was asked as, ``id``,
            ``stored_at``); or, if there is no answer, ``query``.
        """
        return _outcome(query, self.cache.core.lookup(query, scope))

    @component.output_types(replies=list[ChatMessage], hit=dict[str, Any], query=str)
    async def run_async(self, query: str, scope: dict[str, Any] | None = None) -> dict[str, Any]:
        """`run`, awaited."""
        return _outcome(query, await self.cache.core.alookup(query, scope))

    def close(self) -> None:
        """Let go of the server."""
        self.cache.close()


def _outcome(query: str, hit: CacheHit | None) -> dict[str, Any]:
    if hit is None:
        return {"query": query}
    return {"replies": to_replies(hit), "hit": hit_details(hit)}
