"""Distances, similarities, relevance and maximal marginal relevance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.vectorstores.utils import maximal_marginal_relevance as of_langchain

from valkey_vector import InvalidInputError, Metric
from valkey_vector.records.vectors import Float32Array, check_vector, check_vectors, unpack_vector
from valkey_vector.schema.similarity import (
    distances,
    least_similarity,
    maximal_marginal_relevance,
    relevance,
    similarity,
)

numbers = st.floats(-100, 100, width=32)
vectors = st.lists(numbers, min_size=3, max_size=3)


def array(rows: list[list[float]] | list[float]) -> Float32Array:
    return np.array(rows, dtype=np.float32)


@given(vectors, vectors)
def test_distances_are_those_of_the_textbook(one: list[float], two: list[float]) -> None:
    a, b = array(one).astype(float), array(two).astype(float)
    lengths = math.sqrt(a @ a) * math.sqrt(b @ b)
    expected = {
        Metric.L2: float(((a - b) ** 2).sum()),
        Metric.IP: 1 - float(a @ b),
        Metric.COSINE: 1 - float(a @ b) / lengths if lengths > 0 else 1.0,
    }
    for metric, value in expected.items():
        (found,) = distances(array([one]), array(two), metric)
        assert found == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_similarity_is_documented_for_each_metric() -> None:
    assert [similarity(d, Metric.COSINE) for d in (0.0, 1.0, 2.0)] == [1.0, 0.0, -1.0]
    assert [similarity(d, Metric.L2) for d in (0.0, 1.0, 9.0)] == [1.0, 0.5, 0.25]
    assert [similarity(d, Metric.IP) for d in (0.0, -4.0, 3.0)] == [1.0, 5.0, -2.0]


@given(st.floats(0, 2), st.floats(0, 2), st.sampled_from(Metric))
def test_the_nearer_is_never_the_less_similar_or_less_relevant(
    one: float, two: float, metric: Metric
) -> None:
    near, far = sorted((one, two))
    assert similarity(near, metric) >= similarity(far, metric)
    relevant = relevance(similarity(near, metric), metric)
    assert 1.0 >= relevant >= relevance(similarity(far, metric), metric) >= 0.0


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_relevance_of_inner_products_is_strictly_monotone_within_0_and_1(
    one: float, two: float
) -> None:
    low, high = sorted((one, two))
    lower, higher = relevance(low, Metric.IP), relevance(high, Metric.IP)
    assert 0.0 < lower <= higher < 1.0
    if high - low > 1e-9 * max(abs(low), abs(high), 1e-3):
        assert lower < higher


@given(st.floats(0.001, 0.999), st.floats(-1e30, 1e30))
def test_a_threshold_of_relevance_is_one_of_similarity(threshold: float, product: float) -> None:
    least = least_similarity(threshold, Metric.IP)
    assert relevance(least, Metric.IP) == pytest.approx(threshold, rel=1e-9)
    if relevance(product, Metric.IP) > threshold * (1 + 1e-9):
        assert product > least
    if relevance(product, Metric.IP) < threshold * (1 - 1e-9):
        assert product < least
    assert least_similarity(threshold, Metric.COSINE) == threshold


@given(
    vectors.filter(any),
    st.lists(vectors.filter(any), max_size=12),
    st.integers(1, 14),
    st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]),
)
def test_mmr_maximizes_its_criterion_at_every_step(
    query: list[float], rows: list[list[float]], k: int, weight: float
) -> None:
    chosen = maximal_marginal_relevance(array(query), [array(row) for row in rows], k, weight)
    assert len(chosen) == len(set(chosen)) == min(k, len(rows))

    def cosine(one: list[float], two: list[float]) -> float:
        a, b = array(one).astype(float), array(two).astype(float)
        return float(a @ b) / (math.sqrt(a @ a) * math.sqrt(b @ b))

    def worth(n: int, before: list[int]) -> float:
        alike = max((cosine(rows[n], rows[m]) for m in before), default=0.0)
        return weight * cosine(rows[n], query) - (1 - weight) * alike

    for position, taken in enumerate(chosen[1:], 1):
        before = chosen[:position]
        best = max(worth(n, before) for n in range(len(rows)) if n not in before)
        assert worth(taken, before) == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
def test_mmr_chooses_as_langchain_does(weight: float) -> None:
    generator = np.random.default_rng(3)
    rows = generator.normal(size=(40, 8)).astype(np.float32)
    query = generator.normal(size=8).astype(np.float32)
    expected = of_langchain(query, list(rows), weight, 10)
    assert maximal_marginal_relevance(query, list(rows), 10, weight) == expected


def test_vectors_keep_their_bytes() -> None:
    packed = check_vector([1.5, -2.0, 3e-40], 3, "x")
    assert packed.dtype == np.dtype("<f4")
    assert unpack_vector(packed.tobytes()).tolist() == packed.tolist()
    assert check_vectors([], 3, []).shape == (0, 3)


@pytest.mark.parametrize(
    "vector",
    [
        [1, 2, 3],
        (1.0, 2.0, 3.0),
        np.array([1, 2, 3]),
        np.array([1, 2, 3], dtype=">f8"),
        range(1, 4),
    ],
)
def test_any_sequence_of_numbers_is_a_vector(vector: list[float]) -> None:
    assert check_vector(vector, 3, "x").tolist() == [1.0, 2.0, 3.0]


def test_vectors_of_different_lengths_name_the_one_that_differs() -> None:
    with pytest.raises(
        InvalidInputError, match="the vector of b has 2 dimensions, the index has 3"
    ):
        check_vectors([[1, 2, 3], [1, 2]], None, ["a", "b"])
