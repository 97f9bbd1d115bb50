"""Pages of changed documents: the reply of the scripts SYNC and LOAD, column by column.

A reply of few long strings is decoded much faster than one string for each field of each document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valkey_vector.storage.catalog import VECTOR_PREFIX, CatalogEntry
from valkey_vector.storage.layout import CREATED, EXPIRES, VECTOR
from valkey_vector.storage.record_version import VERSION, own_fields

__all__ = ["Column", "Page", "page_of"]

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one hash field, one after the other.

    Attributes:
        data: the values.
        starts: position of each document's value in `data`.
        lengths: length of each value, 0 for a missing one.
        present: True for each document that has the field.
    """

    data: bytes
    starts: Integers
    lengths: Integers
    present: Flags

    def at(self, position: int) -> bytes:
        """The value of one document."""
        start = int(self.starts[position])
        return self.data[start : start + int(self.lengths[position])]

    def items(self) -> Iterator[tuple[int, bytes]]:
        """Iterate over the documents that have the field: position, value."""
        chosen = np.flatnonzero(self.present)
        starts = self.starts[chosen]
        ends = (starts + self.lengths[chosen]).tolist()
        for position, start, end in zip(chosen.tolist(), starts.tolist(), ends, strict=True):
            yield position, self.data[start:end]


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
    sequences: Sequence[int]
    columns: Mapping[str, Column]
    left: Integers
    exists: Flags


def page_of(
    entry: CatalogEntry,
    fields: Sequence[str],
    ids: Sequence[str],
    sequences: Sequence[int],
    reply: Any,
) -> Page:
    """Decode a page.

    Args:
        entry: the catalog entry of the index.
        fields: the hash fields of the columns; among them version and time of creation.
        ids: ids of the documents.
        sequences: numbers of their last writes.
        reply: values of each field, lengths of each field, and milliseconds left.
    """
    size = len(ids)
    values, lengths, left = reply
    columns = {
        name: _column(data, _integers(text, size))
        for name, data, text in zip(fields, values, lengths, strict=True)
    }
    exists = _keep_own(entry, columns, size)
    return Page(ids, sequences, columns, _integers(left, size), exists)


def _keep_own(entry: CatalogEntry, columns: dict[str, Column], size: int) -> Flags:
    """Hide fields that are not valid, and return which documents belong to the index (see `own_fields`).

    Documents with the same lineage and the same list of parts have the same valid fields.
    """
    optional = [n for n in columns if n in {VECTOR, EXPIRES} or n.startswith(VECTOR_PREFIX)]
    versions = dict(columns[VERSION].items())
    created = columns[CREATED].present.tolist()
    kinds: dict[tuple[bytes, bytes] | bool, list[int]] = {}
    for position in range(size):
        version = versions.get(position)
        kind: tuple[bytes, bytes] | bool = created[position]
        if version is not None:
            kind = version.partition(b":")[0], version.rpartition(b":")[2]
        kinds.setdefault(kind, []).append(position)
    exists = np.ones(size, dtype=np.bool_)
    for kind, positions in kinds.items():
        sample = dict.fromkeys(optional, b"")
        if isinstance(kind, tuple):
            sample[VERSION] = versions[positions[0]]
        elif kind:
            sample[CREATED] = b""
        valid = own_fields(entry, sample)
        if valid is None:
            exists[positions] = False
            continue
        for name in optional:
            if name not in valid:
                columns[name].present[positions] = False
    return exists


def _integers(text: bytes, size: int) -> Integers:
    """Decode integers, separated by blanks; an empty text means -1 for all."""
    if not text:
        return np.full(size, -1, dtype=np.int64)
    return np.fromstring(text.decode("ascii"), dtype=np.int64, sep=" ")


def _column(data: bytes, lengths: Integers) -> Column:
    present = lengths >= 0
    lengths = np.maximum(lengths, 0)
    return Column(data, np.cumsum(lengths) - lengths, lengths, present)
