"""Change metadata in place: read, merge, and write back only if nobody else wrote meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from valkey_vector import metadata as metadata_codec
from valkey_vector import queries
from valkey_vector.document import METADATA, Prepared, index_fields, prepare_metadata
from valkey_vector.engines.base import Engine, Row
from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.ast import Filter
from valkey_vector.filters.plan import TAGS
from valkey_vector.lifecycle import Lifecycle
from valkey_vector.tokens import HAS_VECTOR

__all__ = ["MetadataUpdate"]

_FIELDS = [METADATA, TAGS]


class MetadataUpdate:
    """Sets keys of the metadata of any records of an index.

    Args:
        lifecycle: of the index.
        changes: keys and their new values.

    Raises:
        InvalidInputError: a value cannot be stored.
    """

    def __init__(self, lifecycle: Lifecycle, changes: Mapping[str, Any]) -> None:
        if not isinstance(changes, Mapping):
            raise InvalidInputError(f"changes must be a dict, not {type(changes).__name__}")
        prepare_metadata(changes, lifecycle.known_schema(), "the changes")
        self._lifecycle = lifecycle
        self._changes = dict(changes)

    def of_ids(self, engine: Engine, ids: Sequence[str]) -> int:
        """Change records by id; returns how many were there."""
        rows = engine.fetch(list(dict.fromkeys(ids)), _FIELDS)
        return sum(self._change(engine, row) for row in rows if row is not None)

    def of_matching(self, engine: Engine, filter: Filter) -> int:
        """Change the records that match when they are first looked at; returns how many."""
        query = queries.prepare_query(self._lifecycle, engine, filter)
        pages = list(queries.select(engine, query, _FIELDS))
        return sum(self._change(engine, row) for page in pages for row in page)

    def _change(self, engine: Engine, row: Row) -> int:
        current: Row | None = row
        while current is not None:
            expected = current.fields[METADATA]
            replaced = engine.replace_metadata(row.id, expected, self._fields(engine, current))
            if replaced is None:
                return 0
            if replaced:
                return 1
            (current,) = engine.fetch([row.id], _FIELDS)
        return 0

    def _fields(self, engine: Engine, row: Row) -> list[str | bytes]:
        merged = metadata_codec.load(row.fields[METADATA]) | self._changes
        owner = f"record {row.id!r}"
        stored, items, declared = prepare_metadata(merged, engine.entry.schema, owner)
        document = Prepared(row.id, b"", stored, None, items, declared)
        self._lifecycle.bind_slots(engine, [document])
        has_vector = HAS_VECTOR in row.fields.get(TAGS, b"").decode("ascii").split(",")
        fields: list[str | bytes] = [METADATA, stored]
        fields += index_fields(items, has_vector, engine.entry)
        for name, value in declared:
            fields += [name, value]
        return fields
