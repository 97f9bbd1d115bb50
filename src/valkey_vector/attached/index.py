"""`AttachedIndex`: read-only search in an index that another program created."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, Unpack

from valkey_vector.attached.candidates import Choice
from valkey_vector.attached.definition import IndexDefinition, vector_attribute
from valkey_vector.attached.description import (
    ClusterDescription,
    IndexDescription,
    PrimaryDescription,
    Scope,
)
from valkey_vector.attached.documents import AttachedDocument, AttachedHit
from valkey_vector.attached.nearest import Near
from valkey_vector.attached.reading import reading_of
from valkey_vector.attached.searching import AttachedSearch
from valkey_vector.attached.server import describe_index
from valkey_vector.attached.vectors import query_vector
from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.closing import Closing
from valkey_vector.concurrency.threads import offload
from valkey_vector.concurrency.waiting import wait_until_indexed
from valkey_vector.connection import Connection
from valkey_vector.errors import (
    ConfigurationError,
    IndexNotFoundError,
    InvalidInputError,
)
from valkey_vector.execution.aggregates import Facet, check_facets
from valkey_vector.execution.dispatch import window_of
from valkey_vector.execution.read_limits import labeled, limited, limited_pages
from valkey_vector.query import CountQuery, FilterQuery, ReadOptions, SearchResult, VectorQuery
from valkey_vector.query.aggregate import AggregateQuery
from valkey_vector.query.filter_keyword import names_filter
from valkey_vector.query.filter_like import FilterLike, as_filter
from valkey_vector.query.order import OrderLike
from valkey_vector.records.record import Vector
from valkey_vector.records.validation import check_ids, check_k, check_limit
from valkey_vector.schema.schema import Metric
from valkey_vector.schema.similarity import similarity
from valkey_vector.storage.catalog import Catalog, check_index_name

__all__ = ["AttachedIndex"]


@names_filter
class AttachedIndex(Closing):
    """An index of the server's search module that another program created. It can be searched, not written.

    Open one with `Index.attach`. Filter on the attributes of the index (``F("category") == "red"``) and on the key
    (``F.id``). `valkey_vector.attached.semantics` defines the meaning of filters on raw tags, numbers and texts. Each
    document is fetched by its key and checked before it is returned. Thread-safe. Each method has an async version
    with the prefix ``a``.

    Engines: Valkey-Search 1.2 indexes a JSON path only if it selects one value, not a list. So filters on paths such as
        ``$.tags[*]`` are checked by the client on each candidate. A list under a plain path such as ``$.tags`` never
        matches.
    """

    def __init__(self, connection: Connection, name: str, *, owns_connection: bool) -> None:
        self._connection = connection
        self._owns_connection = owns_connection
        self._definition = describe_index(connection, name).definition
        self._name = self._definition.name  # not an alias, which can name another index later
        self._searching = AttachedSearch(connection, self._definition)

    @classmethod
    def open(
        cls, name: str, *, url: str | None = None, connection: Connection | None = None
    ) -> Self:
        """Open an index of the search module; see `Index.attach`."""
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"the name of an index must be non-empty text, not {name!r}")
        if connection is not None and url is not None:
            raise ConfigurationError("pass url or connection, not both")
        opened = connection if connection is not None else Connection.open(url)
        try:
            return cls(opened, name, owns_connection=connection is None)
        except BaseException as error:
            own = isinstance(error, IndexNotFoundError) and _is_own(opened, name)
            if connection is None:
                opened.close()
            if own:
                raise IndexNotFoundError(
                    f"{name!r} is an index of this library: open it with Index.open({name!r})"
                ) from error
            raise

    @property
    def name(self) -> str:
        """Name of the index in FT.* commands. If it was opened by an alias, this is its own name."""
        return self._name

    @property
    def connection(self) -> Connection:
        """Connection to the server."""
        return self._connection

    @property
    def definition(self) -> IndexDefinition:
        """Definition of the index: document type, prefixes and attributes."""
        return self._definition

    def describe(
        self, scope: Scope = "local"
    ) -> IndexDescription | PrimaryDescription | ClusterDescription:
        """Return the current state of the index; see `valkey_vector.attached.server.describe_index`."""
        return describe_index(self._connection, self._name, scope)

    def search(
        self,
        vector: Vector,
        *,
        k: int = 4,
        attribute: str | None = None,
        filter: FilterLike | None = None,
        words: Mapping[str, str] | None = None,
        ef_runtime: int | None = None,
        max_distance: float | None = None,
        min_similarity: float | None = None,
        offset: int = 0,
        fields: Sequence[str] | None = None,
        with_vectors: bool = False,
        **options: Unpack[ReadOptions],
    ) -> SearchResult[AttachedHit]:
        """Return the k nearest neighbors of a vector, nearest first. Ties are ordered by key.

        Returns fewer than k only if fewer documents match.

        Args:
            vector: finite floats, as many as the dimension of the attribute. They are rounded to its element type.
            k: number of documents, ≥ 1. If `offset` and k together exceed 10,000, all documents are compared.
            attribute: name of the vector attribute. Required if the index has more than one.
            filter: return only documents that match.
            words: for each text attribute, a text whose words a document must all contain, as the server tokenizes
                and stems them. A text of stop words only matches nothing.
            ef_runtime: number of candidates that HNSW examines, ≥ k. Default: 100.
            max_distance: return only documents up to this distance; see `VectorQuery`.
            min_similarity: return only documents with at least this similarity; see `VectorQuery`. Pass one of the two.
            offset: number of nearest documents to skip, ≥ 0.
            fields: as for `select`.
            with_vectors: as for `select`.
            options: `consistency` and `timeout`, see `ReadOptions`.

        Raises:
            InvalidInputError: an argument is not valid.
            IndexNotFoundError: the index no longer exists.
        """
        chosen = vector_attribute(self._definition, attribute)
        checked = VectorQuery(
            vector=vector,
            k=check_k(k, "k"),
            ef_runtime=ef_runtime,
            max_distance=max_distance,
            min_similarity=min_similarity,
            **options,
        )
        check_limit(offset, "offset")
        reading = reading_of(fields, self._definition, with_vectors=with_vectors)
        near = Near(chosen, query_vector(vector, chosen, self.name), ef_runtime)
        with limited(checked) as scope:
            found = self._searching.nearest(near, k, offset, _choice(filter, words), reading)
        threshold = checked.threshold
        hits = (
            _hit(document, distance, chosen.metric)
            for distance, document in found
            if threshold is None or threshold.admits(distance, chosen.metric)
        )
        return labeled(hits, scope)

    def select(
        self,
        filter: FilterLike | None = None,
        *,
        words: Mapping[str, str] | None = None,
        order_by: OrderLike | Iterable[OrderLike] | None = None,
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
        fields: Sequence[str] | None = None,
        with_vectors: bool = False,
        **options: Unpack[ReadOptions],
    ) -> SearchResult[AttachedDocument]:
        """Return the documents that match, ordered by key or by other values.

        Args:
            filter: return only documents that match. None: all.
            words: as for `search`.
            order_by: an attribute, another stored field, or ``F.id`` for the key; or several of them. A numeric attribute
                sorts by its number, a tag attribute by its tag, everything else by the text of the hash field or the value of
                the JSON item. Values sort as in `Index.select`; documents with several tags come after those with one,
                documents without a value last. Ties are ordered by key.
            descending: reverse the order of the keys, or of the one sort key.
            limit: maximum number of documents, ≥ 0. None: all.
            offset: number of documents to skip, ≥ 0.
            fields: stored fields to fetch and return: names of hash fields; for JSON, names of items (``a.b`` for an item
                of an item) or JSON paths, which begin with ``$``. None: all.
            with_vectors: also return the vectors as numbers.
            options: as for `search`.

        Raises:
            InvalidInputError: an argument is not valid.

        Cost:
            One round trip for each 500 documents, after the query. With `order_by` or `offset`, only the fields of the
            filter and of the order are fetched of the documents outside the range.
        """
        query = FilterQuery(
            order_by=order_by, descending=descending, limit=limit, offset=offset, **options
        )
        reading = reading_of(fields, self._definition, with_vectors=with_vectors)
        with limited(query) as scope:
            found = list(self._searching.select(_choice(filter, words), window_of(query), reading))
        return labeled(found, scope)

    def iterate(
        self,
        filter: FilterLike | None = None,
        *,
        words: Mapping[str, str] | None = None,
        fields: Sequence[str] | None = None,
        with_vectors: bool = False,
        **options: Unpack[ReadOptions],
    ) -> Iterator[AttachedDocument]:
        """Iterate over the documents that match, ordered by key, without holding them all in memory.

        The keys of the candidates are read first. Documents that other clients write or remove during the iteration may be
        returned or not.

        Args:
            filter: return only documents that match. None: all.
            words: as for `search`.
            fields: as for `select`.
            with_vectors: as for `select`.
            options: as for `search`; `timeout` is for each page.

        Cost:
            One round trip for each page of 500 documents, after the query.
        """
        pages = self._pages(filter, words, fields, options, with_vectors=with_vectors)
        return (document for page in pages for document in page)

    async def aiterate(
        self,
        filter: FilterLike | None = None,
        *,
        words: Mapping[str, str] | None = None,
        fields: Sequence[str] | None = None,
        with_vectors: bool = False,
        **options: Unpack[ReadOptions],
    ) -> AsyncIterator[AttachedDocument]:
        """Async version of `iterate`."""
        pages = self._pages(filter, words, fields, options, with_vectors=with_vectors)
        while (page := await offload(next, pages, None)) is not None:
            for document in page:
                yield document

    def _pages(
        self,
        filter: FilterLike | None,
        words: Mapping[str, str] | None,
        fields: Sequence[str] | None,
        options: ReadOptions,
        *,
        with_vectors: bool,
    ) -> Iterator[list[AttachedDocument]]:
        query = FilterQuery(**options)
        reading = reading_of(fields, self._definition, with_vectors=with_vectors)
        return limited_pages(self._searching.pages(_choice(filter, words), reading), query)

    def aggregate(
        self, query: AggregateQuery, *, words: Mapping[str, str] | None = None
    ) -> SearchResult[dict[str, Any]]:
        """Count, sum, group and sort documents. Results are exact and complete.

        A row has the items that the query names: attributes, or other stored fields. A numeric attribute is its number, a
        text attribute its text, a tag attribute its tag, or the list of tags if there are several. Before a `GroupBy`, a
        filter on a tag attribute has the meaning that it has in `select`.

        Args:
            query: see `AggregateQuery`. The input rows are ordered by key.
            words: as for `search`.

        Returns:
            The rows. Without a `GroupBy` each row has all attributes of a document that are not vectors.

        Raises:
            InvalidInputError: the query is not valid, or names a vector attribute.

        Cost:
            One round trip for each 500 documents, which fetches only the fields that the query uses.
        """
        if not isinstance(query, AggregateQuery):
            raise InvalidInputError(f"aggregate takes an AggregateQuery, not {query!r}")
        with limited(query) as scope:
            return labeled(self._searching.aggregate(query, words), scope)

    def facets(
        self,
        keys: Sequence[str],
        *,
        filter: FilterLike | None = None,
        words: Mapping[str, str] | None = None,
        limit: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> dict[str, Facet]:
        """Count the documents with each value of attributes or other stored fields.

        Args:
            keys: names of attributes or stored fields. A document with several tags counts for each of them.
            filter: only documents that match.
            words: as for `search`.
            limit: at most this many values of each key, the most frequent ones. None for all.
            options: as for `search`.

        Returns:
            A `Facet` for each key.

        Cost:
            As for `aggregate`.
        """
        paths = check_facets(keys, limit)
        with limited(CountQuery(**options)) as scope:
            found = self._searching.facets(paths, _choice(filter, words), limit)
        return {path: replace(facet, partial=scope.partial) for path, facet in found.items()}

    def count(
        self,
        filter: FilterLike | None = None,
        *,
        words: Mapping[str, str] | None = None,
        **options: Unpack[ReadOptions],
    ) -> int:
        """Return the number of documents that match. Warns if it may be too low (`PartialResultWarning`).

        If the server counts them, expired keys are included until the server removes them.
        """
        with limited(CountQuery(**options)) as scope:
            number = self._searching.count(_choice(filter, words))
        return labeled(number, scope)

    def get(
        self,
        keys: Sequence[str],
        *,
        fields: Sequence[str] | None = None,
        with_vectors: bool = False,
    ) -> list[AttachedDocument | None]:
        """Return documents by full key, in the same order. None for a key that is missing or has another type.

        Args:
            keys: full keys, with the prefix.
            fields: as for `select`.
            with_vectors: as for `select`.
        """
        wanted = [key.encode() for key in check_ids(keys)]
        reading = reading_of(fields, self._definition, with_vectors=with_vectors)
        by_key = {document.key: document for document in self._searching.get(wanted, reading)}
        return [by_key.get(key.decode()) for key in wanted]

    def wait_until_indexed(self, timeout: float = 60.0, *, progress: bool | None = None) -> None:
        """Wait until the documents that existed before the index are searchable.

        Args:
            timeout: maximum time to wait in seconds.
            progress: show a progress bar. None: show one on a terminal if the index is not complete.

        Raises:
            RequestTimeoutError: the index was not complete in time.
        """
        wait_until_indexed(self._searching.indexed_share, self._name, timeout, progress)

    def close(self) -> None:
        """Close the connection if this index opened it."""
        if self._owns_connection:
            self._connection.close()

    def __repr__(self) -> str:
        return f"AttachedIndex({self._name!r}, {self._connection!r})"

    def __reduce__(self) -> tuple[Any, tuple[Connection, str]]:
        return _reopened, (self._connection, self._name)

    adescribe = async_version(describe)
    asearch = async_version(search)
    aselect = async_version(select)
    aaggregate = async_version(aggregate)
    afacets = async_version(facets)
    acount = async_version(count)
    aget = async_version(get)
    await_until_indexed = async_version(wait_until_indexed)


def _hit(document: AttachedDocument, distance: float, metric: Metric) -> AttachedHit:
    score = similarity(distance, metric)
    return AttachedHit(document=document, score=score, distance=distance, similarity=score)


def _choice(filter: FilterLike | None, words: Mapping[str, str] | None) -> Choice:
    return Choice(None if filter is None else as_filter(filter), words)


def _is_own(connection: Connection, name: str) -> bool:
    try:
        check_index_name(name)
    except ConfigurationError:
        return False
    return Catalog(connection, name).read() is not None


def _reopened(connection: Connection, name: str) -> AttachedIndex:
    return AttachedIndex.open(name, connection=connection)
