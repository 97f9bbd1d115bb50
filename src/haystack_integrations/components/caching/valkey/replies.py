"""Haystack's chat messages as the JSON of a cached answer, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from haystack.dataclasses import ChatMessage

from valkey_vector.cache import CacheHit

__all__ = ["as_messages", "hit_details", "to_answer", "to_replies", "tokens"]


def as_messages(replies: Sequence[ChatMessage | str]) -> list[ChatMessage]:
    """Replies as messages: a text is an assistant's."""
    return [
        ChatMessage.from_assistant(reply) if isinstance(reply, str) else reply for reply in replies
    ]


def to_answer(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Messages as JSON: tool calls, reasoning and metadata included."""
    return [message.to_dict() for message in messages]


def to_replies(hit: CacheHit) -> list[ChatMessage]:
    """The messages of an answer. Only messages are made of it, whatever somebody wrote there."""
    return [ChatMessage.from_dict(message) for message in hit.answer]


def hit_details(hit: CacheHit) -> dict[str, Any]:
    """What there is to know about a hit."""
    return {
        "id": hit.id,
        "query": hit.prompt,
        "similarity": hit.similarity,
        "exact": hit.exact,
        "stored_at": hit.stored_at.isoformat(),
    }


def tokens(messages: Sequence[ChatMessage]) -> int | None:
    """The tokens that the replies say they cost; None if they do not."""
    for message in messages:
        usage = message.meta.get("usage")
        total = usage.get("total_tokens") if isinstance(usage, dict) else None
        if isinstance(total, int):
            return total
    return None
