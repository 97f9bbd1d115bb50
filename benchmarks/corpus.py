"""Documents with vectors and metadata, and queries with their true neighbors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Corpus", "Vectors", "banking", "clustered", "read_lines", "xquad"]

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Corpus:
    """Documents and queries.

    Attributes:
        name: name in the report.
        texts: one for each document.
        vectors: shape (documents, dimension), unit length.
        metadatas: one for each document. ``group`` selects a tenth; ``number`` is the position.
        queries: shape (queries, dimension), unit length.
    """

    name: str
    texts: list[str]
    vectors: Vectors
    metadatas: list[dict[str, Any]]
    queries: Vectors

    def neighbors(self, k: int) -> list[set[int]]:
        """Return the positions of the k nearest documents of each query, by exact search."""
        similar = self.queries @ self.vectors.T
        return [set(row.tolist()) for row in np.argsort(-similar, axis=1)[:, :k]]


def clustered(documents: int, dimension: int, queries: int) -> Corpus:
    """Return clustered vectors, like embeddings of texts on about a hundred topics. They are the same in each run."""
    random = np.random.default_rng(0)
    centers = _unit(random.normal(size=(max(10, documents // 100), dimension)))
    points = centers[random.integers(len(centers), size=documents + queries)]
    points = _unit(points + 0.6 / np.sqrt(dimension) * random.normal(size=points.shape) * 2)
    texts = [
        f"Passage {number}. " + "Some words of an ordinary passage. " * 12
        for number in range(documents)
    ]
    return Corpus(
        f"{documents:,} clustered vectors of {dimension} dimensions",
        texts,
        points[:documents],
        _metadatas(documents),
        points[documents:],
    )


def xquad(folder: Path) -> Corpus:
    """Return XQuAD: paragraphs of an encyclopedia, and questions about them."""
    arrays = np.load(folder / "xquad_en.npz", allow_pickle=False)
    texts = [line["context"] for line in read_lines(folder / "xquad_en.jsonl")]
    return Corpus(
        "XQuAD, real paragraphs and questions",
        texts,
        arrays["paragraphs"],
        _metadatas(len(texts)),
        arrays["questions"],
    )


def banking(folder: Path) -> Corpus:
    """Return BANKING77: questions of bank customers. The training split is stored; the test split is the queries."""
    lines = read_lines(folder / "banking77.jsonl")
    vectors = np.load(folder / "banking77.npz", allow_pickle=False)["embeddings"]
    train = np.array([line["split"] == "train" for line in lines])
    texts = [line["text"] for line in lines if line["split"] == "train"]
    return Corpus(
        "BANKING77, real customer questions",
        texts,
        vectors[train],
        _metadatas(len(texts)),
        vectors[~train],
    )


def _metadatas(count: int) -> list[dict[str, Any]]:
    return [
        {
            "group": f"g{number % 10}",
            "number": number,
            "source": f"https://example.org/{number // 20}",
        }
        for number in range(count)
    ]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines."""
    with path.open(encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def _unit(rows: NDArray[np.float64]) -> Vectors:
    unit: Vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit
