"""The catalogue: each index's own record on the server, outside the prefix of any documents.

One hash, ``{name}:index``, holds the format version, the engine, the schema, the generation (a
random mark of this creation) and which numeric slot belongs to which metadata key. When an index is dropped without
its documents, slots and layout stay, so that an index made anew over them reads them right. The braces keep all of an
index's own keys in one cluster slot, and no index name can begin with a brace, so these keys
lie under no index's prefix. Everything that decides something is a script, so that any number of processes
may create an index or claim a slot at the same time.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from valkey_vector.connection import Connection
from valkey_vector.errors import ConfigurationError
from valkey_vector.filters.compilation import SlotKind
from valkey_vector.schema import MAIN_VECTOR, NumericField, Schema
from valkey_vector.tokens import escape

__all__ = [
    "Catalog",
    "CatalogEntry",
    "EngineName",
    "check_index_name",
    "declared_name",
    "document_prefix",
    "vector_name",
    "vocabulary_key",
]

EngineName: TypeAlias = Literal["search", "native"]

VECTOR_PREFIX = "v_"
"""What the hash fields of all vectors but the main one begin with."""

FORMAT = 1
"""Version of the layout of documents and catalogue; an index of a newer one is refused."""

_LONGEST_NAME = 200
_NAME = re.compile(r"[^\W_][\w.\-]*")

_CREATE = """
local key = KEYS[1]
local created = redis.call('HEXISTS', key, 'generation') == 0
if created then
  local kept = redis.call('HGET', key, 'layout')
  if kept and kept ~= ARGV[1] then return {-1, kept} end
  redis.call('HSET', key, 'layout', unpack(ARGV))
