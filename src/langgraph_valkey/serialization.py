"""LangGraph's serializer with an allow-list, and its typed bytes as one byte string.

LangGraph's serializer stores the module and name of a class beside its data. It imports and calls the class when it reads
the data. Unless ``LANGGRAPH_STRICT_MSGPACK`` is set, it does so for any class that the bytes name. Then a client that can
write to the server can run code in every process that reads from it. This serializer creates only objects of listed classes:
LangGraph's own list of safe classes, and those that the user adds. Any other class raises an error on writing, instead of
becoming a dict on reading.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Collection, Iterable
from contextvars import ContextVar
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_METHODS, SAFE_MSGPACK_TYPES
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
from langgraph.checkpoint.serde.jsonplus import (
    EXT_CONSTRUCTOR_KW_ARGS,
    EXT_CONSTRUCTOR_POS_ARGS,
    EXT_CONSTRUCTOR_SINGLE_ARG,
    EXT_DELTA_SNAPSHOT,
    EXT_METHOD_SINGLE_ARG,
    EXT_PYDANTIC_V1,
    EXT_PYDANTIC_V2,
    JsonPlusSerializer,
)

from valkey_vector import InvalidInputError, ServerError

__all__ = ["AllowListSerializer", "dump", "load"]

_MSGPACK, _JSON = "msgpack", "json"
_CONSTRUCTORS = frozenset(
    {
        EXT_CONSTRUCTOR_SINGLE_ARG, EXT_CONSTRUCTOR_POS_ARGS, EXT_CONSTRUCTOR_KW_ARGS, EXT_PYDANTIC_V1,
        EXT_PYDANTIC_V2,
    }
)  # fmt: skip

_COMPRESSED = b"\1"
"""Marks compressed bytes; no kind begins with it."""

_MIN_COMPRESSED_SIZE = 512
"""Size in bytes from which compression is tried. Messages repeat the names of their class and fields."""

_REFUSED = (
    ArithmeticError, AttributeError, LookupError, NotImplementedError, RecursionError, TypeError, ValueError,
    pickle.PickleError, zlib.error,
)  # fmt: skip
"""Errors that serializers raise on values and bytes they cannot handle."""

_blocked: ContextVar[list[str] | None] = ContextVar("langgraph_valkey_blocked", default=None)


def _note_blocked(event: SerdeEvent) -> None:
    """Record the classes that LangGraph's serializer refuses during the current load."""
    names = _blocked.get()
    if names is not None and event["kind"] in {"msgpack_blocked", "msgpack_method_blocked"}:
        names.append(f"{event['module']}.{event['name']}")


register_serde_event_listener(_note_blocked)


class AllowListSerializer(JsonPlusSerializer):
    """LangGraph serializer that creates only objects of listed classes. Default of `ValkeySaver` and `ValkeyCache`.

    The list has LangGraph's safe classes (messages, documents, dates, sets and others) and the classes in `allow`. An object
    of any other class raises an error on writing and on reading. Pickle is refused. So is the JSON of early LangGraph
    versions, which also names classes.

    Args:
        allow: additional classes: the classes themselves, or pairs of module and name. If ``LANGGRAPH_STRICT_MSGPACK`` is set,
            `compile` adds the classes of the state's schema to the graph's checkpointer.
    """

    def __init__(self, allow: Iterable[type | tuple[str, ...]] = ()) -> None:
        self._allowed = frozenset(map(_key, allow))
        super().__init__(allowed_msgpack_modules=tuple(self._allowed) or None)

    def with_msgpack_allowlist(
        self, extra_allowlist: Iterable[tuple[str, ...] | type]
    ) -> AllowListSerializer:
        """Return a serializer that also allows these classes."""
        return type(self)(self._allowed.union(map(_key, extra_allowlist)))

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Serialize an object; returns the kind and the bytes.

        Raises:
            InvalidInputError: the object contains an object of a class that is not allowed.
            TypeError: the object contains a value that cannot be serialized.
        """
        kind, data = super().dumps_typed(obj)
        if kind == _MSGPACK and (unknown := sorted(self._unknown(data))):
            raise InvalidInputError(_not_allowed(unknown))
        return kind, data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return the object of a kind and bytes.

        Raises:
            ServerError: the bytes name a class that is not allowed.
            NotImplementedError: the kind is unknown.
        """
        if data[0] == _JSON:
            raise NotImplementedError(f"Unknown serialization type: {_JSON}")
        names: list[str] = []
        token = _blocked.set(names)
        try:
            loaded = super().loads_typed(data)
        finally:
            _blocked.reset(token)
        if names:
            raise ServerError(_not_allowed(sorted(set(names))))
        return loaded

    def _unknown(self, data: bytes) -> set[str]:
        """Return the classes that the bytes name and that are not allowed."""
        found: set[str] = set()

        def visit(code: int, inner: bytes) -> None:
            # A snapshot of a delta channel can hold any value; an array holds no class.
            if code in _CONSTRUCTORS:
                named = _unpacked(inner, visit)
                key = (named[0], named[1])
                if key not in SAFE_MSGPACK_TYPES and key not in self._allowed:
                    found.add(f"{named[0]}.{named[1]}")
            elif code == EXT_METHOD_SINGLE_ARG:
                module, name, _, method = _unpacked(inner, visit)
                if (module, name, method) not in SAFE_MSGPACK_METHODS:
                    found.add(f"{module}.{name}")
            elif code == EXT_DELTA_SNAPSHOT:
                _unpacked(inner, visit)

        _unpacked(data, visit)
        return found


def dump(serde: SerializerProtocol, value: Any, owner: str) -> bytes:
    """Serialize a value. Compress the bytes if that makes them fewer.

    Args:
        serde: the serializer.
        value: an object that the serializer accepts.
        owner: names in the error what the value belongs to.

    Raises:
        InvalidInputError: the serializer refuses the value.
    """
    try:
        kind, data = serde.dumps_typed(value)
    except _REFUSED as error:
        raise InvalidInputError(f"{owner} cannot be stored: {error}") from error
    whole = kind.encode() + b"\0" + bytes(data)
    if len(whole) < _MIN_COMPRESSED_SIZE:
        return whole
    packed = _COMPRESSED + zlib.compress(whole, level=1)
    return min(whole, packed, key=len)


def load(serde: SerializerProtocol, data: bytes, owner: str) -> Any:
    """Return the value of bytes that `dump` returned.

    Args:
        serde: the serializer.
        data: the bytes.
        owner: names in the error what the value belongs to.

    Raises:
        ServerError: the serializer refuses the bytes.
    """
    try:
        whole = zlib.decompress(data[1:]) if data.startswith(_COMPRESSED) else data
        kind, _, rest = whole.partition(b"\0")
        return serde.loads_typed((kind.decode(), rest))
    except (ServerError, *_REFUSED) as error:
        raise ServerError(f"{owner} cannot be read: {error}") from error


def _unpacked(data: bytes, visit: Any) -> Any:
    return ormsgpack.unpackb(data, ext_hook=visit, option=ormsgpack.OPT_NON_STR_KEYS)


def _key(allowed: type | tuple[str, ...]) -> tuple[str, ...]:
    return (allowed.__module__, allowed.__name__) if isinstance(allowed, type) else tuple(allowed)


def _not_allowed(names: Collection[str]) -> str:
    classes = ", ".join(names)
    example = next(iter(names)).rpartition(".")
    return (
        f"{classes} must not be created from stored data. Allow it: serde=AllowListSerializer(allow=[{example[2]}]), "
        f"or checkpointer.with_allowlist([({example[0]!r}, {example[2]!r})])"
    )
