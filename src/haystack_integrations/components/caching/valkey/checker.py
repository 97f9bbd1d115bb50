"""`ValkeySemanticCacheChecker`: component that answers from the cache, placed before a generator."""

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
    """Look up a question in the cache.

    The outputs are ``replies`` and ``hit`` for a hit, or ``query`` for a miss. Connect ``query`` to the components that
    generate the answer.

    Args:
        cache: the cache, shared with the writer.
    """

    def __init__(self, cache: ValkeySemanticCache) -> None:
        self.cache = cache

    @component.output_types(replies=list[ChatMessage], hit=dict[str, Any], query=str)
    def run(self, query: str, scope: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look up a question.

        Args:
            query: the question, without the boilerplate that all prompts share.
            scope: JSON values that must be equal for a hit, in addition to those of the cache.

        Returns:
            For a hit: ``replies`` as they were stored, and ``hit`` (``similarity``, ``exact``, ``query`` of the stored
            question, ``id``, ``stored_at``). For a miss: ``query``. An unreadable entry is removed, logged, and counts as a
            miss.
        """
        hit = self.cache.core.lookup(query, scope)
        outcome = _outcome(query, hit)
        if hit is not None and "replies" not in outcome:
            try:
                self.cache.core.invalidate(id=hit.id)
            except ServerError as error:
                _log_unremoved(error)
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
                _log_unremoved(error)
        return outcome


def _outcome(query: str, hit: CacheHit | None) -> dict[str, Any]:
    if hit is None:
        return {"query": query}
    try:
        return {"replies": to_replies(hit), "hit": hit_details(hit)}
    except ValueError as error:
        _logger.warning("removing an unreadable entry of the cache: %s", error)
        return {"query": query}


def _log_unremoved(error: ServerError) -> None:
    _logger.warning("cannot remove the entry: %s", error)
