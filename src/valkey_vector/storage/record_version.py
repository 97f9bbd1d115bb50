"""The ``version`` field of a record's hash: which index it belongs to, which write it is, and which fields are valid.

A write sets all fields of a record in one command and removes fields that are no longer used in a second one. In between,
and after a writer that was killed there, the hash still has fields of the record before. So each write also sets
``version``, ``<lineage>:<unique>:<parts>``:

* ``lineage`` marks the records of one index (see `valkey_vector.storage.catalog`). A hash under the prefix without it is not a
  record of the index: another program's hash, or a record of an index of the same name that was dropped.
* ``unique`` differs for every write, so that a change of a record is noticed whatever it changed.
* ``parts`` lists the optional fields that are valid: ``v`` the vector, ``p`` the parent, ``y`` the payload, ``t`` the time
  at which the record expires, ``s`` that its key has a time to live that is noted nowhere else; after a ``;`` the escaped
  names of additional vectors.

Indexes of format 1 have no lineage, and their older records no version: all fields of those are valid.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, TypeAlias

from valkey_vector.schema.schema import MAIN_VECTOR
from valkey_vector.storage.catalog import VECTOR_PREFIX, CatalogEntry

__all__ = [
    "CREATED",
    "EXPIRES",
    "PARENT",
    "PAYLOAD",
    "VERSION",
    "Expiry",
    "expiry_of",
    "has_vector",
    "identifying_fields",
    "listed_fields",
    "new_unique",
    "own_fields",
    "renewed_version",
    "version_of",
]

VERSION = "version"
PARENT, PAYLOAD = "parent", "payload"
CREATED, EXPIRES = "created", "expires"

Expiry: TypeAlias = Literal["", "t", "s"]
"""How a record expires: not at all, at a time noted in the record, or by its key's time to live alone."""

_OPTIONAL = {MAIN_VECTOR: b"v", PARENT: b"p", PAYLOAD: b"y", EXPIRES: b"t"}


def new_unique() -> str:
    """The unique part of a version, for one write."""
    return secrets.token_urlsafe(9)


def version_of(
    entry: CatalogEntry, unique: str, present: Mapping[str, object], expiry: Expiry
) -> str:
    """The version of a whole record.

    Args:
        entry: of its index.
        unique: from `new_unique`.
        present: hash fields that the record has, by name.
        expiry: how it expires.
    """
    parts = "v" if MAIN_VECTOR in present else ""
    parts += "p" if PARENT in present else ""
    parts += "y" if PAYLOAD in present else ""
    parts += expiry
    named = [name.removeprefix(VECTOR_PREFIX) for name in present if name.startswith(VECTOR_PREFIX)]
    if named:
        parts += ";" + ",".join(named)
    return f"{entry.lineage or ''}:{unique}:{parts}"


def renewed_version(version: bytes, unique: str) -> str:
    """The version of a record some fields of which are written anew while its optional fields stay."""
    lineage, _, rest = version.decode("ascii").partition(":")
    return f"{lineage}:{unique}:{rest.rpartition(':')[2]}"


def expiry_of(version: bytes) -> Expiry:
    """How a record of this version expires."""
    letters = version.rpartition(b":")[2].partition(b";")[0]
    return "t" if b"t" in letters else "s" if b"s" in letters else ""


def identifying_fields(entry: CatalogEntry) -> Sequence[str]:
    """The hash fields that `own_fields` needs."""
    return (VERSION,) if entry.lineage is not None else (VERSION, CREATED)


def listed_fields(version: bytes) -> frozenset[str]:
    """The optional fields that a version lists, but for the time at which the record expires."""
    letters, _, named = version.rpartition(b":")[2].partition(b";")
    listed = {name for name, letter in _OPTIONAL.items() if letter in letters and name != EXPIRES}
    further = named.decode("ascii").split(",") if named else []
    return frozenset(listed | {VECTOR_PREFIX + name for name in further})


def has_vector(version: bytes | None, field: str) -> bool:
    """Whether a record of this version has the vector in a hash field; True for one without a version.

    Asked of what a search by vector found: the server may know a vector that the record no longer has.
    """
    return version is None or not _invalid(version.rpartition(b":")[2], (field,))


def own_fields(entry: CatalogEntry, fields: Mapping[str, bytes]) -> Mapping[str, bytes] | None:
    """Return the valid fields of a hash, or None if the hash is not a record of this index.

    Args:
        entry: catalog entry of the index.
        fields: the fields that were read, `identifying_fields` among them. Returned as they are if all are valid.
    """
    version = fields.get(VERSION)
    lineage = entry.lineage
    if version is None:
        return fields if lineage is None and CREATED in fields else None
    if not version.startswith(_beginning(lineage)):
        return None
    invalid = _invalid(version.rpartition(b":")[2], tuple(fields))
    if not invalid:
        return fields
    return {name: value for name, value in fields.items() if name not in invalid}


@lru_cache(maxsize=256)
def _beginning(lineage: str | None) -> bytes:
    """The first bytes of the versions of a lineage."""
    return b":" if lineage is None else lineage.encode("ascii") + b":"


# Records of one kind have equal parts, and queries read the same fields, so few combinations occur.
@lru_cache(maxsize=1024)
def _invalid(parts: bytes, names: tuple[str, ...]) -> frozenset[str]:
    """Return which of these fields are not valid in a record with these parts."""
    letters, _, named = parts.partition(b";")
    additional = {VECTOR_PREFIX + name for name in named.decode("ascii", "replace").split(",")}
    return frozenset(
        name
        for name in names
        if (name in _OPTIONAL and _OPTIONAL[name] not in letters)
        or (name.startswith(VECTOR_PREFIX) and name not in additional)
    )
