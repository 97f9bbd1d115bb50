"""Haystack's chat messages as the JSON of a cached answer, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from haystack.dataclasses import ChatMessage

from valkey_vector import InvalidInputError
from valkey_vector.cache import CacheHit

__all__ = ["as_messages", "hit_details", "to_answer", "to_replies", "tokens"]

# What Haystack raises where the JSON is not that of a message.
_MALFORMED = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def as_messages(replies: Sequence[ChatMessage | str]) -> list[ChatMessage]:
    """Replies as messages: a text is an assistant's.

    Raises:
        InvalidInputError: a reply is neither text nor a message.
    """
    for reply in replies:
        if not isinstance(reply, str | ChatMessage):
            raise InvalidInputError(f"a reply must be text or a ChatMessage, not {reply!r}")
    return [
        ChatMessage.from_assistant(reply) if isinstance(reply, str) else reply for reply in replies
    ]


def to_answer(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Messages as JSON: tool calls, reasoning and metadata included."""
    return [message.to_dict() for message in messages]


def to_replies(hit: CacheHit) -> list[ChatMessage]:
    """The messages of an answer. Only messages are made of it, whatever somebody wrote there.

    Raises:
        ValueError: no messages were written there.
    """
    if not isinstance(hit.answer, list) or not hit.answer:
        raise ValueError("the entry holds no list of messages")
    try:
        return [ChatMessage.from_dict(message) for message in hit.answer]
    except _MALFORMED as error:
        raise ValueError(f"the entry holds no message: {error!r}") from error


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
