"""Update metadata in place: read, merge, and write back if no other client changed the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from valkey_vector.engines.base import Engine
from valkey_vector.errors import InvalidInputError
from valkey_vector.execution.selection import prepare_selection, select
from valkey_vector.filters.ast import Filter
from valkey_vector.filters.plan import TAGS
from valkey_vector.index.handle import IndexHandle
from valkey_vector.records import metadata as metadata_codec
from valkey_vector.records.tokens import SLIDING, parent_tokens
from valkey_vector.storage.catalog import vector_name
from valkey_vector.storage.layout import (
    CONTENT,
    LARGEST_RECORD,
    METADATA,
    PARENT,
    PAYLOAD,
    VERSION,
    Prepared,
    check_record_size,
    declared_texts,
    field_token,
    index_fields,
    prepare_metadata,
)
from valkey_vector.storage.record_version import new_unique, renewed_version
from valkey_vector.storage.rows import MetadataReplacement, Row
from valkey_vector.text.fields import text_values

__all__ = ["MetadataUpdate"]

_MUCH = LARGEST_RECORD // 8

_FIELDS = [METADATA, PARENT, TAGS]


class MetadataUpdate:
    """Sets keys of the metadata of any records of an index.

    Args:
        handle: of the index.
        changes: keys and their new values.

    Raises:
        InvalidInputError: a value cannot be stored.
    """

    def __init__(self, handle: IndexHandle, changes: Mapping[str, Any]) -> None:
        if not isinstance(changes, Mapping):
            raise InvalidInputError(f"changes must be a dict, not a {type(changes).__name__}")
        prepare_metadata(changes, handle.known_schema(), "the changes")
        self._handle = handle
        self._changes = dict(changes)

    def of_ids(self, engine: Engine, ids: Sequence[str]) -> int:
        """Update records by id. Returns the number of records that exist."""
        return self._change(engine, engine.fetch(list(dict.fromkeys(ids)), _FIELDS))

    def of_matching(self, engine: Engine, filter: Filter) -> int:
        """Update the records that match when they are first read. Returns their number."""
        selection = prepare_selection(engine, filter)
        # Select all records before the first update, because an update can change whether a record matches.
        pages = list(select(engine, selection, _FIELDS))
        return sum(self._change(engine, page) for page in pages)

    def _change(self, engine: Engine, rows: Sequence[Row | None]) -> int:
        """Update rows, and retry those that another client changes. Returns the number of updated rows."""
        changed = 0
        remaining = [row for row in rows if row is not None]
        while remaining:
            replacements = [
                MetadataReplacement(
                    row.id, row.fields[METADATA], row.version, self._fields(engine, row)
                )
                for row in remaining
            ]
            outcomes = engine.replace_metadata(replacements)
            changed += outcomes.count(True)
            pairs = zip(remaining, outcomes, strict=True)
            overtaken = [row.id for row, outcome in pairs if outcome is False]
            remaining = [row for row in engine.fetch(overtaken, _FIELDS) if row is not None]
        return changed

    def _fields(self, engine: Engine, row: Row) -> list[str | bytes]:
        merged = metadata_codec.load(row.fields[METADATA]) | self._changes
        owner = f"record {row.id!r}"
        stored, items, declared = prepare_metadata(merged, engine.entry.schema, owner)
        self._check_size(engine, row, len(stored))
        document = Prepared(row.id, b"", stored, None, items, declared)
        engine.slots.bind([document])
        had = row.fields.get(TAGS, b"").decode("ascii").split(",")
        possible = [SLIDING, *map(field_token, engine.entry.schema.vector_fields)]
        vectors = [token for token in possible if token in had]
        fields: list[str | bytes] = [METADATA, stored]
        if row.version is not None:
            fields += [VERSION, renewed_version(row.version, new_unique())]
        parent = row.fields[PARENT].decode("utf-8") if PARENT in row.fields else None
        fields += index_fields(items, [*vectors, *parent_tokens(parent)], engine.entry)
        for name, value in declared:
            fields += [name, value]
        schema = engine.entry.schema
        return fields + text_values(schema, None, declared_texts(merged, schema))

    def _check_size(self, engine: Engine, row: Row, metadata: int) -> None:
        """Check the size of the whole record. Reads its other fields only if the metadata alone are near the limit."""
        if metadata <= _MUCH:
            return
        named = (vector_name(field.name) for field in engine.entry.schema.vectors)
        others = [CONTENT, PAYLOAD, *named]
        (found,) = engine.fetch([row.id], others)
        held = {} if found is None else found.fields
        size = metadata + sum(len(held[name]) for name in others if name in held)
        check_record_size(size, f"record {row.id!r}")
