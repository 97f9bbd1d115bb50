"""Documents: how a record is laid out in its hash, for both engines alike.

``<index>:<id>`` holds ``content``, ``metadata`` (JSON), ``vector`` (float32, little-endian; absent without an
embedding), ``tags`` (tokens, see `valkey_vector.tokens`), ``n0``, ``n1``, … (pooled numeric slots),
``f_<path>`` (declared fields), ``words``, ``stems`` and ``length`` (see `valkey_vector.text.fields`), ``created`` (microseconds since 1970, by the server's clock; kept when a
record is overwritten), ``payload`` if the record has one and, for a record with a time to live, ``expires`` (milliseconds).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from valkey_vector import metadata as metadata_codec
from valkey_vector.catalog import CatalogEntry, declared_name
from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.plan import TAGS, SlotKind
from valkey_vector.metadata import MISSING, IndexedItems, indexed_items, lookup
from valkey_vector.record import Metadata, Record
from valkey_vector.schema import DeclaredField, NumericField, Schema, TagField, TextField
from valkey_vector.text.fields import text_values
from valkey_vector.tokens import HAS_VECTOR
from valkey_vector.vectors import Float32Array, check_vectors, unpack_vector

__all__ = [
    "CONTENT",
    "CREATED",
    "EXPIRES",
    "METADATA",
    "PAYLOAD",
    "TAGS",
    "TAG_LIST_SEPARATOR",
    "VECTOR",
    "Prepared",
    "declared_texts",
    "decode_record",
    "document_fields",
    "index_fields",
    "prepare",
    "prepare_metadata",
    "record_fields",
    "wanted_slots",
]

CONTENT, METADATA, VECTOR, PAYLOAD = "content", "metadata", "vector", "payload"
CREATED, EXPIRES = "created", "expires"

TAG_LIST_SEPARATOR = "\x1f"
"""Between the texts of a declared tag field that is a list."""

LARGEST_RECORD = 4 * 1024 * 1024
"""Bytes of content and metadata. Valkey-Search 1.2 silently drops what is over 5 MiB from a reply
(``search.max-search-result-record-size``); the vector and the index's fields take their share."""

