"""The meaning of filters: the reference semantics, case by case, in both syntaxes."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given

from strategies import filters, stored_metadata
from valkey_vector import F, Filter, FilterError
from valkey_vector.filters.ast import And, Never, Not, Or
from valkey_vector.filters.dict_dialect import OPERATORS, from_dict
from valkey_vector.filters.evaluate import matches

RECORD: dict[str, Any] = {
    "n": 10, "f": 0.5, "big": 10**400, "nan": math.nan, "yes": True, "no": False, "s": "Paris", "empty": "",
    "none": None, "list": [1, "a", None, [2], True], "dict": {"x": 1, "y": {"z": "deep"}}, "a.b": "flat",
    "a": {"b": "nested"}, "day": date(2024, 1, 31), "noon": datetime(2024, 1, 31, 12, tzinfo=UTC),
    "iso": "2024-01-31T13:00:00+01:00", "days": [date(2024, 1, 31)],
}  # fmt: skip
CET = timezone(timedelta(hours=1))

CASES: list[tuple[Filter, dict[str, Any] | None, bool]] = [
    (F("n") == 10, {"n": 10}, True),
    (F("n") == 10.0, {"n": {"$eq": 10.0}}, True),
    (F("n") == "10", {"n": "10"}, False),
    (F("n") == True, {"n": True}, False),  # noqa: E712
    (F("yes") == 1, {"yes": 1}, False),
    (F("yes") == True, {"yes": True}, True),  # noqa: E712
    (F("no") == False, {"no": False}, True),  # noqa: E712
    (F("s") == "Paris", {"s": "Paris"}, True),
    (F("s") == "paris", {"s": "paris"}, False),
    (F("s") == "Par*", {"s": "Par*"}, False),
    (F("empty") == "", {"empty": ""}, True),
    (F("missing") == "", {"missing": ""}, False),
    (F("n") != 11, {"n": {"$ne": 11}}, True),
    (F("missing") != 11, {"missing": {"$ne": 11}}, True),
    (F("none") != 11, {"none": {"$ne": 11}}, True),
    (F("none") == None, {"none": None}, True),  # noqa: E711
    (F("missing") == None, {"missing": {"$eq": None}}, True),  # noqa: E711
    (F("n") == None, {"n": None}, False),  # noqa: E711
    (F("n") != None, {"n": {"$ne": None}}, True),  # noqa: E711
    (F("nan").in_([math.nan]), {"nan": math.nan}, False),
    (F("nan").not_in([math.nan]), {"nan": {"$ne": math.nan}}, True),
    (F("nan") < 1, {"nan": {"$lt": 1}}, False),
    (F("nan").exists(), {"nan": {"$exists": True}}, True),
    (F("big") > 1e300, {"big": {"$gt": 1e300}}, True),
    (F("big") == 10**400, {"big": 10**400}, True),
    (F("big") < math.inf, {"big": {"$lt": math.inf}}, True),
    (F("n") > 9, {"n": {"$gt": 9}}, True),
    (F("n") >= 10, {"n": {"$gte": 10}}, True),
    (F("n") < 10, {"n": {"$lt": 10}}, False),
    (F("n") <= 10, {"n": {"$lte": 10}}, True),
    (F("n") > "9", {"n": {"$gt": "9"}}, False),
    (F("s") > "P", {"s": {"$gt": "P"}}, True),
    (F("s") > 5, {"s": {"$gt": 5}}, False),
    (F("missing") < 5, {"missing": {"$lt": 5}}, False),
    (~(F("missing") < 5), {"missing": {"$not": {"$lt": 5}}}, True),
    (F("yes") > False, {"yes": {"$gt": False}}, True),
    (F("yes") > 0, {"yes": {"$gt": 0}}, False),
    (F("n").between(10, 12), {"n": {"$between": [10, 12]}}, True),
    (F("n").between(12, 10), {"n": {"$between": [12, 10]}}, False),
    (F("n").in_([1, 10]), {"n": {"$in": [1, 10]}}, True),
    (F("n").in_([]), {"n": {"$in": []}}, False),
    (F("n").not_in([]), {"n": {"$nin": []}}, True),
    (F("missing").in_([1, None]), {"missing": {"$in": [1, None]}}, True),
    (F("missing").not_in([1]), {"missing": {"$nin": [1]}}, True),
    (F("n").not_in([10]), {"n": {"$nin": [10]}}, False),
    (F("list").contains(1), {"list": {"$contains": 1}}, True),
    (F("list").contains(1.0), {"list": {"$contains": 1.0}}, True),
    (F("list").contains(True), {"list": {"$contains": True}}, True),
    (F("list").contains([2]), {"list": {"$contains": [2]}}, True),
    (F("list").contains(2), {"list": {"$contains": 2}}, False),
    (F("s").contains("P"), {"s": {"$contains": "P"}}, False),
    (F("list").contains_any(["x", "a"]), None, True),
    (F("list").contains_all(["x", "a"]), None, False),
    (F("list").contains_any([]), None, False),
    (F("list").contains_all([]), None, True),
    (F("missing").contains_all([]), None, False),
    (F("list").contains_any(["x", "a"]), {"list": {"$any": ["x", "a"]}}, True),
    (F("list").contains_any(["x"]), {"list": {"$any": ["x"]}}, False),
    (F("s").contains_any(["Paris"]), {"s": {"$any": ["Paris"]}}, False),
    (F("list").contains_all([1, "a"]), {"list": {"$all": [1, "a"]}}, True),
    (F("list").contains_all(["x", "a"]), {"list": {"$all": ["x", "a"]}}, False),
    (F("list").in_(["x", "a"]), {"list": {"$in": ["x", "a"]}}, True),
    (F("list").in_([1.0]), {"list": {"$in": [1.0]}}, True),
    (F("list").in_(["x", 2]), {"list": {"$in": ["x", 2]}}, False),
    (F("list").in_([[2]]), {"list": {"$in": [[2]]}}, True),
    (F("list").in_([[1, "a", None, [2], True]]), {"list": {"$in": [[1, "a", None, [2], True]]}}, True),
    (F("list").not_in(["x", "a"]), {"list": {"$nin": ["x", "a"]}}, False),
    (F("list").not_in(["x"]), {"list": {"$nin": ["x"]}}, True),
    (F("list").equals_one_of(["a"]), None, False),
    (F("list").equals_one_of([[1, "a", None, [2], True]]), None, True),
    (F("list") == "a", {"list": "a"}, False),
    (F("days").in_([date(2024, 1, 31)]), {"days": {"$in": [date(2024, 1, 31)]}}, True),
    (F("days").in_(["2024-01-31"]), {"days": {"$in": ["2024-01-31"]}}, False),
    (F("days").contains("2024-01-31"), {"days": {"$contains": "2024-01-31"}}, False),
    (F("days") == ["2024-01-31"], {"days": ["2024-01-31"]}, False),
    (F("list") == [1, "a", None, [2], True], {"list": [1, "a", None, [2], True]}, True),
    (F("list") == [1, "a"], {"list": [1, "a"]}, False),
    (F("dict") == {"y": {"z": "deep"}, "x": 1}, {"dict": {"$eq": {"y": {"z": "deep"}, "x": 1}}}, True),
    (F("dict.x") == 1, {"dict.x": 1}, True),
    (F("dict.y.z") == "deep", {"dict.y.z": "deep"}, True),
    (F("dict.missing").exists(), {"dict.missing": {"$exists": True}}, False),
    (F("a.b") == "flat", {"a.b": "flat"}, True),
    (F("a.b") == "nested", {"a.b": "nested"}, False),
    (F("none").exists(), {"none": {"$exists": True}}, False),
    (F("s").like("P%s"), {"s": {"$like": "P%s"}}, True),
    (F("s").like("P_ris"), {"s": {"$like": "P_ris"}}, True),
    (F("s").like("p%"), {"s": {"$like": "p%"}}, False),
    (F("s").ilike("p%"), {"s": {"$ilike": "p%"}}, True),
    (F("s").like("P.*"), {"s": {"$like": "P.*"}}, False),
    (F("s").like(r"P\%"), {"s": {"$like": r"P\%"}}, False),
    (F("n").like("%"), {"n": {"$like": "%"}}, False),
    (F("s").has_text("ari"), None, True),
    (F("s").has_text("%"), None, False),
    (F("s").has_text("ARI", ignore_case=True), None, True),
    (F("day") == date(2024, 1, 31), {"day": date(2024, 1, 31)}, True),
    (F("day") == datetime(2024, 1, 31, tzinfo=UTC), None, True),
    (F("day") == "2024-01-31", {"day": "2024-01-31"}, True),
    (F("day") == "2024-01-31T01:00:00+01:00", {"day": "2024-01-31T01:00:00+01:00"}, True),
    (F("day") != "2024-01-31", {"day": {"$ne": "2024-01-31"}}, False),
    (F("day") == "2024-02-01", {"day": "2024-02-01"}, False),
    (F("day").in_(["x", "2024-01-31"]), {"day": {"$in": ["x", "2024-01-31"]}}, True),
    (F("day").not_in(["x", "2024-01-31"]), {"day": {"$nin": ["x", "2024-01-31"]}}, False),
    (F("noon") == "2024-01-31T12:00:00Z", {"noon": "2024-01-31T12:00:00Z"}, True),
    (F("noon") == "2024-01-31", {"noon": "2024-01-31"}, False),
    (F("iso") == "2024-01-31T12:00:00Z", {"iso": "2024-01-31T12:00:00Z"}, False),
    (F("noon") == datetime(2024, 1, 31, 13, tzinfo=CET), None, True),
    (F("noon") > date(2024, 1, 31), {"noon": {"$gt": date(2024, 1, 31)}}, True),
    (F("iso") == datetime(2024, 1, 31, 12, tzinfo=UTC), None, True),
    (F("iso") >= "2024-01-31T12:00:00Z", {"iso": {"$gte": "2024-01-31T12:00:00Z"}}, True),
    (F("iso") > "2024-01-31T12:00:00Z", {"iso": {"$gt": "2024-01-31T12:00:00Z"}}, False),
    (F("s") > "2024-01-31", {"s": {"$gt": "2024-01-31"}}, False),
    (F.id == "the id", None, True),
    (F.id.in_(["x"]), None, False),
    (F.content.has_text("words"), None, True),
    ((F("n") == 10) & (F("s") == "x"), {"n": 10, "s": "x"}, False),
    ((F("n") == 10) | (F("s") == "x"), {"$or": [{"n": 10}, {"s": "x"}]}, True),
    (~(F("n") == 10), {"$not": {"n": 10}}, False),
    ((F("n") > 1) & (F("n") < 5), {"n": {"$gt": 1, "$lt": 5}}, False),
    (And(()), {}, True),
    (Or(()), None, False),
    (Never(), None, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "written", "expected"), CASES, ids=lambda value: str(value)[:80]
)
def test_a_filter_matches_as_documented(
    expression: Filter, written: dict[str, Any] | None, expected: bool
) -> None:
    assert matches(expression, RECORD, id="the id", content="some words") is expected
    if written is not None:
        parsed = from_dict(written)
        assert matches(parsed, RECORD, id="the id", content="some words") is expected


def test_every_operator_of_the_dialect_is_among_the_cases() -> None:
    def operators(written: Any) -> set[str]:
        if isinstance(written, list):
            return set().union(*map(operators, written))
        if not isinstance(written, dict):
            return set()
        found = {key for key in written if isinstance(key, str) and key.startswith("$")}
        return found.union(*map(operators, written.values()))

    seen: set[str] = set().union(*(operators(written) for _, written, _ in CASES))
    assert seen | {"$and"} >= set(OPERATORS)
    assert matches(from_dict({"$and": [{"n": 10}, {"s": "Paris"}]}), RECORD)


@given(filters, stored_metadata())
def test_not_is_the_exact_complement(filter: Filter, metadata: dict[str, Any]) -> None:
    assert matches(Not(filter), metadata) is not matches(filter, metadata)


@given(filters, filters, stored_metadata())
def test_and_and_or_are_those_of_python(one: Filter, two: Filter, metadata: dict[str, Any]) -> None:
    first, second = matches(one, metadata), matches(two, metadata)
    assert matches(one & two, metadata) is (first and second)
    assert matches(one | two, metadata) is (first or second)


@pytest.mark.parametrize("value", [b"x", {1, 2}, object(), 1j, [b"x"], {"k": {1}}])
def test_a_value_that_metadata_cannot_hold_is_refused(value: Any) -> None:
    for make in (
        lambda: F("k") == value,
        lambda: F("k") > value,
        lambda: F("k").in_([value]),
        lambda: F("k").contains(value),
    ):
        with pytest.raises(FilterError):
            make()


def test_fields_and_filters_read_well_in_messages() -> None:
    assert repr(F("a.b")) == "F('a.b')"
    assert repr(F.id) == "F.id"
    assert "price" in repr(F("price") < 10)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (F.parent == "whole", True),
        (F.parent == "Whole", False),
        (F.parent != "other", True),
        (F.parent.in_(["other", "whole"]), True),
        (F.parent.exists(), True),
        (F.parent > "w", True),
        (F.parent.has_text("hol"), True),
        (F("parent") == "whole", False),
    ],
)
def test_a_parent_is_text_apart_from_the_metadata(filter: Filter, expected: bool) -> None:
    assert matches(filter, {"parent": "of the metadata"}, parent="whole") is expected
    assert not matches(F.parent.exists(), {"parent": "of the metadata"})
    assert matches(F.parent != "whole", {})


@pytest.mark.parametrize(
    ("types", "passing"),
    [((int,), [1]), ((int, bool), [1, True]), ((str,), ["x"]), ((list, dict), [[1], {"a": 1}])],
)
def test_a_function_is_called_only_with_items_of_its_types(
    types: tuple[type, ...], passing: list[Any]
) -> None:
    asked: list[Any] = []

    def ask(item: Any) -> bool:
        asked.append(item)
        return True

    filter = F("key").satisfies(types, ask)
    for item in [1, True, "x", [1], {"a": 1}, None, date(2024, 1, 1)]:
        matches(filter, {"key": item})
    matches(filter, {})
    assert asked == passing


def test_a_function_needs_types_of_metadata() -> None:
    with pytest.raises(FilterError, match="types"):
        F("key").satisfies((set,), bool)
