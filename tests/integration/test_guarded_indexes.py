"""Guarded access: a caller does not reach other indexes, widen a locked filter, write, or read without limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from valkey_vector import (
    ConfigurationError,
    F,
    Filter,
    FilterError,
    Index,
    IndexNotFoundError,
    InvalidInputError,
    Record,
)
from valkey_vector.operations import GuardedIndexes

VECTOR = [1.0, 0.0, 0.0, 0.0]


@pytest.fixture
def index(open_index: Callable[..., Index]) -> Index:
    """Thirty records of three tenants."""
    opened = open_index(full_text=True)
    opened.upsert(
        [
            Record(
                id=f"{tenant}{n}",
                vector=[1.0, n / 10, 0, 0],
                content=f"report {n} of {tenant}",
                metadata={"tenant": tenant, "year": 2020 + n % 3},
            )
            for tenant in ("a", "b", "c")
            for n in range(10)
        ]
    )
    return opened


@pytest.fixture
def guarded(index: Index) -> GuardedIndexes:
    """What tenant a may see."""
    locked = {index.name: {"tenant": "a"}}
    return GuardedIndexes(index.connection, locked, max_records=10)


WIDENING: list[Filter | dict[str, object]] = [
    {},
    {"tenant": "b"},
    {"tenant": {"$in": ["a", "b", "c"]}},
    {"$or": [{"tenant": "b"}, {"tenant": {"$exists": True}}]},
    {"$not": {"tenant": "a"}},
    {"tenant": {"$ne": "a"}},
    {"tenant": {"$like": "%"}},
    F("tenant") == "b",
    (F("tenant") == "b") | (F("year") >= 0),
    F.id == "b1",
    ~F.id.in_(["a1"]),
]


@pytest.mark.parametrize("filter", WIDENING, ids=str)
def test_no_filter_of_the_caller_shows_another_tenants_records(
    guarded: GuardedIndexes, index: Index, filter: Filter | dict[str, object]
) -> None:
    for words in ({}, {"text": "report"}, {"like": "a1"}, {"text": "report", "like": "a1"}):
        found = guarded.search(index.name, filter=filter, k=10, **words)
        assert {hit.record.metadata["tenant"] for hit in found.hits} <= {"a"}
    expected = index.count(F("tenant") == "a")
    assert guarded.count(index.name, filter) <= expected
    facet = guarded.facets(index.name, ["tenant"], filter=filter)["tenant"]
    assert {each.value for each in facet.values} <= {"a"}


def test_a_filter_of_the_caller_narrows_the_locked_one(
    guarded: GuardedIndexes, index: Index
) -> None:
    assert guarded.count(index.name) == 10
    assert guarded.count(index.name, {"year": 2020}) == 4
    found = guarded.search(index.name, text="report", filter={"year": 2020})
    assert sorted(hit.record.id for hit in found.hits) == ["a0", "a3", "a6", "a9"]


def test_records_of_another_tenant_are_not_read_and_not_compared(
    guarded: GuardedIndexes, index: Index
) -> None:
    found = guarded.get(index.name, ["a2", "b1", "none", "a1"])
    assert [record.id for record in found] == ["a2", "a1"]
    with pytest.raises(IndexNotFoundError, match="no record 'b1'"):
        guarded.search(index.name, like="b1")


def test_other_indexes_are_not_reached(
    guarded: GuardedIndexes, index: Index, open_index: Callable[..., Index]
) -> None:
    other = open_index("-other")
    other.upsert([Record(id="1", vector=VECTOR)])
    for call in (
        lambda: guarded.search(other.name),
        lambda: guarded.get(other.name, ["1"]),
        lambda: guarded.count(other.name),
        lambda: guarded.facets(other.name, ["x"]),
        lambda: guarded.describe(other.name),
    ):
        with pytest.raises(IndexNotFoundError, match="there is no index"):
            call()
    assert guarded.names == (index.name,)


def test_answers_are_limited(guarded: GuardedIndexes, index: Index) -> None:
    for k in (0, 11, True, 10**9):
        with pytest.raises(InvalidInputError):
            guarded.search(index.name, k=k)
    with pytest.raises(InvalidInputError, match="at most 10"):
        guarded.get(index.name, [f"a{n}" for n in range(11)])
    with pytest.raises(InvalidInputError, match="at most 10"):
        guarded.facets(index.name, [f"k{n}" for n in range(11)])
    with pytest.raises(InvalidInputError, match="limit"):
        guarded.facets(index.name, ["year"], limit=10**6)


def test_the_description_counts_and_hints_within_the_locked_filter(
    guarded: GuardedIndexes, index: Index
) -> None:
    described = guarded.describe(index.name)
    assert described.records == 10
    assert described.text
    assert described.max_records == 10
    hints = {hint.key: hint for hint in described.keys}
    assert hints["tenant"].values == (("a", 10),)
    assert hints["year"].types == ("int",)
    assert dict(hints["year"].values) == {2020: 4, 2021: 3, 2022: 3}


def test_wrong_settings_are_refused_before_anything_is_served(index: Index) -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        GuardedIndexes(index.connection, {})
    with pytest.raises(FilterError):
        GuardedIndexes(index.connection, {index.name: {"tenant": {"$unknown": 1}}})
    with pytest.raises(IndexNotFoundError):
        GuardedIndexes(index.connection, {f"{index.name}-none": None})
    with pytest.raises(InvalidInputError):
        GuardedIndexes(index.connection, {index.name: None}, max_records=0)
