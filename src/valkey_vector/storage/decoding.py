"""Decode records from the fetched fields of their hashes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from valkey_vector.errors import UnreadableRecordError
from valkey_vector.records.metadata import load
from valkey_vector.records.record import Metadata, Record, new_record
from valkey_vector.records.tokens import unescape
from valkey_vector.records.vectors import Float32Array, unpack_vector
from valkey_vector.storage.catalog import VECTOR_PREFIX
from valkey_vector.storage.layout import CONTENT, METADATA, PARENT, PAYLOAD, VECTOR
from valkey_vector.storage.rows import CheckedRow, Row

__all__ = ["decode_record", "decode_records"]

_COMMON = frozenset({CONTENT, METADATA, PARENT})


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
    """Decode many records as `decode_record` does; faster if only content, metadata and parent are requested.

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
    content, metadata, parent = (name in only for name in (CONTENT, METADATA, PARENT))
    records: list[Record] = []
    for row in rows:
        id, fields, known = row.id, row.fields, _known(row) if type(row) is not Row else None
        try:
            text = fields[CONTENT].decode() if content and CONTENT in fields else ""
            above = fields[PARENT].decode() if parent and PARENT in fields else None
            stored = fields.get(METADATA) if metadata and known is None else None
            loaded = load(stored) if stored else known if metadata else None
        except (ValueError, UnreadableRecordError):
            decode_record(id, fields, only)  # raises the error that names the record
            raise
        own = {} if loaded is None else loaded
        records.append(new_record(id, text, None, own, above, None, {}))
    return records


def _known(row: Row) -> Metadata | None:
    return row.metadata if isinstance(row, CheckedRow) else None
