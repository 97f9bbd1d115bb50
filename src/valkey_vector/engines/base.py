"""The seam between an index and what keeps it: the engine protocol and its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from valkey_vector.connection import Reply
from valkey_vector.connection.pipelines import Ask, Steps
from valkey_vector.errors import ServerError
from valkey_vector.filters.plan import Plan
from valkey_vector.records.record import WritePolicy
from valkey_vector.records.vectors import Float32Array
from valkey_vector.schema.schema import VectorField
from valkey_vector.storage.catalog import CatalogEntry, EngineName
from valkey_vector.storage.layout import Prepared
from valkey_vector.storage.record_version import VERSION
from valkey_vector.text.bm25 import Matching, Scored, Statistics
from valkey_vector.text.vocabulary import Vocabulary

__all__ = ["Engine", "IndexInfo", "Keep", "Near", "Row", "StaleIndexError", "WriteOutcome"]


class StaleIndexError(Exception):
    """The index was dropped or created anew since it was opened. Handled by the index, never shown."""


@dataclass(frozen=True, slots=True)
class Row:
    """One document as an engine found it.

    Attributes:
        id: the record's id.
        fields: those of the asked-for hash fields that it has.
        distance: from the query vector; NaN where no vector was asked with.
    """

    id: str
    fields: Mapping[str, bytes]
    distance: float = math.nan

    @property
    def version(self) -> bytes | None:
        """Differs after every write of the document; None for one that an earlier version of this library wrote."""
        return self.fields.get(VERSION)


@dataclass(frozen=True, slots=True)
class Near:
    """What nearness is asked for.

    Attributes:
        field: the vector compared.
        vector: to which; of the field's dimension.
        ef_runtime: for HNSW, candidates to look at; None for the index's default.
    """

    field: VectorField
    vector: Float32Array
    ef_runtime: int | None = None


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of one batch.

    Attributes:
        written: how many documents were stored.
        present: ids that were there already, with FAIL and SKIP.
        failed: ids that the server refused, each with its error.
    """

    written: int
    present: tuple[str, ...] = ()
    failed: Mapping[str, ServerError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexInfo:
    """An index, described.

    Attributes:
        name: its name.
        engine: ``search`` or ``native``.
        server: what it lives on, in words.
        dimension: length of the vectors.
        metric: COSINE, L2 or IP.
        algorithm: HNSW or FLAT; the native engine is always exact.
        documents: records stored.
        indexed: share of the documents that are searchable, 0 to 1.
        failures: documents the server could not index in full.
        embedding_model: the model its vectors come from, if it was told.
        slots: metadata keys with a numeric slot.
    """

    name: str
    engine: EngineName
    server: str
    dimension: int
    metric: str
    algorithm: str
    documents: int
    indexed: float
    failures: int
    embedding_model: str | None
    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetadataReplacement:
    """New fields for one document.

    Attributes:
        id: of the document.
        expected: the metadata that was read; compared where the document has no version.
        version: the document's version that was read; None for one that an earlier version of this library wrote.
        fields: names and values in turn.
        removed: names of fields to remove beside those of indexed metadata, all of which are replaced.
    """

    id: str
    expected: bytes
    version: bytes | None
    fields: Sequence[str | bytes]
    removed: Sequence[str] = ()


Keep: TypeAlias = Callable[[list[Row]], list[Row]]
"""Which rows of a page are kept."""


class Engine(Protocol):
    """Keeps one existing index on one server. Thread-safe. Every method raises `ServerError` on an outage.

    ``plan`` selects documents (see `valkey_vector.filters.plan`); ``fields`` names the hash fields to bring. Any
    method may raise `StaleIndexError`. Methods that give `Steps` only describe what is asked: `steps.alone` and
    `steps.together` carry it out.
    """

    entry: CatalogEntry

    def create(self) -> None:
        """Make the index's own structures over whatever documents are there; harmless if they are."""
        ...

    def learn(self, entry: CatalogEntry) -> None:
        """Take over a newer state of the index's record: more numeric slots are bound."""
        ...

    def fit(self, plan: Plan) -> Plan:
        """The plan, or a smaller one that selects a superset, if this one is too large for the server."""
        ...

    def write(
        self,
        batch: Sequence[Prepared],
        policy: WritePolicy,
        ttl: float | None,
        stamp: int | None,
        lane: int,
        *,
        sliding: bool,
    ) -> WriteOutcome:
        """Store a batch, each document atomically; with FAIL nothing if an id is there already.

        `stamp` is the time of creation of the first document, in microseconds, the others follow; None: now.
        `sliding`: the time to live will be prolonged, on the documents' keys.
        """
        ...

    def replace_metadata(self, replacements: Sequence[MetadataReplacement]) -> list[bool | None]:
        """Write each one's fields if it is still of the version that was read; False if not, None if it is gone."""
        ...

    def fetch(self, ids: Sequence[str], fields: Sequence[str]) -> list[Row | None]:
        """Documents by id, in that order; None for one that is not there."""
        ...

    def delete(self, ids: Sequence[str], versions: Sequence[bytes | None] | None = None) -> int:
        """Remove documents; returns how many were removed.

        Args:
            ids: of the documents.
            versions: remove only those that are still of these versions, one for each id.

        Raises:
            ForeignKeyError: a key is not a document; nothing was removed.
        """
        ...

    def ask(self, asks: Sequence[Ask]) -> list[list[Reply | ServerError]]:
        """The replies to the steps of several operations, in one round trip; a command's own error in its place."""
        ...

    def fetching(self, ids: Sequence[str], fields: Sequence[str]) -> Steps[list[Row | None]]:
        """`fetch`, in steps."""
        ...

    def count(self, plan: Plan) -> int:
        """How many documents a plan selects."""
        ...

    def counting(self, plan: Plan) -> Steps[int]:
        """`count`, in steps."""
        ...

    def values(self, plan: Plan, fields: Sequence[str], most: int) -> list[list[str] | None]:
        """For each hash field, what it holds among the documents a plan selects, as the server writes it.

        None where the server cannot tell, or there is more than `most`.
        """
        ...

    def knn(self, near: Near, k: int, plan: Plan, fields: Sequence[str]) -> Steps[list[Row]]:
        """The k nearest of the documents a plan selects, nearest first, ties by id; fewer only if there are
        fewer.
        """
        ...

    def within(
        self, near: Near, radius: float, plan: Plan, fields: Sequence[str]
    ) -> Steps[list[Row]] | None:
        """All of the documents a plan selects up to a distance, nearest first, ties by id.

        None if the engine has no such search of its own.
        """
        ...

    def vocabulary(self) -> Vocabulary:
        """The words that occur in the index's texts, possibly with some that no longer do."""
        ...

    def text_statistics(self, matching: Matching) -> Steps[Statistics]:
        """What BM25 has to know of the index for a text query."""
        ...

    def text_best(self, matching: Matching, plan: Plan, k: int) -> Steps[list[Scored]]:
        """The k best answers to a text query among the documents a plan selects, best first, ties by id;
        fewer only if there are fewer.
        """
        ...

    def text_and_nearest(
        self, matching: Matching, near: Near, plan: Plan, k: int
    ) -> Steps[tuple[list[Scored], list[Row]]]:
        """`text_best` and `knn` together, in one round trip if that suffices; the rows without fields."""
        ...

    def forget(self, ids: Sequence[str]) -> None:
        """Take notice that documents are gone that a search has just found."""
        ...

    def selecting(
        self, plan: Plan, fields: Sequence[str], limit: int | None, keep: Keep | None
    ) -> Steps[list[Row]]:
        """The oldest of the documents a plan selects, all or the first `limit` of those kept, oldest first."""
        ...

    def select(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        """All documents a plan selects, in pages, oldest first."""
        ...

    def held(self) -> Mapping[str, bool]:
        """The ids that the engine's own structures have, and whether each one's document may have ended in its time."""
        ...

    def reconcile(self, ids: Sequence[str]) -> None:
        """Take documents into the engine's own structures that are there, and out of them those that are not."""
        ...

    def indexed_share(self) -> float:
        """How much of the index is searchable already, 0 to 1."""
        ...

    def info(self) -> IndexInfo:
        """Describe the index."""
        ...

    def drop(self) -> None:
        """Remove the index's own structures; documents and catalogue stay."""
        ...
