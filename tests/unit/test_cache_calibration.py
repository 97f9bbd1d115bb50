"""The proposed threshold is the lowest with the wanted precision, and its table is true."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caches import Degrees, similarity
from valkey_vector import InvalidInputError
from valkey_vector.cache import SemanticCache
from valkey_vector.cache.calibration import calibrate_similarities, labelled_pairs

PAIRS = st.lists(
    st.tuples(st.sampled_from([n / 20 for n in range(1, 21)]), st.booleans()), min_size=1
)


def outcome(pairs: list[tuple[float, bool]], threshold: float) -> tuple[int, float]:
    hits = [same for value, same in pairs if value >= threshold]
    return len(hits), sum(hits) / len(hits) if hits else math.nan


@given(PAIRS, st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_no_lower_threshold_would_do(pairs: list[tuple[float, bool]], wanted: float) -> None:
    values, same = [value for value, _ in pairs], [label for _, label in pairs]
    possible = [at for at in sorted(set(values)) if outcome(pairs, at)[1] >= wanted]
    if not possible:
        with pytest.raises(InvalidInputError, match="no threshold"):
            calibrate_similarities(values, same, wanted)
        return
    calibration = calibrate_similarities(values, same, wanted)
    hits, precision = outcome(pairs, possible[0])
    assert calibration.precision == pytest.approx(precision)
    assert calibration.hit_rate == pytest.approx(hits / len(pairs))
    assert calibration.precision >= wanted
    assert 0 < calibration.threshold <= possible[0]
    for row in calibration.table:
        hits, precision = outcome(pairs, row.threshold)
        assert row.hits == hits
        assert row.hit_rate == pytest.approx(hits / len(pairs))
        assert row.precision == pytest.approx(precision, nan_ok=True)
    assert calibration.threshold in [row.threshold for row in calibration.table]
    assert str(calibration).count("<- proposed") == 1


@pytest.mark.parametrize("precision", [0, 1.1, -1])
def test_a_precision_that_is_none_is_refused(precision: float) -> None:
    with pytest.raises(InvalidInputError, match="precision"):
        calibrate_similarities([0.5], [True], precision)


def test_a_cache_measures_the_pairs_with_its_embedder() -> None:
    embedder = Degrees()
    cache = SemanticCache(embedder)  # no server is asked
    pairs = [
        ("a @0", "b @10", True),
        ("a @0", "c @20", True),
        ("a @0", "d @30", False),
        ("b @10", "e @60", False),
    ]
    calibration = cache.calibrate(pairs, precision=1.0)
    assert similarity(30) < calibration.threshold < similarity(20)
    assert calibration.hit_rate == 0.5
    assert cache.threshold == 0.95
    assert embedder.asked == ["a @0", "b @10", "c @20", "d @30", "e @60"]
    with pytest.raises(InvalidInputError, match="pairs is empty"):
        cache.calibrate([])


async def test_calibration_awaits_an_asynchronous_embedder() -> None:
    embedder = Degrees()
    calibration = await SemanticCache(embedder).acalibrate([("a @0", "b @10", True)])
    assert calibration.precision == 1
    assert embedder.awaited == ["a @0", "b @10"]


def test_the_reported_best_precision_is_that_of_a_threshold() -> None:
    with pytest.raises(InvalidInputError, match=r"the highest is 0\.5000"):
        calibrate_similarities([0.9, 0.8, -0.1, -0.2], [False, True, True, True], 0.9)
    with pytest.raises(InvalidInputError, match="similarity > 0"):
        calibrate_similarities([0.0, -0.5], [True, True], 0.9)


@pytest.mark.parametrize("pairs", [[("a", "b")], ["abc"], [5], 5, "abc", [("a", 1, True)]], ids=str)
def test_pairs_that_are_none_are_refused(pairs: object) -> None:
    with pytest.raises(InvalidInputError, match=r"pair|prompt"):
        labelled_pairs(pairs)  # type: ignore[arg-type]
