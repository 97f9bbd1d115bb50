"""`ValkeySemanticCacheChecker`: the component before a generator, which answers what was answered before."""

from __future__ import annotations

import logging
from typing import Any

from haystack import component
from haystack.dataclasses import ChatMessage

from haystack_integrations.components.caching.valkey.cache import ValkeySemanticCache
from haystack_integrations.components.caching.valkey.replies import hit_details, to_replies
from haystack_integrations.components.caching.valkey.sharing import SharesCache
from valkey_vector import ServerError
from valkey_vector.cache import CacheHit

__all__ = ["ValkeySemanticCacheChecker"]

_logger = logging.getLogger(__name__)


@component
class ValkeySemanticCacheChecker(SharesCache):
    """Looks a question up. Either ``replies`` and ``hit`` come out, or ``query``: connect that to what makes the answer.

    Args:
        cache: where answers are kept; the same as the writer's.
    """

    def __init__(self, cache: ValkeySemanticCache) -> None:
        self.cache = cache

    @component.output_types(replies=list[ChatMessage], hit=dict[str, Any], query=str)
    def run(self, query: str, scope: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look a question up.

        Args:
            query: what is asked, without what every prompt has in common.
            scope: over the cache's own: tenant, conversation, … An answer serves in the very same scope only.

        Returns:
            ``replies`` as they were written, and ``hit`` (``similarity``, ``exact``, ``query`` it was asked as, ``id``,
            ``stored_at``); or, if there is no answer, ``query``. An entry that something else wrote is removed, with a
            warning, and counts as none.
        """
        hit = self.cache.core.lookup(query, scope)
        outcome = _outcome(query, hit)
        if hit is not None and "replies" not in outcome:
            try:
                self.cache.core.invalidate(id=hit.id)
            except ServerError as error:
                _unremoved(error)
        return outcome

    @component.output_types(replies=list[ChatMessage], hit=dict[str, Any], query=str)
    async def run_async(self, query: str, scope: dict[str, Any] | None = None) -> dict[str, Any]:
        """Async version of `run`."""
        hit = await self.cache.core.alookup(query, scope)
        outcome = _outcome(query, hit)
        if hit is not None and "replies" not in outcome:
            try:
                await self.cache.core.ainvalidate(id=hit.id)
            except ServerError as error:
                _unremoved(error)
        return outcome


def _outcome(query: str, hit: CacheHit | None) -> dict[str, Any]:
    if hit is None:
        return {"query": query}
    try:
        return {"replies": to_replies(hit), "hit": hit_details(hit)}
    except ValueError as error:
        _logger.warning("an entry of the cache cannot be used and is removed: %s", error)
        return {"query": query}


def _unremoved(error: ServerError) -> None:
    _logger.warning("the entry could not be removed: %s", error)
