"""What a prompt asks: the text that is compared by meaning, and all the rest, which has to be the same.

A chat model gives its cache the JSON of the whole conversation. Embedded as it is, its boilerplate would make all
prompts alike. What the human asked is the text of the last human message; what stands before and after it (system
prompt, earlier turns, tool results, images) decides with it what the answer is, and is compared exactly.
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
    """A prompt, taken apart.

    Attributes:
        text: what the human asked.
        rest: a digest of everything else.
    """

    text: str
    rest: str


def question(prompt: str) -> Question:
    """What a prompt asks.

    Args:
        prompt: as LangChain gives it to a cache: of a chat model the JSON of its messages, which is read as data and
            makes no object; of any other model the text itself, all of which is then the question.
    """
    messages = _messages(prompt)
    if messages is None:
        return _asked(prompt, "", prompt)
    texts: list[str] = []
    emptied = list(messages)
    for number in reversed(range(len(messages))):
        if _is_human(messages[number]):
            emptied[number] = _without_texts(messages[number], texts)
            break
    text = "\n".join(texts)
    return _asked(text, _canonical(emptied), _canonical(messages))


def digest(text: str) -> str:
    """A short name for a text, the same everywhere."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def _asked(text: str, rest: str, whole: str) -> Question:
    """The question, or where there is no text that can be embedded one that only the same whole prompt has."""
    if text.strip() and is_unicode(text):
        return Question(text, digest(rest))
    return Question(_NO_TEXT, digest(whole))


def _messages(prompt: str) -> list[dict[str, Any]] | None:
    """The messages in a prompt, without what says nothing about the answer; None if it is no conversation."""
    try:
        listed = json.loads(prompt)
    except (ValueError, RecursionError):
        return None
    if not isinstance(listed, list) or not listed or not all(map(_is_message, listed)):
        return None
    for message in listed:
        # LangChain itself changes the usage of a message that comes from a cache, and counts nothing on it.
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
    """A copy of a message whose texts are taken out and put into the list."""
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
    """A block, marked with whether its text was taken out, so that no block is mistaken for one without."""
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
