"""`ValkeySemanticCacheWriter`: the component behind a generator, which keeps its replies."""

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
    """Keeps the replies to a question, and passes them on.

    Args:
        cache: where answers are kept; the same as the checker's.
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
        """Keep replies. None are kept if there are none.

        Args:
            query: what was asked, as the checker was given it.
            replies: of a chat generator; texts become messages of an assistant.
            scope: as the checker was given it.

        Returns:
            ``replies``, as messages.

        Raises:
            InvalidInputError: a reply holds what JSON cannot, or is neither text nor a message (a ValueError).
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
