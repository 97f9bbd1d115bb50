"""Pages of changed documents, column by column: decoded replies of the scripts SYNC and LOAD, and of SORT.

Most fields of a document are missing, and columns do not transmit those: clients decode long lists of values much faster than
many small ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from valkey_vector.storage.catalog import VECTOR_PREFIX, CatalogEntry
from valkey_vector.storage.layout import CREATED, EXPIRES, VECTOR
from valkey_vector.storage.record_version import VERSION, own_fields

__all__ = ["Column", "Page", "page_of", "page_of_rows", "version_kinds"]

_Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one hash field.

    Attributes:
        positions: positions of the documents that have the field, ascending.
        values: their values.
    """

    positions: _Positions
    values: Sequence[bytes]

    def among(self, chosen: NDArray[np.bool_]) -> Column:
        """The column without the values of other documents.

        Args:
            chosen: True for each document to retain.
        """
        retained = chosen[self.positions]
        if retained.all():
            return self
        values = [value for value, is_one in zip(self.values, retained, strict=True) if is_one]
        return Column(self.positions[retained], values)


@dataclass(frozen=True, slots=True)
class Page:
    """Written documents.

    Attributes:
        ids: ids of the documents.
        sequences: numbers of their last writes.
        columns: hash field → values.
        left: milliseconds until each expires, if only the TTL of its key says so; < 0 otherwise.
        exists: False for each id whose key holds no document of the index.
    """

    ids: Sequence[str]
    sequences: NDArray[np.int64]
    columns: Mapping[str, Column]
    left: NDArray[np.int64]
    exists: NDArray[np.bool_]


def page_of(
    entry: CatalogEntry,
    fields: Sequence[str],
    ids: Sequence[str],
    sequences: Sequence[int],
    reply: Any,
) -> Page:
    """Decode a page that a script read.

    Args:
        entry: the catalog entry of the index.
        fields: the hash fields of the columns; among them version and time of creation.
        ids: ids of the documents.
        sequences: numbers of their last writes.
        reply: what `load` of ``read_record.lua`` returns.
    """
    size = len(ids)
    values, positions, left = reply
    columns = {
        name: Column(_positions(text, size if found else 0), found)
        for name, found, text in zip(fields, values, positions, strict=True)
    }
    return _page(entry, ids, sequences, columns, np.array(left.split(), dtype=np.int64))


def page_of_rows(
    entry: CatalogEntry,
    fields: Sequence[str],
    ids: Sequence[str],
    sequences: NDArray[np.int64],
    columns: Sequence[Sequence[bytes | None]],
) -> Page:
    """Decode a page of documents none of which expires by the TTL of its key only.

    Args:
        entry: the catalog entry of the index.
        fields: the hash fields of the columns; among them version and time of creation.
        ids: ids of the documents.
        sequences: numbers of their last writes.
        columns: for each field its value in each document, None for a missing one.
    """
    found = {name: _column(values) for name, values in zip(fields, columns, strict=True)}
    return _page(entry, ids, sequences, found, np.full(len(ids), -1, dtype=np.int64))


def _page(
    entry: CatalogEntry,
    ids: Sequence[str],
    sequences: Sequence[int] | NDArray[np.int64],
    columns: dict[str, Column],
    left: NDArray[np.int64],
) -> Page:
    exists = _retain_own(entry, columns, len(ids))
    return Page(ids, np.array(sequences, dtype=np.int64), columns, left, exists)


def _positions(text: bytes, size: int) -> _Positions:
    if text:
        return np.array(text.split(), dtype=np.int64) - 1
    return np.arange(size)


def _column(values: Sequence[bytes | None]) -> Column:
    if all(values):  # neither missing nor empty: the fastest check
        return Column(np.arange(len(values)), cast(Sequence[bytes], values))
    there = [value for value in values if value is not None]
    if len(there) == len(values):
        return Column(np.arange(len(values)), there)
    return Column(np.flatnonzero([value is not None for value in values]), there)


def version_kinds(versions: Sequence[bytes]) -> set[bytes]:
    """Return the distinct versions without their unique component."""
    only = _kind_of_all(versions)
    return set(map(_kind, versions)) if only is None else {only}


def _kind(version: bytes) -> bytes:
    lineage, colon, rest = version.partition(b":")
    return lineage + colon + colon + rest.rpartition(b":")[2]


def _kind_of_all(versions: Sequence[bytes]) -> bytes | None:
    """Return what `_kind` returns for each of these versions; None if it may differ. Much faster for many."""
    if not versions or b":" not in versions[0]:
        return None
    lineage, _, rest = versions[0].partition(b":")
    lines = b"\n" + b"\n".join(versions) + b"\n"
    beginning, end = b"\n" + lineage + b":", b":" + rest.rpartition(b":")[2] + b"\n"
    counts = {lines.count(beginning), lines.count(end), lines.count(b"\n") - 1}
    return _kind(versions[0]) if counts == {len(versions)} else None


def _retain_own(entry: CatalogEntry, columns: dict[str, Column], size: int) -> NDArray[np.bool_]:
    """Remove fields that are not valid, and return which documents belong to the index (see `own_fields`).

    Documents with the same lineage and the same list of parts have the same valid fields.
    """
    optional = [n for n in columns if n in {VECTOR, EXPIRES} or n.startswith(VECTOR_PREFIX)]
    versions, created = columns[VERSION], columns[CREATED]
    # A version without its unique component; True without a version, False without a time of creation, too.
    kinds: list[bytes | bool] = [False] * size
    if (only := _kind_of_all(versions.values)) is not None and len(versions.values) == size:
        kinds = [only] * size
    else:
        for position in created.positions.tolist():
            kinds[position] = True
        for position, version in zip(versions.positions.tolist(), versions.values, strict=True):
            kinds[position] = _kind(version)
    exists = np.ones(size, dtype=np.bool_)
    for kind in set(kinds):
        sample = dict.fromkeys(optional, b"")
        if isinstance(kind, bytes):
            sample[VERSION] = kind
        elif kind:
            sample[CREATED] = b""
        valid = own_fields(entry, sample)
        missing = optional if valid is None else [name for name in optional if name not in valid]
        if valid is not None and not missing:
            continue
        of_kind = np.array([each == kind for each in kinds])
        if valid is None:
            exists[of_kind] = False
        for name in missing:
            columns[name] = columns[name].among(~of_kind)
    return exists
