"""Pages of changed documents: the reply of the scripts SYNC and LOAD, column by column.

Most fields of a document are missing, and columns do not transmit those: clients decode long lists of values much faster than
many small ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valkey_vector.storage.catalog import VECTOR_PREFIX, CatalogEntry
from valkey_vector.storage.layout import CREATED, EXPIRES, VECTOR
from valkey_vector.storage.record_version import VERSION, own_fields

__all__ = ["Column", "Page", "page_of"]


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one hash field.

    Attributes:
        positions: positions of the documents that have the field, ascending.
        values: their values.
    """

    positions: Sequence[int]
    values: Sequence[bytes]

    def without(self, positions: Collection[int]) -> Column:
        """The column without the values of some documents."""
        pairs = zip(self.positions, self.values, strict=True)
        retained = [pair for pair in pairs if pair[0] not in positions]
        return Column([position for position, _ in retained], [value for _, value in retained])


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
    left: Sequence[int]
    exists: Sequence[bool]


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
        reply: what `load` of ``read_record.lua`` returns.
    """
    size = len(ids)
    values, positions, left = reply
    columns = {
        name: _column(found, text, size)
        for name, found, text in zip(fields, values, positions, strict=True)
    }
    exists = _retain_own(entry, columns, size)
    return Page(ids, sequences, columns, list(map(int, left.split())), exists)


def _column(values: Sequence[bytes], positions: bytes, size: int) -> Column:
    if positions:
        return Column([int(position) - 1 for position in positions.split()], values)
    return Column(range(size if values else 0), values)


def _retain_own(entry: CatalogEntry, columns: dict[str, Column], size: int) -> list[bool]:
    """Remove fields that are not valid, and return which documents belong to the index (see `own_fields`).

    Documents with the same lineage and the same list of parts have the same valid fields.
    """
    optional = [n for n in columns if n in {VECTOR, EXPIRES} or n.startswith(VECTOR_PREFIX)]
    kinds: list[tuple[bytes, bytes] | bool] = [False] * size
    for position in columns[CREATED].positions:
        kinds[position] = True
    for position, version in zip(columns[VERSION].positions, columns[VERSION].values, strict=True):
        kinds[position] = version.partition(b":")[0], version.rpartition(b":")[2]
    invalid: dict[str, set[int]] = {}
    exists = [True] * size
    for kind in set(kinds):
        sample = dict.fromkeys(optional, b"")
        if isinstance(kind, tuple):
            sample[VERSION] = b"::".join(kind)
        elif kind:
            sample[CREATED] = b""
        valid = own_fields(entry, sample)
        missing = optional if valid is None else [name for name in optional if name not in valid]
        if valid is not None and not missing:
            continue
        for position in (at for at, each in enumerate(kinds) if each == kind):
            exists[position] = valid is not None
            for name in missing:
                invalid.setdefault(name, set()).add(position)
    for name, positions in invalid.items():
        columns[name] = columns[name].without(positions)
    return exists
