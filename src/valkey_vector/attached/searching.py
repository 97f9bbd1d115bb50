"""Search in an attached index: fetch the documents that the server finds, check them, and complete the results."""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from valkey_vector.attached.definition import IndexDefinition, VectorAttribute, attribute_name
from valkey_vector.attached.documents import AttachedDocument, Fetched, fetch, scan, vector_of
from valkey_vector.attached.encoding import encoded
from valkey_vector.attached.filters import AttributeFilter, everything
from valkey_vector.attached.server import describe_index
from valkey_vector.attached.text import terms_query
from valkey_vector.concurrency.waiting import wait_until_indexed
from valkey_vector.connection import Argument, Connection, Feature, SearchModule
from valkey_vector.engines.search.commands import distance_of, index_is_missing
from valkey_vector.engines.search.outage import explained, gave_up, given_up
from valkey_vector.engines.search.support import ServerSupport
from valkey_vector.errors import (
    ConnectionLostError,
    IndexNotFoundError,
    RequestTimeoutError,
    ServerError,
    UnsupportedFeatureError,
)
from valkey_vector.filters.ast import Always, Filter
from valkey_vector.records.vectors import Float32Array
from valkey_vector.schema.similarity import distances

__all__ = ["AttachedSearch", "Choice"]

_DEFAULT_EF = 100
_FIRST = 100
_MAX_FOUND = 100_000
"""Maximum number of keys that one query without a vector fetches, if the server sets no lower limit."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Selection of documents.

    Attributes:
        filter: filter that the documents match; None selects all.
        words: text attribute -> text, all of whose terms the documents contain.
    """

    filter: Filter | None
    words: Mapping[str, str] | None


