"""Catalog: the record of each index on the server.

One hash per index, ``{name}:index``, contains the format version, the engine, the schema, the generation (random, new for
each creation), the lineage (random, stored in each document of the index) and the numeric slot of each metadata key.

If an index is dropped without its documents, slots, layout and lineage stay, so that an index that is created again over
the documents reads them correctly. If it is dropped with its documents, the catalog keeps the lineage as a pending removal
until the last document is removed. So any process can complete an interrupted removal.

The braces keep all keys of an index in one cluster slot. Documents have the key ``<name>:<id>``, which none of these keys
is (see `own_key`). Each change is one script, so any number of processes can create an index or claim a slot at the same time.
No search index covers these keys: scripts on them are safe on every Valkey-Search.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from valkey_vector.connection import Connection
from valkey_vector.connection.lua import read_lua
from valkey_vector.errors import ConfigurationError, UnreadableRecordError
from valkey_vector.filters.compiler import SlotKind
from valkey_vector.filters.plan import Plan, Range, Tokens
from valkey_vector.records.tokens import escape, record_token
from valkey_vector.schema.schema import MAIN_VECTOR, NumericField, Schema

__all__ = [
    "CATALOG_PATTERN",
    "Catalog",
    "CatalogEntry",
    "EngineName",
    "change_log_keys",
    "check_index_name",
    "declared_name",
    "document_prefix",
    "has_hash_tag",
    "locks_key",
    "name_of_catalog",
    "own_key",
    "own_keys",
    "vector_name",
    "vocabulary_key",
]

EngineName: TypeAlias = Literal["search", "native"]

VECTOR_PREFIX = "v_"
"""Prefix of the hash fields of all vectors except the main one."""

FORMAT = 2
"""Version of the layout of documents and catalog. Newer formats are rejected. Documents of format 1 have no lineage."""

_READABLE = ("1", "2")

_REMOVING = "removing:"
"""Prefix of the catalog's fields of pending removals."""

_MAX_NAME = 200
_NAME = re.compile(r"(?:\{(?P<tag>[\w.\-]+)\})?(?P<rest>[^\W_][\w.\-]*)")
_OWN_INDEX = re.compile(r"\{(?P<tag>[^{}]+)\}(?::(?P<rest>[^:]+))?:index")

_CREATE = read_lua(__package__, "catalog_create")

_FORGET = read_lua(__package__, "catalog_forget")

_REMOVED = read_lua(__package__, "catalog_removed")

_NOTE = read_lua(__package__, "catalog_note_orphans")

_CLAIM = read_lua(__package__, "catalog_claim_slots")


_RESTORE = read_lua(__package__, "catalog_restore")


