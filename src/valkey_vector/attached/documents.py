"""Documents of an attached index: fetches them by key, and decodes the attributes that the index holds."""

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
from valkey_vector.attached.semantics import WHITE_SPACE, normalised_tag
from valkey_vector.connection import Argument, Connection
from valkey_vector.errors import ServerError
from valkey_vector.records.vectors import Float32Array

__all__ = [
    "AttachedDocument",
    "AttachedHit",
    "Brought",
    "bring",
    "document_of",
    "key_pattern",
    "scan",
    "vector_of",
]

_BATCH = 500
_LONGEST_INTEGER = 400
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_HEXADECIMAL = re.compile(r"[+-]?0[xX][0-9a-fA-F]+", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedDocument:
    """A document of an attached index.

    Attributes:
        key: its whole key.
        fields: as stored: of a hash each field's bytes, of a JSON document the items of its root (or the root itself
            under ``$``, if that is no object).
        values: what the index holds of it, by the attributes' names: the tags of a tag attribute, the number, the
            text. What it lacks is left out.
    """

    key: str
    fields: Mapping[str, Any]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedHit:
    """Document found by a vector search.

    Attributes:
        document: what was found.
        score: the similarity: higher is better.
        distance: as the server reports it, lower is nearer; see `valkey_vector.Hit`.
        similarity: higher is nearer; see `valkey_vector.Hit`.
    """

    document: AttachedDocument
    score: float
    distance: float
    similarity: float


Brought: TypeAlias = tuple[AttachedDocument, Mapping[str, Any]]
"""A document and what its attributes' identifiers lead to: bytes of a hash, matches of a JSON path."""


def bring(
    connection: Connection, definition: IndexDefinition, keys: Iterable[bytes]
) -> Iterator[list[Brought]]:
    """Documents by key, in that order, one round trip for each 500; keys that are gone, or of another type, are left out.

    Yields:
        Documents, each with what its identifiers lead to, from which `vector_of` reads.
    """
    remaining = iter(keys)
    while batch := list(islice(remaining, _BATCH)):
        replies = connection.pipeline([_command(definition, key) for key in batch], retry=True)
        documents = map(partial(document_of, definition), batch, map(_present, replies))
        yield [brought for brought in documents if brought is not None]


def document_of(definition: IndexDefinition, key: bytes, reply: Any) -> Brought | None:
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
    """All keys under the index's prefixes, each once, in batches; among them may be some of other types."""
    seen: set[bytes] = set()
    for prefix in definition.prefixes or ("",):
        for batch in connection.scan(key_pattern(prefix)):
            fresh = [key for key in dict.fromkeys(batch) if key not in seen]
            seen.update(fresh)
            if fresh:
                yield fresh


def key_pattern(prefix: str) -> bytes:
    """The pattern of all keys that begin with a prefix, whatever characters it has."""
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
    """What an index holds of an attribute, None where there is nothing."""
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
    tags = (normalised_tag(part, attribute) for part in parts)
    return list(dict.fromkeys(tag for tag in tags if tag))


def _texts(found: Any) -> list[str]:
    """The texts and booleans that a JSON path leads to, also within lists."""
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
    """A number as the server reads it; text that it does not read as one is none."""
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
    whole = text.lstrip("+-").isdigit() and len(text) <= _LONGEST_INTEGER
    return int(text) if whole else float(text)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
