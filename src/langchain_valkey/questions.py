"""Parsing of prompts into the question, which is compared by similarity, and the rest, which must be equal.

A chat model passes the JSON of the whole conversation to its cache. If all of it were embedded, the boilerplate would
make all prompts similar. The question is the text of the last human message. Everything else (system prompt, other
turns, tool results, images) also determines the answer, so it is compared exactly.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from valkey_vector.records.tokens import is_unicode

__all__ = ["Question", "digest", "question"]

_NO_TEXT = "(no text)"
_HUMAN = {"human", "HumanMessageChunk"}
_HUMAN_ROLES = {"human", "user"}


@dataclass(frozen=True, slots=True)
class Question:
    """A parsed prompt.

    Attributes:
        text: the question of the human.
        rest: digest of everything else.
    """

    text: str
    rest: str


def question(prompt: str) -> Question:
    """Parse a prompt.

    Args:
        prompt: prompt as LangChain passes it to a cache. For a chat model, it is the JSON of the messages, which is
            read as data without creating objects. For any other model, the whole text is the question.
    """
    messages = _messages(prompt)
    if messages is None:
        return _question(prompt, "", prompt)
    texts: list[str] = []
    emptied = list(messages)
    for number in reversed(range(len(messages))):
        if _is_human(messages[number]):
            emptied[number] = _without_texts(messages[number], texts)
            break
    text = "\n".join(texts)
    return _question(text, _canonical(emptied), _canonical(messages))


def digest(text: str) -> str:
    """Return a short digest of a text, equal in every process."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def _question(text: str, rest: str, whole: str) -> Question:
    """Return the question. Without text that can be embedded, `rest` covers the whole prompt."""
    if text.strip() and is_unicode(text):
        return Question(text, digest(rest))
    return Question(_NO_TEXT, digest(whole))


def _messages(prompt: str) -> list[dict[str, Any]] | None:
    """Return the messages of a prompt, without their token usage, or None if it is not a conversation."""
    try:
        listed = json.loads(prompt)
    except (ValueError, RecursionError):
        return None
    if not isinstance(listed, list) or not listed or not all(map(_is_message, listed)):
        return None
    for message in listed:
        # LangChain changes the usage of a message that comes from a cache, so it is not compared.
        message["kwargs"].pop("usage_metadata", None)
    return listed


def _is_message(item: Any) -> bool:
    match item:
        case {"lc": 1, "type": "constructor", "id": [*_, str()], "kwargs": {"type": str()}}:
            return True
    return False


def _is_human(message: dict[str, Any]) -> bool:
    kwargs = message["kwargs"]
    return kwargs["type"] in _HUMAN or (
        kwargs["type"] in {"chat", "ChatMessageChunk"} and kwargs.get("role") in _HUMAN_ROLES
    )


def _without_texts(message: dict[str, Any], texts: list[str]) -> dict[str, Any]:
    """Return a copy of a message without its texts. Append the texts to the list."""
    kwargs = message["kwargs"]
    return {**message, "kwargs": {**kwargs, "content": _emptied(kwargs.get("content"), texts)}}


def _emptied(content: Any, texts: list[str]) -> Any:
    match content:
        case str():
            return _emptied_block(content, texts)
        case list():
            return ["list", *(_emptied_block(block, texts) for block in content)]
    return ["other", content]


def _emptied_block(block: Any, texts: list[str]) -> list[Any]:
    """Return a block without its text, tagged so that it differs from a block that had none."""
    match block:
        case str():
            texts.append(block)
            return ["text"]
        case {"type": "text", "text": str(text)}:
            texts.append(text)
            return ["text block", {key: value for key, value in block.items() if key != "text"}]
    return ["block", block]


def _canonical(messages: list[dict[str, Any]]) -> str:
    return json.dumps(messages, sort_keys=True)
