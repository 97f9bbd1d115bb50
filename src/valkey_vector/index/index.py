"""`Index`: the public class. Its methods are thin: each checks nothing itself and makes one call.

`IndexHandle` opens the index and reopens it after a change, `IndexReader` answers queries, and `IndexWriter` writes and
repairs. Every blocking method has an async version beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.closing import Closing
from valkey_vector.concurrency.threads import offload
from valkey_vector.concurrency.waiting import wait_until_indexed
from valkey_vector.connection import Connection
from valkey_vector.errors import ConfigurationError, ValkeyVectorError
from valkey_vector.index.handle import IndexHandle, not_found
from valkey_vector.index.reader import IndexReader
from valkey_vector.index.settings import EngineChoice, IndexSettings
from valkey_vector.index.writer import IndexWriter
from valkey_vector.query import CountQuery, FilterQuery, HybridQuery, TextQuery, VectorQuery
from valkey_vector.query.filter_keyword import names_filter
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.query.hybrid import Fusion, ReciprocalRank
from valkey_vector.query.order import OrderLike
from valkey_vector.query.text import Clause
from valkey_vector.records.record import Hit, Record, Vector, WritePolicy, WriteResult
from valkey_vector.records.validation import check_k
from valkey_vector.schema.full_text import FullText
from valkey_vector.schema.schema import Algorithm, Metric, Schema

if TYPE_CHECKING:
    from valkey_vector.attached.index import AttachedIndex
    from valkey_vector.engines.base import IndexInfo
    from valkey_vector.execution.aggregates import Facet
    from valkey_vector.index.explanation import Explanation
    from valkey_vector.index.report import IndexReport
    from valkey_vector.query import Answer, Query, ReadOptions, SearchResult
    from valkey_vector.query.aggregate import AggregateQuery

__all__ = ["Index"]


@names_filter
class Index(Closing):
    """A named collection of records with vectors, text and metadata.

    Open one with `Index.open`. An `Index` is safe to use from any number of threads and event loops, and in forked
    child processes. Each method has an async version with the prefix ``a``. Cancelling it stops the waiting, not the
    command.

    Reading from an index that does not exist returns no results. The first write creates it. If the server is
    unreachable, every method raises `ConnectionLostError`.
    """

    def __init__(
        self, handle: IndexHandle | None = None, *, owns_connection: bool = False, **settings: Any
    ) -> None:
        if not isinstance(handle, IndexHandle) or settings:
            raise TypeError(
                "an index is opened with Index.open(name, …), such as Index.open('documents', url='valkey://host:6379')"
            )
        self._handle = handle
        self._reader = IndexReader(handle)
        self._writer = IndexWriter(handle)
        self._owns_connection = owns_connection

    # Opening and describing

    @classmethod
    def open(
        cls,
        name: str,
        *,
        dimension: int | None = None,
        url: str | None = None,
        connection: Connection | None = None,
        metric: Metric | str | None = None,
        algorithm: Algorithm | str | None = None,
        schema: Schema | Mapping[str, Any] | str | Path | None = None,
        engine: EngineChoice = "auto",
        full_text: FullText | bool | None = None,
        embedding_model: str | None = None,
        must_exist: bool = False,
    ) -> Index:
        """Open an index. Sends nothing to the server unless `must_exist` is True.

        Args:
            name: letters, digits, ``_``, ``-`` and ``.``, after a hash tag for an index in one slot: ``{tenant}articles``.
            dimension: length of the vectors. Default: that of the existing index, or of the first vector.
            url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
            connection: an open connection to use instead. It is not closed with the index.
            metric: COSINE (default for a new index), L2 or IP.
            algorithm: `Hnsw` (default for a new index) or `Flat`, or its name.
            schema: all settings at once, as a `Schema`, a dict or a YAML file.
            engine: ``auto``, or require ``search`` or ``native``.
            full_text: index the terms of the texts of a new index, for text and hybrid search: True, or settings. Uses
                about 14 times the size of the texts on Valkey-Search 1.2.1, 1.5 times natively, and time to write.
            embedding_model: stored with a new index. Opening an index with another model raises an error.
            must_exist: raise now if there is no such index.

        Raises:
            ConfigurationError: a setting is wrong.
            IndexNotFoundError: `must_exist` is True and there is no such index.
            IndexMismatchError: the index has other settings than those passed. Without `must_exist`: on first use.
        """
        if connection is not None and url is not None:
            raise ConfigurationError("pass url or connection, not both")
        settings = IndexSettings.of(
            dimension=dimension,
            metric=metric,
            algorithm=algorithm,
            schema=schema,
            engine=engine,
            full_text=full_text,
            embedding_model=embedding_model,
        )
        opened = connection if connection is not None else Connection.open(url)
        index = cls(IndexHandle(opened, name, settings), owns_connection=connection is None)
        if must_exist and not index.exists():
            raise not_found(name)
        return index

    @staticmethod
    def attach(
        name: str, *, url: str | None = None, connection: Connection | None = None
    ) -> AttachedIndex:
        """Open an index that another program created in the search module. It can be searched, not written.

        Args:
            name: the index's name in FT.* commands.
            url: the server (see `Connection.open`).
            connection: an open connection to use instead. It is not closed with the index.

        Raises:
            IndexNotFoundError: the search module has no such index.
            UnsupportedFeatureError: the server has no search module.
        """
        from valkey_vector.attached.index import AttachedIndex

        return AttachedIndex.open(name, url=url, connection=connection)

    @staticmethod
    async def aattach(
        name: str, *, url: str | None = None, connection: Connection | None = None
    ) -> AttachedIndex:
        """Async version of `attach`."""
        return await offload(Index.attach, name, url=url, connection=connection)

    @property
    def name(self) -> str:
        """The index's name."""
        return self._handle.name

    @property
    def connection(self) -> Connection:
        """The connection that the index uses."""
        return self._handle.connection

    @property
    def schema(self) -> Schema:
        """The schema of the existing index, or the one that a new index will have."""
        return self._handle.known_schema()

    @property
    def metric(self) -> Metric:
        """The metric that compares vectors."""
        return self.schema.metric

    def exists(self) -> bool:
        """True if the index exists on the server."""
        return self._handle.existing() is not None

    def create(self, *, dimension: int | None = None) -> None:
        """Create the index now, instead of with the first write. Does nothing if it exists.

        Args:
            dimension: length of the vectors, if none was passed to `open`.

        Raises:
            ConfigurationError: the dimension is not known.
            IndexMismatchError: the index exists with other settings.
        """
        self._handle.write(lambda _: None, dimension)

    def wait_until_indexed(self, timeout: float = 60.0, *, progress: bool | None = None) -> None:
        """Wait until the documents that existed before the index are searchable. Not needed after writes.

        Args:
            timeout: seconds, > 0.
            progress: show a progress bar. None shows one on a terminal if there is something to wait for.

        Raises:
            RequestTimeoutError: the time is over.
        """
        wait_until_indexed(self._handle.indexed_share, self.name, timeout, progress)

    def info(self) -> IndexInfo:
        """Describe the index.

        Raises:
            IndexNotFoundError: the index does not exist.
        """
        return self._handle.info()

    def verify(self, *, examples: int = 10, progress: bool | None = None) -> IndexReport:
        """Check every key under the index's prefix and everything stored about the index. Changes no record.

        Other clients may write at the same time. `docs/servers.md` lists the problems that can be found.

        Args:
            examples: problems of each kind to report one by one, >= 0. All are counted.
            progress: show a progress bar. None shows one on a terminal if there is more than one page of records.
        """
        return self.repair(examples=examples, progress=progress)

    def repair(
        self,
        *,
        dry_run: bool = True,
        remove_orphans: bool = False,
        remove_damaged: bool = False,
        examples: int = 10,
        progress: bool | None = None,
    ) -> IndexReport:
        """`verify` the index, and repair the problems unless `dry_run` is True.

        Other clients may write at the same time: a record is changed only if it is unchanged since it was checked.
        Keys of other programs are never changed.

        Args:
            dry_run: change nothing, and report what would be repaired.
            remove_orphans: also remove documents of dropped indexes of this name that no `drop` was to remove.
            remove_damaged: remove vectors of a wrong size, or with infinite or missing numbers, from their records, and
                remove records that cannot be read.
            examples: problems of each kind to report one by one, >= 0. All are counted.
            progress: show a progress bar. None shows one on a terminal if there is more than one page of records.

        Raises:
            ConfigurationError: `examples` is negative.
        """
        return self._writer.repair(not dry_run, remove_orphans, remove_damaged, examples, progress)

    def drop(self, *, documents: bool = True) -> int:
        """Remove the index and, by default, its documents. Does nothing if the index does not exist.

        If `documents` is False they stay. An index created later under the name, with the same dimension, fields and
        `numeric_slots`, finds them. If `drop` is interrupted, create the index again and call `drop` again.

        Returns:
            The number of documents removed.
        """
        return self._handle.drop(documents=documents)

    def close(self) -> None:
        """Close the connection, if the index opened it itself."""
        if self._owns_connection:
            self.connection.close()

    def __repr__(self) -> str:
        return f"Index({self.name!r}, {self.connection!r}, engine={self._handle.shown_engine!r})"

    # Searching

    def search(
        self,
        vector: Vector,
        *,
        k: int = 4,
        filter: FilterLike | None = None,
        field: str | None = None,
        ef_runtime: int | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
        **options: Unpack[ReadOptions],
    ) -> SearchResult[Hit]:
        """Return the `k` records nearest to a vector, nearest first, ties by id. Fewer only if there are fewer.

        If several records at the cut have the same distance, a search module chooses among them. To search within a distance
        or similarity, pass a `VectorQuery` to `query`.

        Args:
            vector: float sequence as long as the field's dimension; finite numbers.
            k: >= 1. Above the limit of the server's vector search (10,000) all records are compared.
            filter: only records that match.
            field: name of the vector to compare, from the schema. None for the main vector.
            ef_runtime: HNSW candidates to examine, >= 1. More gives better recall and takes longer. Default: that of the
                index.
            with_vectors: also return the vectors.
            with_payloads: also return the payloads.
            options: `consistency` and `timeout`, see `ReadOptions`.

        Raises:
            InvalidInputError: the vector, `k`, the filter or an option is not valid.
        """
        return self.query(
            VectorQuery(
                vector=vector,
                k=check_k(k, "k"),
                filter=filter,
                field=field,
                ef_runtime=ef_runtime,
                with_vectors=with_vectors,
                with_payloads=with_payloads,
                **options,
            )
        )

    def search_mmr(
        self,
        vector: Vector,
        *,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: FilterLike | None = None,
        field: str | None = None,
        ef_runtime: int | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
        **options: Unpack[ReadOptions],
    ) -> SearchResult[Hit]:
        """Return `k` records similar to a vector and different from each other (maximal marginal relevance).

        They are chosen from the `fetch_k` nearest records, at least `k`. `lambda_mult` is 0 for diversity only, to 1 for
        similarity only. See `search` for the other arguments.
        """
        query = VectorQuery(
            vector=vector,
            k=max(check_k(k, "k"), check_k(fetch_k, "fetch_k")),
            filter=filter,
            field=field,
            ef_runtime=ef_runtime,
            with_vectors=True,
            with_payloads=with_payloads,
            **options,
        )
        return self._reader.diverse(query, k, lambda_mult, with_vectors=with_vectors)

    def search_text(
        self,
        text: str | tuple[Clause, ...],
        *,
        k: int = 4,
        match: Literal["any", "all"] = "any",
        fields: tuple[str, ...] = ("content",),
        filter: FilterLike | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
        stop_words: tuple[str, ...] | None = None,
        **options: Unpack[ReadOptions],
    ) -> SearchResult[Hit]:
        """Return the `k` records with the best BM25 scores for a text, best first, ties by id.

        Records without any of the terms are not returned, so there may be fewer than `k`. Stop words of the text, such
        as ``how`` and ``do``, are not searched by default. See `TextQuery` for the arguments.

        Raises:
            InvalidInputError: an argument is not valid.
            UnsupportedFeatureError: the server has no text search. Names the required version.
            ConfigurationError: the index was created without full text.
        """
        return self.query(
            TextQuery(
                text,
                k=k,
                match=match,
                fields=fields,
                filter=filter,
                with_vectors=with_vectors,
                with_payloads=with_payloads,
                stop_words=stop_words,
                **options,
            )
        )

    def search_hybrid(
        self,
        vector: Vector,
        text: str | tuple[Clause, ...],
        *,
        k: int = 4,
        fusion: Fusion | None = None,
        candidates: int | None = None,
        text_candidates: int | None = None,
        match: Literal["any", "all"] = "any",
        fields: tuple[str, ...] = ("content",),
        filter: FilterLike | None = None,
        ef_runtime: int | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
        stop_words: tuple[str, ...] | None = None,
        **options: Unpack[ReadOptions],
    ) -> SearchResult[Hit]:
        """Return the `k` best records by vector similarity and BM25 together, best first, ties by id.

        See `HybridQuery` for the arguments. The default `fusion` is reciprocal rank fusion.

        Raises:
            InvalidInputError: an argument is not valid.
            UnsupportedFeatureError: the server has no text search. Names the required version.
            ConfigurationError: the index was created without full text.
        """
        return self.query(
            HybridQuery(
                vector,
                text,
                k=k,
                fusion=ReciprocalRank() if fusion is None else fusion,
                candidates=candidates,
                text_candidates=text_candidates,
                match=match,
                fields=fields,
                filter=filter,
                ef_runtime=ef_runtime,
                with_vectors=with_vectors,
                with_payloads=with_payloads,
                stop_words=stop_words,
                **options,
            )
        )

    @overload
    def query(self, query: VectorQuery | TextQuery | HybridQuery) -> SearchResult[Hit]: ...
    @overload
    def query(self, query: FilterQuery) -> SearchResult[Record]: ...
    @overload
    def query(self, query: CountQuery) -> int: ...
    def query(self, query: Query) -> Any:
        """Run a query object.

        Returns:
            Hits for a `VectorQuery`, `TextQuery` or `HybridQuery`; records for a `FilterQuery`; a count for a `CountQuery`.

        Raises:
            InvalidInputError: the query does not fit the index, such as a vector of another dimension.
        """
        return self._reader.answer(query)

    @overload
    async def aquery(self, query: VectorQuery | TextQuery | HybridQuery) -> SearchResult[Hit]: ...
    @overload
    async def aquery(self, query: FilterQuery) -> SearchResult[Record]: ...
    @overload
    async def aquery(self, query: CountQuery) -> int: ...
    async def aquery(self, query: Query) -> Any:
        """Async version of `query`."""
        return await offload(self.query, query)

    @overload
    def search_many(
        self, queries: Sequence[VectorQuery | TextQuery | HybridQuery]
    ) -> list[SearchResult[Hit]]: ...
    @overload
    def search_many(
        self, queries: Sequence[Query], *, return_errors: Literal[False] = False
    ) -> list[Answer]: ...
    @overload
    def search_many(
        self, queries: Sequence[Query], *, return_errors: bool
    ) -> list[Answer | ValkeyVectorError]: ...
    def search_many(self, queries: Sequence[Query], *, return_errors: bool = False) -> Any:
        """Run many queries of any kind in shared round trips. Returns the answers in the same order.

        Up to 100 commands share a round trip, so 100 queries of one command each take one. Prefixes and misspelled
        words, phrases on the native engine, and filters on keys that no record has each take one more per query. If a
        query fails, the others are still answered. If the server is unreachable, the call raises. Queries with different
        `ReadOptions` share no round trip.

        Args:
            queries: any number of queries.
            return_errors: put an error in its query's place, instead of raising them together.

        Raises:
            QueryBatchError: some queries failed. It holds the answers to the others.
            InvalidInputError: `queries` is not a list of queries.
        """
        return self._reader.answer_many(queries, return_errors=return_errors)

    @overload
    async def asearch_many(
        self, queries: Sequence[VectorQuery | TextQuery | HybridQuery]
    ) -> list[SearchResult[Hit]]: ...
    @overload
    async def asearch_many(
        self, queries: Sequence[Query], *, return_errors: Literal[False] = False
    ) -> list[Answer]: ...
    @overload
    async def asearch_many(
        self, queries: Sequence[Query], *, return_errors: bool
    ) -> list[Answer | ValkeyVectorError]: ...
    async def asearch_many(self, queries: Sequence[Query], *, return_errors: bool = False) -> Any:
        """Async version of `search_many`."""
        return await offload(self.search_many, queries, return_errors=return_errors)

    # Reading without a vector

    def get(
        self, ids: Sequence[str], *, with_vectors: bool = False, with_payloads: bool = False
    ) -> list[Record | None]:
        """Return records by id, in the order of `ids`; None for an id that is not stored.

        Cost: one round trip for each 500 ids.
        """
        return self._reader.get(ids, with_vectors=with_vectors, with_payloads=with_payloads)

    def count(self, filter: FilterLike | None = None, **options: Unpack[ReadOptions]) -> int:
        """Return the number of records that match, or of all records. Warns if it may be too low (`CountQuery`)."""
        return self.query(CountQuery(filter=filter, **options))

    def select(
        self,
        filter: FilterLike | None = None,
        *,
        order_by: OrderLike | Iterable[OrderLike] | None = None,
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
        with_content: bool = True,
        with_vectors: bool = False,
        with_payloads: bool = False,
        **options: Unpack[ReadOptions],
    ) -> SearchResult[Record]:
        """Return the records that match. To read many of them page by page, use `iterate`.

        Args:
            filter: which records. None for all.
            order_by: a metadata key, or several (see `FilterQuery`). Values sort as booleans, numbers, dates, texts;
                records without the key come last. Default: oldest record first.
            descending: reverse the order.
            limit: at most this many. None for all.
            offset: skip this many first.
            with_content: return the texts. If False, they are empty.
            with_vectors: also return the vectors.
            with_payloads: also return the payloads.
            options: see `search`.
        """
        return self.query(
            FilterQuery(
                filter=filter,
                order_by=order_by,
                descending=descending,
                limit=limit,
                offset=offset,
                with_content=with_content,
                with_vectors=with_vectors,
                with_payloads=with_payloads,
                **options,
            )
        )

    def iterate(self, query: FilterQuery | None = None) -> Iterator[Record]:
        """Iterate over the records that a query selects, or over all. They are fetched page by page.

        In order of creation only one page is held in memory; in any other order, the ids of all records are. Records
        that other clients write or remove during the iteration may be returned or not. Every other record is returned
        exactly once.

        Raises:
            InvalidInputError: the argument is not a `FilterQuery`.
            IndexNotFoundError: the index was dropped or recreated during the iteration.
        """
        return (record for page in self._reader.pages(query) for record in page)

    async def aiterate(self, query: FilterQuery | None = None) -> AsyncIterator[Record]:
        """Async version of `iterate`."""
        pages = self._reader.pages(query)
        while (page := await offload(next, pages, None)) is not None:
            for record in page:
                yield record

    def aggregate(self, query: AggregateQuery) -> SearchResult[dict[str, Any]]:
        """Count, sum, group and sort records. Results are exact, complete, and the same on every engine.

        Cost: a query that only counts is computed by the search module (by one key of texts, numbers or booleans) or from
        the native engine's memory (by any keys of these). For every other query the metadata of the matching records
        is fetched, in pages of 1,000.

        Returns:
            The rows, with the types of the metadata. Without a `GroupBy` each row is the metadata of a record.
        """
        return self._reader.aggregate(query)

    def facets(
        self,
        keys: Sequence[str],
        *,
        filter: FilterLike | None = None,
        limit: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> dict[str, Facet]:
        """Count the records with each value of metadata keys. Returns a `Facet` for each key.

        Args:
            keys: metadata keys; ``"a.b"`` reaches into dicts.
            filter: only records that match.
            limit: at most this many values of each key, the most frequent ones. None for all.
            options: see `search`.
        """
        return self._reader.facets(keys, filter, limit, options)

    def explain(self, query: Query) -> Explanation:
        """Run a query, and report what the server decides, what the client checks, and the time of each command."""
        from valkey_vector.index.explanation import explain_query

        return explain_query(self._handle, query)

    # Writing

    def upsert(
        self,
        records: Iterable[Record],
        *,
        policy: WritePolicy | str = WritePolicy.OVERWRITE,
        ttl: float | None = None,
        sliding: bool = False,
        batch_size: int = 200,
        progress: bool | None = None,
        total: int | None = None,
    ) -> WriteResult:
        """Store records. Each record is written atomically and replaces all fields of an earlier one.

        Args:
            records: a list, or any iterable, which is read while it is written.
            policy: for ids that are already stored: OVERWRITE, SKIP or FAIL.
            ttl: seconds until the records expire, > 0. None keeps them.
            sliding: the time to live will be extended by PEXPIRE on the keys, so it is stored nowhere else.
            batch_size: maximum number of records in one request, >= 1. Several requests run at a time.
            progress: show a progress bar. None shows one on a terminal if there is more than one batch.
            total: number of records, for the progress bar, if `records` has no length.

        Raises:
            InvalidInputError: a record is not valid, or an id occurs twice. Nothing of a list was written.
            DuplicateIdError: the policy is FAIL and ids are already stored. Nothing of a list was written.
            PartialWriteError: some records were not written. Names them.
        """
        return self._writer.upsert(
            records,
            policy=policy,
            ttl=ttl,
            sliding=sliding,
            batch_size=batch_size,
            progress=progress,
            total=total,
        )

    def delete(self, ids: Sequence[str]) -> int:
        """Remove records by id. Returns how many were stored. An empty list removes nothing."""
        return self._writer.delete(ids)

    def delete_by_filter(self, filter: FilterLike) -> int:
        """Remove the records that match. Returns how many there were."""
        return self._writer.delete_by_filter(filter)

    def delete_all(self) -> int:
        """Remove every record and keep the index. Returns how many there were."""
        return self._writer.delete_all()

    def update_metadata(self, which: FilterLike | Sequence[str], changes: Mapping[str, Any]) -> int:
        """Set metadata keys of records. Other keys, the text, the vector and the time to live stay.

        Atomicity: each record is changed atomically. A record that another client changes at the same time is read
        again.

        Args:
            which: a filter, or a list of ids.
            changes: keys and new values. A key with the value None counts as missing.

        Returns:
            The number of records changed.

        Raises:
            InvalidInputError: a value cannot be stored. Nothing was changed.
        """
        return self._writer.update_metadata(which, changes)

    aexists = async_version(exists)
    acreate = async_version(create)
    await_until_indexed = async_version(wait_until_indexed)
    ainfo = async_version(info)
    averify = async_version(verify)
    arepair = async_version(repair)
    adrop = async_version(drop)
    asearch = async_version(search)
    asearch_mmr = async_version(search_mmr)
    asearch_text = async_version(search_text)
    asearch_hybrid = async_version(search_hybrid)
    aget = async_version(get)
    acount = async_version(count)
    aselect = async_version(select)
    aaggregate = async_version(aggregate)
    afacets = async_version(facets)
    aexplain = async_version(explain)
    aupsert = async_version(upsert)
    adelete = async_version(delete)
    adelete_by_filter = async_version(delete_by_filter)
    adelete_all = async_version(delete_all)
    aupdate_metadata = async_version(update_metadata)
