"""The size calculator: it adds up, grows with each argument, and refuses what is out of range."""

from __future__ import annotations

import pytest

from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.operations import SizeEstimate, estimate_size


def estimate(**changed: object) -> SizeEstimate:
    settings: dict[str, object] = {"documents": 10_000, "dimension": 384, **changed}
    documents, dimension = settings.pop("documents"), settings.pop("dimension")
    return estimate_size(documents, dimension, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "measured"),
    [
        ({"dimension": 64}, 2398),
        ({"dimension": 384}, 4958),
        ({"dimension": 384, "m": 32}, 5134),
        ({"dimension": 1536}, 14_250),
        ({"dimension": 64, "content": 1000}, 3379),
        ({"dimension": 64, "keys": 6}, 3593),
        ({"dimension": 64, "engine": "native"}, 812),
        ({"dimension": 384, "engine": "native"}, 2106),
        ({"dimension": 64, "engine": "native", "content": 1000, "keys": 6}, 2172),
    ],
)
def test_the_estimate_is_within_five_percent_of_what_was_measured(
    changed: dict[str, object], measured: int
) -> None:
    shape = {"content": 0, "keys": 0, **changed}
    assert estimate(**shape).per_document == pytest.approx(measured, rel=0.05)


def test_the_parts_add_up_and_the_shards_hold_them() -> None:
    found = estimate(full_text=True, node_memory=0.05)
    assert found.vectors + found.texts + found.metadata + found.other == pytest.approx(found.total)
    assert found.maxmemory == pytest.approx(1.25 * found.total)
    assert found.shards is not None
    assert (found.shards - 1) * 0.05 * 1024**3 < found.maxmemory <= found.shards * 0.05 * 1024**3


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ({"dimension": 64}, {"dimension": 128}),
        ({"m": 8}, {"m": 16}),
        ({"content": 100}, {"content": 1000}),
        ({"keys": 1}, {"keys": 5}),
        ({"full_text": False}, {"full_text": True}),
        ({"documents": 10}, {"documents": 20}),
    ],
)
def test_more_needs_more(smaller: dict[str, object], larger: dict[str, object]) -> None:
    assert estimate(**smaller).total < estimate(**larger).total


def test_only_the_native_engine_needs_memory_in_the_client() -> None:
    assert estimate().client == 0
    assert estimate(engine="native").client == 10_000 * 384 * 4


@pytest.mark.parametrize(
    "changed",
    [
        {"documents": 0},
        {"dimension": 0},
        {"dimension": 40_000},
        {"m": -1},
        {"content": -1},
        {"keys": -1},
        {"headroom": -0.1},
        {"node_memory": 0},
        {"engine": "other"},
        {"documents": 1.5},
    ],
)
def test_values_out_of_range_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises((InvalidInputError, ConfigurationError)):
        estimate(**changed)
