"""JSON serialization of messages and generations with a fixed list of classes.

Another client may have written the data on the server. Without a list, LangChain's loader creates any class that the
JSON names, with any arguments (for example a chat model with another ``base_url``). The list contains messages,
generations and documents only; their constructors do nothing but validate data.
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

# Tags for dates, which JSON lacks. A user's dict with one of these keys only is stored under the third tag.
_DATE, _DATETIME, _OWN = "__valkey_date__", "__valkey_datetime__", "__valkey_own__"

# Errors that the loader raises on malformed JSON.
_MALFORMED = (
    ArithmeticError, AttributeError, ImportError, LookupError, NotImplementedError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip

with warnings.catch_warnings():
    # The loader warns on its first call that it is in beta.
    warnings.simplefilter("ignore")
    load([], allowed_objects=[])


def dump_message(message: BaseMessage) -> bytes:
    """Serialize a message to JSON, completely.

    Raises:
        InvalidInputError: if it is not a message, or contains a value that cannot be restored.
    """
    if not isinstance(message, BaseMessage):
        raise InvalidInputError(f"a message must be a BaseMessage, not a {type(message).__name__}")
    return json.dumps(_dumped(message, BaseMessage)).encode()


def load_message(data: bytes) -> BaseMessage:
    """Load a message from the JSON of `dump_message`.

    Raises:
        ServerError: if the data is not such JSON.
    """
    try:
        return _loaded(_parsed(data), BaseMessage)
    except _MALFORMED as error:
        raise ServerError(f"a stored message cannot be loaded: {error}") from error


def dump_generations(generations: Sequence[Generation]) -> bytes:
    """Serialize generations to JSON, completely: messages with tool calls, usage and all other fields.

    Raises:
        InvalidInputError: if one contains a value that cannot be restored.
    """
    # One at a time: LangChain then converts a parsed Pydantic object in a message to the dict it was parsed from.
    return json.dumps([_dumped(generation, Generation) for generation in generations]).encode()


def load_generations(data: object) -> list[Generation]:
    """Load generations from the JSON of `dump_generations`.

    Raises:
        ServerError: if the data is not such JSON.
    """
    try:
        if not isinstance(data, bytes):
            raise TypeError(f"a {type(data).__name__} is not bytes")
        listed = _parsed(data)
        if not isinstance(listed, list):
            raise TypeError(f"a {type(listed).__name__} is not a list of generations")
        return [_loaded(one, Generation) for one in listed]
    except _MALFORMED as error:
        raise ServerError(f"a cached answer cannot be loaded: {error}") from error


def _dumped(item: _T, kind: type[_T]) -> Any:
    try:
        dumped = dumpd(_tagged(item))
        _loaded(_parsed(json.dumps(dumped)), kind)
    except _MALFORMED as error:
        raise InvalidInputError(
            f"a {type(item).__name__} contains a value that cannot be stored: {error}"
        ) from error
    return dumped


def _loaded(dumped: Any, kind: type[_T]) -> _T:
    item = load(dumped, allowed_objects=_ALLOWED, secrets_from_env=False)
    if not isinstance(item, kind):
        raise TypeError(f"a {type(item).__name__} is not a {kind.__name__}")
    return item


def _tagged(value: Any) -> Any:
    """Replace dates, at any depth, with tagged dicts that `_parsed` restores. Return the same object without dates."""
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
    """Parse JSON and restore the dates that `_tagged` replaced."""
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
