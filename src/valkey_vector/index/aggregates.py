"""What an index is asked about many records at once: aggregates and facets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.errors import InvalidInputError
from valkey_vector.execution import aggregates as aggregating
from valkey_vector.execution.aggregates import Facet
from valkey_vector.filters.ast import Field
from valkey_vector.index.handle import Lifecycle
from valkey_vector.query.aggregate import AggregateQuery
from valkey_vector.records.validation import FilterLike, as_filter, check_limit

__all__ = ["AggregatingIndex"]


class AggregatingIndex:
    """The half of `valkey_vector.Index` that counts and groups."""

    _lifecycle: Lifecycle

    def aggregate(self, query: AggregateQuery) -> list[dict[str, Any]]:
        """Count, sum, group and sort records: the same on every engine, exact, never cut.

        A query that only counts, by no key or by one that has a field of the index (a declared tag, or numbers), is
        answered by a search module without a record leaving it; any other one goes through the metadata of the
        records that pass the filter, in pages of 1,000.

        Args:
            query: see `AggregateQuery`.

        Returns:
            The rows, with the types the metadata has. Without a `GroupBy` each is the metadata of a record.
        """
        if not isinstance(query, AggregateQuery):
            raise InvalidInputError(f"aggregate takes an AggregateQuery, not {query!r}")
        return self._lifecycle.read(
            lambda engine: aggregating.aggregate(self._lifecycle, engine, query),
            aggregating.absent(query),
        )

    def facets(
        self, keys: Sequence[str], *, filter: FilterLike | None = None, limit: int | None = None
    ) -> dict[str, Facet]:
        """How many records have each value of each of several metadata keys.

        Args:
            keys: metadata keys; ``"a.b"`` reaches into dicts.
            filter: only records that match.
            limit: at most so many values of each key, the most frequent ones; None for all.

        Returns:
            A `Facet` for each key.
        """
        if isinstance(keys, str):
            raise InvalidInputError(
                f"keys must be a list of metadata keys, not the one text {keys!r}"
            )
        paths = list(dict.fromkeys(keys))
        for path in paths:
            Field(path)
        if limit is not None:
            check_limit(limit, "limit")
        chosen = None if filter is None else as_filter(filter)
        return self._lifecycle.read(
            lambda engine: aggregating.facets(self._lifecycle, engine, paths, chosen, limit),
            {path: Facet(path, (), 0, 0) for path in paths},
        )

    aaggregate = twin(aggregate)
    afacets = twin(facets)
