"""The compressed first pass of the native engine never loses one of the nearest, whatever the vectors are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from valkey_vector.engines.native import compressed, matrix
from valkey_vector.engines.native.matrix import Matrix
from valkey_vector.schema.schema import Metric, VectorField

Vectors = Any


def plain(codes: Any, query: Any) -> Any:
    return codes.astype(np.int32) @ query.astype(np.int32)


KERNELS = [plain, *filter(None, [compressed.kernel()])]


@pytest.fixture(params=KERNELS)
def always_compressed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every search has the first pass, with NumPy's products and with those of numkong where it is installed."""
    monkeypatch.setattr(matrix, "kernel", lambda: request.param)
    monkeypatch.setattr(matrix, "_LARGE", 0)
    monkeypatch.setattr(matrix, "_FIRST_SEARCHES", 0)
    monkeypatch.setattr(matrix, "_FEW", 0)
    monkeypatch.setattr(matrix, "_FEW_PER_NEIGHBOR", 0)
    monkeypatch.setattr(compressed, "_BOUNDS", 64)
    monkeypatch.setattr(compressed, "_SHARED", 1)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each search compares in full."""
    numbers: list[int] = []
    candidates: Callable[..., Any] = Matrix._candidates

    def counted(self: Matrix, rows: Any, used: int, vector: Any, k: int) -> Any:
        numbers.append(len(rows))
        return candidates(self, rows, used, vector, k)

    monkeypatch.setattr(Matrix, "_candidates", counted)
    return numbers


def generated(seed: int, rows: int, dimension: int) -> Vectors:
    """Vectors of very different lengths and shapes: sparse, equal, tiny, huge, zero."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(rows, dimension)) * 10.0 ** random.integers(-3, 4, (rows, 1))
    vectors[random.random((rows, dimension)) < random.random()] = 0
    for _ in range(rows // 4):
        source, target = random.integers(0, rows, 2)
        vectors[target] = vectors[source] * random.choice([1, 1, -1, 2, 1 + 1e-6])
    for row in random.integers(0, rows, 3):
        vectors[row] = random.choice([0, 1e-30, 1e18, 1])
    return vectors.astype(np.float32)


def nearest(found: Matrix, used: int, query: Any, k: int) -> list[tuple[float, int]]:
    chosen, distances = found.nearest(np.ones(used, dtype=bool), query, k)
    return sorted(zip(distances.tolist(), chosen.tolist(), strict=True))[:k]


@pytest.mark.usefixtures("always_compressed")
@pytest.mark.parametrize("metric", list(Metric))
def test_the_nearest_are_those_of_all_distances(metric: Metric) -> None:
    @settings(max_examples=60, deadline=None)
    @given(
        seed=st.integers(0, 2**32),
        rows=st.integers(30, 400),
        dimension=st.sampled_from([1, 2, 3, 8, 33, 384]),
        k=st.integers(1, 12),
        share=st.sampled_from([1.0, 0.98, 0.7, 0.3, 0.1]),
    )
    def check(seed: int, rows: int, dimension: int, k: int, share: float) -> None:
        vectors = generated(seed, rows, dimension)
        random = np.random.default_rng(seed)
        query = vectors[random.integers(rows)] + random.choice([0, 1e-3, 1]) * random.normal(
            size=dimension
        )
        query = query.astype(np.float32)
        found = Matrix(VectorField("vector", dimension, metric), rows)
        for part in np.array_split(np.arange(rows), 3):
            found.put(part, [each.tobytes() for each in vectors[part]])
            used = int(part[-1]) + 1
            selected = random.random(used) < share
            chosen = np.flatnonzero(selected)
            if len(chosen) <= k:
                continue
            distances = found.distances(chosen, query).tolist()
            wanted = sorted(zip(distances, chosen.tolist(), strict=True))[:k]
            possible, _ = found.nearest(selected, query, k)
            assert {row for _, row in wanted} <= set(possible.tolist())

    check()


@pytest.mark.usefixtures("always_compressed")
def test_the_first_pass_leaves_few_rows_to_compare(compared: list[int]) -> None:
    random = np.random.default_rng(5)
    vectors = random.normal(size=(5_000, 64)).astype(np.float32)
    found = Matrix(VectorField("vector", 64), 5_000)
    found.put(np.arange(5_000), [each.tobytes() for each in vectors])
    found.nearest(np.ones(5_000, dtype=bool), vectors[7], 10)
    assert compared[0] < 250


@pytest.mark.usefixtures("always_compressed")
def test_rows_that_are_packed_are_compressed_again() -> None:
    random = np.random.default_rng(6)
    vectors = random.normal(size=(600, 8)).astype(np.float32)
    found = Matrix(VectorField("vector", 8), 600)
    found.put(np.arange(600), [each.tobytes() for each in vectors])
    found.nearest(np.ones(600, dtype=bool), vectors[0], 3)
    found.retain(np.arange(300, 600), 400)
    assert nearest(found, 300, vectors[301], 1)[0][1] == 1
    found.retain(slice(None), 800)
    found.put(np.arange(300, 310), [each.tobytes() for each in vectors[:10]])
    assert nearest(found, 310, vectors[4], 1)[0][1] == 304


def test_small_indexes_have_no_first_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "kernel", lambda: pytest.fail("compressed"))
    found = Matrix(VectorField("vector", 2), 100)
    found.put(np.arange(100), [np.array([n, 1], np.float32).tobytes() for n in range(100)])
    for _ in range(5):
        assert len(found.nearest(np.ones(100, dtype=bool), np.ones(2, np.float32), 3)[0]) >= 3


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=900), st.data())
def test_the_kth_smallest_is_that_of_all(numbers: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(numbers)))
    values = np.array(numbers, dtype=np.float32)
    assert compressed.kth_smallest(values, k) == np.sort(values)[k - 1]


