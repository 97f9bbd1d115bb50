"""Vector searches with a filter, in the cheapest way for the number of records that it selects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from valkey_vector.connection import Argument
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.base import Near
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.comparison import compared_here
from valkey_vector.engines.search.selectivity import Selectivities
from valkey_vector.filters.plan import Plan
from valkey_vector.schema.schema import Flat
from valkey_vector.storage.rows import Row

if TYPE_CHECKING:
    from valkey_vector.engines.search.reading import SearchReading

__all__ = ["FilteredSearches", "grouped"]

_TOO_NARROW = 1.25
"""A search is repeated if the number of records that its filter selects has changed so that it needs this many times the
width."""


class FilteredSearches:
    """Searches one index by vector, with filters that one query can evaluate.

    Args:
        engine: the engine of the index.
    """

    def __init__(self, engine: SearchReading) -> None:
        self._engine = engine
        self._selectivities = Selectivities(engine.support, engine.entry.name)

    def suit(self, near: Near, plan: Plan) -> bool:
        """Return True if the width of a search may depend on the selectivity of its filter."""
        engine = self._engine
        if isinstance(near.field.algorithm, Flat):
            return False
        if near.ef_runtime is not None or not engine.is_valkey_search:
            return False
        return engine.capabilities.filter_queries and engine.fits_one(plan)

    def search(
        self, near: Near, k: int, plan: Plan, fields: Sequence[str], *, requested: int, full: int
    ) -> Pipelined[tuple[list[Row] | None, Sequence[Any]]]:
        """Compare the records that a filter selects, or search the graph.

        Args:
            near: the query vector.
            k: number of neighbors.
            plan: the filter.
            fields: hash fields to fetch.
            requested: number of neighbors to request from the graph.
            full: EF_RUNTIME of a search without a filter.

        Returns:
            The k nearest if the records were compared, otherwise None and the reply to the search of the graph.
        """
        engine, query = self._engine, self._engine.query_for(plan)
        known, riding = self._selectivities.get(query), list[list[Argument]]()
        if known is None or known.is_old:
            riding = self._selectivities.commands(engine.entry, query)
        if known is None:
            known = self._selectivities.learn(query, (yield Request(riding)))
            riding = []
        if known.is_cheaper_to_compare(full, k, near.field.dimension):
            keys, number = self._selectivities.keys(query), known.matching
            compared = yield from compared_here(
                engine, near, k, plan, fields, matching=number, known=keys
            )
            known = self._selectivities.note(query, compared.matching, known.documents)
            self._selectivities.note_keys(query, compared.keys)
            if compared.rows is not None:
                return compared.rows, ()
        width = known.width(full, k)
        replies = yield Request([self._widened(near, width, requested, query, fields), *riding])
        if riding:
            known = self._selectivities.learn(query, replies[1:])
            if known.width(full, k) > _TOO_NARROW * width:
                width = known.width(full, k)
                replies = yield Request([self._widened(near, width, requested, query, fields)])
        return None, replies[:1]

    def _widened(
        self, near: Near, width: int, requested: int, query: str, fields: Sequence[str]
    ) -> list[Argument]:
        """The search of a filter with a given EF_RUNTIME."""
        entry = self._engine.entry
        return commands.knn_command(entry, grouped(query), near, requested, fields, width=width)


def grouped(query: str) -> str:
    """A query as the filter of a search by vector."""
    return query if query == "*" or query.startswith("(") else f"({query})"
