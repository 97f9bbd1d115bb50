"""Preparation of records for a write: checks them, and encodes what the check needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

from valkey_vector.errors import InvalidInputError
from valkey_vector.records import metadata as metadata_codec
from valkey_vector.records.plain_values import plain_text
from valkey_vector.records.record import Record
from valkey_vector.records.vectors import packed_vectors, quickly_packed
from valkey_vector.schema.schema import Schema, VectorField
from valkey_vector.storage.layout import (
    LARGEST_RECORD,
    Prepared,
    check_record_size,
    declared_fields,
    declared_texts,
)
from valkey_vector.text.fields import text_values

__all__ = ["prepare", "prepare_text"]

_MAX_ID = 4096


def prepare(
    records: Sequence[Record], schema: Schema, first: int = 0, index: str = ""
) -> list[Prepared]:
    """Check records, and encode what the check needs. The rest is encoded when a record is written.

    Args:
        records: the records to store.
        schema: schema of the index.
        first: position of the first record in the whole input, for errors.
        index: name of the index, for errors; empty if its dimension is not known.

    Raises:
        InvalidInputError: an id, text, vector or metadata is not valid; the message names the record.
    """
    for position, record in enumerate(records, first):
        _check_record(record, position)
    packed = iter(_main_vectors(records, schema, index))
    additional = _additional_vectors(records, schema)
    return [
        _prepare(record, schema, None if record.vector is None else next(packed), vectors)
        for record, vectors in zip(records, additional, strict=True)
    ]


def prepare_text(document: Prepared, schema: Schema) -> None:
    """Encode the texts of a record for full text, in the layout of the index."""
    if schema.full_text is not None:
        declared = declared_texts(metadata_codec.load(document.metadata), schema)
        document.text = tuple(text_values(schema, document.content.decode(), declared))


def _check_record(record: Record, position: int) -> None:
    if (
        type(record) is Record
        and type(record.id) is str
        and 0 < len(record.id) <= _MAX_ID
        and "\0" not in record.id
        and type(record.content) is str
        and (
            record.parent is None
            or (type(record.parent) is str and 0 < len(record.parent) <= _MAX_ID)
        )
        and (record.payload is None or type(record.payload) is bytes)
        and type(record.metadata) is dict
        and type(record.vectors) is dict
    ):
        return  # most records; the conditions below in one expression
    if not isinstance(record, Record):
        raise InvalidInputError(f"item {position} is a {type(record).__name__}, not a Record")
    if not isinstance(record.id, str) or not record.id:
        raise InvalidInputError(
            f"the id of item {position} must be non-empty text, not {record.id!r}"
        )
    if "\0" in record.id:
        raise InvalidInputError(
            f"the id of item {position} holds a NUL, which search modules cut off: {record.id!r}"
        )
    if len(record.id) > _MAX_ID:
        raise InvalidInputError(f"the id of item {position} is longer than {_MAX_ID} characters")
    parent = record.parent
    if parent is not None and not (isinstance(parent, str) and 0 < len(parent) <= _MAX_ID):
        raise InvalidInputError(
            f"the parent of record {record.id!r} must be text of 1 to {_MAX_ID} characters, or None"
        )
    if not isinstance(record.content, str):
        raise InvalidInputError(
            f"the content of record {record.id!r} is a {type(record.content).__name__}, not text"
        )
    if record.payload is not None and not isinstance(record.payload, bytes):
        raise InvalidInputError(
            f"the payload of record {record.id!r} is a {type(record.payload).__name__}, not bytes"
        )
    for name, value in (("metadata", record.metadata), ("vectors", record.vectors)):
        if not isinstance(value, Mapping):
            raise InvalidInputError(
                f"the {name} of record {record.id!r} is a {type(value).__name__}, not a dict"
            )


def _main_vectors(records: Sequence[Record], schema: Schema, index: str) -> list[bytes]:
    """Return the packed main vectors of the records that have one."""
    vectors = [record.vector for record in records if record.vector is not None]
    if schema.data_type == "FLOAT32":
        packed = quickly_packed(vectors, schema.dimension)
        if packed is not None:
            return packed
    owners = [f"record {record.id!r}" for record in records if record.vector is not None]
    return packed_vectors(vectors, schema.dimension, owners, index, schema.data_type)


def _additional_vectors(
    records: Sequence[Record], schema: Schema
) -> Iterator[tuple[tuple[str, bytes], ...]]:
    """Iterate over the packed additional vectors of each record, in the schema's order."""
    known = [field.name for field in schema.vectors]
    if not known and not any(record.vectors for record in records):
        yield from repeat((), len(records))
        return
    for record in records:
        for name in record.vectors:
            if name not in known:
                raise InvalidInputError(
                    f"record {record.id!r} has a vector {name!r}, which the schema does not declare; "
                    f"it declares {', '.join(map(repr, known)) or 'only the main vector'}"
                )
    packed = [_packed_vectors(records, field) for field in schema.vectors]
    for record in records:
        yield tuple(
            (field.name, next(column))
            for field, column in zip(schema.vectors, packed, strict=True)
            if field.name in record.vectors
        )


def _packed_vectors(records: Sequence[Record], field: VectorField) -> Iterator[bytes]:
    having = [record for record in records if field.name in record.vectors]
    packed = packed_vectors(
        [record.vectors[field.name] for record in having],
        field.dimension,
        [f"record {record.id!r} ({field.name})" for record in having],
        data_type=field.data_type,
    )
    return iter(packed)


def _prepare(
    record: Record,
    schema: Schema,
    vector: bytes | None,
    vectors: tuple[tuple[str, bytes], ...],
) -> Prepared:
    stored, plain, declared = _checked_metadata(record, schema)
    try:
        record.id.encode("utf-8")
        content = record.content.encode("utf-8")
        if record.parent is not None:
            record.parent.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInputError(
            f"the id, content or parent of record {record.id!r} holds a lone surrogate, which is not valid Unicode text"
        ) from None
    size = len(content) + len(stored) + len(record.payload or b"")
    for _, packed in vectors:
        size += len(packed)
    if size > LARGEST_RECORD:
        check_record_size(size, f"record {record.id!r}")
    return Prepared(
        plain_text(record.id),
        content,
        stored,
        vector,
        plain,
        declared,
        None if record.parent is None else plain_text(record.parent),
        record.payload,
        vectors,
    )


def _checked_metadata(
    record: Record, schema: Schema
) -> tuple[bytes, dict[str, Any], tuple[tuple[str, bytes], ...]]:
    """Return the stored form of a record's metadata, a copy that the caller cannot change, and the declared fields."""
    metadata = record.metadata
    stored = metadata_codec.encode_flat(metadata)
    owner = ""
    if stored is not None:
        plain = dict(metadata)
    else:
        owner = f"record {record.id!r}"
        plain = metadata_codec.plain_metadata(metadata, owner)
        stored = metadata_codec.encode(plain, owner)
    if not schema.fields:
        return stored, plain, ()
    return stored, plain, tuple(declared_fields(plain, schema, owner or f"record {record.id!r}"))
