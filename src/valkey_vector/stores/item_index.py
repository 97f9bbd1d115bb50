"""The texts of items in an `Index`: by vector, by words, or by both.

Each text of an item is a record of its own, so an item may have any number. The item's revision tells the records of its present
value from older ones: a reader ignores a record whose revision is not the item's. So the index needs no transaction with the
store: records are written before the item, and removed after it was replaced.
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
"""What items are ranked by: similarity, words, or both."""

STALE_SECONDS = 600.0
"""A record of no item is removed once it is so old. A younger one may belong to an item that is about to be put."""

_IN, _KEY, _REVISION, _AT = "in", "key", "revision", "at"


@dataclass(frozen=True, slots=True)
class ItemText:
    """One text of an item, with its embedding if it has one."""

    text: str
    vector: Sequence[float] | None


@dataclass(frozen=True, slots=True)
class Question:
    """What to rank items by.

    Attributes:
        namespace: items in it and below it.
        text: the words.
        vector: the embedding of the text; None where only words count.
    """

    namespace: Namespace
    text: str
    vector: Sequence[float] | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text of an item that a question found."""

    name: ItemName
    revision: str
    score: float
    id: str
    at: float


class ItemIndex:
    """Searches the texts of the items of one store.

    Args:
        index: made with full text for the modes ``text`` and ``hybrid``.
        mode: what items are ranked by.
    """

    def __init__(self, index: Index, mode: SearchMode) -> None:
        if mode not in ("vector", "text", "hybrid"):
            raise ConfigurationError(f"search must be 'vector', 'text' or 'hybrid', not {mode!r}")
        self._index = index
        self._mode = mode

    @property
    def index(self) -> Index:
        """The index."""
        return self._index

    def add(self, items: Sequence[tuple[ItemName, Sequence[ItemText]]]) -> list[Vanished]:
        """Write the texts of items that are about to be put; one bulk write for all.

        Returns:
            For each item the revision by which its records are known, and how many there are.
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
        """Remove the records of items that are gone or were replaced."""
        ids = [_id(revision, number) for revision, count in vanished for number in range(count)]
        self._index.delete(ids)

    def candidates(self, questions: Sequence[Question], limit: int) -> list[list[Candidate]]:
        """The texts that answer questions best, best first, in one pipeline.

        Args:
            questions: any number of them.
            limit: at most so many texts for each.
        """
        found = self._index.search_many([self._query(one, limit) for one in questions])
        return [[self._candidate(hit) for hit in hits] for hits in found]

    def forget_stale(self, candidates: Sequence[Candidate]) -> None:
        """Remove records that belong to no item, unless they are young."""
        before = time.time() - STALE_SECONDS
        if old := [one.id for one in candidates if one.at < before]:
            self._index.delete(old)

    def clear(self) -> None:
        """Remove the index with all its records."""
        self._index.drop()

    def close(self) -> None:
        """Close the index. Its connection stays open if it was given."""
        self._index.close()

    def _records(self, name: ItemName, revision: str, texts: Sequence[ItemText]) -> list[Record]:
        metadata = _metadata(name, revision)
        records: list[Record] = []
        for text in texts:
            # An embedding of zeros has no direction: it is similar to nothing, and search modules refuse it.
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
    """Namespaces that the item is in, from the outermost one, so that each of them can be searched."""
    namespace, key = name
    inside = [_path(namespace[:depth]) for depth in range(len(namespace) + 1)]
    return {_IN: inside, _KEY: key, _REVISION: revision, _AT: time.time()}


def _id(revision: str, number: int) -> str:
    return f"{revision}.{number}"
