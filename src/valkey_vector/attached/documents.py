"""Documents of an attached index: fetch by key, and decode the indexed attributes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeAlias, assert_never

import numpy as np

from valkey_vector.attached.definition import (
    Attribute,
    IndexDefinition,
    NumericAttribute,
    OtherAttribute,
    TagAttribute,
    TextAttribute,
    VectorAttribute,
    attribute_name,
)
from valkey_vector.attached.encoding import encoded, text_of
from valkey_vector.attached.semantics import WHITE_SPACE, normalized_tag
from valkey_vector.connection import Argument, Connection
from valkey_vector.errors import ServerError
from valkey_vector.records.vectors import Float32Array

__all__ = [
    "AttachedDocument",
    "AttachedHit",
    "Fetched",
    "document_of",
    "fetch",
    "key_pattern",
    "scan",
    "vector_of",
]

_BATCH = 500
_MAX_INTEGER_DIGITS = 400
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_HEXADECIMAL = re.compile(r"[+-]?0[xX][0-9a-fA-F]+", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedDocument:
    """Document of an attached index.

    Attributes:
        key: full key.
        fields: stored fields: the bytes of each hash field, or the items of the root of a JSON document. A root that is
            not an object is under ``$``.
        values: name of an attribute -> indexed value: the list of tags, the number, or the text. Missing attributes are
            omitted.
    """

    key: str
    fields: Mapping[str, Any]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedHit:
    """Document found by a vector search.

    Attributes:
        document: the document.
        score: the similarity; higher is better.
        distance: distance that the server reports; lower is more similar; see `valkey_vector.Hit`.
        similarity: higher is more similar; see `valkey_vector.Hit`.
    """

    document: AttachedDocument
    score: float
    distance: float
    similarity: float


Fetched: TypeAlias = tuple[AttachedDocument, Mapping[str, Any]]
"""Document, and the raw value of each attribute by identifier: bytes of a hash field, or matches of a JSON path."""


def fetch(
    connection: Connection, definition: IndexDefinition, keys: Iterable[bytes]
) -> Iterator[list[Fetched]]:
    """Fetch documents by key, in the same order. Skips keys that are missing or have another type.

    Yields:
        Batches of documents, each with its raw values, from which `vector_of` reads.

    Cost:
        One round trip for each 500 keys.
    """
    remaining = iter(keys)
    while batch := list(islice(remaining, _BATCH)):
        replies = connection.pipeline([_command(definition, key) for key in batch], retry=True)
        documents = map(partial(document_of, definition), batch, map(_present, replies))
        yield [fetched for fetched in documents if fetched is not None]


def document_of(definition: IndexDefinition, key: bytes, reply: Any) -> Fetched | None:
    """Decode the document in a reply to HGETALL or JSON.GET. Returns None if there is none."""
    if reply is None:
        return None
    match definition.on:
        case "hash":
            fields = found = {text_of(field): value for field, value in reply.items()}
        case "json":
            found = json.loads(reply)
            (root,) = found["$"]
            fields = root if isinstance(root, dict) else {"$": root}
        case _:
            assert_never(definition.on)
    values = {
        attribute_name(each): value
        for each in definition.attributes
        if (value := _value(each, found.get(each.identifier))) is not None
    }
    return AttachedDocument(key=text_of(key), fields=fields, values=values), found


def scan(connection: Connection, definition: IndexDefinition) -> Iterator[list[bytes]]:
    """Iterate over batches of all keys with the index's prefixes, each once. Some can have another type."""
    seen: set[bytes] = set()
    for prefix in definition.prefixes or ("",):
        for batch in connection.scan(key_pattern(prefix)):
            fresh = [key for key in dict.fromkeys(batch) if key not in seen]
            seen.update(fresh)
            if fresh:
                yield fresh


def key_pattern(prefix: str) -> bytes:
    """Glob-style pattern of all keys that begin with a prefix. Special characters are escaped."""
    return encoded(re.sub(r"([\\*?\[\]])", r"\\\1", prefix)) + b"*"


def vector_of(found: Mapping[str, Any], attribute: VectorAttribute) -> Float32Array | None:
    """Return a document's vector if the server can have indexed it, otherwise None."""
    raw = found.get(attribute.identifier)
    if isinstance(raw, bytes):
        if len(raw) != 4 * attribute.dimension:
            return None
        vector: Float32Array = np.frombuffer(raw, dtype="<f4")
    else:
        numbers = raw[0] if isinstance(raw, list) and len(raw) == 1 else raw
        if not isinstance(numbers, list) or len(numbers) != attribute.dimension:
            return None
        if not all(_is_number(number) for number in numbers):
            return None
        vector = np.array(numbers, dtype="<f4")
    return vector if np.isfinite(vector).all() else None


def _command(definition: IndexDefinition, key: bytes) -> list[Argument]:
    match definition.on:
        case "hash":
            return ["HGETALL", key]
        case "json":
            identifiers = [each.identifier for each in definition.attributes]
            return ["JSON.GET", key, *dict.fromkeys(["$", *identifiers])]
        case _:
            assert_never(definition.on)


def _present(reply: Any) -> Any:
    """Return the reply, or None for a key that has another type now."""
    if isinstance(reply, ServerError):
        lowered = reply.message.lower()
        if "wrong kind of value" in lowered or "wrong redis type" in lowered:
            return None
        raise reply
    return reply or None


def _value(attribute: Attribute, found: Any) -> Any:
    """Indexed value of an attribute; None if there is none."""
    match attribute:
        case TagAttribute():
            return _tags(attribute, found) or None
        case NumericAttribute():
            return _number(found)
        case TextAttribute():
            return _single_text(found)
        case VectorAttribute() | OtherAttribute():
            return None
        case _:
            assert_never(attribute)


def _tags(attribute: TagAttribute, found: Any) -> list[str]:
    parts = [text_of(found)] if isinstance(found, bytes) else _texts(found)
    if attribute.separator:
        parts = [part for text in parts for part in text.split(attribute.separator)]
    tags = (normalized_tag(part, attribute) for part in parts)
    return list(dict.fromkeys(tag for tag in tags if tag))


def _texts(found: Any) -> list[str]:
    """Texts and booleans that a JSON path matches, also within lists."""
    match found:
        case str():
            return [found]
        case bool():
            return ["true" if found else "false"]
        case list():
            return [text for item in found for text in _texts(item)]
        case _:
            return []


def _single_text(found: Any) -> str | None:
    if isinstance(found, bytes):
        return text_of(found)
    match found:
        case [str(text)]:
            return text
        case _:
            return None


def _number(found: Any) -> float | None:
    """Parse a number as the server does. None if the server does not read the text as a number."""
    if isinstance(found, list):
        return found[0] if len(found) == 1 and _is_number(found[0]) else None
    if not isinstance(found, bytes):
        return None
    text = text_of(found).strip(WHITE_SPACE)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _INFINITE.fullmatch(text):
        return -math.inf if text.startswith("-") else math.inf
    if not _DECIMAL.fullmatch(text):
        return None
    is_integer = text.lstrip("+-").isdigit() and len(text) <= _MAX_INTEGER_DIGITS
    return int(text) if is_integer else float(text)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
