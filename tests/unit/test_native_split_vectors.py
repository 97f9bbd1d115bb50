"""Vectors of which their codes are a part are exactly those that were stored, whatever they are."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from valkey_vector.engines.native import compressed, matrix, split_vectors
from valkey_vector.engines.native.matrix import Matrix
from valkey_vector.schema.schema import Metric, VectorField

ALL = slice(None)


def plain(codes: Any, query: Any) -> Any:
    return codes.astype(np.int32) @ query.astype(np.int32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 64 numbers, that is of 8 rows of 8 numbers; every search has the first pass."""
    monkeypatch.setattr(split_vectors, "_NUMBERS", 64)
    monkeypatch.setattr(compressed, "_MANY_SPLIT", 16)
    monkeypatch.setattr(matrix, "kernel", lambda: plain)
    monkeypatch.setattr(matrix, "_LARGE", 0)
    monkeypatch.setattr(matrix, "_FIRST_SEARCHES", 0)
    monkeypatch.setattr(matrix, "_FEW", 0)
    monkeypatch.setattr(matrix, "_FEW_COMPRESSED", 0)
    monkeypatch.setattr(matrix, "_FEW_PER_NEIGHBOR", 0)


def filled(vectors: Any, room: int, metric: Metric = Metric.COSINE) -> Matrix:
    """A matrix of vectors that a search has compressed."""
    found = Matrix(VectorField("vector", vectors.shape[1], metric), room)
    found.put(np.arange(len(vectors)), [each.tobytes() for each in vectors])
    searched(found, len(vectors))
    return found


def searched(found: Matrix, used: int) -> None:
    found.nearest(np.ones(used, dtype=bool), np.ones(found._vectors.shape[1], np.float32), 1)


def exact(found: Matrix, used: int) -> Any:
    """The bits of all vectors; -0.0 and 0.0 differ."""
    return found._exact(np.arange(used)).view(np.uint32)


def usual(rows: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, 8)).astype(np.float32)


@settings(max_examples=150, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 40), st.integers(1, 12)),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ),
    st.sampled_from(list(Metric)),
)
def test_any_vectors_are_read_as_they_were_stored(vectors: Any, metric: Metric) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split_vectors, "_MOST_STORED", 1.0)
        found = filled(vectors, len(vectors), metric)
    assert (exact(found, len(vectors)) == vectors.view(np.uint32)).all()


def test_codes_of_whole_blocks_take_no_memory_of_their_own() -> None:
    found = filled(usual(100), 400)
    own = found._compressed
    assert own is not None
    assert own._split.rows == 96
    assert own._codes.nbytes == 8 * 8
    assert len(own._split._columns) < 0.04 * 100 * 8


def test_rows_that_are_added_later_are_split_once_their_block_is_full() -> None:
    vectors = usual(64)
    found = filled(vectors[:5], 64)
    for used in range(6, 65):
        found.put(np.array([used - 1]), [vectors[used - 1].tobytes()])
        if used % 3 == 0:
            searched(found, used)
        assert (exact(found, used) == vectors[:used].view(np.uint32)).all()
    searched(found, 64)
    assert found._compressed is not None
    assert found._compressed._split.rows == 64


def test_vectors_of_many_tiny_numbers_are_not_split_and_found_as_well() -> None:
    vectors = usual(60) * np.float32(10) ** np.random.default_rng(2).integers(-9, 1, (60, 8))
    vectors = vectors.astype(np.float32)
    vectors[:16] = usual(16)
    found = filled(vectors, 60)
    assert found._compressed is not None
    assert found._compressed._split.rows == 16
    assert not found._compressed._split.possible
    assert (exact(found, 60) == vectors.view(np.uint32)).all()
    for row in range(60):
        rows, distances = found.nearest(np.ones(60, dtype=bool), vectors[row], 1)
        assert distances[rows.tolist().index(row)] == pytest.approx(0, abs=1e-12)


def test_vectors_stay_the_same_when_the_arrays_grow_and_rows_are_packed() -> None:
    vectors = usual(90)
    found = filled(vectors, 90)
    found.retain(ALL, 200)
    assert (exact(found, 90) == vectors.view(np.uint32)).all()
    retained = np.arange(90)[::3]
    found.retain(retained, 64)
    assert (exact(found, 30) == vectors[retained].view(np.uint32)).all()
    searched(found, 30)
    assert (exact(found, 30) == vectors[retained].view(np.uint32)).all()


@pytest.mark.parametrize("interrupted", ["cumsum", "concatenate", "flatnonzero"])
def test_an_interrupted_search_leaves_all_vectors_as_they_were(
    interrupted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C can come before, while and after a block is rearranged."""
    vectors = usual(40)
    found = Matrix(VectorField("vector", 8), 40)
    found.put(np.arange(40), [each.tobytes() for each in vectors])
    original = getattr(np, interrupted)
    for times in range(6):
        calls = iter([False] * times + [True])

        def interrupting(*arguments: Any, calls: Any = calls, **options: Any) -> Any:
            if next(calls, False):
                raise KeyboardInterrupt
            return original(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(np, interrupted, interrupting)
            with suppress(KeyboardInterrupt):
                searched(found, 40)
        assert (exact(found, 40) == vectors.view(np.uint32)).all()
    searched(found, 40)
    assert (exact(found, 40) == vectors.view(np.uint32)).all()
    assert found._compressed is not None
    assert found._compressed._split.rows == 40


@pytest.mark.parametrize("metric", list(Metric))
def test_searches_within_a_distance_return_those_of_all_distances(metric: Metric) -> None:
    vectors = usual(600)
    found = filled(vectors, 600, metric)
    rows = np.arange(600)[::2]
    distances = found.distances(rows, vectors[7])
    radius = float(np.sort(distances)[40])
    near, exactly = found.within(rows, vectors[7], radius)
    assert near.tolist() == rows[distances <= radius].tolist()
    assert exactly.tolist() == pytest.approx(distances[distances <= radius].tolist(), abs=1e-12)
    assert len(found.within(rows, vectors[7], -5e9)[0]) == 0


def test_large_dimensions_and_small_steps_are_not_split() -> None:
    assert not split_vectors.SplitVectors((1 << 16) + 1).possible
    found = filled(usual(16) * np.float32(1e-33), 16)
    assert found._compressed is not None
    assert found._compressed._split.rows == 0