end
return {created and 1 or 0, redis.call('HGETALL', key)}
"""

# What documents that stay behind cannot be read without: the slots and the layout.
_KEEP_LAYOUT = """
local there = redis.call('HEXISTS', KEYS[1], 'generation')
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if field ~= 'layout' and string.sub(field, 1, 4) ~= 'slot' then redis.call('HDEL', KEYS[1], field) end
end
return there
"""

# A slot once given stays with its key as long as the index lives; -1 says that the pool was spent.
_CLAIM = """
local key = KEYS[1]
if redis.call('HGET', key, 'generation') ~= ARGV[1] then return redis.error_reply('STALE') end
local pool = tonumber(ARGV[2])
local result = {}
for i = 3, #ARGV do
  local field = 'slot:' .. ARGV[i]
  local slot = redis.call('HGET', key, field)
  if not slot then
    local used = redis.call('HINCRBY', key, 'slots_used', 1)
    slot = used <= pool and tostring(used - 1) or '-1'
    redis.call('HSET', key, field, slot)
  end
  result[#result + 1] = slot
end
return result
"""


def check_index_name(name: str) -> str:
    """The name, if an index may have it.

    Raises:
        ConfigurationError: it is not a letter or digit followed by letters, digits, ``_``, ``-``
            and ``.``. A colon would let one index's documents lie under another's prefix.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise ConfigurationError(
            f"index name {name!r} must begin with a letter or digit, hold only letters, digits, "
            f"'_', '-' and '.', and have at most {_LONGEST_NAME} characters"
        )
    return name


def document_prefix(name: str) -> str:
    """What the keys of all documents of an index begin with, and of no other."""
    return f"{name}:"


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """An index as the server knows it.

    Attributes:
        name: the index's name.
        generation: differs each time an index of this name is created.
        engine: which engine keeps it.
        schema: its schema; the dimension is known.
        embedding_model: the model its vectors come from, if it was told.
        slots: (kind, path) -> number of the slot, -1 if the pool was spent.
    """

    name: str
    generation: str
    engine: EngineName
    schema: Schema
    embedding_model: str | None
    slots: Mapping[tuple[SlotKind, str], int]

    @property
    def prefix(self) -> str:
        """What the keys of its documents begin with."""
        return document_prefix(self.name)

    def slot(self, path: str, kind: SlotKind) -> str | None:
        """The hash field that holds a path's numbers; None if none does."""
        if kind == "number" and self.declares_number(path):
            return declared_name(path)
        number = self.slots.get((kind, path), -1)
        return None if number < 0 else f"n{number}"

    @property
    def slotted_paths(self) -> tuple[str, ...]:
        """The metadata keys with a numeric slot, each once."""
        return tuple(dict.fromkeys(path for (_, path), slot in self.slots.items() if slot >= 0))

    def complete(self, path: str, kind: SlotKind) -> bool:
        """Whether a path without a slot has no such values at all."""
        return (kind, path) not in self.slots

    def declares_number(self, path: str) -> bool:
        """Whether the schema gives the path a numeric field of its own."""
        return any(
            isinstance(field, NumericField) and field.path == path for field in self.schema.fields
        )

    @property
    def declared_numeric_fields(self) -> tuple[str, ...]:
        """The hash fields of declared numbers."""
        return tuple(
            declared_name(field.path)
            for field in self.schema.fields
            if isinstance(field, NumericField)
        )

    @property
    def search_index(self) -> str:
        """What the index is called in FT.* commands.

        The name carries the generation: a process that still knows a dropped index gets an error instead of the
        numbers of other keys, and a late FT.DROPINDEX never meets a new index of the same name.
        """
        return f"{self.name}-{self.generation}"


def vocabulary_key(name: str) -> str:
    """The key of the words that ever occurred in texts of an index (see `valkey_vector.text.vocabulary`)."""
    return f"{{{name}}}:vocabulary"


def declared_name(path: str) -> str:
    """The hash and query field of a declared metadata item."""
    return f"f_{escape(path)}"


def vector_name(name: str) -> str:
    """The hash and query field of a vector: the main one is called as it always was."""
    return MAIN_VECTOR if name == MAIN_VECTOR else f"{VECTOR_PREFIX}{escape(name)}"


class Catalog:
    """Reads and changes the record of one index."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self.key = f"{{{name}}}:index"

    def read(self) -> CatalogEntry | None:
        """The index's record, or None if there is no such index."""
        fields = _pairs(self._connection.execute("HGETALL", self.key, retry=True))
        return self._parse(fields) if "generation" in fields else None

    def create(
        self, schema: Schema, engine: EngineName, embedding_model: str | None
    ) -> tuple[CatalogEntry, bool]:
        """Record a new index, or read the one that is there.

        Returns:
            The record, and whether it is new.

        Raises:
            ConfigurationError: documents of a dropped index of this name were kept, and are laid out otherwise.
        """
        described = schema.to_dict()
        parts = ("dimension", "fields", "numeric_slots", "full_text", "vectors")
        layout = {part: described[part] for part in parts if described.get(part) is not None}
        fields = [
            json.dumps(layout, sort_keys=True),
            "format", str(FORMAT),
            "generation", secrets.token_hex(4),
            "engine", engine,
            "schema", json.dumps(schema.to_dict(), sort_keys=True),
            "seq", "0",
        ]  # fmt: skip
        if embedding_model is not None:
            fields += ["embedding_model", embedding_model]
        created, stored = self._connection.execute("EVAL", _CREATE, "1", self.key, *fields)
        if created < 0:
            raise ConfigurationError(
                f"an index {self._name!r} was dropped without its documents, which were written with "
                f"{stored.decode()}; make it with these settings, or remove the documents with drop()"
            )
        return self._parse(_pairs(stored)), bool(created)

    def claim_slots(
        self, entry: CatalogEntry, wanted: Iterable[tuple[SlotKind, str]]
    ) -> dict[tuple[SlotKind, str], int]:
        """Give numeric slots to keys that have none yet; -1 where the pool is spent.

        Raises:
            ServerError: STALE, if the index was dropped or created anew meanwhile.
        """
        pairs = list(wanted)
        names = [f"{kind}:{path}" for kind, path in pairs]
        reply = self._connection.execute(
            "EVAL", _CLAIM, "1", self.key, entry.generation, str(entry.schema.numeric_slots), *names
        )
        return {pair: int(slot) for pair, slot in zip(pairs, reply, strict=True)}

    def remove(self, *, keep_layout: bool) -> bool:
        """Forget the index, but for what documents that stay are read by; returns whether it was there."""
        if keep_layout:
            return bool(self._connection.execute("EVAL", _KEEP_LAYOUT, "1", self.key))
        return bool(self._connection.execute("DEL", self.key, vocabulary_key(self._name)))

    def _parse(self, fields: Mapping[str, str]) -> CatalogEntry:
        found = fields.get("format")
        if found != str(FORMAT):
            raise ConfigurationError(
                f"index {self._name!r} has format {found}, this version of valkey-vector knows {FORMAT}: "
                "upgrade valkey-vector"
            )
        slots: dict[tuple[SlotKind, str], int] = {}
        for field, value in fields.items():
            if field.startswith("slot:"):
                _, kind, path = field.split(":", 2)
                slots["number" if kind == "number" else "instant", path] = int(value)
        return CatalogEntry(
            name=self._name,
            generation=fields["generation"],
            engine="native" if fields["engine"] == "native" else "search",
            schema=Schema.from_dict(json.loads(fields["schema"])),
            embedding_model=fields.get("embedding_model"),
            slots=slots,
        )


def _pairs(reply: Any) -> dict[str, str]:
    """A hash as the client gives it: a dict, or from a script a flat list."""
    if isinstance(reply, Mapping):
        items = list(reply.items())
    else:
        items = list(zip(reply[::2], reply[1::2], strict=True))
    return {key.decode(): value.decode() for key, value in items}
