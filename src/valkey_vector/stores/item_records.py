"""Items, operations on items, and their encoding as bytes."""

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
"""Labels of a namespace, outermost first. Any texts are valid."""

ItemName: TypeAlias = tuple[Namespace, str]
"""Namespace and key of an item."""

_HEAD = struct.Struct(">QQQQII")
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Item:
    """A stored item.

    Attributes:
        namespace: namespace of the item.
        key: key in the namespace.
        value: the stored JSON value.
        created_at: time of the first put, by the server's clock.
        updated_at: time of the last put.
        expires: True if the item has a time to live.
        revision: identifies the item's vectors in the index. Empty without vectors.
        vectors: number of its texts in the index.
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
        """Namespace and key."""
        return self.namespace, self.key


@dataclass(frozen=True, slots=True)
class GetItem:
    """Return an item, or None if it does not exist.

    Attributes:
        namespace: namespace of the item.
        key: key of the item.
        refresh: restart its time to live.
    """

    namespace: Namespace
    key: str
    refresh: bool = True


@dataclass(frozen=True, slots=True)
class GetItems:
    """Return items by name. None for an item that does not exist."""

    names: Sequence[ItemName]
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class TouchItems:
    """Restart the time to live of items."""

    names: Sequence[ItemName]


@dataclass(frozen=True, slots=True)
class FindItems:
    """Find items of a namespace and of the namespaces below it.

    Items are ordered by namespace, then by creation. Namespaces are ordered by their creation.

    Attributes:
        namespace: search in this namespace and below it.
        accept: returns True for each item to find. None: all.
        offset: number of items to skip, ≥ 0.
        limit: maximum number of items, ≥ 0.
        refresh: restart the time to live of the found items.
    """

    namespace: Namespace
    accept: Callable[[Item], bool] | None = None
    offset: int = 0
    limit: int = 10
    refresh: bool = True


@dataclass(frozen=True, slots=True)
class Match:
    """Condition on a namespace: the labels it starts or ends with. The label ``*`` matches any label."""

    type: Literal["prefix", "suffix"]
    labels: Namespace


@dataclass(frozen=True, slots=True)
class ListNamespaces:
    """List the namespaces that have items, each once, in alphabetical order.

    Attributes:
        conditions: conditions that must all match.
        depth: maximum number of labels; longer namespaces are cut. None: no limit.
        offset: number of namespaces to skip, ≥ 0.
        limit: maximum number of namespaces, ≥ 0.
    """

    conditions: Sequence[Match] = ()
    depth: int | None = None
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class PutItem:
    """Store an item and replace the previous one, or delete it.

    Attributes:
        namespace: namespace of the item.
        key: key of the item.
        value: JSON bytes. None: delete the item.
        ttl: time to live in milliseconds, > 0. None: the item does not expire.
        revision: identifies the item's vectors in the index.
        vectors: number of its vectors in the index.
    """

    namespace: Namespace
    key: str
    value: bytes | None
    ttl: int | None = None
    revision: str = ""
    vectors: int = field(default=0)


Operation: TypeAlias = GetItem | GetItems | TouchItems | FindItems | ListNamespaces | PutItem


def encode_label(label: str) -> bytes:
    """Encode a label of a namespace.

    Raises:
        InvalidInputError: the label is not text, or holds a lone surrogate.
    """
    if not isinstance(label, str) or not is_unicode(label):
        raise InvalidInputError(
            f"a namespace's label must be text without lone surrogates, not {label!r}"
        )
    return label.encode().replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")


def encode_namespace(namespace: Namespace) -> bytes:
    """Encode a namespace. The bytes of a namespace start with those of another only if it is below it.

    Raises:
        InvalidInputError: the namespace is not a tuple of texts.
    """
    if not isinstance(namespace, (tuple, list)):
        raise InvalidInputError(f"a namespace must be a tuple of texts, not {namespace!r}")
    return b"".join(b"\2" + encode_label(label) + b"\0" for label in namespace)


def decode_namespace(encoded: bytes) -> Namespace:
    """Decode a namespace."""
    return tuple(
        label[1:].replace(b"\1\1", b"\0").replace(b"\1\2", b"\1").decode()
        for label in encoded.split(b"\0")[:-1]
    )


def decode_item(namespace: Namespace, key: str, record: bytes) -> Item:
    """Decode an item from a record of ``items.lua``."""
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
