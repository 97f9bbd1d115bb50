"""The engine protocol: what both engines provide to the layers above, and its values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from valkey_vector.connection import Reply
from valkey_vector.connection.lanes import Lanes
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.errors import ServerError
from valkey_vector.filters.plan import Plan, Range
from valkey_vector.records.record import Hit, WritePolicy
from valkey_vector.records.vectors import DataType, Float32Array
from valkey_vector.schema.schema import VectorField
from valkey_vector.storage.catalog import CatalogEntry, EngineName
from valkey_vector.storage.changes import Change
from valkey_vector.storage.layout import Prepared
from valkey_vector.storage.rows import MetadataReplacement, Row, WriteOutcome
from valkey_vector.storage.slot_bindings import SlotBindings
from valkey_vector.text.bm25 import Matching, Scored, Statistics
from valkey_vector.text.vocabulary import Vocabulary

__all__ = ["Engine", "Grouped", "IndexInfo", "Keep", "Leading", "Near"]


# Not frozen: a frozen dataclass takes three times as long to create.
@dataclass(slots=True)
class Near:
    """The vector part of a query.

    Attributes:
        field: the vector field to search.
        vector: the query vector, of the field's dimension.
        ef_runtime: HNSW search width, at least 1; None for the default of the index.
    """

    field: VectorField
    vector: Float32Array
    ef_runtime: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexInfo:
    """Description of an index.

    Attributes:
        name: name of the index.
        engine: ``search`` or ``native``.
        server: description of the server, such as its name and version.
        dimension: length of the vectors.
        metric: COSINE, L2 or IP.
        algorithm: HNSW or FLAT, as used by searches; always FLAT for the native engine, which is exact.
        documents: number of stored records.
        indexed: share of the records that are searchable, 0 to 1.
        failures: number of documents that the server could not index completely.
        embedding_model: the model of the vectors, if it was passed; otherwise None.
        slots: metadata keys with a numeric slot.
        data_type: element type of the main vector on the server.
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
    data_type: DataType = "FLOAT32"


@dataclass(frozen=True, slots=True)
class Grouped:
    """Counts of records by the values of metadata keys.

    Attributes:
        groups: the values of the keys, None for a missing one, and the number of records with them. A combination of values
            may occur more than once.
        unread: ids of the selected records that are not counted: the engine does not know their values.
    """

    groups: Sequence[tuple[tuple[Any, ...], int]]
    unread: Sequence[str]


@dataclass(frozen=True, slots=True)
class Leading:
    """Ranges of a numeric hash field with the first documents in an order.

    Attributes:
        range: all documents in it are among the first ones, or few more; None if all of the first ones may be tied.
        tied: more documents than needed, all with one value, which come after those in `range`; None if `range` has
            enough documents.
    """

    range: Range | None
    tied: Range | None = None


Keep: TypeAlias = Callable[[list[Row]], list[Row]]
"""A function that returns the matching rows of a page."""


