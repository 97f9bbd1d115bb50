"""Nearest neighbors in an attached index: fetch the documents that the server finds, check them, complete the results."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from valkey_vector.attached.attributes import VectorAttribute, attribute_name
from valkey_vector.attached.candidates import Candidates, found_in
from valkey_vector.attached.documents import Fetched, fetch
from valkey_vector.attached.encoding import encoded
from valkey_vector.attached.filters import AttributeFilter
from valkey_vector.attached.reading import KEY_ONLY, Reading
from valkey_vector.attached.sending import Sender
from valkey_vector.attached.vectors import vector_of
from valkey_vector.connection import Argument
from valkey_vector.engines.search.commands import distance_of
from valkey_vector.records.vectors import FloatArray, pack_vector
from valkey_vector.schema.similarity import distances

__all__ = ["Near", "NearestSearch"]

_DEFAULT_EF = 100
_FIRST = 100
_SPARE = 50
"""Documents that are kept besides the nearest ones, to replace those that are removed meanwhile."""


@dataclass(frozen=True, slots=True)
class Near:
    """A vector query.

    Attributes:
        attribute: the vector attribute.
        vector: the query, rounded to the element type of the attribute.
        ef_runtime: number of candidates that HNSW examines; None for the default.
    """

    attribute: VectorAttribute
    vector: FloatArray
    ef_runtime: int | None


class NearestSearch:
    """Answers one vector query.

    Args:
        sender: sends the requests of the index.
        candidates: searches of the index without a vector.
        near: the query.
    """

    def __init__(self, sender: Sender, candidates: Candidates, near: Near) -> None:
        self._sender = sender
        self._definition = sender.definition
        self._candidates = candidates
        self._attribute = near.attribute
        self._vector = near.vector
        self._ef_runtime = near.ef_runtime
        # The server compares rounded vectors: its distances of the other types only select candidates.
        self._measured_here = near.attribute.data_type != "FLOAT32"

    def run(
        self, k: int, selection: AttributeFilter, reading: Reading
    ) -> list[tuple[float, Fetched]]:
        """Return the k nearest matching documents with distances, nearest first. Ties are ordered by key."""
        if selection.nothing:
            return []
        first = k if selection.exact and not self._measured_here else max(4 * k, _FIRST)
        for limit in _growing(first, self._sender.connection.capabilities.max_knn):
            found = self._found(limit, selection.query)
            passing = self._passing(found, selection, reading)
            if len(passing) >= k:
                return passing[:k]
            if len(found) < limit:
                if self._are_all(selection, len(found)):
                    return passing
                break
        return self._compared(k, selection, reading)

    def _found(self, k: int, query: str | None) -> dict[bytes, float]:
        """Search on the server. Returns keys with distances, nearest first, ties ordered by key."""
        attribute = self._attribute
        alias = "vector_distance"
        while self._definition.attribute(alias) is not None:
            alias += "_"
        ef = ""
        if attribute.algorithm == "HNSW":
            least = self._ef_runtime or max(_DEFAULT_EF, attribute.ef_runtime or 0)
            ef = f" EF_RUNTIME {max(k, least)}"
        chosen = "*" if query is None else query if query.startswith("(") else f"({query})"
        text = f"{chosen}=>[KNN {k} @{attribute_name(attribute)} $vector{ef} AS {alias}]"
        command: list[Argument] = ["FT.SEARCH", self._definition.name, text]
        # RETURN returns only the distance, even if a stored field has the name of the alias.
        command += ["PARAMS", "2", "vector", pack_vector(self._vector, attribute.data_type)]
        command += ["RETURN", "1", alias, "LIMIT", "0", str(k), "DIALECT", "2"]
        measured = [
            (distance_of(fields[alias.encode()], attribute.metric), key)
            for key, fields in found_in(self._sender.search(command)).items()
            if fields  # otherwise the document was removed after it was found
        ]
        return {key: distance for distance, key in sorted(measured)}

    def _passing(
        self,
        measured: Mapping[bytes, float],
        selection: AttributeFilter,
        reading: Reading,
    ) -> list[tuple[float, Fetched]]:
        """Fetch the documents of the keys. Returns those that match, with distances."""
        here = [self._attribute.identifier] if self._measured_here else []
        wanted = reading.needing([*selection.reads, *here])
        pages = fetch(self._sender, list(measured), wanted)
        there = [
            each for each in chain.from_iterable(pages) if selection.matches(each.key, each.values)
        ]
        if not self._measured_here:
            return [(measured[encoded(each.key)], each) for each in there]
        by_key = {encoded(each.key): each for each in there}
        return [(distance, by_key[key]) for distance, key in sorted(self._measured(there))]

    def _measured(self, documents: Iterable[Fetched]) -> Iterator[tuple[float, bytes]]:
        """Distances of the documents that have a vector, with their keys."""
        vectors = {encoded(each.key): vector_of(each.found, self._attribute) for each in documents}
        measurable = {key: each for key, each in vectors.items() if each is not None}
        if measurable:
            stacked = np.stack(list(measurable.values()))
            measured: Sequence[float] = distances(
                stacked, self._vector, self._attribute.metric
            ).tolist()
            yield from zip(measured, measurable, strict=True)

    def _are_all(self, selection: AttributeFilter, found: int) -> bool:
        """Return True if the filter selects no documents other than those that the vector search found."""
        query = self._candidates.query(selection)
        if query is None:
            return False
        return self._candidates.total(query) <= min(found, self._candidates.support.safe_total)

    def _compared(
        self, k: int, selection: AttributeFilter, reading: Reading
    ) -> list[tuple[float, Fetched]]:
        """Compare every matching document, and return the k nearest. Also finds documents that the graph search missed.

        The next nearest ones take the places of documents that are removed or changed after they were compared.
        """
        while True:
            ranked = self._ranked(k + _SPARE, selection)
            found: list[tuple[float, Fetched]] = []
            remaining = iter(ranked)
            while len(found) < k and (more := list(islice(remaining, k - len(found)))):
                found += self._passing(
                    {key: distance for distance, key in more}, selection, reading
                )
            if len(found) == k or len(ranked) < k + _SPARE:
                return sorted(found, key=lambda each: (each[0], encoded(each[1].key)))

    def _ranked(self, number: int, selection: AttributeFilter) -> list[tuple[float, bytes]]:
        """The distances and keys of the nearest matching documents, nearest first."""
        best: list[tuple[float, bytes]] = []
        wanted = KEY_ONLY.needing([*selection.reads, self._attribute.identifier])
        for keys in self._candidates.keys(selection):
            for page in fetch(self._sender, keys, wanted):
                there = [each for each in page if selection.matches(each.key, each.values)]
                best = heapq.nsmallest(number, [*best, *self._measured(there)])
        return best


def _growing(first: int, maximum: int) -> Iterator[int]:
    """Limits to request, one after the other: each is four times the last one; the last one is the maximum."""
    limit = first
    while limit < maximum:
        yield limit
        limit *= 4
    if first <= maximum:
        yield maximum