def check_index_name(name: str) -> str:
    """Return the name if it is a valid name of an index.

    A name may begin with a hash tag, such as ``{tenant}articles``. All keys of such an index are in one cluster slot.

    Raises:
        ConfigurationError: the name is not a letter or digit followed by letters, digits, ``_``, ``-``
            and ``.``, after an optional hash tag of these characters. With a colon, keys of one index could have the
            prefix of another.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise ConfigurationError(
            f"index name {name!r} must begin with a letter or digit, hold only letters, digits, "
            f"'_', '-' and '.', and have at most {_MAX_NAME} characters; a hash tag such as {{tenant}} may come first"
        )
    return name


def has_hash_tag(name: str) -> bool:
    """Return True if all keys of an index are in one cluster slot, because its name begins with a hash tag."""
    return name.startswith("{")


def own_key(name: str, part: str) -> str:
    """Key of an index that is not a document. All of them are in one cluster slot.

    With a hash tag, ``{tenant}articles`` has ``{tenant}:articles:<part>``, in the slot of its documents. Otherwise
    ``articles`` has ``{articles}:<part>``. No document and no other index has such a key.
    """
    match = _NAME.fullmatch(name)
    if match is None or match["tag"] is None:
        return f"{{{name}}}:{part}"
    return f"{{{match['tag']}}}:{match['rest']}:{part}"


CATALOG_PATTERN = "{*}:*index"
"""Glob of the keys of all catalogs, and of some other keys: see `name_of_catalog`."""


def name_of_catalog(key: str) -> str | None:
    """Return the name of the index whose catalog has a key, or None if no catalog has such a key."""
    match = _OWN_INDEX.fullmatch(key)
    if match is None:
        return None
    return match["tag"] if match["rest"] is None else f"{{{match['tag']}}}{match['rest']}"


def document_prefix(name: str) -> str:
    """Key prefix of all documents of an index. No other index has it."""
    return f"{name}:"


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """Record of one index.

    Attributes:
        name: name of the index.
        generation: random mark, new each time an index of this name is created.
        engine: engine of the index.
        schema: schema of the index; the dimension is set.
        embedding_model: embedding model of the vectors, if it is known.
        slots: (kind, path) -> number of the slot; -1 if all slots were taken (format 1).
        lineage: random mark in each document; None for an index of format 1.
        slots_spent: True if all slots are taken. Numbers under keys without a slot are then not indexed.
        renewal: random mark of the search index, if it was created again for the same documents (see
            `valkey_vector.engines.search.recovery`).
    """

    name: str
    generation: str
    engine: EngineName
    schema: Schema
    embedding_model: str | None
    slots: Mapping[tuple[SlotKind, str], int]
    lineage: str | None = None
    slots_spent: bool = False
    renewal: str | None = None

    def existence(self) -> Plan:
        """Plan that selects all documents of the index, and no other hash with its prefix."""
        if self.lineage is None:
            return Range("created")
        return Tokens((record_token(self.lineage),))

    @property
    def prefix(self) -> str:
        """Key prefix of the documents."""
        return document_prefix(self.name)

    def slot(self, path: str, kind: SlotKind) -> str | None:
        """Hash field of the numbers under a path; None if the path has no field."""
        if kind == "number" and self.declares_number(path):
            return declared_name(path)
        number = self.slots.get((kind, path), -1)
        return None if number < 0 else f"n{number}"

    @property
    def slotted_paths(self) -> tuple[str, ...]:
        """Metadata paths with a numeric slot, without duplicates."""
        return tuple(dict.fromkeys(path for (_, path), slot in self.slots.items() if slot >= 0))

    def complete(self, path: str, kind: SlotKind) -> bool:
        """Return True if a path without a slot has no values of this kind."""
        return not self.slots_spent and (kind, path) not in self.slots

    def declares_number(self, path: str) -> bool:
        """Return True if the schema declares a numeric field for the path."""
        fields = self.schema.fields
        return bool(fields) and any(
            isinstance(field, NumericField) and field.path == path for field in fields
        )

    @property
    def declared_numeric_fields(self) -> tuple[str, ...]:
        """Hash fields of declared numbers."""
        return tuple(
            declared_name(field.path)
            for field in self.schema.fields
            if isinstance(field, NumericField)
        )

    @property
    def search_index(self) -> str:
        """Name of the index in FT.* commands.

        The name contains the generation. So a process that still uses a dropped index gets an error instead of wrong
        results, and a late FT.DROPINDEX never drops a new index of the same name.
        """
        return f"{self.name}-{self.search_generation}"

    @property
    def search_generation(self) -> str:
        """Random mark in the name of the search index: the renewal, or else the generation."""
        return self.renewal or self.generation


def vocabulary_key(name: str) -> str:
    """Key of all terms that ever occurred in texts of an index (see `valkey_vector.text.vocabulary`)."""
    return own_key(name, "vocabulary")


def declared_name(path: str) -> str:
    """Hash field and query field of a declared metadata item."""
    return f"f_{escape(path)}"


def vector_name(name: str) -> str:
    """Hash field and query field of a vector."""
    return MAIN_VECTOR if name == MAIN_VECTOR else f"{VECTOR_PREFIX}{escape(name)}"


class Catalog:
    """Reads and changes the record of one index.

    Args:
        connection: connection to the server.
        name: name of the index.

    Attributes:
        key: key of the catalog.
        new_lineage: lineage of the index that `create` recorded last, unless it took over documents.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.name = name
        self.key = own_key(name, "index")
        self.new_lineage = ""

    def read(self) -> CatalogEntry | None:
        """Fetch the record. Returns None if the index does not exist. Cost: one round trip."""
        entry, _ = self.look()
        return entry

    def look(self) -> tuple[CatalogEntry | None, bool]:
        """Fetch the record, and whether the catalog's key exists. The record is None if the index does not exist.

        The key exists without an index after a drop that kept the documents, or whose removals are pending.
        """
        fields = _pairs(self._connection.execute("HGETALL", self.key, retry=True))
        return self._parse(fields) if "generation" in fields else None, bool(fields)

    def create(
        self, schema: Schema, engine: EngineName, embedding_model: str | None
    ) -> tuple[CatalogEntry, bool]:
        """Record a new index, or read the record of the existing one.

        Returns:
            The record, and True if it is new.

        Raises:
            ConfigurationError: documents of a dropped index of this name were kept, and have another layout.

        Atomicity: one script; of several processes, one creates the record.
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
            other = _in_other_text_layout(schema)
            if other and _described(other, engine, embedding_model)[1] == stored.decode():
                return self.create(other, engine, embedding_model)
            raise ConfigurationError(
                f"an index {self.name!r} was dropped without its documents, which were written with "
                f"{stored.decode()}; create it with these settings, or remove the documents with drop()"
            )
        return self._parse(_pairs(stored)), bool(created)

    def claim_slots(
        self, entry: CatalogEntry, wanted: Iterable[tuple[SlotKind, str]]
    ) -> dict[tuple[SlotKind, str], int]:
        """Assign numeric slots to keys without one.

        Returns:
            (kind, path) -> number of the slot, -1 if all slots are taken.

        Raises:
            ServerError: STALE: the index was dropped or created again in the meantime.
        """
        pairs = list(wanted)
        names = [f"{kind}:{path}" for kind, path in pairs]
        reply = self._connection.execute(
            "EVAL", _CLAIM, "1", self.key, entry.generation, str(entry.schema.numeric_slots), *names
        )
        return {pair: int(slot) for pair, slot in zip(pairs, reply, strict=True)}

    def forget(self, *, keep_documents: bool) -> bool:
        """Remove the record, atomically for all processes. Returns True if an index or kept documents existed.

        Args:
            keep_documents: keep the fields by which documents are read. Otherwise record their pending removal (see
                `removals`).
        """
        keys = [self.key, *own_keys(self.name)]
        keep = "keep" if keep_documents else ""
        return bool(self._connection.execute("EVAL", _FORGET, str(len(keys)), *keys, keep))

    def removals(self) -> dict[str, str]:
        """Fetch the pending removals: lineage -> generation of its search index, or ''."""
        fields = _pairs(self._connection.execute("HGETALL", self.key, retry=True))
        return removals_in(fields)

    def engine(self) -> EngineName | None:
        """Fetch the engine of the current index; None if it does not exist."""
        found = self._connection.execute("HGET", self.key, "engine", retry=True)
        return None if found is None else "native" if found == b"native" else "search"

    def removed(self, lineage: str) -> None:
        """Record that all documents of a lineage are removed."""
        self._connection.execute("EVAL", _REMOVED, "1", self.key, lineage)

    def restore(self, entry: CatalogEntry) -> None:
        """Record an index again after its record was lost. No effect if the record exists."""
        fields = [*_described(entry.schema, entry.engine, entry.embedding_model)]
        fields += ["format", "1" if entry.lineage is None else str(FORMAT)]
        fields += ["generation", entry.generation, "lineage", entry.lineage or ""]
        fields += [] if entry.renewal is None else ["renewal", entry.renewal]
        for (kind, path), slot in entry.slots.items():
            fields += [f"slot:{kind}:{path}", str(slot)]
        used = 1 + max(entry.slots.values(), default=-1)
        fields += ["slots_used", str(used), *(["slots_spent", "1"] if entry.slots_spent else [])]
        changes, deletions, *_ = own_keys(self.name)
        self._connection.execute("EVAL", _RESTORE, "3", self.key, changes, deletions, *fields)

    def note_removals(self, lineages: Iterable[str]) -> None:
        """Record lineages whose documents are to be removed."""
        for lineage in lineages:
            self._connection.execute("HSET", self.key, f"{_REMOVING}{lineage}", "")

    def note_orphans(self, entry: CatalogEntry, lineages: Iterable[str]) -> bool:
        """Record lineages without an index as pending removals.

        Returns:
            False, without any change, if `entry` is not the current index: an unknown lineage can belong to the next one.
        """
        command = ["EVAL", _NOTE, "1", self.key, entry.generation, *lineages]
        return bool(self._connection.execute(*command))

    def _parse(self, fields: Mapping[str, str]) -> CatalogEntry:
        found = fields.get("format")
        if found not in _READABLE:
            raise ConfigurationError(
                f"index {self.name!r} has format {found}, but this version of valkey-vector reads formats up to {FORMAT}: "
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
            renewal=fields.get("renewal"),
        )

    def _schema(self, stored: str) -> Schema:
        try:
            settings = json.loads(stored)
            if settings.get("full_text"):
                settings["full_text"].setdefault("layout", 1)
            return Schema.from_dict(settings)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UnreadableRecordError(
                f"the record of index {self.name!r}, the key {self.key!r}, cannot be read: {error}. Restore it from a backup"
            ) from error


def own_keys(name: str) -> list[str]:
    """Keys of an index other than the catalog and its documents, in the same cluster slot as the catalog."""
    return [*change_log_keys(name), vocabulary_key(name), locks_key(name), own_key(name, "writes")]


def change_log_keys(name: str) -> list[str]:
    """Keys of the native engine's change log (see `valkey_vector.engines.native.scripts`)."""
    return [own_key(name, part) for part in ("changes", "deletions", "expiry")]