class Engine(Protocol):
    """One existing index on one server. Thread-safe. Every method raises `ServerError` if the server is unreachable.

    ``plan`` selects documents (see `valkey_vector.filters.plan`); ``fields`` names the hash fields to return. Any
    method may raise `StaleIndexError`. Methods that return `Pipelined` only describe the requests: `pipelines.run` and
    `pipelines.run_all` send them.
    """

    slots: SlotBindings

    @property
    def entry(self) -> CatalogEntry:
        """The catalog entry of the index, with the numeric slots bound so far."""
        ...

    def create(self) -> None:
        """Create the structures of the index over the existing documents. Idempotent."""
        ...

    def require_text(self) -> None:
        """Raise if the engine has no text search on this server.

        Raises:
            UnsupportedFeatureError: the search module has no text search; the message names the required version.
        """
        ...

    def fit(self, plan: Plan) -> Plan:
        """Return the plan, or a smaller one that selects a superset if the plan is too large for the server."""
        ...

    def write(
        self,
        batch: Sequence[Prepared],
        policy: WritePolicy,
        ttl: float | None,
        stamp: int | None,
        lanes: Lanes,
        *,
        sliding: bool,
    ) -> WriteOutcome:
        """Store a batch of documents.

        Args:
            batch: the documents.
            policy: handling of existing ids. With FAIL, nothing is written if an id exists.
            ttl: seconds; None for no expiration.
            stamp: creation time of the first document in microseconds, the others follow; None for now.
            lanes: the connections to use. The batch is encoded, and existing keys are looked up, before it waits for one.
            sliding: reads will extend the TTL, so it is set on the keys of the documents.

        Atomicity: each document.
        """
        ...

    def replace_metadata(self, replacements: Sequence[MetadataReplacement]) -> list[bool | None]:
        """Replace the metadata of documents whose version is unchanged.

        Returns:
            For each replacement: True if written, False if the version changed, None if the document does not exist.
        """
        ...

    def fetch(self, ids: Sequence[str], fields: Sequence[str]) -> list[Row | None]:
        """Fetch documents by id, in that order; None for a missing document."""
        ...

    def delete(self, ids: Sequence[str], versions: Sequence[bytes | None] | None = None) -> int:
        """Delete documents, and return the number deleted.

        Args:
            ids: the ids of the documents.
            versions: one version for each id; delete only documents that still have it. None deletes any version.

        Raises:
            ForeignKeyError: a key is not a document; nothing was deleted.
        """
        ...

    def send_requests(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]]:
        """Send several requests in one round trip, and return their replies; an error takes the place of its reply."""
        ...

    def fetching(self, ids: Sequence[str], fields: Sequence[str]) -> Pipelined[list[Row | None]]:
        """Pipelined `fetch`."""
        ...

    def count(self, plan: Plan) -> int:
        """Count the documents that a plan selects."""
        ...

    def counting(self, plan: Plan) -> Pipelined[int]:
        """Pipelined `count`."""
        ...

    def state(self) -> Pipelined[object | None]:
        """Return a value that changes whenever the index changes; None if the engine does not know one.

        What is counted after this returned is as of this state, or as of a later one.
        """
        ...

    def is_settled(self, state: object) -> Pipelined[bool]:
        """Return True if what was counted since a state was known is exactly as of it: no write was in progress.

        Run it after the counts.
        """
        ...

    def changes(self, before: object, now: object) -> Pipelined[Sequence[Change] | None]:
        """Return the changes of documents between two results of `state`; None if they are not known.

        What was counted as of `before` must be settled (see `is_settled`).
        """
        ...

    def totals(self, plans: Sequence[Plan]) -> Pipelined[list[int] | None]:
        """Count plans with one plain query each; None if these counts are not exact.

        They are not if a document has a time to live, or if a plan selects too many documents. `Everything` and plans
        without tokens may include hashes that are not documents.
        """
        ...

    def values(
        self, plan: Plan, fields: Sequence[str], most: int
    ) -> Pipelined[list[list[str] | None]]:
        """List the distinct values of each hash field in a sample of `most` selected documents, in the server's spelling.

        For the field ``metadata``: its JSON text in each document of the sample. None for a field whose values the server
        cannot list.
        """
        ...

    def grouping(
        self, plan: Plan, keys: Sequence[str], *, elements: bool
    ) -> Pipelined[Grouped] | None:
        """Count the selected documents by the values of metadata keys; None if the engine has no such counts.

        Args:
            plan: the plan that selects the documents.
            keys: metadata keys, at least one.
            elements: for a single key: count a list once for each distinct element that is not None.
        """
        ...

    def ordering(
        self, plan: Plan, orders: Sequence[tuple[str, bool]], limit: int | None
    ) -> Pipelined[list[Row] | None] | None:
        """Retrieve the ids and versions of the selected documents in an order of metadata keys.

        Args:
            plan: the plan that selects the documents.
            orders: keys, each with True for descending, the most important first. Ties, and all documents if there are
                no keys, are ordered oldest first, respectively newest first.
            limit: number of documents, >= 1; None for all.

        Returns:
            None, or a result of None, if the engine does not know the order.
        """
        ...

    def leading(
        self, plan: Plan, order: tuple[str, bool] | None, limit: int
    ) -> Pipelined[Leading | None] | None:
        """Find ranges of a numeric hash field with the first of the selected documents in an order.

        Args:
            plan: the plan that selects the documents.
            order: a metadata key, and True for descending; None for the newest documents first.
            limit: number of documents that the ranges should have at least, >= 1.

        Returns:
            None, or a result of None, if the engine does not know such ranges. Documents may change meanwhile: check
            that enough are left.
        """
        ...

    def knn(self, near: Near, k: int, plan: Plan, fields: Sequence[str]) -> Pipelined[list[Row]]:
        """Retrieve the k nearest of the selected documents, nearest first, ties by id; fewer only if fewer exist."""
        ...

    def nearest_hits(
        self, near: Near, k: int, fields: Sequence[str]
    ) -> Pipelined[list[Hit]] | None:
        """Run `knn` on all documents, and decode these fields of each; None if the engine has no faster way for it."""
        ...

    def within(
        self, near: Near, radius: float, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]] | None:
        """Retrieve all selected documents up to a distance, nearest first, ties by id.

        Returns None if the engine has no range search.
        """
        ...

    def vocabulary(self) -> Vocabulary:
        """The terms of the index; may include terms that no longer occur."""
        ...

    def text_statistics(self, matching: Matching) -> Pipelined[Statistics]:
        """Fetch the BM25 statistics of the index for a text query."""
        ...

    def text_best(self, matching: Matching, plan: Plan, k: int) -> Pipelined[list[Scored]]:
        """Rank the selected documents by BM25, and return the k best, best first, ties by id; fewer only if fewer match."""
        ...

    def text_and_nearest(
        self, matching: Matching, near: Near, plan: Plan, k: int
    ) -> Pipelined[tuple[list[Scored], list[Row]]]:
        """Run `text_best` and `knn` in shared round trips, one if possible; the rows have no fields."""
        ...

    def forget(self, ids: Sequence[str]) -> None:
        """Note that documents which a search just returned no longer exist."""
        ...

    def selecting(
        self, plan: Plan, fields: Sequence[str], limit: int | None, keep: Keep | None
    ) -> Pipelined[list[Row]]:
        """Retrieve the selected documents that `keep` returns, all or the first `limit`, oldest first."""
        ...

    def select(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        """Iterate over the selected documents in pages, oldest first."""
        ...

    def held(self) -> Mapping[str, bool]:
        """The ids in the engine's structures, each with True if its document may have expired."""
        ...

    def reconcile(self, ids: Sequence[str]) -> None:
        """Add existing documents to the engine's structures, and remove missing ones."""
        ...

    def indexed_share(self) -> float:
        """The share of the index that is searchable, 0 to 1."""
        ...

    def info(self) -> IndexInfo:
        """Describe the index."""
        ...

    def drop(self) -> None:
        """Remove the structures of the index; documents and catalog entry stay."""
        ...
