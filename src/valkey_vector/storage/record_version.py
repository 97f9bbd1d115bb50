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
    if version is None:
        return True
    letters, _, named = version.rpartition(b":")[2].partition(b";")
    if field == MAIN_VECTOR:
        return b"v" in letters
    return field.removeprefix(VECTOR_PREFIX).encode("ascii") in named.split(b",")


def own_fields(entry: CatalogEntry, fields: Mapping[str, bytes]) -> dict[str, bytes] | None:
    """The valid ones of a hash's fields, or None if the hash is not a record of this index.

    Args:
        entry: of the index.
        fields: what was read of the hash, `identifying_fields` among it.
    """
    version = fields.get(VERSION)
    lineage = entry.lineage
    if version is None:
        return dict(fields) if lineage is None and CREATED in fields else None
    if not version.startswith(b":" if lineage is None else lineage.encode("ascii") + b":"):
        return None
    letters, _, named = version.rpartition(b":")[2].partition(b";")
    valid = dict(fields)
    for name, letter in _OPTIONAL.items():
        if name in valid and letter not in letters:
            del valid[name]
    additional = [name for name in valid if name.startswith(VECTOR_PREFIX)]
    if additional:
        names = named.decode("ascii").split(",")
        for name in additional:
            if name.removeprefix(VECTOR_PREFIX) not in names:
                del valid[name]
    return valid