@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 1.0])
def test_no_share_of_selected_rows_is_compared_in_full(
    share: float, compared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter makes no search slower: beyond a few rows, most are left out by their compressed vectors."""
    monkeypatch.setattr(matrix, "kernel", lambda: plain)
    random = np.random.default_rng(7)
    vectors = random.normal(size=(30_000, 32)).astype(np.float32)
    found = Matrix(VectorField("vector", 32), 30_000)
    found.put(np.arange(30_000), [each.tobytes() for each in vectors])
    selected = random.random(30_000) < share
    for _ in range(3):
        chosen, distances = found.nearest(selected, vectors[3], 10)
    order = np.lexsort((chosen, distances))[:10]
    expected = np.argsort(1 - vectors @ vectors[3] / np.linalg.norm(vectors, axis=1), kind="stable")
    assert chosen[order].tolist() == [row for row in expected if selected[row]][:10]
    assert compared[-1] <= 500


@pytest.mark.parametrize("selected", [17_000, 24_000])
def test_two_threads_share_the_rows_that_a_filter_selects(
    selected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "kernel", lambda: plain)
    shared: list[int] = []

    def work(_: Any, blocks: list[slice]) -> None:
        shared.extend(block.stop - block.start for block in blocks)
        raise KeyboardInterrupt

    monkeypatch.setattr(compressed, "in_two_threads", work)
    found = Matrix(VectorField("vector", 2), 100_000)
    found.put(np.arange(100_000), [np.array([1, n], np.float32).tobytes() for n in range(100_000)])
    chosen = np.arange(100_000) < selected
    found.nearest(chosen, np.ones(2, np.float32), 3)
    found.nearest(chosen, np.ones(2, np.float32), 3)
    with pytest.raises(KeyboardInterrupt):
        found.nearest(chosen, np.ones(2, np.float32), 3)
    assert shared == [selected // 2] * 2


@pytest.mark.usefixtures("always_compressed")
@pytest.mark.parametrize("length", [1e-25, 1e25])
@pytest.mark.parametrize("metric", list(Metric))
def test_blocks_of_rows_that_are_left_out_can_have_any_length(
    metric: Metric, length: float
) -> None:
    """The products of vectors this short or long have no bounds, which concerns only searches that select them."""
    random = np.random.default_rng(8)
    vectors = random.normal(size=(4_000, 8))
    vectors[:2_000] *= length
    packed = [each.tobytes() for each in vectors.astype(np.float32)]
    found = Matrix(VectorField("vector", 8, metric), 4_000)
    found.put(np.arange(4_000), packed)
    selected = np.arange(4_000) >= 2_000
    query = random.normal(size=8).astype(np.float32)
    distances = found.distances(np.flatnonzero(selected), query)
    possible, _ = found.nearest(selected, query, 10)
    assert set((2_000 + np.argsort(distances)[:10]).tolist()) <= set(possible.tolist())
    assert possible.min() >= 2_000


@pytest.mark.parametrize("share", [0.03, 0.3, 0.5])
def test_a_filter_without_a_first_pass_copies_few_vectors_at_a_time(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of all of them takes longer than the comparison itself."""
    monkeypatch.setattr(matrix, "kernel", lambda: None)
    random = np.random.default_rng(9)
    vectors = random.normal(size=(9_000, 64)).astype(np.float32)
    found = Matrix(VectorField("vector", 64), 9_000)
    found.put(np.arange(9_000), [each.tobytes() for each in vectors])
    selected = np.arange(9_000) % 100 < 100 * share
    tracemalloc.start()
    try:
        _, distances = found.nearest(selected, vectors[7], 3)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    exact = found.distances(np.flatnonzero(selected), vectors[7])
    assert sorted(distances.tolist())[:3] == pytest.approx(np.sort(exact)[:3].tolist(), abs=1e-12)
    assert peak < 500_000
