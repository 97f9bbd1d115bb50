"""Search in an attached index: nearest neighbors, ranges of documents, counts and aggregates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from valkey_vector.attached.aggregates import Aggregation
from valkey_vector.attached.candidates import Candidates, Choice
from valkey_vector.attached.definition import IndexDefinition
from valkey_vector.attached.documents import AttachedDocument, document, fetch
from valkey_vector.attached.nearest import Near, NearestSearch
from valkey_vector.attached.ordering import OrderedSearch
from valkey_vector.attached.reading import KEY_ONLY, Reading
from valkey_vector.attached.sending import Sender
from valkey_vector.connection import Connection
from valkey_vector.execution.aggregates import Facet
from valkey_vector.execution.ordering import Window
from valkey_vector.query.aggregate import AggregateQuery

__all__ = ["AttachedSearch"]


class AttachedSearch:
    """Searches one index that another program created. Thread-safe.

    Args:
        connection: to the server.
        definition: of the index.
    """

    def __init__(self, connection: Connection, definition: IndexDefinition) -> None:
        self._definition = definition
        self._sender = Sender(connection, definition)
        self._candidates = Candidates(self._sender)
        self._ordered = OrderedSearch(self._sender, self._candidates)
        self._aggregation = Aggregation(definition, self._candidates, self._ordered)

    def nearest(
        self, near: Near, k: int, offset: int, chosen: Choice, reading: Reading
    ) -> list[tuple[float, AttachedDocument]]:
        """Return k of the nearest matching documents with distances, nearest first, without the first `offset`.

        Ties are ordered by key.
        """
        selection = self._candidates.selection(chosen)
        search = NearestSearch(self._sender, self._candidates, near)
        found = search.run(offset + k, selection, reading)
        return [
            (distance, document(self._definition, each, reading))
            for distance, each in found[offset:]
        ]

    def select(
        self, chosen: Choice, window: Window, reading: Reading
    ) -> Iterator[AttachedDocument]:
        """Iterate over the documents of a range. Compiles the choice first."""
        selection = self._candidates.selection(chosen)
        found = self._ordered.range(selection, window, reading)
        return (document(self._definition, each, reading) for each in found)

    def pages(self, chosen: Choice, reading: Reading) -> Iterator[list[AttachedDocument]]:
        """Iterate over all documents that match, ordered by key, page by page. Compiles the choice first."""
        pages = self._ordered.pages(self._candidates.selection(chosen), reading)
        return ([document(self._definition, each, reading) for each in page] for page in pages)

    def get(self, keys: Sequence[bytes], reading: Reading) -> list[AttachedDocument]:
        """Return the documents with these keys, without missing ones."""
        pages = fetch(self._sender, keys, reading)
        return [document(self._definition, each, reading) for each in chain.from_iterable(pages)]

    def count(self, chosen: Choice) -> int:
        """Return the number of documents that match."""
        selection = self._candidates.selection(chosen)
        if selection.nothing:
            return 0
        query = self._candidates.query(selection)
        if selection.exact and query is not None:
            total = self._candidates.total(query)
            if total < self._candidates.support.safe_total:
                return total
        return sum(1 for _ in self._ordered.documents(selection, KEY_ONLY))

    def aggregate(
        self, query: AggregateQuery, words: Mapping[str, str] | None
    ) -> list[dict[str, Any]]:
        """Run an aggregate, and return its rows."""
        return self._aggregation.aggregate(query, words)

    def facets(self, paths: Sequence[str], chosen: Choice, limit: int | None) -> dict[str, Facet]:
        """Count the values of items."""
        return self._aggregation.facets(paths, chosen, limit)

    def indexed_share(self) -> float:
        """Return the share of the index that is searchable, 0 to 1."""
        return self._sender.indexed_share()
