"""Conversion between Haystack's chat messages and the JSON of a cached answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from haystack.dataclasses import ChatMessage

from valkey_vector import InvalidInputError
from valkey_vector.cache import CacheHit

__all__ = ["as_messages", "hit_details", "to_answer", "to_replies", "tokens"]

# Errors that Haystack raises on JSON that is not a message.
_MALFORMED = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def as_messages(replies: Sequence[ChatMessage | str]) -> list[ChatMessage]:
    """Convert replies to messages. A text becomes an assistant message.

    Raises:
        InvalidInputError: if a reply is neither text nor a message.
    """
    for reply in replies:
        if not isinstance(reply, str | ChatMessage):
            raise InvalidInputError(f"a reply must be text or a ChatMessage, not {reply!r}")
    return [
        ChatMessage.from_assistant(reply) if isinstance(reply, str) else reply for reply in replies
    ]


def to_answer(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Serialize messages to JSON, including tool calls, reasoning and metadata."""
    return [message.to_dict() for message in messages]


def to_replies(hit: CacheHit) -> list[ChatMessage]:
    """Load the messages of an answer. No other class is created.

    Raises:
        ValueError: if the entry does not contain messages.
    """
    if not isinstance(hit.answer, list) or not hit.answer:
        raise ValueError("the entry does not contain a list of messages")
    try:
        return [ChatMessage.from_dict(message) for message in hit.answer]
    except _MALFORMED as error:
        raise ValueError(f"the entry contains an invalid message: {error!r}") from error


def hit_details(hit: CacheHit) -> dict[str, Any]:
    """Return the details of a hit as JSON values."""
    return {
        "id": hit.id,
        "query": hit.prompt,
        "similarity": hit.similarity,
        "exact": hit.exact,
        "stored_at": hit.stored_at.isoformat(),
    }


def tokens(messages: Sequence[ChatMessage]) -> int | None:
    """Return the total tokens that the replies report, or None."""
    for message in messages:
        usage = message.meta.get("usage")
        total = usage.get("total_tokens") if isinstance(usage, dict) else None
        if isinstance(total, int):
            return total
    return None
