"""Conversion between LangChain's texts and documents and the core's records and hits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

from langchain_core.documents import Document

from valkey_vector import Hit, InvalidInputError, PartialWriteError, Record
from valkey_vector.records.instances import are_alike, filler
from valkey_vector.records.record import new_record
from valkey_vector.records.validation import check_ids

__all__ = [
    "Addition",
    "PartialAddError",
    "columns",
    "prepare_addition",
    "scored_documents",
    "to_document",
]


class PartialAddError(PartialWriteError):
    """Some documents of one call were not stored. Repeat the call with `ids` to store the rest.

    Attributes:
        ids: ids of all documents of the call, in their order, including generated ids.
    """

    def __init__(
        self,
        written: int,
        failed: Mapping[str, Exception],
        pending: Sequence[str],
        ids: Sequence[str],
    ) -> None:
        super().__init__(written, failed, pending)
        self.ids = list(ids)
        self.args = (*self.args, self.ids)  # pickling calls the class with these

    def __str__(self) -> str:
        return f"{super().__str__()}, with the ids in this error's `ids`"


@dataclass(frozen=True, slots=True)
class Addition:
    """Texts to add, validated before they are embedded."""

    texts: list[str]
    metadatas: list[dict[str, Any]]
    ids: list[str]

    def check_count(self, vectors: Sequence[Any]) -> None:
        """Check that there is one vector per text.

        Raises:
            InvalidInputError: if the numbers differ.
        """
        if len(vectors) != len(self.texts):
            raise InvalidInputError(
                f"the embedding returned {len(vectors)} vectors for {len(self.texts)} texts"
            )

    def records(self, vectors: Sequence[Sequence[float]]) -> list[Record]:
        """Return the records to write.

        Raises:
            InvalidInputError: if there is not exactly one vector per text.
        """
        self.check_count(vectors)
        rows = zip(self.ids, self.texts, vectors, self.metadatas, strict=True)
        return [
            new_record(id, text, vector, metadata, None, None, {})
            for id, text, vector, metadata in rows
        ]

    def failure(self, error: PartialWriteError) -> PartialAddError:
        """Return the error of a partial write, with the ids to repeat it."""
        return PartialAddError(error.written, error.failed, error.pending, self.ids)


def prepare_addition(
    texts: Iterable[str],
    metadatas: Sequence[dict[str, Any]] | None,
    ids: Sequence[str | None] | None,
) -> Addition:
    """Combine texts, metadata and ids. An id that is None is generated.

    Raises:
        InvalidInputError: if the lengths differ, an item is not text, or an id occurs twice.
    """
    if isinstance(texts, str):
        raise InvalidInputError("texts must be a list of texts, not one text")
    listed = list(texts)
    for position, text in enumerate(listed):
        if not isinstance(text, str):
            raise InvalidInputError(f"text {position} is a {type(text).__name__}, not text")
    metadata = [{} for _ in listed] if metadatas is None else list(metadatas)
    if len(metadata) != len(listed):
        raise InvalidInputError(
            f"{len(metadata)} metadatas were passed for {len(listed)} texts; pass one for each"
        )
    if isinstance(ids, str):
        raise InvalidInputError("ids must be a list of ids, not one text")
    passed = [None for _ in listed] if ids is None else list(ids)
    if len(passed) != len(listed):
        raise InvalidInputError(
            f"{len(passed)} ids were passed for {len(listed)} texts; pass one for each"
        )
    complete = check_ids([str(uuid4()) if id is None else id for id in passed])
    if len(set(complete)) != len(complete):
        duplicate = next(id for id in complete if complete.count(id) > 1)
        raise InvalidInputError(f"the id {duplicate!r} occurs more than once in one call")
    return Addition(listed, metadata, complete)


_fill = filler(Document)


def to_document(record: Record) -> Document:
    """Convert a record to a LangChain document."""
    create = _filled if _is_fillable() else _constructed
    return create(record.id, record.content, dict(record.metadata))


def _constructed(id: str, content: str, metadata: dict[str, Any]) -> Document:
    return Document(id=id, page_content=content, metadata=metadata)


def _filled(id: str, content: str, metadata: dict[str, Any]) -> Document:
    """Create the document that `_constructed` creates, without validating the values again."""
    return _fill(
        {"id": id, "metadata": metadata, "page_content": content, "type": "Document"},
        {"id", "metadata", "page_content"},
    )


@cache
def _is_fillable() -> bool:
    """Return True if documents of the installed LangChain can be filled."""
    sample = ("id", "text", {"key": 1})
    return are_alike(_constructed(*sample), _filled(*sample))


def scored_documents(hits: Iterable[Hit]) -> list[tuple[Document, float]]:
    """Convert hits to documents with their similarity. A higher value is more similar."""
    create = _filled if _is_fillable() else _constructed
    scored: list[tuple[Document, float]] = []
    for hit in hits:
        record = hit.record
        document = create(record.id, record.content, dict(record.metadata))
        scored.append((document, hit.similarity))
    return scored


def columns(
    documents: Iterable[Document], ids: Sequence[str | None] | None
) -> tuple[list[str], list[dict[str, Any]], list[str | None]]:
    """Return the texts, metadata and ids of documents. `ids`, if passed, replaces their own ids."""
    listed = list(documents)
    return (
        [document.page_content for document in listed],
        [document.metadata for document in listed],
        [document.id for document in listed] if ids is None else list(ids),
    )
