"""Lengths of texts are counted completely by ranges, whatever was known before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from valkey_vector.connection.pipelines import Request, run
from valkey_vector.engines.search.text_lengths import length_counts, usual_length
from valkey_vector.filters.plan import Plan, Range

LENGTHS = st.lists(st.integers(1, 40) | st.integers(1, 70_000), max_size=40)


class Unasked:
    """Sender of no requests: the counts come from a list."""

    def send_requests(self, requests: Sequence[Request]) -> list[list[Any]]:
        raise AssertionError(requests)


@given(LENGTHS, st.sets(st.integers(1, 80), max_size=20))
def test_all_lengths_are_counted_or_none(lengths: list[int], known: set[int]) -> None:
    def count(plans: Sequence[Plan]) -> Generator[Request, list[Any], list[int]]:
        yield from ()
        return [sum(plan.covers(n) for n in lengths) for plan in plans if isinstance(plan, Range)]

    found = run(Unasked(), length_counts("length", known, len(lengths), count))
    if any(length > 16 * 4096 for length in lengths) and not known.issuperset(lengths):
        assert found is None
    else:
        assert found == Counter(lengths)


@given(st.dictionaries(st.integers(1, 400), st.integers(1, 300), max_size=40))
def test_few_texts_are_shorter_than_the_usual_length(counts: dict[int, int]) -> None:
    usual = usual_length(counts)
    assert sum(number for length, number in counts.items() if length < usual) <= 200
    assert usual in counts or not counts
