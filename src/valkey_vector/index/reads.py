"""`IndexReads`: the methods of `Index` that read records without a vector, count them and explain a query."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.threads import offload
from valkey_vector.index.handle import IndexHandle
from valkey_vector.index.searches import IndexSearches
from valkey_vector.query import CountQuery, FilterQuery
from valkey_vector.query.filter_keyword import names_filter
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.query.order import OrderLike
from valkey_vector.records.record import Record

if TYPE_CHECKING:
    from valkey_vector.execution.aggregates import Facet
    from valkey_vector.index.explanation import Explanation
    from valkey_vector.query import Query, ReadOptions, SearchResult
    from valkey_vector.query.aggregate import AggregateQuery

__all__ = ["IndexReads"]


@names_filter
class IndexReads(IndexSearches):
    """All reads of an `Index`: its searches, and reads by id, by filter and in groups."""

    _handle: IndexHandle

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

    aget = async_version(get)
    acount = async_version(count)
    aselect = async_version(select)
    aaggregate = async_version(aggregate)
    afacets = async_version(facets)
    aexplain = async_version(explain)
