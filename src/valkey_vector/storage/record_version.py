"""The ``version`` field of a record's hash: the index of the record, a mark of its last write, and the valid fields.

A write sets all fields of a record in one command, and removes unused fields in a second one. Between the two commands, or
if the writer is killed there, the hash still has fields of the previous record. So each write also sets ``version`` to
``<lineage>:<unique>:<parts>``:

* ``lineage`` marks the records of one index (see `valkey_vector.storage.catalog`). A hash with the prefix but without the
  lineage is not a record of the index. Another program wrote it, or it belongs to a dropped index of the same name.
* ``unique`` is new for every write, so every change of a record can be detected.
* ``parts`` lists the optional fields that are valid: ``v`` the vector, ``p`` the parent, ``y`` the payload, ``t`` the time
  at which the record expires, ``s`` that only the key has a time to live; after a ``;`` the escaped names of additional
  vectors.

Indexes of format 1 have no lineage, and their older records have no version: all their fields are valid.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, TypeAlias

from valkey_vector.records.vectors import widened
from valkey_vector.schema.schema import MAIN_VECTOR, Schema
from valkey_vector.storage.catalog import VECTOR_PREFIX, CatalogEntry, vector_name

__all__ = [
    "CREATED",
    "EXPIRES",
    "PARENT",
    "PAYLOAD",
    "VERSION",
    "Expiry",
    "OwnRecords",
    "expiry_of",
    "has_vector",
    "identifying_fields",
    "listed_fields",
    "new_unique",
    "new_uniques",
    "own_fields",
    "own_records",
    "renewed_version",
    "version_of",
]

VERSION = "version"
PARENT, PAYLOAD = "parent", "payload"
CREATED, EXPIRES = "created", "expires"

Expiry: TypeAlias = Literal["", "t", "s"]
"""Expiration of a record: none, at a time stored in the record, or only by the time to live of its key."""

_VERSION = VERSION.encode()

_MAX_LEARNED = 256
"""Maximum number of kinds of records, and of names for one kind, that are remembered as valid."""

_OPTIONAL = {MAIN_VECTOR: b"v", PARENT: b"p", PAYLOAD: b"y", EXPIRES: b"t"}


def new_unique() -> str:
    """Create the unique component of a version, for one write."""
    return secrets.token_urlsafe(9)


def new_uniques(count: int) -> list[str]:
    """Create the unique components of the versions of several writes."""
    # Nine bytes are exactly twelve characters.
    text = urlsafe_b64encode(secrets.token_bytes(9 * count)).decode("ascii")
    return [text[at : at + 12] for at in range(0, 12 * count, 12)]


def version_of(entry: CatalogEntry, unique: str, present: Collection[str], expiry: Expiry) -> str:
    """Create the version of a whole record.

    Args:
        entry: catalog entry of the index.
        unique: result of `new_unique`.
        present: names of the optional hash fields of the record; others are ignored.
        expiry: expiration of the record.
    """
    return f"{entry.lineage or ''}:{unique}:{_parts(tuple(present), expiry)}"


# Most records of an index have the same optional fields.
@lru_cache(maxsize=256)
def _parts(present: tuple[str, ...], expiry: Expiry) -> str:
    parts = "v" if MAIN_VECTOR in present else ""
    parts += "p" if PARENT in present else ""
    parts += "y" if PAYLOAD in present else ""
    parts += expiry
    named = [name.removeprefix(VECTOR_PREFIX) for name in present if name.startswith(VECTOR_PREFIX)]
    return f"{parts};{','.join(named)}" if named else parts


def renewed_version(version: bytes, unique: str) -> str:
    """Create the version of a record whose optional fields stay valid while other fields are written."""
    lineage, _, rest = version.decode("ascii").partition(":")
    return f"{lineage}:{unique}:{rest.rpartition(':')[2]}"


def expiry_of(version: bytes) -> Expiry:
    """Expiration of a record with this version."""
    letters = version.rpartition(b":")[2].partition(b";")[0]
    return "t" if b"t" in letters else "s" if b"s" in letters else ""


def identifying_fields(entry: CatalogEntry) -> Sequence[str]:
    """Hash fields that `own_fields` needs."""
    return (VERSION,) if entry.lineage is not None else (VERSION, CREATED)


def listed_fields(version: bytes) -> frozenset[str]:
    """Optional fields that a version lists, without the time at which the record expires."""
    letters, _, named = version.rpartition(b":")[2].partition(b";")
    listed = {name for name, letter in _OPTIONAL.items() if letter in letters and name != EXPIRES}
    additional = named.decode("ascii").split(",") if named else []
    return frozenset(listed | {VECTOR_PREFIX + name for name in additional})


def has_vector(version: bytes | None, field: str) -> bool:
    """Return True if a record with this version has the vector in a hash field. True without a version.

    Check it for results of a vector search: the server can have indexed a vector that the record no longer has.
    """
    return version is None or _lists_vector(version.rpartition(b":")[2], field)


def own_fields(
    entry: CatalogEntry, fields: Mapping[str, bytes], vector: str | None = None
) -> Mapping[str, bytes] | None:
    """Return the valid fields of a hash, or None if the hash is not a record of this index.

    Vectors are returned as float32, whatever their element type on the server.

    Args:
        entry: catalog entry of the index.
        fields: fields of the hash that were read, including `identifying_fields`. Returned unchanged if all are valid
            and no vector has another element type.
        vector: hash field of a vector that the record must have (see `has_vector`); None for none.
    """
    version = fields.get(VERSION)
    lineage = entry.lineage
    schema = entry.schema
    if schema.data_type != "FLOAT32" or schema.vectors:
        fields = _with_float32(fields, schema)
    if version is None:
        return fields if lineage is None and CREATED in fields else None
    if not version.startswith(_beginning(lineage)):
        return None
    invalid = _invalid(version[version.rfind(b":") + 1 :], (*fields, vector))
    if not invalid:
        return fields
    if vector in invalid:
        return None
    return {name: value for name, value in fields.items() if name not in invalid}


class OwnRecords:
    """Recognizes the records of an index whose fields are all valid, by field names as a reply has them, in bytes.

    One comparison with the names that were valid before replaces one of each field: results of a search have the same
    few fields. A hash that is not recognized can still be a record; `own_fields` decides.

    Args:
        lineage: lineage of the index.
        vector: hash field of a vector that the records must have; None for none.

    Attributes:
        beginning: the first bytes of the version of every record of the index.
        valid: last component of a version -> names of fields that were valid in such a record.
    """

    __slots__ = ("beginning", "valid", "vector")

    def __init__(self, lineage: str | None, vector: str | None) -> None:
        self.beginning = _beginning(lineage)
        self.vector = vector
        self.valid: dict[bytes, set[bytes]] = {}

    def recognizes(self, hashes: Iterable[Mapping[bytes, bytes] | None]) -> bool:
        """Return True if all hashes are records, and all their fields are certainly valid."""
        beginning, valid = self.beginning, self.valid
        for fields in hashes:
            if fields is None:
                return False
            version = fields.get(_VERSION)
            if version is None or not version.startswith(beginning):
                return False
            names = valid.get(version[version.rfind(b":") + 1 :])
            if names is None or not names.issuperset(fields):
                return False
        return True

    def learn(self, fields: Mapping[bytes, bytes]) -> None:
        """Remember the names of fields that are all valid, according to `own_fields`."""
        version = fields.get(_VERSION)
        if version is None or len(self.valid) >= _MAX_LEARNED:
            return
        names = self.valid.setdefault(version[version.rfind(b":") + 1 :], set())
        if len(names) < _MAX_LEARNED:
            names.update(fields)


@lru_cache(maxsize=256)
def own_records(lineage: str | None, vector: str | None) -> OwnRecords:
    """Return the `OwnRecords` of an index, always the same one."""
    return OwnRecords(lineage, vector)


def _with_float32(fields: Mapping[str, bytes], schema: Schema) -> Mapping[str, bytes]:
    """Return the fields with every vector as float32; unchanged if all are."""
    changed = {
        field: widened(fields[field], data_type)
        for name, data_type in schema.data_types.items()
        if data_type != "FLOAT32" and (field := vector_name(name)) in fields
    }
    return {**fields, **changed} if changed else fields


@lru_cache(maxsize=256)
def _lists_vector(parts: bytes, field: str) -> bool:
    """Return True if a vector is valid in a record with these parts."""
    return field not in _invalid(parts, (field,))


@lru_cache(maxsize=256)
def _beginning(lineage: str | None) -> bytes:
    """The first bytes of the versions of a lineage."""
    return b":" if lineage is None else lineage.encode("ascii") + b":"


# Records of one kind have equal parts, and queries read the same fields, so few combinations occur.
@lru_cache(maxsize=1024)
def _invalid(parts: bytes, names: tuple[str | None, ...]) -> frozenset[str]:
    """Return which of these fields are not valid in a record with these parts. None is no field."""
    letters, _, named = parts.partition(b";")
    additional = {VECTOR_PREFIX + name for name in named.decode("ascii", "replace").split(",")}
    return frozenset(
        name
        for name in names
        if name is not None
        and (
            (name in _OPTIONAL and _OPTIONAL[name] not in letters)
            or (name.startswith(VECTOR_PREFIX) and name not in additional)
        )
    )