class AttachedSearch:
    """Searches one index that another program created. Thread-safe.

    Args:
        connection: to the server.
        definition: of the index.
    """

    def __init__(self, connection: Connection, definition: IndexDefinition) -> None:
        self._connection = connection
        self._capabilities = connection.capabilities
        self._definition = definition
        self._support = ServerSupport.of(connection)
        self._complete_run: object = None

    def nearest(
        self,
        attribute: VectorAttribute,
        vector: Float32Array,
        k: int,
        chosen: Choice,
        ef_runtime: int | None,
    ) -> list[tuple[float, AttachedDocument]]:
        """Return the k nearest matching documents with distances, nearest first. Ties are ordered by key."""
        selection = self._selection(chosen)
        if selection.nothing:
            return []
        first = k if selection.exact else max(4 * k, _FIRST)
        for limit in _growing(first, self._capabilities.max_knn):
            found = self._found_nearest(attribute, vector, limit, selection.query, ef_runtime)
            passing = self._passing(found, selection)
            if len(passing) >= k:
                return passing[:k]
            if len(found) < limit:
                if self._are_all(selection, len(found)):
                    return passing
                break
        return self._compared(attribute, vector, k, selection)

    def select(self, chosen: Choice) -> Iterator[AttachedDocument]:
        """Return the documents that match, ordered by key."""
        selection = self._selection(chosen)
        keys = sorted(chain.from_iterable(self._keys(selection)))
        for document, _ in chain.from_iterable(fetch(self._connection, self._definition, keys)):
            if selection.matches(document.key, document.values):
                yield document

    def count(self, chosen: Choice) -> int:
        """Return the number of documents that match."""
        selection = self._selection(chosen)
        if selection.nothing:
            return 0
        query = self._query(selection)
        if selection.exact and query is not None:
            total = self._total(query)
            if total < self._support.safe_total:
                return total
        return sum(1 for _ in self.select(chosen))

    def indexed_share(self) -> float:
        """Return the share of the index that is searchable, 0 to 1."""
        name = self._definition.name
        if self._is_spread:
            return describe_index(self._connection, name, "cluster").backfill.share
        return describe_index(self._connection, name).backfill.share

    @property
    def _is_spread(self) -> bool:
        """Return True if the server reports the index on all nodes together."""
        capabilities = self._capabilities
        return capabilities.cluster and capabilities.module is SearchModule.VALKEY_SEARCH

    def _selection(self, chosen: Choice) -> AttributeFilter:
        terms: str | None = None
        if chosen.words:
            self._capabilities.require(Feature.TEXT)
            terms = terms_query(chosen.words, self._definition)
        compiled = AttributeFilter.of(
            Always() if chosen.filter is None else chosen.filter,
            self._definition,
            max_bytes=self._capabilities.max_query_bytes - 256 - len((terms or "").encode()),
            max_terms=self._capabilities.max_query_terms - (terms or "").count("@") - 1,
            list_paths=self._capabilities.module is SearchModule.REDISEARCH,
        )
        if not chosen.words:
            return compiled
        if terms is None:
            return replace(compiled, nothing=True)
        query = terms if compiled.query is None else f"({terms} {compiled.query})"
        return replace(compiled, query=query, indispensable=True)

    def _found_nearest(
        self,
        attribute: VectorAttribute,
        vector: Float32Array,
        k: int,
        query: str | None,
        ef_runtime: int | None,
    ) -> dict[bytes, float]:
        """Search on the server. Returns keys with distances, nearest first, ties ordered by key."""
        alias = "vector_distance"
        while self._definition.attribute(alias) is not None:
            alias += "_"
        ef = ""
        if attribute.algorithm == "HNSW":
            ef = f" EF_RUNTIME {max(k, ef_runtime or max(_DEFAULT_EF, attribute.ef_runtime or 0))}"
        chosen = "*" if query is None else query if query.startswith("(") else f"({query})"
        text = f"{chosen}=>[KNN {k} @{attribute_name(attribute)} $vector{ef} AS {alias}]"
        command: list[Argument] = ["FT.SEARCH", self._definition.name, text]
        # RETURN returns only the distance, even if a stored field has the name of the alias.
        command += ["PARAMS", "2", "vector", vector.tobytes(), "RETURN", "1", alias]
        command += ["LIMIT", "0", str(k), "DIALECT", "2"]
        measured = [
            (distance_of(fields[alias.encode()], attribute.metric), key)
            for key, fields in _found(self._send(command)).items()
            if fields  # otherwise the document was removed after it was found
        ]
        return {key: distance for distance, key in sorted(measured)}

    def _passing(
        self, measured: Mapping[bytes, float], selection: AttributeFilter
    ) -> list[tuple[float, AttachedDocument]]:
        """Fetch the documents of the keys. Returns those that match, with distances."""
        found = chain.from_iterable(fetch(self._connection, self._definition, list(measured)))
        return [
            (measured[encoded(document.key)], document)
            for document, _ in found
            if selection.matches(document.key, document.values)
        ]

    def _are_all(self, selection: AttributeFilter, found: int) -> bool:
        """Return True if the filter selects no documents other than those that the vector search found."""
        query = self._query(selection)
        return query is not None and self._total(query) <= min(found, self._support.safe_total)

    def _compared(
        self,
        attribute: VectorAttribute,
        vector: Float32Array,
        k: int,
        selection: AttributeFilter,
    ) -> list[tuple[float, AttachedDocument]]:
        """Compare every matching document, and return the k nearest. Also finds documents that the graph search missed."""
        best: list[tuple[float, bytes]] = []
        for keys in self._keys(selection):
            for page in fetch(self._connection, self._definition, keys):
                measurable = dict(_vectors(page, attribute, selection))
                if measurable:
                    stacked = np.stack(list(measurable.values()))
                    measured = distances(stacked, vector, attribute.metric).tolist()
                    best = heapq.nsmallest(k, [*best, *zip(measured, measurable, strict=True)])
        return self._passing({key: distance for distance, key in best}, selection)

    def _keys(self, selection: AttributeFilter) -> Iterator[list[bytes]]:
        """Iterate over batches of keys that include all documents that match."""
        if selection.nothing:
            return
        query = self._query(selection)
        if query is not None:
            limit = max(1, self._total(query))
            while limit <= min(_MAX_FOUND, self._support.safe_total):
                reply = self._send(self._select_command(query, limit))
                if int(reply[0]) <= limit:
                    yield list(_found(reply))
                    return
                limit = int(reply[0])  # documents were written in the meantime
        if self._definition.condition is not None or selection.indispensable:
            raise UnsupportedFeatureError(
                f"selecting as many documents as the server's limit on a query ({self._support.cap or _MAX_FOUND:,})",
                f"index {self._definition.name!r}",
                "a filter that selects fewer documents",
            )
        yield from scan(self._connection, self._definition)

    def _query(self, selection: AttributeFilter) -> str | None:
        """Query that selects the documents without a vector; None if the server does not support such queries."""
        if not self._capabilities.filter_queries:
            return None
        if selection.query is not None:
            return selection.query
        return everything(self._definition.attributes, secrets.token_hex(16))

    def _select_command(self, query: str, count: int) -> list[Argument]:
        command: list[Argument] = ["FT.SEARCH", self._definition.name, query]
        if count:
            command.append("NOCONTENT")
        return [*command, "LIMIT", "0", str(count), "DIALECT", "2"]

    def _total(self, query: str) -> int:
        return int(self._send(self._select_command(query, 0))[0])

    def _send(self, command: Sequence[Argument]) -> Any:
        """Send a search and return its reply. A reply that would be incomplete raises an error."""
        support = self._support
        if support.is_due:
            signs = support.status_commands()
            support.learn(signs, self._connection.pipeline(signs, retry=True))
        if support.run is not self._complete_run:
            # While the server indexes existing documents, also after a restart, its results are incomplete.
            run, timeout = support.run, self._connection.settings.request_timeout
            wait_until_indexed(self.indexed_share, self._definition.name, timeout, progress=False)
            self._complete_run = run
        try:
            return self._connection.execute(*support.with_options(command), retry=True)
        except (ConnectionLostError, RequestTimeoutError) as error:
            raise explained(self._connection, error, support.primaries) from error
        except ServerError as error:
            if index_is_missing(error.message):
                raise IndexNotFoundError(
                    f"the index {self._definition.name!r} no longer exists"
                ) from error
            if gave_up(error):
                failure = given_up(error)
                raise explained(self._connection, failure, support.primaries) from error
            if support.forget_option(error):
                return self._send(command)
            raise


def _growing(first: int, maximum: int) -> Iterator[int]:
    """Limits to request, one after the other: each is four times the last one; the last one is the maximum."""
    limit = first
    while limit < maximum:
        yield limit
        limit *= 4
    if first <= maximum:
        yield maximum


def _found(reply: Any) -> Mapping[bytes, Mapping[bytes, bytes] | None]:
    """Documents in a reply to FT.SEARCH: key -> fields, in the same order."""
    found: Mapping[bytes, Mapping[bytes, bytes] | None] = reply[1] if len(reply) > 1 else {}
    return found


def _vectors(
    page: Iterable[Fetched], attribute: VectorAttribute, selection: AttributeFilter
) -> Iterator[tuple[bytes, Float32Array]]:
    """Keys and vectors of the documents that match and have a vector."""
    for document, found in page:
        if selection.matches(document.key, document.values):
            vector = vector_of(found, attribute)
            if vector is not None:
                yield encoded(document.key), vector