_LONGEST_ID = 4096


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked record, ready to be laid out once its numeric slots are known."""

    id: str
    content: bytes
    metadata: bytes
    vector: bytes | None
    items: IndexedItems
    declared: tuple[tuple[str, bytes], ...]
    payload: bytes | None = None
    text: tuple[str, ...] = ()


def prepare(records: Sequence[Record], schema: Schema, first: int = 0) -> list[Prepared]:
    """Check records and encode what does not depend on the index's slots.

    Args:
        records: what to store.
        schema: of the index.
        first: the position of the first one in the whole input, for errors.

    Raises:
        InvalidInputError: an id, text, vector or metadata is not acceptable; names the record.
    """
    for position, record in enumerate(records, first):
        _check_record(record, position)
    with_vector = [record for record in records if record.vector is not None]
    array = check_vectors(
        [record.vector for record in with_vector if record.vector is not None],
        schema.dimension,
        [f"record {record.id!r}" for record in with_vector],
    )
    packed = iter(row.tobytes() for row in array)
    return [
        _prepare(record, schema, None if record.vector is None else next(packed))
        for record in records
    ]


def wanted_slots(documents: Iterable[Prepared], entry: CatalogEntry) -> list[tuple[SlotKind, str]]:
    """The (kind, path) pairs that occur and have no slot assigned yet."""
    wanted: dict[tuple[SlotKind, str], None] = {}
    for document in documents:
        for path in document.items.numbers:
            if ("number", path) not in entry.slots and not entry.declares_number(path):
                wanted["number", path] = None
        for path in document.items.instants:
            if ("instant", path) not in entry.slots:
                wanted["instant", path] = None
    return list(wanted)


def index_fields(items: IndexedItems, has_vector: bool, entry: CatalogEntry) -> list[str]:
    """The flat field-value list of what the index reads of metadata: tags and numeric slots."""
    tokens = [HAS_VECTOR, *items.tokens] if has_vector else items.tokens
    # Valkey-Search counts an empty tag field as a failure to index.
    fields = [TAGS, ",".join(tokens)] if tokens else []
    for path, number in items.numbers.items():
        slot = entry.slot(path, "number")
        if slot is not None:
            fields += [slot, repr(number)]
    for path, moment in items.instants.items():
        slot = entry.slot(path, "instant")
        if slot is not None:
            fields += [slot, str(moment)]
    return fields


def document_fields(document: Prepared, entry: CatalogEntry) -> list[str | bytes]:
    """The flat field-value list of a whole document."""
    fields: list[str | bytes] = [CONTENT, document.content, METADATA, document.metadata]
    if document.vector is not None:
        fields += [VECTOR, document.vector]
    if document.payload is not None:
        fields += [PAYLOAD, document.payload]
    fields += index_fields(document.items, document.vector is not None, entry)
    for name, value in document.declared:
        fields += [name, value]
    fields += document.text
    return fields


def prepare_metadata(
    metadata: Metadata, schema: Schema, owner: str
) -> tuple[bytes, IndexedItems, tuple[tuple[str, bytes], ...]]:
    """Metadata as stored, what is indexed of it, and the declared fields.

    Raises:
        InvalidInputError: it cannot be stored exactly, or does not fit the schema.
    """
    stored = metadata_codec.dump(metadata, owner)
    return stored, indexed_items(metadata), tuple(_declared(metadata, schema, owner))


def declared_texts(metadata: Metadata, schema: Schema) -> dict[str, str]:
    """The declared texts in metadata that was checked, by their path."""
    found = (
        (field.path, lookup(metadata, field.path))
        for field in schema.fields
        if isinstance(field, TextField)
    )
    return {path: text for path, text in found if isinstance(text, str)}


def record_fields(*, content: bool = True, vectors: bool, payloads: bool) -> list[str]:
    """The hash fields that make a record, as far as they are wanted."""
    fields = [CONTENT, METADATA] if content else [METADATA]
    if vectors:
        fields.append(VECTOR)
    if payloads:
        fields.append(PAYLOAD)
    return fields


def decode_record(id: str, fields: Mapping[str, bytes]) -> Record:
    """The record a hash holds, from those of its fields that were asked for."""
    stored = fields.get(METADATA)
    vector: Float32Array | None = None
    if VECTOR in fields:
        vector = unpack_vector(fields[VECTOR])
    return Record(
        id=id,
        content=fields.get(CONTENT, b"").decode("utf-8"),
        vector=vector,
        metadata=metadata_codec.load(stored) if stored else {},
        payload=fields.get(PAYLOAD),
    )


def _check_record(record: Record, position: int) -> None:
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
    if len(record.id) > _LONGEST_ID:
        raise InvalidInputError(
            f"the id of item {position} is longer than {_LONGEST_ID} characters"
        )
    if not isinstance(record.content, str):
        raise InvalidInputError(
            f"the content of record {record.id!r} is a {type(record.content).__name__}, not text"
        )
    if record.payload is not None and not isinstance(record.payload, bytes):
        raise InvalidInputError(
            f"the payload of record {record.id!r} is a {type(record.payload).__name__}, not bytes"
        )
    if not isinstance(record.metadata, Mapping):
        raise InvalidInputError(
            f"the metadata of record {record.id!r} is a {type(record.metadata).__name__}, not a dict"
        )


def _prepare(record: Record, schema: Schema, vector: bytes | None) -> Prepared:
    owner = f"record {record.id!r}"
    stored, items, declared = prepare_metadata(record.metadata, schema, owner)
    try:
        record.id.encode("utf-8")
        content = record.content.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInputError(
            f"the id or content of {owner} holds a lone surrogate, which is not valid Unicode text"
        ) from None
    size = len(content) + len(stored) + len(record.payload or b"")
    if size > LARGEST_RECORD:
        raise InvalidInputError(
            f"content, metadata and payload of {owner} are {size:,} bytes, at most {LARGEST_RECORD:,} are possible: "
            "Valkey-Search leaves larger records out of its results"
        )
    text = tuple(text_values(schema, record.content, declared_texts(record.metadata, schema)))
    return Prepared(record.id, content, stored, vector, items, declared, record.payload, text)


def _declared(metadata: Metadata, schema: Schema, owner: str) -> Iterator[tuple[str, bytes]]:
    for field in schema.fields:
        value = lookup(metadata, field.path)
        if value is None or value is MISSING:
            continue
        text = _declared_value(field, value, owner)
        if not isinstance(field, NumericField):  # those are written as slots, by index_fields
            yield declared_name(field.path), text.encode("utf-8")


def _declared_value(field: DeclaredField, value: Any, owner: str) -> str:
    match field:
        case NumericField():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value:
                return repr(value)
        case TextField():
            if isinstance(value, str):
                return value
        case TagField():
            if isinstance(value, str):
                return value
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                return TAG_LIST_SEPARATOR.join(value)
        case _:
            assert_never(field)
    raise InvalidInputError(
        f"metadata {field.path!r} of {owner} is {type(value).__name__}, but the schema declares it {field.kind}"
    )
