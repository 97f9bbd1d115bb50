"""Items, the operations on them, and how both lie in bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from valkey_vector.errors import InvalidInputError
from valkey_vector.records.metadata import load
from valkey_vector.records.tokens import is_unicode

__all__ = [
    "FindItems",
    "GetItem",
    "GetItems",
    "Item",
    "ItemName",
    "ListNamespaces",
    "Match",
    "Namespace",
    "Operation",
    "PutItem",
    "TouchItems",
    "decode_item",
    "decode_namespace",
    "encode_label",
    "encode_namespace",
]

Namespace: TypeAlias = tuple[str, ...]
"""The labels of a namespace, the outermost first; any texts."""

ItemName: TypeAlias = tuple[Namespace, str]
"""The namespace and the key of an item."""

_HEAD = struct.Struct(">QQQQII")
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Item:
    """A stored item.

    Attributes:
        namespace: in which it lies.
        key: its name there.
        value: JSON, as it was put.
        created_at: when it was put first, by the server's clock.
        updated_at: when it was put last.
        expires: whether it has a time to live.
        revision: by which the index knows its vectors; empty if it has none.
        vectors: how many of its texts the index has.
    """

    namespace: Namespace
    key: str
    value: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    expires: bool = False
    revision: str = ""
    vectors: int = 0

    @property
    def name(self) -> ItemName:
        """Its namespace and key."""
        return self.namespace, self.key


@dataclass(frozen=True, slots=True)
class GetItem:
    """Get an item; None if there is none.

    Attributes:
        namespace: of the item.
        key: of the item.
        refresh: begin its time to live again.
    """

    namespace: Namespace
    key: str
    refresh: bool = True


@dataclass(frozen=True, slots=True)
class GetItems:
    """Get items by name; None for each that does not exist."""

    names: Sequence[ItemName]
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class TouchItems:
    """Begin the time to live of items again."""

    names: Sequence[ItemName]


@dataclass(frozen=True, slots=True)
class FindItems:
    """Find items of a namespace and of those below it.

    They are in the order of creation, namespace by namespace; the namespaces, too, are in the order of their creation.

    Attributes:
        namespace: in and below which.
        accept: only items that it accepts; None for all.
        offset: leave out so many.
        limit: at most so many.
        refresh: begin the time to live of what is found again.
    """

    namespace: Namespace
    accept: Callable[[Item], bool] | None = None
    offset: int = 0
    limit: int = 10
    refresh: bool = True


@dataclass(frozen=True, slots=True)
class Match:
    """A condition on a namespace: which labels it begins or ends with. The label ``*`` stands for any one."""

    type: Literal["prefix", "suffix"]
    labels: Namespace


@dataclass(frozen=True, slots=True)
class ListNamespaces:
    """List namespaces that have items, in alphabetical order, each once.

    Attributes:
        conditions: all must match.
        depth: cut namespaces to so many labels; None does not.
        offset: leave out so many.
        limit: at most so many.
    """

    conditions: Sequence[Match] = ()
    depth: int | None = None
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class PutItem:
    """Put an item in place of what was there, or delete it.

    Attributes:
        namespace: of the item.
        key: of the item.
        value: JSON bytes; None deletes the item.
        ttl: milliseconds until the item expires; None keeps it.
        revision: by which the index knows its vectors.
        vectors: how many the index has.
    """

    namespace: Namespace
    key: str
    value: bytes | None
    ttl: int | None = None
    revision: str = ""
    vectors: int = field(default=0)


Operation: TypeAlias = GetItem | GetItems | TouchItems | FindItems | ListNamespaces | PutItem


def encode_label(label: str) -> bytes:
    """A label as its bytes lie in a namespace.

    Raises:
        InvalidInputError: it is not text, or holds a lone surrogate.
    """
    if not isinstance(label, str) or not is_unicode(label):
        raise InvalidInputError(
            f"a namespace's label must be text without lone surrogates, not {label!r}"
        )
    return label.encode().replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")


def encode_namespace(namespace: Namespace) -> bytes:
    """A namespace as the server knows it. One begins with another's bytes only if it lies below it.

    Raises:
        InvalidInputError: it is not a tuple of texts.
    """
    if not isinstance(namespace, (tuple, list)):
        raise InvalidInputError(f"a namespace must be a tuple of texts, not {namespace!r}")
    return b"".join(b"\2" + encode_label(label) + b"\0" for label in namespace)


def decode_namespace(encoded: bytes) -> Namespace:
    """The namespace that bytes stand for."""
    return tuple(
        label[1:].replace(b"\1\1", b"\0").replace(b"\1\2", b"\1").decode()
        for label in encoded.split(b"\0")[:-1]
    )


def decode_item(namespace: Namespace, key: str, record: bytes) -> Item:
    """The item in a record of ``items.lua``."""
    created, updated, _number, ttl, vectors, length = _HEAD.unpack_from(record)
    start = _HEAD.size + length
    return Item(
        namespace=namespace,
        key=key,
        value=load(record[start:]),
        created_at=_EPOCH + timedelta(microseconds=created),
        updated_at=_EPOCH + timedelta(microseconds=updated),
        expires=ttl > 0,
        revision=record[_HEAD.size : start].decode(),
        vectors=vectors,
    )
