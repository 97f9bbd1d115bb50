"""Verification of one document: compare its fields on the server with its metadata, texts and version."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from valkey_vector.connection import Argument, Reply
from valkey_vector.errors import InvalidInputError, ServerError, UnreadableRecordError
from valkey_vector.filters.plan import TAGS
from valkey_vector.index.report import ProblemKind
from valkey_vector.records import metadata as metadata_codec
from valkey_vector.records.tokens import SLIDING, parent_tokens
from valkey_vector.records.vectors import unpack_vector
from valkey_vector.storage.catalog import VECTOR_PREFIX, CatalogEntry, declared_name, vector_name
from valkey_vector.storage.hashes import checked
from valkey_vector.storage.layout import (
    CONTENT,
    METADATA,
    Prepared,
    declared_texts,
    field_token,
    index_fields,
    prepare_metadata,
    wanted_slots,
)
from valkey_vector.storage.record_version import (
    CREATED,
    EXPIRES,
    PARENT,
    PAYLOAD,
    VERSION,
    expiry_of,
    listed_fields,
    new_unique,
    own_fields,
    version_of,
)
from valkey_vector.storage.rows import MetadataReplacement
from valkey_vector.text.fields import indexed_texts, text_values

__all__ = ["DocumentCheck", "KeyState", "Nature"]

Nature: TypeAlias = Literal["absent", "foreign", "orphan", "expired", "record"]
"""Kind of a key under the prefix. An expired record is not a record, even while its key exists."""

_VERSION = re.compile(rb"([0-9a-f]*):[\w-]+:[a-z]*(?:;.*)?")
_INDEXED = re.compile(rf"{TAGS}|n[0-9]+|f_.*|(?:words|stems|length)(?:_.*)?")
_OPTIONAL = re.compile(rf"vector|{PARENT}|{PAYLOAD}|{EXPIRES}|{VECTOR_PREFIX}.*")


@dataclass(frozen=True, slots=True)
class _Content:
    """Decoded contents of a record.

    Attributes:
        stored: the stored metadata.
        prepared: the indexed form of the metadata.
        texts: the indexed fields of the texts: names and values alternate.
        valid: the valid hash fields.
    """

    stored: bytes
    prepared: Prepared
    texts: Sequence[str]
    valid: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class KeyState:
    """State of a key when it was read.

    Attributes:
        id: id of the document.
        nature: kind of the key. All other attributes belong to documents only.
        lineage: lineage of an orphan.
        version: version of the document.
        content: decoded contents; None if the record cannot be read.
        unreadable: the reason why it cannot be read; empty if it can.
        removable: True if the record can be removed by its version.
        wrong: names of fields with a wrong value.
        stale: names of fields that are not valid.
        vectors: names of vector fields that do not hold a vector of the index.
    """

    id: str
    nature: Nature
    lineage: str = ""
    version: bytes | None = None
    content: _Content | None = None
    unreadable: str = ""
    removable: bool = True
    wrong: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()

    @property
    def problems(self) -> dict[ProblemKind, str]:
        """The problems of the record: kind -> details."""
        found: dict[ProblemKind, str] = {}
        if self.unreadable:
            found["unreadable"] = self.unreadable
        if self.vectors:
            found["damaged vector"] = ", ".join(self.vectors)
        if self.wrong:
            found["wrong field"] = ", ".join(self.wrong)
        if self.stale:
            found["stale field"] = ", ".join(self.stale)
        return found


class DocumentCheck:
    """Verifies documents of one index.

    Args:
        entry: catalog entry of the index.
    """

    def __init__(self, entry: CatalogEntry) -> None:
        self._entry = entry
        schema = entry.schema
        names = [VERSION, METADATA, CONTENT, PARENT, CREATED, EXPIRES, TAGS]
        names += [f"n{number}" for number in range(schema.numeric_slots)]
        names += [declared_name(field.path) for field in schema.fields]
        names += [
            n for text in indexed_texts(schema) for n in (text.words, text.stems, text.length)
        ]
        self._vectors = {vector_name(field.name): field for field in schema.vector_fields}
        self._names = list(dict.fromkeys([*names, *self._vectors]))

    def commands(self, id: str) -> list[list[Argument]]:
        """Return the commands whose replies `judge` takes."""
        key = self._entry.prefix + id
        return [["HKEYS", key], ["HMGET", key, *self._names]]

    def judge(self, id: str, replies: Sequence[Reply | ServerError], now: int) -> KeyState:
        """Determine the state of a key from the replies to `commands`.

        Args:
            id: id of the document.
            replies: replies to `commands`.
            now: time of the server in milliseconds.

        Raises:
            ServerError: one of the replies is an error.
        """
        for reply in replies:
            if isinstance(reply, ServerError) and reply.message.startswith("WRONGTYPE"):
                return KeyState(id, "foreign")
        names, values = checked(replies)
        if not names:
            return KeyState(id, "absent")
        pairs = zip(self._names, values, strict=True)
        fields = {name: value for name, value in pairs if value is not None}
        if b"payload" in names:
            fields[PAYLOAD] = b""  # only its validity matters, so it is not fetched
        version = fields.get(VERSION)
        known = METADATA in fields if version is None else _VERSION.fullmatch(version) is not None
        valid = own_fields(self._entry, fields) if known else None
        if valid is None:
            if version is None or not known:
                return KeyState(id, "foreign")
            return KeyState(id, "orphan", lineage=version.partition(b":")[0].decode())
        ends = _number(valid.get(EXPIRES))
        if ends is not None and ends <= now:
            return KeyState(id, "expired", version=version)
        return self._compared(id, fields, valid, {_name(each) for each in names})

    def _compared(
        self, id: str, fields: Mapping[str, bytes], valid: Mapping[str, bytes], names: set[str]
    ) -> KeyState:
        version = fields.get(VERSION)
        try:
            content = self._content(id, valid)
        except (InvalidInputError, UnreadableRecordError, UnicodeDecodeError) as error:
            there = METADATA in fields
            return KeyState(id, "record", version=version, unreadable=str(error), removable=there)
        expected = self._expected(content, valid)
        wrong = [name for name in expected if not _same(name, fields.get(name), expected[name])]
        wrong += [
            f"no slot for {path!r}" for _, path in wanted_slots([content.prepared], self._entry)
        ]
        if _number(fields.get(CREATED)) is None:
            wrong.append(CREATED)
        if version is not None and not listed_fields(version) <= names:
            wrong.append(VERSION)
        stale = {name for name in names if _INDEXED.fullmatch(name)} - expected.keys()
        if version is not None:
            allowed = listed_fields(version) | ({EXPIRES} if expiry_of(version) == "t" else set())
            stale |= {name for name in names if _OPTIONAL.fullmatch(name)} - allowed
        vectors = [name for name in self._vectors if name in valid and not self._fits(name, valid)]
        return KeyState(
            id, "record",
            version=version, content=content,
            wrong=tuple(wrong), stale=tuple(sorted(stale)), vectors=tuple(vectors),
        )  # fmt: skip

    def _content(self, id: str, valid: Mapping[str, bytes]) -> _Content:
        """Decode the contents of a record.

        Raises:
            UnreadableRecordError: another program wrote it, or it is damaged.
            UnicodeDecodeError: likewise.
            InvalidInputError: the metadata do not fit the schema.
        """
        owner = f"record {id!r}"
        for name in (METADATA, CONTENT):
            if name not in valid:
                raise UnreadableRecordError(f"{owner} has no {name}")
        version = valid.get(VERSION)
        if (
            version is not None
            and expiry_of(version) == "t"
            and _number(valid.get(EXPIRES)) is None
        ):
            raise UnreadableRecordError(f"{owner} has no time of expiration")
        metadata = metadata_codec.load(valid[METADATA], owner)
        schema = self._entry.schema
        _, items, declared = prepare_metadata(metadata, schema, owner)
        parent = valid[PARENT].decode("utf-8") if PARENT in valid else None
        text = valid[CONTENT].decode("utf-8")
        prepared = Prepared(id, b"", b"", None, items, declared, parent)
        texts = text_values(schema, text, declared_texts(metadata, schema))
        return _Content(valid[METADATA], prepared, texts, valid)

    def _expected(self, content: _Content, present: Mapping[str, object]) -> dict[str, bytes]:
        """The indexed fields that a record with these contents and optional fields must have."""
        had = content.valid.get(TAGS, b"").split(b",")
        version = content.valid.get(VERSION)
        slides = SLIDING.encode() in had if version is None else expiry_of(version) == "s"
        tokens = [SLIDING] if slides else []
        tokens += [field_token(field) for name, field in self._vectors.items() if name in present]
        tokens += parent_tokens(content.prepared.parent)
        flat: list[str | bytes] = [*index_fields(content.prepared.items, tokens, self._entry)]
        for name, value in content.prepared.declared:
            flat += [name, value]
        flat += content.texts
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return {
            str(name): value.encode() if isinstance(value, str) else value for name, value in pairs
        }

    def _fits(self, name: str, valid: Mapping[str, bytes]) -> bool:
        """True if a field holds a vector of the index."""
        data = valid[name]
        if len(data) != 4 * self._vectors[name].dimension:
            return False
        return bool(np.isfinite(unpack_vector(data)).all())

    def replacement(
        self, state: KeyState, content: _Content, now: int, *, without: Sequence[str] = ()
    ) -> MetadataReplacement:
        """Return the change that repairs a record.

        Args:
            state: state of the record.
            content: contents of the record.
            now: time of the server in milliseconds: the time of creation for a record that has none.
            without: names of vector fields to remove.
        """
        present = {name: True for name in content.valid if name not in without}
        fields: list[str | bytes] = [METADATA, content.stored]
        for name, value in self._expected(content, present).items():
            fields += [name, value]
        if CREATED in state.wrong:
            fields += [CREATED, str(now * 1000)]
        if state.version is not None:
            expiry = expiry_of(state.version)
            fields += [VERSION, version_of(self._entry, new_unique(), present, expiry)]
        removed = [*state.stale, *without]
        return MetadataReplacement(state.id, content.stored, state.version, fields, removed)


def _same(name: str, found: bytes | None, expected: bytes) -> bool:
    """True if a field holds the expected value. The order of tokens and the format of numbers are ignored."""
    if found is None or found == expected:
        return found is not None
    if name == TAGS:
        return sorted(found.split(b",")) == sorted(expected.split(b","))
    if re.fullmatch("n[0-9]+", name):
        return _number(found) == _number(expected)
    return False


def _number(value: bytes | None) -> float | None:
    """Parse the number in a field; None if it holds none."""
    try:
        number = math.nan if value is None else float(value)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _name(field: bytes) -> str:
    """Decode the name of a field. A name that is not UTF-8 belongs to another program and becomes empty."""
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        return ""
