"""Layout of a record in its hash, for both engines.

The hash ``<index>:<id>`` has these fields: ``content``; ``metadata`` (JSON); ``vector`` (little-endian floats of the
schema's type; absent without an embedding); ``v_<name>`` (additional vectors); ``tags`` (tokens, see `valkey_vector.records.tokens`); ``n0``,
``n1``, … (numeric slots); ``f_<path>`` (declared fields); ``words`` and ``length`` (see
`valkey_vector.text.fields`); ``created`` (microseconds since 1970, by the server's clock; unchanged when a record is
overwritten); ``parent`` and ``payload`` if the record has them; ``expires`` (milliseconds) if the record has a time to
live; and ``version`` (see `valkey_vector.storage.record_version`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.compiler import SlotKind
from valkey_vector.filters.plan import TAGS
from valkey_vector.records import metadata as metadata_codec
from valkey_vector.records.metadata import MISSING, IndexedItems, indexed_items, lookup
from valkey_vector.records.plain_values import plain_text
from valkey_vector.records.record import Metadata, Record
from valkey_vector.records.tokens import (
    HAS_VECTOR,
    SLIDING,
    parent_tokens,
    record_token,
    vector_token,
)
from valkey_vector.records.vectors import packed_vectors
from valkey_vector.schema.fields import TAG_LIST_SEPARATOR
from valkey_vector.schema.schema import (
    MAIN_VECTOR,
    DeclaredField,
    NumericField,
    Schema,
    TagField,
    TextField,
    VectorField,
)
from valkey_vector.storage.catalog import CatalogEntry, declared_name, vector_name
from valkey_vector.storage.record_version import (
    CREATED,
    EXPIRES,
    PARENT,
    PAYLOAD,
    VERSION,
    Expiry,
    version_of,
)
from valkey_vector.text.fields import text_values

__all__ = [
    "CONTENT",
    "CREATED",
    "EXPIRES",
    "LARGEST_RECORD",
    "METADATA",
    "PARENT",
    "PAYLOAD",
    "TAGS",
    "VECTOR",
    "VERSION",
    "Prepared",
    "check_record_size",
    "declared_texts",
    "document_fields",
    "field_token",
    "index_fields",
    "prepare",
    "prepare_metadata",
    "prepare_text",
    "record_fields",
    "wanted_slots",
]

CONTENT, METADATA, VECTOR = "content", "metadata", MAIN_VECTOR

LARGEST_RECORD = 4 * 1024 * 1024
"""Maximum bytes of content and metadata. Valkey-Search 1.2 silently omits records over 5 MiB from a reply
(``search.max-search-result-record-size``). The vector and the fields of the index take part of it."""

_MAX_ID = 4096


# Not frozen: a frozen dataclass takes three times as long to create.
@dataclass(slots=True)
class Prepared:
    """Checked and encoded record. Its layout needs only the numeric slots."""

    id: str
    content: bytes
    metadata: bytes
    vector: bytes | None
    items: IndexedItems
    declared: tuple[tuple[str, bytes], ...]
    parent: str | None = None
    payload: bytes | None = None
    vectors: tuple[tuple[str, bytes], ...] = ()
    text: tuple[str, ...] = ()

    @property
    def own_tokens(self) -> list[str]:
        """Tokens of the vectors and the parent."""
        tokens = [HAS_VECTOR] if self.vector is not None else []
        tokens += [vector_token(name) for name, _ in self.vectors]
        return tokens + parent_tokens(self.parent)


def field_token(field: VectorField) -> str:
    """Token of every record that has the vector."""
    return HAS_VECTOR if field.name == MAIN_VECTOR else vector_token(field.name)


def prepare(
    records: Sequence[Record], schema: Schema, first: int = 0, index: str = ""
) -> list[Prepared]:
    """Check records, and encode everything that does not depend on numeric slots.

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
    with_vector = [record for record in records if record.vector is not None]
    packed = iter(
        packed_vectors(
            [record.vector for record in with_vector if record.vector is not None],
            schema.dimension,
            [f"record {record.id!r}" for record in with_vector],
            index,
            schema.data_type,
        )
    )
    additional = _additional_vectors(records, schema)
    return [
        _prepare(record, schema, None if record.vector is None else next(packed), vectors)
        for record, vectors in zip(records, additional, strict=True)
    ]


def wanted_slots(documents: Iterable[Prepared], entry: CatalogEntry) -> list[tuple[SlotKind, str]]:
    """Return the (kind, path) pairs in documents that have no slot yet; none if all slots are taken."""
    if entry.slots_spent:
        return []
    wanted: dict[tuple[SlotKind, str], None] = {}
    for document in documents:
        for path in document.items.numbers:
            if ("number", path) not in entry.slots and not entry.declares_number(path):
                wanted["number", path] = None
        for path in document.items.instants:
            if ("instant", path) not in entry.slots:
                wanted["instant", path] = None
    return list(wanted)


def index_fields(items: IndexedItems, own_tokens: Sequence[str], entry: CatalogEntry) -> list[str]:
    """Return the field-value list of indexed fields: tags, including the record's own tokens, and numeric slots."""
    lineage = [] if entry.lineage is None else [record_token(entry.lineage)]
    tokens = [*lineage, *own_tokens, *items.tokens]
    # Valkey-Search counts an empty tag field as an indexing failure.
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


def prepare_text(document: Prepared, schema: Schema) -> None:
    """Encode the texts of a record again, in the layout of another schema."""
    declared = declared_texts(metadata_codec.load(document.metadata), schema)
    document.text = tuple(text_values(schema, document.content.decode(), declared))


