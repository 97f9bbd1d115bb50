"""Ranking: distances, similarities, and maximal marginal relevance."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from valkey_vector.errors import InvalidInputError
from valkey_vector.records.vectors import Float32Array
from valkey_vector.schema.schema import Metric

__all__ = [
    "distances",
    "least_similarity",
    "maximal_marginal_relevance",
    "relevance",
    "similarity",
]


def distances(matrix: Float32Array, vector: Float32Array, metric: Metric) -> NDArray[np.float64]:
    """Exact distances, in double precision, as the server defines them.

    Args:
        matrix: shape (n, dimension).
        vector: shape (dimension,).
        metric: COSINE gives 1 - cosine (a zero vector is at 1 from all), L2 the squared Euclidean
            distance, IP 1 - inner product.

    Returns:
        Shape (n,), lower is nearer.
    """
    rows = matrix.astype(np.float64)
    query = vector.astype(np.float64)
    measured: NDArray[np.float64]
    match metric:
        case Metric.COSINE:
            norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
            norms[norms == 0] = np.inf
            measured = np.clip(1.0 - (rows @ query) / norms, 0.0, 2.0)
        case Metric.L2:
            difference = rows - query
            measured = np.einsum("ij,ij->i", difference, difference)
        case Metric.IP:
            measured = 1.0 - rows @ query
        case _:
            assert_never(metric)
    return measured


def similarity(distance: float, metric: Metric) -> float:
    """How alike two vectors are, from their distance; higher is nearer for every metric.

    Returns:
        COSINE: the cosine, -1 to 1. L2: 1 / (1 + Euclidean distance), above 0 to 1. IP: the inner
        product, unbounded.
    """
    match metric:
        case Metric.COSINE | Metric.IP:
            return 1.0 - distance
        case Metric.L2:
            return 1.0 / (1.0 + math.sqrt(max(distance, 0.0)))
        case _:
            assert_never(metric)


def relevance(similarity: float, metric: Metric) -> float:
    """A similarity mapped to 0 to 1, as thresholds are given.

    COSINE keeps the cosine and makes negative ones 0. L2 is in range already. IP, which is unbounded, becomes
    ``1 - 0.5 / (1 + ln(1 + ip))`` for a product of 0 and more, and ``0.5 / (1 + ln(1 - ip))`` for one below: above 0, below
    1, 0.5 for vectors at right angles, greater for the greater of any two products. Unit vectors lie between 0.295
    and 0.705. The logarithm keeps products apart that a double can tell apart to ten digits, however large they are.
    """
    match metric:
        case Metric.COSINE | Metric.L2:
            return min(1.0, max(0.0, similarity))
        case Metric.IP:
            share = 0.5 / (1.0 + math.log1p(abs(similarity)))
            return 1.0 - share if similarity >= 0 else share
        case _:
            assert_never(metric)


def least_similarity(threshold: float, metric: Metric) -> float:
    """The least similarity whose `relevance` reaches a threshold, to within rounding.

    Args:
        threshold: above 0, at most 1.
        metric: of the vectors.
    """
    match metric:
        case Metric.COSINE | Metric.L2:
            return threshold
        case Metric.IP:
            share = min(threshold, 1.0 - threshold)
            try:
                size = math.expm1(0.5 / share - 1.0)
            except (OverflowError, ZeroDivisionError):
                size = sys.float_info.max  # beyond what any vectors have
            return size if threshold >= 0.5 else -size
        case _:
            assert_never(metric)


def maximal_marginal_relevance(
    query: Float32Array, candidates: Sequence[Float32Array], k: int, lambda_mult: float
) -> list[int]:
    """Choose candidates that are near the query and unlike each other.

    Each step takes the candidate with the greatest ``lambda_mult * cos(query, c) - (1 - lambda_mult) *
    max(cos(chosen, c))``, the first one on a tie.

    Args:
        query: shape (dimension,).
        candidates: each of shape (dimension,), best first.
        k: how many to choose, at least 1.
        lambda_mult: 0 for diversity alone to 1 for relevance alone.

    Returns:
        Positions in `candidates`, in the order chosen; at most k.

    Raises:
        InvalidInputError: `lambda_mult` is out of range.
    """
    if not 0.0 <= lambda_mult <= 1.0:
        raise InvalidInputError(f"lambda_mult must be from 0 to 1, not {lambda_mult!r}")
    if not candidates:
        return []
    unit = _unit_rows(np.asarray(candidates, dtype=np.float64))
    to_query = unit @ _unit_rows(query.astype(np.float64)[np.newaxis])[0]
    chosen = [int(np.argmax(to_query))]
    redundancy = unit @ unit[chosen[0]]
    while len(chosen) < min(k, len(candidates)):
        gain = lambda_mult * to_query - (1.0 - lambda_mult) * redundancy
        gain[chosen] = -np.inf
        best = int(np.argmax(gain))
        chosen.append(best)
        redundancy = np.maximum(redundancy, unit @ unit[best])
    return chosen


def _unit_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    norms[norms == 0] = 1.0
    unit: NDArray[np.float64] = rows / norms
    return unit
