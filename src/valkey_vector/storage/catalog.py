"""The catalogue: each index's own record on the server, outside the prefix of any documents.

One hash, ``{name}:index``, holds the format version, the engine, the schema, the generation (a random mark of this
creation), the lineage (a random mark of its documents, which each of them carries) and which numeric slot belongs to
which metadata key. When an index is dropped without its documents, slots, layout and lineage stay, so that an index
created again over them reads them correctly. When it is dropped with them, the lineage is noted as to be removed until
the last of them is gone, so that any process can complete a removal that was interrupted, and no document survives it.
The braces keep all of an index's own keys in one cluster slot, and no index name can begin with a brace, so these keys
lie under no index's prefix. Every decision is a script, so that any number of processes may create an index or claim a
slot at the same time. No search index covers these keys: scripts on them are safe on every Valkey-Search.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from valkey_vector.connection import Connection
from valkey_vector.connection.lua import read_lua
from valkey_vector.errors import ConfigurationError, UnreadableRecordError
from valkey_vector.filters.compiler import SlotKind
from valkey_vector.filters.plan import Plan, Range, Tokens
from valkey_vector.records.tokens import escape, record_token
from valkey_vector.schema.schema import MAIN_VECTOR, NumericField, Schema

__all__ = [
    "Catalog",
    "CatalogEntry",
    "EngineName",
    "check_index_name",
    "declared_name",
    "document_prefix",
    "locks_key",
    "own_keys",
    "vector_name",
    "vocabulary_key",
]

EngineName: TypeAlias = Literal["search", "native"]

VECTOR_PREFIX = "v_"
"""What the hash fields of all vectors but the main one begin with."""

FORMAT = 2
"""Version of the layout of documents and catalogue; an index of a newer one is refused. Documents of format 1 have no
lineage."""

_READABLE = ("1", "2")

_REMOVING = "removing:"
"""What the catalogue's fields of lineages to be removed begin with."""

_LONGEST_NAME = 200
_NAME = re.compile(r"[^\W_][\w.\-]*")

_CREATE = read_lua(__package__, "catalog_create")

_FORGET = read_lua(__package__, "catalog_forget")

_REMOVED = read_lua(__package__, "catalog_removed")

_NOTE = read_lua(__package__, "catalog_note_orphans")

_CLAIM = read_lua(__package__, "catalog_claim_slots")


