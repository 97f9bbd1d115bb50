"""The file format of an export: JSON Lines, with a header, one line for each record, and an end.

Vectors and payloads are base64, the vectors of float32 in little-endian order, so that they are copied exactly. The
metadata of a record is the JSON that the index stores (see `valkey_vector.records.metadata`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

import valkey_vector
from valkey_vector.errors import ConfigurationError, InvalidInputError, UnreadableRecordError
from valkey_vector.operations.transfer.values import ExportHeader, StoredRecord
from valkey_vector.records.amounts import counted
from valkey_vector.records.json_decoding import decode_json
from valkey_vector.records.metadata import dump, load
from valkey_vector.records.record import Record, Vector
from valkey_vector.records.vectors import Float32Array
from valkey_vector.schema.schema import Schema

__all__ = [
    "FORMAT",
    "decode_header",
    "decode_records",
    "encode_end",
    "encode_header",
    "encode_record",
]

FORMAT = 1
"""Version of the file format. Newer ones are refused."""

_KIND = "valkey-vector-export"
_FIELDS = frozenset(
    {"id", "content", "metadata", "parent", "vector", "vectors", "payload", "ttl", "sliding"}
)


def encode_header(header: ExportHeader) -> bytes:
    """The first line of a file."""
    return _line(
        {
            "kind": _KIND,
            "format": FORMAT,
            "library": valkey_vector.__version__,
            "index": header.index,
            "records": header.records,
            "filtered": header.filtered,
            "embedding_model": header.embedding_model,
            "schema": header.schema.to_dict(),
        }
    )


def encode_record(stored: StoredRecord) -> bytes:
    """The line of a record."""
    record = stored.record
    fields: dict[str, Any] = {"id": record.id, "content": record.content}
    if record.parent is not None:
        fields["parent"] = record.parent
    if record.vector is not None:
        fields["vector"] = _packed(record.vector)
    if record.vectors:
        fields["vectors"] = {name: _packed(vector) for name, vector in record.vectors.items()}
    if record.payload is not None:
        fields["payload"] = base64.b64encode(record.payload).decode("ascii")
    if stored.ttl is not None:
        fields["ttl"] = stored.ttl
    if stored.sliding:
        fields["sliding"] = True
    metadata = dump(record.metadata, f"record {record.id!r}")
    return _line(fields)[:-2] + b',"metadata":' + metadata + b"}\n"


def encode_end(records: int) -> bytes:
    """The last line of a file: without it, a file is incomplete."""
    return _line({"end": True, "records": records})


def decode_header(line: bytes) -> ExportHeader:
    """Decode the first line.

    Raises:
        InvalidInputError: it is not the header of an export, or of a newer format.
    """
    found = _decoded(line, 1)
    if found.get("kind") != _KIND:
        raise InvalidInputError(
            "line 1 is not the header of an export of valkey-vector: pass a file that `export` wrote"
        )
    if found.get("format") != FORMAT:
        raise InvalidInputError(
            f"the file has format {found.get('format')!r}, and this version of valkey-vector reads format {FORMAT}: "
            "upgrade valkey-vector"
        )
    try:
        schema = Schema.from_dict(found["schema"])
        index = str(found["index"])
    except (ConfigurationError, LookupError, TypeError, AttributeError) as error:
        raise InvalidInputError(f"line 1, the header, cannot be read: {error}") from error
    return ExportHeader(
        index=index,
        schema=schema,
        embedding_model=found.get("embedding_model"),
        records=found.get("records"),
        filtered=bool(found.get("filtered")),
    )


def decode_records(lines: Iterable[bytes]) -> Iterator[StoredRecord]:
    """Decode the lines after the header, until the end.

    Raises:
        InvalidInputError: a line is not valid, or the file has no end: it is incomplete.
    """
    number = 1
    for number, line in enumerate(lines, 2):
        found = _decoded(line, number)
        if found.get("end") is True:
            if found.get("records") != number - 2:
                raise InvalidInputError(
                    f"the file has {counted(number - 2, 'record')}, and says that it has {found.get('records')}: lines are missing, "
                    "so export again"
                )
            return
        try:
            yield _record(found)
        except (TypeError, ValueError, LookupError, UnreadableRecordError) as error:
            raise InvalidInputError(f"line {number} is not a valid record: {error}") from error
    raise InvalidInputError(
        f"the file ends after line {number} without its last line: the export was interrupted, so export again"
    )


def _record(found: Mapping[str, Any]) -> StoredRecord:
    if unknown := found.keys() - _FIELDS:
        raise ValueError(f"it has unknown fields {sorted(unknown)}")
    ttl, payload = found.get("ttl"), found.get("payload")
    if ttl is not None and not (isinstance(ttl, int) and ttl >= 1):
        raise ValueError(f"ttl must be a positive number of milliseconds, not {ttl!r}")
    metadata = found.get("metadata", {})
    record = Record(
        id=found["id"],
        content=found["content"],
        parent=found.get("parent"),
        vector=_unpacked(found["vector"]) if "vector" in found else None,
        vectors={name: _unpacked(text) for name, text in found.get("vectors", {}).items()},
        payload=None if payload is None else base64.b64decode(payload, validate=True),
        metadata=load(json.dumps(metadata).encode()) if metadata else {},
    )
    return StoredRecord(record, ttl, bool(found.get("sliding")))


def _decoded(line: bytes, number: int) -> dict[str, Any]:
    try:
        found = decode_json(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"line {number} is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInputError(f"line {number} is not a JSON object")
    return found


def _packed(vector: Vector) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode("ascii")


def _unpacked(text: str) -> Float32Array:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32)


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
