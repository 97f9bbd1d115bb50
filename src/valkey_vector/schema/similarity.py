"""Distances, similarities, relevance scores, and maximal marginal relevance."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, assert_never

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


def distances(
    matrix: NDArray[np.floating[Any]], vector: NDArray[np.floating[Any]], metric: Metric
) -> NDArray[np.float64]:
    """Compute exact distances with the server's definitions, in double precision.

    Args:
        matrix: shape (n, dimension).
        vector: shape (dimension,).
        metric: COSINE computes 1 - cosine (1 for a zero vector), L2 the squared Euclidean distance,
            IP 1 - inner product.

    Returns:
        Shape (n,); lower is more similar.
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


def similarities(distances: Sequence[float], metric: Metric) -> list[float]:
    """Convert distances as `similarity` does."""
    if metric is Metric.COSINE:
        cosines: list[float] = []
        for distance in distances:
            cosine = 1.0 - distance
            cosines.append(cosine if -1.0 <= cosine <= 1.0 else similarity(distance, metric))
        return cosines
    return [similarity(distance, metric) for distance in distances]


def similarity(distance: float, metric: Metric) -> float:
    """Convert a distance into a similarity; higher is more similar for every metric.

    Returns:
        COSINE: the cosine, -1 to 1. L2: 1 / (1 + Euclidean distance), above 0 to 1. IP: the inner
        product, unbounded.
    """
    match metric:
        case Metric.COSINE:
            cosine = 1.0 - distance
            # Servers compute in single precision: the distance of equal vectors can be -1e-7.
            return cosine if -1.0 <= cosine <= 1.0 else max(-1.0, min(1.0, cosine))
        case Metric.IP:
            return 1.0 - distance
        case Metric.L2:
            return 1.0 / (1.0 + math.sqrt(max(distance, 0.0)))
        case _:
            assert_never(metric)


def relevance(similarity: float, metric: Metric) -> float:
    """Map a similarity to the range 0 to 1, the range of thresholds.

    COSINE keeps the cosine and maps negative values to 0. L2 is already in range. IP is unbounded: it maps to
    ``1 - 0.5 / (1 + ln(1 + ip))`` for ``ip >= 0`` and to ``0.5 / (1 + ln(1 - ip))`` for ``ip < 0``. The result is strictly
    between 0 and 1, increases with the product, and is 0.5 for orthogonal vectors. Unit vectors map to 0.295 to
    0.705. The logarithm keeps large products distinct if they differ in their first ten digits.
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
    """Return the lowest similarity whose `relevance` reaches a threshold, up to rounding.

    Args:
        threshold: > 0, <= 1.
        metric: metric of the vector field.
    """
    match metric:
        case Metric.COSINE | Metric.L2:
            return threshold
        case Metric.IP:
            share = min(threshold, 1.0 - threshold)
            try:
                size = math.expm1(0.5 / share - 1.0)
            except (OverflowError, ZeroDivisionError):
                size = sys.float_info.max  # larger than any inner product
            return size if threshold >= 0.5 else -size
        case _:
            assert_never(metric)


def maximal_marginal_relevance(
    query: Float32Array, candidates: Sequence[Float32Array], k: int, lambda_mult: float
) -> list[int]:
    """Select candidates that are similar to the query and dissimilar to each other.

    Each step selects the candidate with the greatest ``lambda_mult * cos(query, c) - (1 - lambda_mult) *
    max(cos(chosen, c))``, the first one on a tie.

    Args:
        query: shape (dimension,).
        candidates: each of shape (dimension,), best first.
        k: number of candidates to select, >= 1.
        lambda_mult: 0 (diversity only) to 1 (relevance only).

    Returns:
        At most k positions in `candidates`, in the order of selection.

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
