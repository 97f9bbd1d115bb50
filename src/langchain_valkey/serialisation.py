"""Messages and generations as JSON, and back: only classes of a fixed list are ever made.

What lies on a server may have been put there by somebody else. LangChain's loader makes whatever class the JSON
names, with whatever arguments (a chat model with another ``base_url``, say), unless it is told which ones it may. Here
these are messages, generations and documents: data, whose constructors do nothing but check it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from langchain_core.documents import Document
from langchain_core.load import dumpd, load
from langchain_core.load.serializable import Serializable
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
)
from pydantic import BaseModel

from valkey_vector import InvalidInputError, ServerError
from valkey_vector.records.plain_values import plain_moment

__all__ = ["dump_generations", "dump_message", "load_generations", "load_message"]

_T = TypeVar("_T", BaseMessage, Generation)

_MESSAGES: tuple[type[Serializable], ...] = (
    AIMessage, AIMessageChunk, ChatMessage, ChatMessageChunk, FunctionMessage, FunctionMessageChunk, HumanMessage,
    HumanMessageChunk, RemoveMessage, SystemMessage, SystemMessageChunk, ToolMessage, ToolMessageChunk,
)  # fmt: skip
_ALLOWED: tuple[type[Serializable], ...] = (
    *_MESSAGES,
    ChatGeneration,
    ChatGenerationChunk,
    Document,
    Generation,
    GenerationChunk,
)

# How dates are written, which JSON lacks; a dict of one such key that is somebody's own is written under the third.
_DATE, _DATETIME, _OWN = "__valkey_date__", "__valkey_datetime__", "__valkey_own__"

# What the loader raises where the JSON is not what it should be.
_MALFORMED = (
    ArithmeticError, AttributeError, ImportError, LookupError, NotImplementedError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip

with warnings.catch_warnings():
    # The loader says once, at its first call, that it is in beta.
    warnings.simplefilter("ignore")
    load([], allowed_objects=[])


def dump_message(message: BaseMessage) -> bytes:
    """A message as JSON, complete.

    Raises:
        InvalidInputError: it is no message, or holds what would not come back.
    """
    if not isinstance(message, BaseMessage):
        raise InvalidInputError(f"a message must be a BaseMessage, not a {type(message).__name__}")
    return json.dumps(_dumped(message, BaseMessage)).encode()


def load_message(data: bytes) -> BaseMessage:
    """The message in JSON that `dump_message` made.

    Raises:
        ServerError: it is something else; nothing was made of it.
    """
    try:
        return _loaded(_parsed(data), BaseMessage)
    except _MALFORMED as error:
        raise ServerError(f"a stored message cannot be loaded: {error}") from error


def dump_generations(generations: Sequence[Generation]) -> bytes:
    """Generations as JSON, complete: messages with tool calls, usage and whatever else they hold.

    Raises:
        InvalidInputError: one holds what would not come back.
    """
    # One by one: so LangChain turns a parsed Pydantic object in a message into the dict it was parsed from.
    return json.dumps([_dumped(generation, Generation) for generation in generations]).encode()


def load_generations(data: object) -> list[Generation]:
    """New objects of what is in JSON that `dump_generations` made.

    Raises:
        ServerError: it is something else; nothing was made of it.
    """
    try:
        if not isinstance(data, bytes):
            raise TypeError(f"a {type(data).__name__} is not bytes")
        listed = _parsed(data)
        if not isinstance(listed, list):
            raise TypeError(f"a {type(listed).__name__} is no list of generations")
        return [_loaded(one, Generation) for one in listed]
    except _MALFORMED as error:
        raise ServerError(f"a cached answer cannot be loaded: {error}") from error


def _dumped(item: _T, kind: type[_T]) -> Any:
    try:
        dumped = dumpd(_tagged(item))
        _loaded(_parsed(json.dumps(dumped)), kind)
    except _MALFORMED as error:
        raise InvalidInputError(
            f"a {type(item).__name__} holds something that cannot be stored: {error}"
        ) from error
    return dumped


def _loaded(dumped: Any, kind: type[_T]) -> _T:
    item = load(dumped, allowed_objects=_ALLOWED, secrets_from_env=False)
    if not isinstance(item, kind):
        raise TypeError(f"a {type(item).__name__} is no {kind.__name__}")
    return item


def _tagged(value: Any) -> Any:
    """The value with its dates, at any depth, as dicts that `_parsed` knows; the same object if it has none."""
    changed: Any
    if isinstance(value, datetime):
        return {_DATETIME: plain_moment(value).isoformat()}
    if isinstance(value, date):
        return {_DATE: plain_moment(value).isoformat()}
    if isinstance(value, BaseModel):
        changed = {name: _tagged(item) for name, item in value}
        same = all(changed[name] is item for name, item in value)
        return value if same else value.model_copy(update=changed)
    if isinstance(value, dict):
        changed = {key: _tagged(item) for key, item in value.items()}
        if len(changed) == 1 and not changed.keys().isdisjoint((_DATE, _DATETIME, _OWN)):
            return {_OWN: list(*changed.items())}
        return value if all(changed[key] is item for key, item in value.items()) else changed
    if type(value) in (list, tuple):
        changed = [_tagged(item) for item in value]
        same = all(new is item for new, item in zip(changed, value, strict=True))
        return value if same else changed
    return value


def _parsed(data: str | bytes) -> Any:
    """What JSON holds, with the dates that `_tagged` wrote."""
    return json.loads(data, object_hook=_untagged)


def _untagged(found: dict[str, Any]) -> Any:
    if len(found) != 1:
        return found
    match found:
        case {"__valkey_date__": str(text)}:
            return date.fromisoformat(text)
        case {"__valkey_datetime__": str(text)}:
            return datetime.fromisoformat(text)
        case {"__valkey_own__": [str(key), value]}:
            return {key: value}
    return found
