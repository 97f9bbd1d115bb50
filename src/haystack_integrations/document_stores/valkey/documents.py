"""Lossless conversion between Haystack's documents and the core's records and hits, except that tuples become lists.

Content and meta become content and metadata of the record; the embedding becomes its vector in float32. The payload
stores the rest: a missing content, the blob, the sparse embedding, and the embedding in float64 if float32 would
change it.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any

import numpy as np
from haystack import Document
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError

from valkey_vector import Hit, InvalidInputError, Record
from valkey_vector.records.instances import are_alike, filler
from valkey_vector.records.plain_values import DEEPEST, are_plain
from valkey_vector.records.record import Vector, new_record

__all__ = [
    "check_documents",
    "from_hits",
    "from_record",
    "listed_tuples",
    "refuse_repeated",
    "to_records",
]


def to_records(documents: Iterable[Document]) -> list[Record]:
    """Convert documents to records.

    Raises:
        InvalidInputError: if an embedding is not a list of numbers.
    """
    with np.errstate(over="ignore"):
        return [_to_record(document) for document in documents]


def _to_record(document: Document) -> Record:
    extras: dict[str, Any] = {}
    if document.content is None:
        extras["no_content"] = True
    if document.blob is not None:
        blob = document.blob
        extras["blob"] = {
            "data": base64.b64encode(blob.data).decode("ascii"),
            "meta": blob.meta,
            "mime_type": blob.mime_type,
        }
    if document.sparse_embedding is not None:
        extras["sparse_embedding"] = document.sparse_embedding.to_dict()
    vector, exact = _embedding(document)
    meta: Any = document.meta
    if type(meta) is not dict or not are_plain(meta.values()):
        meta = listed_tuples(meta, f"meta of document {document.id!r}")
    payload = _packed(document, extras, exact) if extras or exact else None
    return new_record(document.id, document.content or "", vector, meta, None, payload, {})


def listed_tuples(value: Any, owner: str, depth: int = 0) -> Any:
    """Copy a value and replace tuples, which JSON does not have, with lists.

    Haystack's splitters write tuples into meta (`_split_overlap`).

    Args:
        value: value of metadata.
        owner: name of its owner in the error.
        depth: nesting depth of the value.

    Raises:
        InvalidInputError: if it is nested deeper than metadata may be.
    """
    if not isinstance(value, (list, tuple, dict)):
        return value
    if type(value) is dict and are_plain(value.values()):
        return value.copy()
    if depth > DEEPEST:
        raise InvalidInputError(f"{owner} is nested more than {DEEPEST} deep; use a flatter shape")
    if isinstance(value, dict):
        return {key: listed_tuples(item, owner, depth + 1) for key, item in value.items()}
    return [listed_tuples(item, owner, depth + 1) for item in value]


_fill = filler(Document)
_NOT_A_MODEL: set[str] = set()


def from_record(record: Record, score: float | None = None) -> Document:
    """Convert a record to a document. Read the record with its payload, and with its vector if needed."""
    embedding: list[float] | None = None
    if not record.payload and record.id:
        if record.vector is not None:
            embedding = np.asarray(record.vector).tolist()
        create = _filled if _is_fillable() else _constructed
        return create(record.id, record.content, dict(record.metadata), score, embedding)
    extras, exact = _unpacked(record.payload or b"")
    if record.vector is not None:
        embedding = exact if exact is not None else np.asarray(record.vector).tolist()
    blob, sparse = extras.get("blob"), extras.get("sparse_embedding")
    return Document(
        id=record.id,
        content=None if extras.get("no_content") else record.content,
        blob=None
        if blob is None
        else ByteStream(
            data=base64.b64decode(blob["data"]), meta=blob["meta"], mime_type=blob["mime_type"]
        ),
        meta=dict(record.metadata),
        embedding=embedding,
        sparse_embedding=None if sparse is None else SparseEmbedding.from_dict(sparse),
        score=score,
    )


def _constructed(
    id: str,
    content: str,
    meta: dict[str, Any],
    score: float | None,
    embedding: list[float] | None,
) -> Document:
    return Document(id=id, content=content, meta=meta, score=score, embedding=embedding)


def _filled(
    id: str,
    content: str,
    meta: dict[str, Any],
    score: float | None,
    embedding: list[float] | None,
) -> Document:
    """Create the document that `_constructed` creates, without checking the values again."""
    return _fill(
        {
            "id": id,
            "content": content,
            "blob": None,
            "meta": meta,
            "score": score,
            "embedding": embedding,
            "sparse_embedding": None,
        },
        _NOT_A_MODEL,
    )


@cache
def _is_fillable() -> bool:
    """Return True if documents of the installed Haystack can be filled."""
    sample = ("id", "text", {"key": 1}, 0.5, [1.0])
    return are_alike(_constructed(*sample), _filled(*sample))


def from_hits(hits: Iterable[Hit]) -> list[Document]:
    """Convert hits to documents with their scores. A higher score is better."""
    fillable = _is_fillable()
    documents: list[Document] = []
    for hit in hits:
        record = hit.record
        if fillable and not record.payload and record.vector is None and record.id:
            meta = dict(record.metadata)
            documents.append(_filled(record.id, record.content, meta, hit.score, None))
        else:
            documents.append(from_record(record, hit.score))
    return documents


def _embedding(document: Document) -> tuple[Vector | None, bytes]:
    """Return the vector of a record, and NUL and the float64 embedding if float32 would change it."""
    embedding = document.embedding
    if embedding is None:
        return None, b""
    try:
        doubles = np.asarray(_doubles(embedding), dtype="<f8")
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"the embedding of document {document.id!r} is not a list of numbers: {error}"
        ) from None
    vector = doubles.astype("<f4")
    exact = doubles.tobytes()
    if vector.astype("<f8").tobytes() == exact:
        exact = b""
    return (vector if doubles.ndim == 1 else embedding), exact and b"\0" + exact


def _doubles(embedding: Any) -> Any:
    """Return an array of the numbers in a list, twice as fast as NumPy converts them. Anything else is returned unchanged."""
    if type(embedding) is list:
        with suppress(struct.error, TypeError, OverflowError):
            return np.frombuffer(_packer(len(embedding))(*embedding), dtype="<f8")
    return embedding


@lru_cache(maxsize=64)
def _packer(dimension: int) -> Callable[..., bytes]:
    return struct.Struct(f"<{dimension}d").pack


def _packed(document: Document, extras: dict[str, Any], exact: bytes) -> bytes:
    """Serialize the extras to JSON, followed by the exact embedding if it is not empty."""
    try:
        return json.dumps(extras).encode("ascii") + exact
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"the meta of the blob of document {document.id!r} cannot be stored as JSON: {error}"
        ) from None


def _unpacked(payload: bytes) -> tuple[dict[str, Any], list[float] | None]:
    if not payload:
        return {}, None
    head, separator, rest = payload.partition(b"\0")
    extras: dict[str, Any] = json.loads(head)
    exact: list[float] | None = np.frombuffer(rest, dtype="<f8").tolist() if separator else None
    return extras, exact


def check_documents(documents: Any) -> None:
    """Raise `ValueError` unless the value is a list of documents."""
    if not isinstance(documents, list):
        raise ValueError(f"documents must be a list, not {type(documents).__name__}")  # noqa: TRY004 - Haystack's contract
    for position, document in enumerate(documents):
        if not isinstance(document, Document):
            kind = type(document).__name__
            raise ValueError(f"item {position} of documents is a {kind}, not a Document")  # noqa: TRY004 - likewise


def refuse_repeated(documents: Sequence[Document]) -> None:
    """Raise `DuplicateDocumentError` if an id occurs twice."""
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise DuplicateDocumentError(
                f"the id {document.id!r} occurs more than once in one call"
            )
        seen.add(document.id)
