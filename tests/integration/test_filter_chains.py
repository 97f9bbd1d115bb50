"""Chains of hundreds of conditions find what they say, on both engines."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_

from valkey_vector import F, Index, Record


def test_hundreds_of_equalities_joined_by_operators(index: Index) -> None:
    index.upsert(
        [
            Record(id=f"r{n}", vector=[1.0, n, 0, 0], metadata={"n": n, "k": n % 7})
            for n in range(300)
        ]
    )
    assert index.count(reduce(or_, [F("n") == n for n in range(0, 400, 2)])) == 150
    assert index.count(reduce(and_, [F("n") != n for n in range(200)])) == 100
    assert index.count(~reduce(or_, [F("n") == n for n in range(200)])) == 100
    mixed = reduce(or_, [(F("k") == n) & (F("n") > 10 * n) for n in range(7)])
    assert index.count(mixed) == sum(n > 10 * (n % 7) for n in range(300))
    nested = {"n": 0}
    for n in range(1, 250):
        nested = {"$or": [nested, {"n": n}]}  # type: ignore[dict-item]
    assert index.count(nested) == 250


def test_patterns_with_many_wildcards_on_long_text(index: Index) -> None:
    index.upsert([Record(id="a", metadata={"text": "a" * 100_000}), Record(id="b")])
    assert index.count({"text": {"$like": "%a" * 25 + "%b"}}) == 0
    assert index.count({"text": {"$ilike": "%A" * 25 + "%"}}) == 1