_RESTORE = read_lua(__package__, "catalog_restore")


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
        slots: (kind, path) -> number of the slot, -1 if the pool was spent (format 1).
        lineage: mark of its documents; None for an index of format 1.
        slots_spent: the pool is spent: numbers of keys without a slot are not indexed.
    """

    name: str
    generation: str
    engine: EngineName
    schema: Schema
    embedding_model: str | None
    slots: Mapping[tuple[SlotKind, str], int]
    lineage: str | None = None
    slots_spent: bool = False

    def existence(self) -> Plan:
        """A plan for all documents of the index, and for no other hash under its prefix."""
        if self.lineage is None:
            return Range("created")
        return Tokens((record_token(self.lineage),))

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
        return not self.slots_spent and (kind, path) not in self.slots

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
        self.name = name
        self.key = f"{{{name}}}:index"
        self.new_lineage = ""  # of the index that `create` recorded last, if no documents were kept

    def read(self) -> CatalogEntry | None:
        """The index's record, or None if there is no such index."""
        entry, _ = self.look()
        return entry

    def look(self) -> tuple[CatalogEntry | None, bool]:
        """The index's record, or None if there is no such index; and whether the key is there at all.

        It is there without an index after a drop that kept the documents, or whose removals are not complete.
        """
        fields = _pairs(self._connection.execute("HGETALL", self.key, retry=True))
        return self._parse(fields) if "generation" in fields else None, bool(fields)

    def create(
        self, schema: Schema, engine: EngineName, embedding_model: str | None
    ) -> tuple[CatalogEntry, bool]:
        """Record a new index, or read the one that is there.

        Returns:
            The record, and whether it is new.

        Raises:
            ConfigurationError: documents of a dropped index of this name were kept, and are laid out otherwise.
        """
        self.new_lineage = secrets.token_hex(4)
        fields = [
            *_described(schema, engine, embedding_model)[1:],
            "format", str(FORMAT),
            "generation", secrets.token_hex(4),
            "lineage", self.new_lineage,
            "seq", "0",
        ]  # fmt: skip
        created, stored = self._connection.execute("EVAL", _CREATE, "1", self.key, *fields)
        if created < 0:
            raise ConfigurationError(
                f"an index {self.name!r} was dropped without its documents, which were written with "
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

    def forget(self, *, keep_documents: bool) -> bool:
        """Forget the index, from one moment to the next for all processes; returns whether there was anything.

        Args:
            keep_documents: keep what they are read by; otherwise note that they are to be removed (see `removals`).
        """
        keys = [self.key, *own_keys(self.name)]
        keep = "keep" if keep_documents else ""
        return bool(self._connection.execute("EVAL", _FORGET, str(len(keys)), *keys, keep))

    def removals(self) -> dict[str, str]:
        """The lineages whose documents are to be removed, each with the generation of its search index, or ''."""
        fields = _pairs(self._connection.execute("HGETALL", self.key, retry=True))
        return removals_in(fields)

    def engine(self) -> EngineName | None:
        """The engine of the index that is there now."""
        found = self._connection.execute("HGET", self.key, "engine", retry=True)
        return None if found is None else "native" if found == b"native" else "search"

    def removed(self, lineage: str) -> None:
        """Note that no document of a lineage is left."""
        self._connection.execute("EVAL", _REMOVED, "1", self.key, lineage)

    def restore(self, entry: CatalogEntry) -> None:
        """Record an index again whose record was lost, as it was; harmless if it is there."""
        fields = [*_described(entry.schema, entry.engine, entry.embedding_model)]
        fields += ["format", "1" if entry.lineage is None else str(FORMAT)]
        fields += ["generation", entry.generation, "lineage", entry.lineage or ""]
        for (kind, path), slot in entry.slots.items():
            fields += [f"slot:{kind}:{path}", str(slot)]
        used = 1 + max(entry.slots.values(), default=-1)
        fields += ["slots_used", str(used), *(["slots_spent", "1"] if entry.slots_spent else [])]
        changes, deletions, *_ = own_keys(self.name)
        self._connection.execute("EVAL", _RESTORE, "3", self.key, changes, deletions, *fields)

    def note_removals(self, lineages: Iterable[str]) -> None:
        """Note lineages whose documents are to be removed."""
        for lineage in lineages:
            self._connection.execute("HSET", self.key, f"{_REMOVING}{lineage}", "")

    def note_orphans(self, entry: CatalogEntry, lineages: Iterable[str]) -> bool:
        """Note lineages of which no index is left, as to be removed; False, and nothing is noted, if `entry`'s index is
        not the one that is there: a lineage that it does not know may be of the next one.
        """
        command = ["EVAL", _NOTE, "1", self.key, entry.generation, *lineages]
        return bool(self._connection.execute(*command))

    def _parse(self, fields: Mapping[str, str]) -> CatalogEntry:
        found = fields.get("format")
        if found not in _READABLE:
            raise ConfigurationError(
                f"index {self.name!r} has format {found}, this version of valkey-vector knows {FORMAT}: "
                "upgrade valkey-vector"
            )
        slots: dict[tuple[SlotKind, str], int] = {}
        for field, value in fields.items():
            if field.startswith("slot:"):
                _, kind, path = field.split(":", 2)
                slots["number" if kind == "number" else "instant", path] = int(value)
        return CatalogEntry(
            name=self.name,
            generation=fields["generation"],
            engine="native" if fields["engine"] == "native" else "search",
            schema=self._schema(fields.get("schema", "")),
            embedding_model=fields.get("embedding_model"),
            slots=slots,
            lineage=fields.get("lineage") or None,
            slots_spent="slots_spent" in fields or -1 in slots.values(),
        )

    def _schema(self, stored: str) -> Schema:
        try:
            return Schema.from_dict(json.loads(stored))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UnreadableRecordError(
                f"the record of index {self.name!r}, the key {self.key!r}, cannot be read: {error}. Restore it from a backup"
            ) from error


def own_keys(name: str) -> list[str]:
    """The keys beside the catalogue that an index owns, but for its documents; in the catalogue's cluster slot."""
    own = f"{{{name}}}"
    log = (f"{own}:{part}" for part in ("changes", "deletions", "expiry"))
    return [*log, vocabulary_key(name), locks_key(name)]


def locks_key(name: str) -> str:
    """The key of the locks on records that are being changed (see `valkey_vector.engines.search.locks`)."""
    return f"{{{name}}}:locks"


def removals_in(fields: Mapping[str, str]) -> dict[str, str]:
    """The lineages to be removed, out of the fields of a catalogue."""
    return {
        field.removeprefix(_REMOVING): generation
        for field, generation in fields.items()
        if field.startswith(_REMOVING)
    }


def _described(schema: Schema, engine: EngineName, embedding_model: str | None) -> list[str]:
    """The catalogue's fields and values that say what an index is, its layout first."""
    described = schema.to_dict()
    parts = ("dimension", "fields", "numeric_slots", "full_text", "vectors")
    layout = {part: described[part] for part in parts if described.get(part) is not None}
    fields = ["layout", json.dumps(layout, sort_keys=True)]
    fields += ["engine", engine, "schema", json.dumps(described, sort_keys=True)]
    return fields if embedding_model is None else [*fields, "embedding_model", embedding_model]


def _pairs(reply: Any) -> dict[str, str]:
    """A hash as the client gives it: a dict, or from a script a flat list."""
    if isinstance(reply, Mapping):
        items = list(reply.items())
    else:
        items = list(zip(reply[::2], reply[1::2], strict=True))
    return {key.decode(): value.decode() for key, value in items}
