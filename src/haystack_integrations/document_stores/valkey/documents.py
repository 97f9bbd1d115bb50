"""Between Haystack's documents and the core's records and hits: exact both ways, but that tuples in meta become lists.

Content and meta are the record's content and metadata, the embedding its vector in float32. What else a document has
is its payload: whether there is a content at all, blob, sparse embedding, and the embedding in float64 where
float32 would change it, so that it comes back as it was written.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from haystack import Document
from haystack.dataclasses import ByteStream, SparseEmbedding

from valkey_vector import Hit, InvalidInputError, Record
from valkey_vector.records.plain_values import DEEPEST

__all__ = ["from_hit", "from_record", "listed_tuples", "to_record"]


def to_record(document: Document) -> Record:
    """The record of a document.

    Raises:
        InvalidInputError: its embedding is not a list of numbers.
    """
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
    return Record(
        id=document.id,
        content=document.content or "",
        vector=document.embedding,
        metadata=listed_tuples(document.meta, f"meta of document {document.id!r}"),
        payload=_packed(document, extras),
    )


def listed_tuples(value: Any, owner: str, depth: int = 0) -> Any:
    """The value with lists in place of tuples, which JSON does not have; lists and dicts are new ones.

    Haystack's splitters write tuples into meta (`_split_overlap`).

    Args:
        value: of metadata.
        owner: what it belongs to, for the error.
        depth: how many lists and dicts it lies in.

    Raises:
        InvalidInputError: it is nested deeper than metadata can be.
    """
    if not isinstance(value, (list, tuple, dict)):
        return value
    if depth > DEEPEST:
        raise InvalidInputError(f"{owner} is nested more than {DEEPEST} deep; use a flatter shape")
    if isinstance(value, dict):
        return {key: listed_tuples(item, owner, depth + 1) for key, item in value.items()}
    return [listed_tuples(item, owner, depth + 1) for item in value]


def from_record(record: Record, score: float | None = None) -> Document:
    """The document of a record that was read with its vector, if wanted, and its payload."""
    extras, exact = _unpacked(record.payload or b"")
    embedding: list[float] | None = None
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


def from_hit(hit: Hit) -> Document:
    """The document of a hit, with its score: higher is better."""
    return from_record(hit.record, hit.score)


def _packed(document: Document, extras: dict[str, Any]) -> bytes | None:
    """A JSON object, and after a NUL the embedding in float64 if it needs that."""
    exact = b""
    if document.embedding is not None:
        try:
            embedding = np.asarray(document.embedding, dtype="<f8")
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"the embedding of document {document.id!r} is not a list of numbers: {error}"
            ) from None
        with np.errstate(over="ignore"):
            if not np.array_equal(embedding.astype("<f4").astype("<f8"), embedding):
                exact = b"\0" + embedding.tobytes()
    if not extras and not exact:
        return None
    try:
        return json.dumps(extras).encode("ascii") + exact
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"the blob of document {document.id!r} has meta that JSON cannot hold: {error}"
        ) from None


def _unpacked(payload: bytes) -> tuple[dict[str, Any], list[float] | None]:
    if not payload:
        return {}, None
    head, separator, rest = payload.partition(b"\0")
    extras: dict[str, Any] = json.loads(head)
    exact: list[float] | None = np.frombuffer(rest, dtype="<f8").tolist() if separator else None
    return extras, exact