def locks_key(name: str) -> str:
    """Key of the locks on records during a change (see `valkey_vector.engines.search.locks`)."""
    return own_key(name, "locks")


def removals_in(fields: Mapping[str, str]) -> dict[str, str]:
    """Pending removals in the fields of a catalog: lineage -> generation of its search index, or ''."""
    return {
        field.removeprefix(_REMOVING): generation
        for field, generation in fields.items()
        if field.startswith(_REMOVING)
    }


def _in_other_text_layout(schema: Schema) -> Schema | None:
    """Return the same schema with terms in the other layout of `FullText`; None without full text."""
    text = schema.full_text
    if text is None:
        return None
    return replace(schema, full_text=replace(text, layout=3 - text.layout))


def _described(schema: Schema, engine: EngineName, embedding_model: str | None) -> list[str]:
    """Fields and values of the catalog that describe an index, the layout first."""
    described = schema.to_dict()
    parts = ("dimension", "fields", "numeric_slots", "full_text", "vectors", "data_type")
    layout = {part: described[part] for part in parts if described.get(part) is not None}
    fields = ["layout", json.dumps(layout, sort_keys=True)]
    fields += ["engine", engine, "schema", json.dumps(described, sort_keys=True)]
    return fields if embedding_model is None else [*fields, "embedding_model", embedding_model]


def _pairs(reply: Any) -> dict[str, str]:
    """Decode a hash: a dict from HGETALL, or a flat list from a script."""
    if isinstance(reply, Mapping):
        items = list(reply.items())
    else:
        items = list(zip(reply[::2], reply[1::2], strict=True))
    return {key.decode(): value.decode() for key, value in items}
