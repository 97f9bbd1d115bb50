"""`ItemIndex`: stores the texts of items in an `Index` for vector, text and hybrid search.

Each text of an item is one record, and an item can have any number of texts. The item's revision separates the records of
its current value from older ones: readers ignore a record with another revision. So the index and the store need no
common transaction. Records are written before the item and removed after the item was replaced.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from uuid import uuid4

from valkey_vector.errors import ConfigurationError
from valkey_vector.filters.ast import Filter
from valkey_vector.filters.builder import F
from valkey_vector.index.index import Index
from valkey_vector.query import HybridQuery, TextQuery, VectorQuery
from valkey_vector.records.record import Hit, Record
from valkey_vector.stores.item_records import (
    ItemName,
    Namespace,
    decode_namespace,
    encode_namespace,
)
from valkey_vector.stores.item_store import Vanished

__all__ = ["Candidate", "ItemIndex", "ItemText", "Question", "SearchMode"]

SearchMode: TypeAlias = Literal["vector", "text", "hybrid"]
"""Ranking of items: by vector similarity, by terms (BM25), or by both."""

STALE_SECONDS = 600.0
"""Age in seconds at which a record without an item is removed. A younger record may belong to an item not yet put."""

_IN, _KEY, _REVISION, _AT = "in", "key", "revision", "at"


@dataclass(frozen=True, slots=True)
class ItemText:
    """One text of an item, with its embedding or None."""

    text: str
    vector: Sequence[float] | None


@dataclass(frozen=True, slots=True)
class Question:
    """Query that ranks items.

    Attributes:
        namespace: search items in this namespace and below it.
        text: the query text.
        vector: the embedding of the text. None: rank by terms only.
    """

    namespace: Namespace
    text: str
    vector: Sequence[float] | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """Text of an item that matches a question."""

    name: ItemName
    revision: str
    score: float
    id: str
    at: float


class ItemIndex:
    """Search index for the texts of the items of one store.

    Args:
        index: the index to use. The modes ``text`` and ``hybrid`` require full text.
        mode: ranking of the items.

    Raises:
        ConfigurationError: `mode` is unknown.
    """

    def __init__(self, index: Index, mode: SearchMode) -> None:
        if mode not in ("vector", "text", "hybrid"):
            raise ConfigurationError(f"search must be 'vector', 'text' or 'hybrid', not {mode!r}")
        self._index = index
        self._index._handle.without_hints()
        self._mode = mode

    @property
    def index(self) -> Index:
        """The index that stores the texts."""
        return self._index

    def add(self, items: Sequence[tuple[ItemName, Sequence[ItemText]]]) -> list[Vanished]:
        """Write the texts of items before the items are put, in one bulk write.

        Returns:
            For each item, the revision of its records and their number.
        """
        records: list[Record] = []
        revisions: list[Vanished] = []
        for name, texts in items:
            revision = uuid4().hex
            own = self._records(name, revision, texts)
            records += own
            revisions.append((revision if own else "", len(own)))
        if records:
            self._index.upsert(records, progress=False)
        return revisions

    def remove(self, vanished: Sequence[Vanished]) -> None:
        """Remove the records of items that were deleted or replaced."""
        ids = [_id(revision, number) for revision, count in vanished for number in range(count)]
        self._index.delete(ids)

    def candidates(self, questions: Sequence[Question], limit: int) -> list[list[Candidate]]:
        """Return the best texts for each question, best first.

        Args:
            questions: any number of questions.
            limit: maximum number of texts for each question.

        Cost: one pipeline.
        """
        found = self._index.search_many([self._query(one, limit) for one in questions])
        return [[self._candidate(hit) for hit in hits] for hits in found]

    def forget_stale(self, candidates: Sequence[Candidate]) -> None:
        """Remove the records that belong to no item and are older than `STALE_SECONDS`."""
        before = time.time() - STALE_SECONDS
        if old := [one.id for one in candidates if one.at < before]:
            self._index.delete(old)

    def clear(self) -> None:
        """Remove the index and all its records."""
        self._index.drop()

    def close(self) -> None:
        """Close the index. A connection that was passed to it stays open."""
        self._index.close()

    def _records(self, name: ItemName, revision: str, texts: Sequence[ItemText]) -> list[Record]:
        metadata = _metadata(name, revision)
        records: list[Record] = []
        for text in texts:
            # An all-zero embedding has no cosine similarity, and search modules reject it.
            vector = text.vector if text.vector is not None and any(text.vector) else None
            if vector is None and self._mode == "vector":
                continue
            content = "" if self._mode == "vector" else text.text
            id = _id(revision, len(records))
            records.append(Record(id=id, content=content, vector=vector, metadata=metadata))
        return records

    def _query(self, question: Question, limit: int) -> VectorQuery | TextQuery | HybridQuery:
        within: Filter | None = None
        if question.namespace:
            within = F(_IN).contains(_path(question.namespace))
        if self._mode == "text" or question.vector is None:
            return TextQuery(question.text, k=limit, filter=within)
        if self._mode == "hybrid":
            return HybridQuery(question.vector, question.text, k=limit, filter=within)
        return VectorQuery(vector=question.vector, k=limit, filter=within)

    @staticmethod
    def _candidate(hit: Hit) -> Candidate:
        metadata = hit.record.metadata
        namespace = decode_namespace(metadata[_IN][-1].encode())
        return Candidate(
            (namespace, metadata[_KEY]),
            metadata[_REVISION],
            hit.score,
            hit.record.id,
            metadata[_AT],
        )


def _path(namespace: Namespace) -> str:
    return encode_namespace(namespace).decode()


def _metadata(name: ItemName, revision: str) -> dict[str, Any]:
    """Return the metadata of an item's records. Lists all enclosing namespaces, so that each can be searched."""
    namespace, key = name
    inside = [_path(namespace[:depth]) for depth in range(len(namespace) + 1)]
    return {_IN: inside, _KEY: key, _REVISION: revision, _AT: time.time()}


def _id(revision: str, number: int) -> str:
    return f"{revision}.{number}"
