"""Decode records from the fetched fields of their hashes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

from valkey_vector.errors import UnreadableRecordError
from valkey_vector.records.metadata import load
from valkey_vector.records.record import Hit, Metadata, Record, new_hit, new_record
from valkey_vector.records.tokens import unescape
from valkey_vector.records.vectors import Float32Array, unpack_vector
from valkey_vector.schema.schema import Metric
from valkey_vector.schema.similarity import similarities
from valkey_vector.storage.catalog import VECTOR_PREFIX
from valkey_vector.storage.layout import CONTENT, METADATA, PARENT, PAYLOAD, VECTOR
from valkey_vector.storage.rows import CheckedRow, FoundRow, Row

__all__ = ["decode_hits", "decode_record", "decode_records", "encoded_names", "known_metadata"]

_distance_of = attrgetter("distance")

_COMMON = (CONTENT, METADATA, PARENT, PAYLOAD)


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
    names_of = _common_names(tuple(only))
    if names_of is None:
        return [
            decode_record(
                row.id, row.fields, only, known_metadata(row) if METADATA in only else None
            )
            for row in rows
        ]
    plain, encoded = names_of
    records: list[Record] = []
    get: Callable[[Any], bytes | None]
    for row in rows:
        known: Metadata | None = None
        if type(row) is FoundRow:
            get, names = row.raw.get, encoded
            if names[1] is not None:
                known = row.metadata
        else:
            get, names = row.fields.get, plain
            if names[1] is not None:
                known = known_metadata(row)
        content, metadata, parent = get(names[0]), get(names[1]), get(names[2])
        try:
            text = content.decode() if content else ""
            above = None if parent is None else parent.decode()
            if known is None:
                known = load(metadata) if metadata else {}
        except (ValueError, UnreadableRecordError):
            decode_record(row.id, row.fields, only)  # raises the error that names the record
            raise
        records.append(new_record(row.id, text, None, known, above, get(names[3]), {}))
    return records


def decode_hits(rows: Sequence[Row], metric: Metric, only: Collection[str]) -> list[Hit]:
    """Decode the rows of a vector query as hits whose records have only these fields."""
    records = decode_records(rows, only)
    distances = list(map(_distance_of, rows))
    scores = similarities(distances, metric)
    return list(map(new_hit, records, scores, distances, scores))


def encoded_names(only: Collection[str]) -> tuple[bytes | None, ...] | None:
    """Names in a reply of the content, metadata, parent and payload; None in place of a name that is not in `only`.

    Returns None if `only` has other names, such as those of vectors.
    """
    names_of = _common_names(tuple(only))
    return None if names_of is None else names_of[1]


@lru_cache(maxsize=256)
def _common_names(only: tuple[str, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
    """Names of `_COMMON` fields, as text and as bytes; None in place of a name that is not wanted, which no row has.

    Returns None if other fields are wanted.
    """
    if not set(only) <= set(_COMMON):
        return None
    plain = tuple(name if name in only else None for name in _COMMON)
    return plain, tuple(None if name is None else name.encode() for name in plain)


def known_metadata(row: Row) -> Metadata | None:
    """The metadata of a row that was checked; None if it was not decoded yet."""
    return row.metadata if isinstance(row, CheckedRow | FoundRow) else None
