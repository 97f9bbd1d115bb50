"""Thresholds on any vectors, equal and near-equal ones among them, against brute force on both engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from valkey_vector import F, Filter, Index, Metric, Record, VectorQuery
from valkey_vector.filters.evaluate import matches
from valkey_vector.schema.similarity import distances

SIZE = 400
ROUNDING = 1e-4
# Of few different numbers, so that many are equally far.
VECTORS = np.random.default_rng(8).integers(-2, 3, size=(SIZE, 4)).astype(np.float32)
VECTORS[~VECTORS.any(axis=1)] = 1  # RediSearch ranks no zero vector by cosine
METADATA: list[dict[str, Any]] = [{"n": n, "s": f"{n % 7}", "l": [n % 3]} for n in range(SIZE)]

coordinates = st.floats(-3, 3, width=32).filter(lambda x: abs(x) > 1e-3)
filters: st.SearchStrategy[Filter | None] = st.none() | st.sampled_from(
    [
        F("n") < 150,
        F("s").in_(["1", "2"]),
        ~(F("l").contains(1)),
        F("s").has_text("3") & (F("n") > 20),
        F.id.in_([f"r{n}" for n in range(0, SIZE, 7)]),
        F("never").exists(),
    ]
)


@pytest.fixture(params=list(Metric))
def filled(request: pytest.FixtureRequest, open_index: Callable[..., Index]) -> Index:
    index = open_index(metric=request.param, algorithm="FLAT")
    index.upsert([Record(id=f"r{n}", vector=VECTORS[n], metadata=METADATA[n]) for n in range(SIZE)])
    return index


def test_a_threshold_finds_all_that_is_within_and_nothing_beyond(filled: Index) -> None:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(coordinates, min_size=4, max_size=4),
        st.integers(0, SIZE - 1),
        st.sampled_from([-ROUNDING * 5, 0.0, ROUNDING * 5]),
        filters,
        st.none() | st.integers(1, 500),
    )
    def check(
        query: list[float], rank: int, beside: float, wanted: Filter | None, k: int | None
    ) -> None:
        measured = distances(VECTORS, np.asarray(query, dtype=np.float32), filled.metric)
        radius = float(np.sort(measured)[rank]) + beside
        hits = filled.query(VectorQuery(vector=query, max_distance=radius, filter=wanted, k=k))
        ids = [hit.record.id for hit in hits]
        assert len(set(ids)) == len(ids)
        found = [hit.distance for hit in hits]
        assert found == sorted(found)
        room = ROUNDING * (1 + abs(radius))
        selected = [
            n
            for n in range(SIZE)
            if wanted is None or matches(wanted, METADATA[n], id=f"r{n}", content="")
        ]
        certain = {f"r{n}" for n in selected if measured[n] <= radius - room}
        possible = {f"r{n}" for n in selected if measured[n] <= radius + room}
        assert set(ids) <= possible
        if k is None:
            assert certain <= set(ids)
        else:
            assert min(k, len(certain)) <= len(ids) <= k

    check()
