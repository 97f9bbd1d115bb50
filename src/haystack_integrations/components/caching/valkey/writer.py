"""`ValkeySemanticCacheWriter`: component that stores replies in the cache, placed after a generator."""

from __future__ import annotations

from typing import Any

from haystack import component
from haystack.dataclasses import ChatMessage

from haystack_integrations.components.caching.valkey.cache import ValkeySemanticCache
from haystack_integrations.components.caching.valkey.replies import as_messages, to_answer, tokens
from haystack_integrations.components.caching.valkey.sharing import SharesCache

__all__ = ["ValkeySemanticCacheWriter"]


@component
class ValkeySemanticCacheWriter(SharesCache):
    """Store the replies to a question, and return them.

    Args:
        cache: the cache, shared with the checker.
    """

    def __init__(self, cache: ValkeySemanticCache) -> None:
        self.cache = cache

    @component.output_types(replies=list[ChatMessage])
    def run(
        self,
        query: str,
        replies: list[ChatMessage] | list[str],
        scope: dict[str, Any] | None = None,
    ) -> dict[str, list[ChatMessage]]:
        """Store replies. An empty list is not stored.

        Args:
            query: the question, as passed to the checker.
            replies: replies of a chat generator. Texts become assistant messages.
            scope: the scope, as passed to the checker.

        Returns:
            ``replies``, as messages.

        Raises:
            InvalidInputError: if a reply cannot be stored as JSON, or is neither text nor a message (a ValueError).
        """
        messages = as_messages(replies)
        if messages:
            self.cache.core.store(query, to_answer(messages), scope, tokens=tokens(messages))
        return {"replies": messages}

    @component.output_types(replies=list[ChatMessage])
    async def run_async(
        self,
        query: str,
        replies: list[ChatMessage] | list[str],
        scope: dict[str, Any] | None = None,
    ) -> dict[str, list[ChatMessage]]:
        """Async version of `run`."""
        messages = as_messages(replies)
        if messages:
            await self.cache.core.astore(query, to_answer(messages), scope, tokens=tokens(messages))
        return {"replies": messages}
