"""Layout of a record in its hash, for both engines.

The hash ``<index>:<id>`` has these fields: ``content``; ``metadata`` (JSON); ``vector`` (little-endian floats of the
schema's type; absent without an embedding); ``v_<name>`` (additional vectors); ``tags`` (tokens, see `valkey_vector.records.tokens`); ``n0``,
``n1``, … (numeric slots); ``f_<path>`` (declared fields); ``words`` and ``length`` (see
`valkey_vector.text.fields`); ``created`` (microseconds since 1970, by the server's clock; unchanged when a record is
overwritten); ``parent`` and ``payload`` if the record has them; ``expires`` (milliseconds) if the record has a time to
live; and ``version`` (see `valkey_vector.storage.record_version`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.compiler import SlotKind
from valkey_vector.filters.plan import TAGS
from valkey_vector.records import metadata as metadata_codec
from valkey_vector.records.metadata import MISSING, IndexedItems, indexed_items, lookup
from valkey_vector.records.record import Metadata
from valkey_vector.records.tokens import (
    HAS_VECTOR,
    SLIDING,
    parent_tokens,
    record_token,
    vector_token,
)
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
    "declared_fields",
    "declared_texts",
    "document_fields",
    "field_token",
    "index_fields",
    "prepare_metadata",
    "record_fields",
    "wanted_slots",
]

CONTENT, METADATA, VECTOR = "content", "metadata", MAIN_VECTOR

LARGEST_RECORD = 4 * 1024 * 1024
"""Maximum bytes of content and metadata. Valkey-Search 1.2 silently omits records over 5 MiB from a reply
(``search.max-search-result-record-size``). The vector and the fields of the index take part of it."""


# Not frozen: a frozen dataclass takes three times as long to create.
@dataclass(slots=True)
class Prepared:
    """Checked record, encoded as far as the check needs it.

    Attributes:
        id: id of the record.
        content: text in UTF-8.
        metadata: the stored JSON.
        vector: the packed main vector, if the record has one.
        indexed: the indexed items, or the plain metadata from which `items` computes them.
        declared: names and values of the declared fields.
        parent: id of the parent.
        payload: additional bytes of the application.
        vectors: names and packed values of the additional vectors.
        text: names and values of the fields of full text, in turn; added by `prepare_text`.
    """

    id: str
    content: bytes
    metadata: bytes
    vector: bytes | None
    indexed: IndexedItems | dict[str, Any]
    declared: tuple[tuple[str, bytes], ...]
    parent: str | None = None
    payload: bytes | None = None
    vectors: tuple[tuple[str, bytes], ...] = ()
    text: tuple[str, ...] = ()

    @property
    def items(self) -> IndexedItems:
        """Tokens and numbers of the metadata. Computed on first use: a check of many records does not need them."""
        indexed = self.indexed
        if not isinstance(indexed, IndexedItems):
            indexed = self.indexed = indexed_items(indexed)
        return indexed

    def encode(self) -> None:
        """Compute `items` now, before they are used."""
        _ = self.items

    @property
    def own_tokens(self) -> list[str]:
        """Tokens of the vectors and the parent."""
        tokens = [HAS_VECTOR] if self.vector is not None else []
        if self.vectors:
            tokens += [vector_token(name) for name, _ in self.vectors]
        return tokens if self.parent is None else tokens + parent_tokens(self.parent)


def field_token(field: VectorField) -> str:
    """Token of every record that has the vector."""
    return HAS_VECTOR if field.name == MAIN_VECTOR else vector_token(field.name)


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
    tokens = [*own_tokens, *items.tokens]
    if entry.lineage is not None:
        tokens.insert(0, record_token(entry.lineage))
    # Valkey-Search counts an empty tag field as an indexing failure.
    fields = [TAGS, ",".join(tokens)] if tokens else []
    for path, number in items.numbers.items():
        slot = entry.slot(path, "number")
        if slot is not None:
            fields += (slot, repr(number))
    for path, moment in items.instants.items():
        slot = entry.slot(path, "instant")
        if slot is not None:
            fields += (slot, str(moment))
    return fields


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
    present: list[str] = []
    fields: list[str | bytes] = [CONTENT, document.content, METADATA, document.metadata]
    if document.vector is not None:
        fields += (VECTOR, document.vector)
        present.append(VECTOR)
    if document.parent is not None:
        fields += (PARENT, document.parent)
        present.append(PARENT)
    if document.payload is not None:
        fields += (PAYLOAD, document.payload)
        present.append(PAYLOAD)
    for name, vector in document.vectors:
        fields += (vector_name(name), vector)
        present.append(vector_name(name))
    own_tokens = document.own_tokens
    if expiry == "s":
        own_tokens.insert(0, SLIDING)
    fields += index_fields(document.items, own_tokens, entry)
    for name, value in document.declared:
        fields += (name, value)
    fields += document.text
    fields += (VERSION, version_of(entry, unique, present, expiry))
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
    return stored, indexed_items(plain), tuple(declared_fields(plain, schema, owner))


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


def declared_fields(metadata: Metadata, schema: Schema, owner: str) -> Iterator[tuple[str, bytes]]:
    """Iterate over the names and values of the declared fields in plain metadata.

    Raises:
        InvalidInputError: a value does not match the schema.
    """
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
