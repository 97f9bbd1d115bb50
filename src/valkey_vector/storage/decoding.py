"""Decode records from the fetched fields of their hashes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from valkey_vector.errors import UnreadableRecordError
from valkey_vector.records.metadata import load
from valkey_vector.records.record import Metadata, Record, new_record
from valkey_vector.records.tokens import unescape
from valkey_vector.records.vectors import Float32Array, unpack_vector
from valkey_vector.storage.catalog import VECTOR_PREFIX
from valkey_vector.storage.layout import CONTENT, METADATA, PARENT, PAYLOAD, VECTOR
from valkey_vector.storage.rows import CheckedRow, FoundRow, Row

__all__ = ["decode_record", "decode_records"]

_PLAIN: tuple[Any, ...] = (CONTENT, PARENT, METADATA, PAYLOAD)
_ENCODED: tuple[Any, ...] = tuple(name.encode() for name in _PLAIN)
_COMMON = frozenset(_PLAIN)


def decode_record(
    id: str,
    fields: Mapping[str, bytes],
    only: Collection[str] | None = None,
    metadata: Metadata | None = None,
) -> Record:
    """Decode a record from the fetched fields of its hash, in one pass.

    Args:
        id: id of the record.
        fields: fetched fields.
        only: names of the fields to decode; None decodes all.
        metadata: the decoded metadata, if the caller has it and wants it in the record.

    Raises:
        UnreadableRecordError: another program wrote one of the fields; the message names the record.
    """
    content, parent = "", None
    payload: bytes | None = None
    vector: Float32Array | None = None
    vectors: dict[str, Float32Array] = {}
    try:
        for name in fields if only is None else only:
            value = fields.get(name)
            if value is None:
                continue
            if name == CONTENT:
                content = value.decode()
            elif name == METADATA:
                if metadata is None and value:
                    metadata = load(value, f"record {id!r}")
            elif name == PARENT:
                parent = value.decode()
            elif name == PAYLOAD:
                payload = value
            elif name == VECTOR:
                vector = unpack_vector(value)
            elif name.startswith(VECTOR_PREFIX):
                vectors[unescape(name.removeprefix(VECTOR_PREFIX))] = unpack_vector(value)
    except ValueError as error:  # text that is not UTF-8, a vector of odd length
        raise UnreadableRecordError(f"record {id!r} cannot be read: {error}") from error
    return new_record(
        id, content, vector, {} if metadata is None else metadata, parent, payload, vectors
    )


def decode_records(rows: Iterable[Row], only: Collection[str]) -> list[Record]:
    """Decode many records as `decode_record` does; faster if no vectors are requested.

    Args:
        rows: the fetched documents; a `CheckedRow` is not decoded again.
        only: names of the fields to decode.

    Raises:
        UnreadableRecordError: another program wrote one of the fields; the message names the record.
    """
    if not _COMMON.issuperset(only):
        return [
            decode_record(row.id, row.fields, only, _known(row) if METADATA in only else None)
            for row in rows
        ]
    content, metadata, parent, payload = (
        CONTENT in only, METADATA in only, PARENT in only, PAYLOAD in only,
    )  # fmt: skip
    records: list[Record] = []
    for row in rows:
        fields: Mapping[Any, bytes]
        known: Metadata | None = None
        if type(row) is FoundRow:
            fields, names = row.raw, _ENCODED
        else:
            fields, names, known = row.fields, _PLAIN, _known(row)
        try:
            text = fields[names[0]].decode() if content and names[0] in fields else ""
            above = fields[names[1]].decode() if parent and names[1] in fields else None
            stored = fields.get(names[2]) if metadata and known is None else None
            loaded = load(stored) if stored else known if metadata else None
        except (ValueError, UnreadableRecordError):
            decode_record(row.id, row.fields, only)  # raises the error that names the record
            raise
        extra = fields.get(names[3]) if payload else None
        own = {} if loaded is None else loaded
        records.append(new_record(row.id, text, None, own, above, extra, {}))
    return records


def _known(row: Row) -> Metadata | None:
    return row.metadata if isinstance(row, CheckedRow) else None
