"""Documents of an attached index: fetch them by key, whole or only some fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, assert_never

from valkey_vector.attached.attributes import attribute_name
from valkey_vector.attached.definition import IndexDefinition
from valkey_vector.attached.encoding import encoded, text_of
from valkey_vector.attached.reading import Reading, stored_path, stored_value
from valkey_vector.attached.sending import Sender
from valkey_vector.attached.values import indexed_value
from valkey_vector.attached.vectors import vector_of
from valkey_vector.connection import Argument, SearchModule
from valkey_vector.errors import ServerError
from valkey_vector.records.metadata import MISSING

__all__ = [
    "AttachedDocument",
    "AttachedHit",
    "Fetched",
    "document",
    "fetch",
    "fetched",
    "key_pattern",
    "scan",
]

_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedDocument:
    """Document of an attached index.

    Attributes:
        key: full key.
        fields: stored fields: the bytes of each hash field, or the items of the root of a JSON document. A root that is
            not an object is under ``$``. If the search requested certain fields, only these, under the requested names.
        values: name of an attribute -> indexed value: the list of tags, the number (of a JSON path to several: the list
            of numbers), or the text. Missing attributes are omitted, and those whose field was not requested.
        vectors: name of a vector attribute -> numbers; empty unless requested.
    """

    key: str
    fields: Mapping[str, Any]
    values: Mapping[str, Any]
    vectors: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedHit:
    """Document found by a vector search.

    Attributes:
        document: the document.
        score: the similarity; higher is better.
        distance: distance that the server reports; lower is more similar; see `valkey_vector.Hit`. For element types
            other than FLOAT32, the client computes it from the stored vector.
        similarity: higher is more similar; see `valkey_vector.Hit`.
    """

    document: AttachedDocument
    score: float
    distance: float
    similarity: float


@dataclass(frozen=True, slots=True)
class Fetched:
    """Fetched parts of a document.

    Attributes:
        key: full key.
        found: hash field -> bytes, or JSON path -> matches.
        values: name of an attribute -> indexed value, of all attributes that were fetched.
    """

    key: str
    found: Mapping[str, Any]
    values: Mapping[str, Any]


def fetch(sender: Sender, keys: Iterable[bytes], reading: Reading) -> Iterator[list[Fetched]]:
    """Fetch documents by key, in the same order. Skips keys that are missing or have another type.

    Cost:
        One round trip for each 500 keys, and another one if some of the hashes have none of the requested fields.
    """
    definition = sender.definition
    paths = reading.fetched(definition)
    lists = sender.connection.capabilities.module is SearchModule.REDISEARCH
    remaining = iter(keys)
    while batch := list(islice(remaining, _BATCH)):
        replies = sender.send([_command(definition, k, paths) for k in batch])
        found = [_found(definition, paths, _present(reply)) for reply in replies]
        if definition.on == "hash" and paths is not None:
            _drop_missing(sender, batch, found)
        yield [
            fetched(definition, key, each, lists=lists)
            for key, each in zip(batch, found, strict=True)
            if each is not None
        ]


def fetched(
    definition: IndexDefinition, key: bytes, found: Mapping[str, Any], *, lists: bool
) -> Fetched:
    """Decode the indexed values of a document; see `indexed_value`."""
    values = {
        attribute_name(each): value
        for each in definition.attributes
        if (value := indexed_value(each, found.get(each.identifier), lists=lists)) is not None
    }
    return Fetched(text_of(key), found, values)


def document(definition: IndexDefinition, found: Fetched, reading: Reading) -> AttachedDocument:
    """Return what was requested of a document."""
    vectors = {
        attribute_name(each): vector.tolist()
        for each in reading.vectors
        if (vector := vector_of(found.found, each)) is not None
    }
    fields: Mapping[str, Any]
    if reading.fields is not None:
        paths = {name: stored_path(name, definition) for name in reading.fields}
        chosen = {name: stored_value(found.found, path) for name, path in paths.items()}
        fields = {name: value for name, value in chosen.items() if value is not MISSING}
        identifiers = set(paths.values())
        values = {
            name: found.values[name]
            for each in definition.attributes
            if each.identifier in identifiers and (name := attribute_name(each)) in found.values
        }
    else:
        values = dict(found.values)
        if definition.on == "hash":
            fields = found.found
        else:
            (root,) = found.found["$"]
            fields = root if isinstance(root, dict) else {"$": root}
    return AttachedDocument(key=found.key, fields=fields, values=values, vectors=vectors)


def scan(sender: Sender) -> Iterator[list[bytes]]:
    """Iterate over batches of all keys with the index's prefixes, each once. Some can have another type."""
    seen: set[bytes] = set()
    for prefix in sender.definition.prefixes or ("",):
        for batch in sender.scan(key_pattern(prefix)):
            fresh = [key for key in dict.fromkeys(batch) if key not in seen]
            seen.update(fresh)
            if fresh:
                yield fresh


def key_pattern(prefix: str) -> bytes:
    """Glob-style pattern of all keys that begin with a prefix. Special characters are escaped."""
    return encoded(re.sub(r"([\\*?\[\]])", r"\\\1", prefix)) + b"*"


def _command(
    definition: IndexDefinition, key: bytes, paths: Sequence[str] | None
) -> list[Argument]:
    """Command that fetches hash fields or JSON paths: None for a whole hash."""
    match definition.on:
        case "hash":
            return ["HGETALL", key] if paths is None else ["HMGET", key, *map(encoded, paths)]
        case "json":
            return ["JSON.GET", key, *(paths or ["$"])]
        case _:
            assert_never(definition.on)


def _found(
    definition: IndexDefinition, paths: Sequence[str] | None, reply: Any
) -> dict[str, Any] | None:
    """Decode a reply; None if there is no document."""
    if reply is None:
        return None
    if paths is None:
        return {text_of(name): value for name, value in reply.items()}
    if definition.on == "hash":
        values = zip(paths, reply, strict=True)
        return {name: value for name, value in values if value is not None}
    matches = json.loads(reply)
    # With one path, the reply is the list of its matches.
    return {paths[0]: matches} if len(paths) == 1 else dict(matches)


def _drop_missing(
    sender: Sender, keys: Sequence[bytes], found: list[dict[str, Any] | None]
) -> None:
    """Set to None the hashes that no longer exist. HMGET answers the same for a hash without the fields."""
    doubtful = [number for number, each in enumerate(found) if each is not None and not each]
    commands: list[list[Argument]] = [["EXISTS", keys[number]] for number in doubtful]
    replies = sender.send(commands) if commands else []
    for number, reply in zip(doubtful, replies, strict=True):
        if _present(reply) is None:  # 0
            found[number] = None


def _present(reply: Any) -> Any:
    """Return the reply, or None for a key that has another type now."""
    if isinstance(reply, ServerError):
        lowered = reply.message.lower()
        if "wrong kind of value" in lowered or "wrong redis type" in lowered:
            return None
        raise reply
    return reply or None
