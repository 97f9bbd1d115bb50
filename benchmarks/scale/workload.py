"""Generated documents and queries, the same in every run and at every size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.words import word

__all__ = ["BATCH", "Document", "K", "Workload"]

BATCH = 100
"""Documents in each written or removed batch."""

K = 10
"""Hits of each search."""

_CHUNK = 1000
_CLUSTERS = 1000
_VOCABULARY = 30_000
_QUERIES = 64
_RECALL_QUERIES = 32
_QUERY_WORDS = 3

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Document:
    """A document as every contender gets it.

    Attributes:
        id: ``d<number>``; a temporary document has another prefix.
        text: the content.
        vector: float32, unit length.
        metadata: ``group`` (ten values), ``number`` (an integer), ``batch`` (``base``, or that of a temporary document).
    """

    id: str
    text: str
    vector: Vectors
    metadata: dict[str, Any]


class Workload:
    """Documents in clusters, with texts whose words have the frequencies of a natural language (Zipf).

    Args:
        dimension: length of the vectors.
        words: words of a text.
    """

    def __init__(self, dimension: int, words: int) -> None:
        self.dimension, self.words = dimension, words
        self._centers = _unit(np.random.default_rng(0).normal(size=(_CLUSTERS, dimension)))
        weights = 1 / (np.arange(_VOCABULARY) + 2.7)
        self._frequencies = np.cumsum(weights)[:-1] / weights.sum()
        self._chunk = lru_cache(maxsize=4)(self._generated)
        random = np.random.default_rng(1)
        self._query_vectors = self._points(random, _QUERIES)
        self._query_texts = self._texts(random, _QUERIES, _QUERY_WORDS)
        self._best: list[list[tuple[float, str]]] = [[] for _ in range(_RECALL_QUERIES)]
        self._turn = self._temporary = 0

    def documents(self, start: int, stop: int) -> list[Document]:
        """Return the documents ``d<start>`` to ``d<stop - 1>``."""
        found: list[Document] = []
        for number in range(start // _CHUNK, -(-stop // _CHUNK)):
            first = number * _CHUNK
            found += self._chunk(number)[max(start - first, 0) : stop - first]
        return found

    def temporary(self) -> tuple[str, list[Document]]:
        """Return the name of a new batch, and its documents, which no size contains."""
        first = self._temporary * BATCH % _CHUNK
        name = f"extra{self._temporary}"
        self._temporary += 1
        return name, [
            Document(f"x{each.id}", each.text, each.vector, {**each.metadata, "batch": name})
            for each in self._chunk(-1)[first : first + BATCH]
        ]

    def query(self) -> tuple[Vectors, str]:
        """Return the vector and the text of the next query."""
        self._turn += 1
        turn = self._turn % _QUERIES
        return self._query_vectors[turn], self._query_texts[turn]

    def position(self, below: int) -> int:
        """Return the next position of a document, spread over all of them."""
        self._turn += 1
        return self._turn * 7919 % below

    def note_added(self, documents: list[Document]) -> None:
        """Update the true neighbors of the first queries by documents that were added."""
        vectors = np.stack([each.vector for each in documents])
        similarities = self._query_vectors[:_RECALL_QUERIES] @ vectors.T
        for best, row in zip(self._best, similarities, strict=True):
            nearest = np.argpartition(-row, min(K, len(row) - 1))[:K]
            best += [(float(row[at]), documents[at].id) for at in nearest]
            best[:] = islice(sorted(best, reverse=True), K)

    def true_neighbors(self) -> list[tuple[Vectors, set[str]]]:
        """Return some queries, each with the ids of its nearest documents."""
        vectors = self._query_vectors[:_RECALL_QUERIES]
        return [
            (vector, {id for _, id in best})
            for vector, best in zip(vectors, self._best, strict=True)
        ]

    def _generated(self, number: int) -> list[Document]:
        random = np.random.default_rng([2, number + 1])
        vectors = self._points(random, _CHUNK)
        texts = self._texts(random, _CHUNK, self.words)
        first = number * _CHUNK
        return [
            Document(
                f"d{at}",
                text,
                vector,
                {"group": f"g{at % 10}", "number": at * 7919 % 1_000_003, "batch": "base"},
            )
            for at, text, vector in zip(range(first, first + _CHUNK), texts, vectors, strict=True)
        ]

    def _points(self, random: np.random.Generator, count: int) -> Vectors:
        centers = self._centers[random.integers(_CLUSTERS, size=count)]
        noise = random.normal(size=centers.shape) * 1.2 / np.sqrt(self.dimension)
        return _unit(centers + noise)

    def _texts(self, random: np.random.Generator, count: int, words: int) -> list[str]:
        vocabulary = _vocabulary()
        chosen = np.searchsorted(self._frequencies, random.random((count, words)))
        return [" ".join(vocabulary[at] for at in row) for row in chosen]


@cache
def _vocabulary() -> list[str]:
    return [word(number) for number in range(_VOCABULARY)]


def _unit(rows: NDArray[Any]) -> Vectors:
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit
