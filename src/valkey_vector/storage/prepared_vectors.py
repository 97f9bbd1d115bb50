"""Packed vectors of prepared records: their dimension and element type, compared with the index when they are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from valkey_vector.errors import IndexMismatchError, InvalidInputError
from valkey_vector.records.vectors import element_size, narrowed, unpack_vector
from valkey_vector.schema.schema import MAIN_VECTOR, Schema
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.layout import Prepared

__all__ = ["dimension_of", "in_types_of", "refuse_zero_vectors"]


def dimension_of(document: Prepared, schema: Schema) -> int | None:
    """Return the dimension of the main vector of a record that was prepared with a schema; None without one."""
    if document.vector is None:
        return None
    return len(document.vector) // element_size(schema.data_type)


def in_types_of(
    entry: CatalogEntry, documents: Sequence[Prepared], prepared_with: Schema
) -> Sequence[Prepared]:
    """Return records with vectors in the element types of the index.

    They differ if the index was not known when the records were prepared: another client created it meanwhile.

    Args:
        entry: catalog entry of the index.
        documents: the records.
        prepared_with: the schema with which they were prepared.

    Raises:
        InvalidInputError: a value is beyond the element type of the index; the message names the record.
        IndexMismatchError: the vectors were rounded already, to another element type.
    """
    ours, its = prepared_with.data_types, entry.schema.data_types
    if ours == its:
        return documents
    differing = {
        f"data_type of vector {name!r}": (its[name], data_type)
        for name, data_type in ours.items()
        if name in its and its[name] != data_type
    }
    if any(was_rounded_to != "FLOAT32" for _, was_rounded_to in differing.values()):
        raise IndexMismatchError(entry.name, differing)
    found = [_narrowed(document, entry.schema) for document in documents]
    return found if differing else documents


def _narrowed(document: Prepared, schema: Schema) -> Prepared:
    """Round the float32 vectors of a record to the element types of a schema."""
    types, owner = schema.data_types, f"record {document.id!r}"

    def one(name: str, vector: bytes) -> bytes:
        data_type = types.get(name, "FLOAT32")
        return vector if data_type == "FLOAT32" else narrowed([vector], data_type, [owner])[0]

    main = None if document.vector is None else one(MAIN_VECTOR, document.vector)
    vectors = tuple((name, one(name, vector)) for name, vector in document.vectors)
    return replace(document, vector=main, vectors=vectors)


def refuse_zero_vectors(
    batch: Iterable[Prepared], schema: Schema, directed: frozenset[str]
) -> None:
    """Refuse vectors without a direction.

    Args:
        batch: records that were prepared with the schema.
        schema: the schema.
        directed: names of the vectors that need a direction.

    Raises:
        InvalidInputError: a vector is all zeros; the message names the record.
    """
    types = schema.data_types
    for document in batch:
        main = [] if document.vector is None else [(MAIN_VECTOR, document.vector)]
        for name, vector in [*main, *document.vectors]:
            if name in directed and not unpack_vector(vector, types[name]).any():
                raise InvalidInputError(
                    f"the vector of record {document.id!r} ({name}) is all zeros, and RediSearch cannot rank it by "
                    "cosine: store the record without it, or use the native engine or Valkey-Search"
                )