def document_fields(
    document: Prepared, entry: CatalogEntry, unique: str, expiry: Expiry = ""
) -> list[str | bytes]:
    """Return the field-value list of a whole document, without the times of creation and expiration.

    Args:
        document: the document to store.
        entry: catalog entry of the index.
        unique: mark of this write, from `valkey_vector.storage.record_version.new_unique`.
        expiry: expiration of the document.
    """
    fields: list[str | bytes] = [CONTENT, document.content, METADATA, document.metadata]
    if document.vector is not None:
        fields += [VECTOR, document.vector]
    if document.parent is not None:
        fields += [PARENT, document.parent]
    if document.payload is not None:
        fields += [PAYLOAD, document.payload]
    for name, vector in document.vectors:
        fields += [vector_name(name), vector]
    sliding = [SLIDING] if expiry == "s" else []
    fields += index_fields(document.items, [*sliding, *document.own_tokens], entry)
    for name, value in document.declared:
        fields += [name, value]
    fields += document.text
    names = [name for name in fields[::2] if isinstance(name, str)]
    fields += [VERSION, version_of(entry, unique, names, expiry)]
    return fields


def prepare_metadata(
    metadata: Metadata, schema: Schema, owner: str
) -> tuple[bytes, IndexedItems, tuple[tuple[str, bytes], ...]]:
    """Encode metadata. Returns its stored form, its indexed items, and the declared fields.

    Raises:
        InvalidInputError: the metadata cannot be stored without loss, or does not match the schema.
    """
    plain = metadata_codec.plain_metadata(metadata, owner)
    stored = metadata_codec.encode(plain, owner)
    return stored, indexed_items(plain), tuple(_declared(plain, schema, owner))


def declared_texts(metadata: Metadata, schema: Schema) -> dict[str, str]:
    """Return the declared texts in checked metadata: path -> text."""
    found = (
        (field.path, lookup(metadata, field.path))
        for field in schema.fields
        if isinstance(field, TextField)
    )
    return {path: text for path, text in found if isinstance(text, str)}


def record_fields(
    schema: Schema | None = None,
    *,
    content: bool = True,
    metadata: bool = True,
    vectors: bool = False,
    payloads: bool = False,
) -> list[str]:
    """Return the hash fields of the requested components of a record. Without a schema, only the main vector."""
    fields = [CONTENT] if content else []
    if metadata:
        fields += [METADATA, PARENT]
    if vectors:
        additional = () if schema is None else schema.vectors
        fields += [VECTOR, *(vector_name(field.name) for field in additional)]
    if payloads:
        fields.append(PAYLOAD)
    return fields


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


def _additional_vectors(
    records: Sequence[Record], schema: Schema
) -> Iterator[tuple[tuple[str, bytes], ...]]:
    """Iterate over the packed additional vectors of each record, in the schema's order."""
    known = [field.name for field in schema.vectors]
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
    owner = f"record {record.id!r}"
    stored, items, declared = prepare_metadata(record.metadata, schema, owner)
    try:
        record.id.encode("utf-8")
        content = record.content.encode("utf-8")
        (record.parent or "").encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInputError(
            f"the id, content or parent of {owner} holds a lone surrogate, which is not valid Unicode text"
        ) from None
    size = len(content) + len(stored) + len(record.payload or b"")
    check_record_size(size + sum(len(packed) for _, packed in vectors), owner)
    text: tuple[str, ...] = ()
    if schema.full_text is not None:
        declared_text = declared_texts(record.metadata, schema)
        text = tuple(text_values(schema, record.content, declared_text))
    return Prepared(
        id=plain_text(record.id),
        content=content,
        metadata=stored,
        vector=vector,
        items=items,
        declared=declared,
        parent=None if record.parent is None else plain_text(record.parent),
        payload=record.payload,
        vectors=vectors,
        text=text,
    )


def check_record_size(size: int, owner: str) -> None:
    """Check the total size of a record's content, metadata, payload and additional vectors.

    Raises:
        InvalidInputError: the size exceeds `LARGEST_RECORD`.
    """
    if size > LARGEST_RECORD:
        raise InvalidInputError(
            f"content, metadata, payload and additional vectors of {owner} are {size:,} bytes, but the maximum is "
            f"{LARGEST_RECORD:,}: Valkey-Search omits larger records from its results"
        )


def _declared(metadata: Metadata, schema: Schema, owner: str) -> Iterator[tuple[str, bytes]]:
    for field in schema.fields:
        value = lookup(metadata, field.path)
        if value is None or value is MISSING:
            continue
        text = _declared_value(field, value, owner)
        # index_fields writes numbers. Valkey-Search counts an empty field as an indexing failure.
        if text and not isinstance(field, NumericField):
            yield declared_name(field.path), text.encode("utf-8")


def _checked_tags(field: TagField, tags: list[str], owner: str) -> list[str]:
    """Return the texts of a list. With a separator of the user's choice, no text can contain it: it would be two tags."""
    if field.separator != TAG_LIST_SEPARATOR and any(field.separator in tag for tag in tags):
        raise InvalidInputError(
            f"metadata {field.path!r} of {owner} has a text that contains {field.separator!r}, the separator in the "
            "schema, at which the server would split it; choose another separator"
        )
    return tags


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
                return field.separator.join(_checked_tags(field, value, owner))
        case _:
            assert_never(field)
    raise InvalidInputError(
        f"metadata {field.path!r} of {owner} is {type(value).__name__}, but the schema declares it {field.kind}"
    )
