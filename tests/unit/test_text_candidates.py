"""Only documents with a winning combination of clauses can reach a score, and every such combination is found."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valkey_vector.text import candidates
from valkey_vector.text.candidates import winning_combinations

BOUNDS = st.lists(st.floats(0.01, 20.0), max_size=7).map(lambda each: sorted(each, reverse=True))


@given(BOUNDS, st.floats(0.01, 60.0))
def test_combinations_are_the_smallest_that_trying_all_finds(
    bounds: list[float], threshold: float
) -> None:
    everything = [
        each
        for size in range(len(bounds) + 1)
        for each in combinations(range(len(bounds)), size)
        if sum(bounds[at] for at in each) >= threshold
    ]
    found = winning_combinations(bounds, threshold)
    # Whatever reaches the threshold has one of them, and each of them reaches it but for rounding.
    assert all(any(set(small) <= set(each) for small in found) for each in everything)
    assert all(sum(bounds[at] for at in each) >= threshold * (1 - 1e-6) for each in found)
    assert not any(set(a) < set(b) for a in found for b in found)
    assert len(set(found)) == len(found)


@given(st.lists(st.floats(0.01, 20.0), max_size=12), st.floats(0.01, 60.0), st.data())
def test_no_document_is_missed_with_more_clauses_than_are_combined(
    bounds: list[float], threshold: float, data: st.DataObject
) -> None:
    bounds.sort(reverse=True)
    found = winning_combinations(bounds, threshold)
    document = data.draw(st.sets(st.sampled_from(range(len(bounds)))) if bounds else st.just(set()))
    if sum(bounds[at] for at in document) >= threshold:
        assert any(set(small) <= document for small in found)


def test_a_document_without_any_combined_clause_may_reach_a_low_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidates, "_MAX_COMBINED", 2)
    assert winning_combinations([3.0, 2.0, 1.0, 1.0], 2.0) == [()]
    assert winning_combinations([3.0, 2.0, 1.0, 1.0], 4.5) == [(0,)]
    assert winning_combinations([3.0, 2.0, 1.0, 1.0], 6.5) == [(0, 1)]
    assert winning_combinations([3.0, 2.0, 1.0, 1.0], 7.5) == []
