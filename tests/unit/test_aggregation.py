"""Results of the steps of an aggregate, compared with pandas and by example."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from valkey_vector import F
from valkey_vector.errors import FilterError, InvalidInputError
from valkey_vector.execution.aggregation.expressions import value_of
from valkey_vector.execution.aggregation.rows import Line
from valkey_vector.execution.aggregation.stages import run
from valkey_vector.query import (
    AggregateQuery,
    Average,
    Call,
    Constant,
    Count,
    CountDistinct,
    Distinct,
    Expression,
    FirstValue,
    GroupBy,
    Item,
    Maximum,
    Minimum,
    StandardDeviation,
    Sum,
)

Rows = list[dict[str, Any]]

NAN = math.nan
BIG = 10**400
UNTYPED: Any = AggregateQuery
UNTYPED_GROUP: Any = GroupBy


def aggregated(rows: Sequence[Mapping[str, Any]], query: AggregateQuery) -> list[dict[str, Any]]:
    return [dict(row.items) for row in run([Line(row) for row in rows], query.steps)]


def computed(expression: Expression, **items: Any) -> Any:
    return value_of(expression, Line(items))


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    columns = {
        "city": st.sampled_from(["Paris", "Rome", "rome", ""]),
        "year": st.integers(2019, 2022),
        "price": st.floats(-1e6, 1e6) | st.integers(-100, 100).map(float),
    }
    row = st.fixed_dictionaries({}, optional=columns)
    return draw(st.lists(row, max_size=30))


@given(tables(), st.sampled_from([["city"], ["year"], ["city", "year"], ["year", "city"]]))
def test_groups_and_their_numbers_are_those_of_pandas(
    table: list[dict[str, Any]], keys: list[str]
) -> None:
    query = AggregateQuery().group_by(
        *keys,
        rows=Count(),
        total=Sum("price"),
        least=Minimum("price"),
        most=Maximum("price"),
        mean=Average("price"),
        spread=StandardDeviation("price"),
        spread0=StandardDeviation("price", ddof=0),
        different=CountDistinct("price"),
    )
    frame = pd.DataFrame(table, columns=["city", "year", "price"])
    frame = frame.astype({"city": object, "price": float})
    grouped = frame.groupby(keys, dropna=False, sort=True)
    price = grouped["price"]
    expected = pd.DataFrame(
        {
            "rows": grouped.size(),
            "total": price.sum(),
            "least": price.min(),
            "most": price.max(),
            "mean": price.mean(),
            "spread": price.std(),
            "spread0": price.std(ddof=0),
            "different": price.nunique(),
        }
    ).reset_index()
    found = aggregated(table, query)
    assert len(found) == len(expected)
    for row in found:
        mask = pd.Series(True, index=expected.index)
        for key in keys:
            mask &= expected[key].isna() if row[key] is None else expected[key] == row[key]
        (wanted,) = expected[mask].to_dict("records")
        assert (row["rows"], row["different"]) == (wanted["rows"], wanted["different"])
        for name in ("total", "least", "most", "mean"):
            assert_number(row[name], wanted[name])
        for name in ("spread", "spread0"):
            assert_number(row[name], wanted[name], absolute=1e-3)
    firsts = [row[keys[0]] for row in found]
    there = [value for value in firsts if value is not None]
    assert firsts[: len(there)] == sorted(there), "in order, and missing comes last"


def assert_number(found: float | None, wanted: float, absolute: float = 1e-6) -> None:
    if found is None:
        assert math.isnan(wanted)
    else:
        assert found == pytest.approx(wanted, rel=1e-9, abs=absolute)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(), max_size=20))
def test_sums_and_deviations_are_rounded_once_in_any_order(numbers: list[float]) -> None:
    query = AggregateQuery().group_by(s=Sum("x"), a=Average("x"), d=StandardDeviation("x"))
    (row,) = aggregated([{"x": number} for number in numbers], query)
    assert row == aggregated([{"x": number} for number in sorted(numbers, reverse=True)], query)[0]
    if all(isinstance(number, int) for number in numbers):
        assert row["s"] == sum(numbers)
        assert isinstance(row["s"], int)
    else:
        exact = math.fsum(numbers) if max(map(abs, numbers)) < 1e300 else None
        assert exact is None or row["s"] == exact
    if len(numbers) > 1 and max(map(abs, numbers)) < 1e150:
        assert row["a"] == pytest.approx(float(statistics.mean(map(Fraction, numbers))), rel=1e-15)
        assert row["d"] == pytest.approx(statistics.stdev(map(Fraction, numbers)), rel=1e-14)


def test_what_is_no_number_does_not_count_as_one() -> None:
    rows = [{"x": value} for value in (1, "2", True, None, NAN, [3], date(2024, 1, 1))] + [{}]
    (row,) = aggregated(
        rows,
        AggregateQuery().group_by(
            n=Count(), s=Sum("x"), a=Average("x"), d=StandardDeviation("x"), m=CountDistinct("x")
        ),
    )
    assert row == {"n": 8, "s": 1, "a": 1.0, "d": None, "m": 6}


def test_of_no_rows_there_is_one_group_without_keys_and_none_with() -> None:
    empty = AggregateQuery().group_by(n=Count(), s=Sum("x"), a=Average("x"), m=Minimum("x"))
    assert aggregated([], empty) == [{"n": 0, "s": 0, "a": None, "m": None}]
    assert aggregated([], AggregateQuery().group_by("x", n=Count())) == []


def test_infinite_and_huge_numbers() -> None:
    query = AggregateQuery().group_by(s=Sum("x"), a=Average("x"), d=StandardDeviation("x"))

    def of(*numbers: float) -> dict[str, Any]:
        return aggregated([{"x": number} for number in numbers], query)[0]

    assert of(math.inf, 1) == {"s": math.inf, "a": math.inf, "d": pytest.approx(NAN, nan_ok=True)}
    assert math.isnan(of(math.inf, -math.inf)["s"])
    assert of(BIG, BIG)["s"] == 2 * BIG
    assert of(BIG, BIG)["a"] == math.inf
    assert of(1e308, 1e308, -1e308)["s"] == 1e308
    assert of(1e308, -1e308)["d"] == pytest.approx(1e308 * math.sqrt(2))
    assert of(0.1, 0.2, 0.3)["s"] == 0.6


def test_what_filters_have_equal_is_one_group_shown_in_its_simplest_spelling() -> None:
    midnight = datetime(2024, 1, 31, tzinfo=UTC)
    elsewhere = datetime(2024, 1, 31, 1, tzinfo=timezone(timedelta(hours=1)))
    values: list[list[Any]] = [
        [1.0, 1, 1.0], [True, True], ["1"], [midnight, date(2024, 1, 31), elsewhere], [[1, 2.0], [1.0, 2]],
        [{"a": 1, "b": [date(2024, 1, 31)]}, {"b": [midnight], "a": 1.0}], [None, None], [NAN, NAN], [0, -0.0],
        ["2024-01-31"], [""],
    ]  # fmt: skip
    for order in (1, -1):
        rows = [{"x": value} for group in values for value in group[::order]][::order]
        found = aggregated(rows, AggregateQuery().group_by("x", n=Count()))
        assert [(repr(row["x"]), row["n"]) for row in found] == [
            ("True", 2),
            ("0", 2),
            ("1", 3),
            ("datetime.date(2024, 1, 31)", 3),
            ("''", 1),
            ("'1'", 1),
            ("'2024-01-31'", 1),
            ("[1, 2]", 2),
            ("nan", 2),
            ("{'a': 1, 'b': [datetime.date(2024, 1, 31)]}", 2),
            ("None", 2),
        ]


def test_first_and_distinct_values() -> None:
    rows: Rows = [
        {"k": "a", "v": "first", "t": 3},
        {"k": "a", "v": "second", "t": 1},
        {"k": "a", "v": None, "t": None},
        {"k": "a", "v": "fourth", "t": 5},
        {"k": "a", "v": "second", "t": 1},
    ]
    (row,) = aggregated(
        rows,
        AggregateQuery().group_by(
            "k",
            first=FirstValue("v"),
            least=FirstValue("v", by="t"),
            most=FirstValue("v", by="t", descending=True),
            values=Distinct("v"),
        ),
    )
    assert row == {
        "k": "a", "first": "first", "least": "second", "most": "fourth",
        "values": ["first", "fourth", "second"],
    }  # fmt: skip
    (row,) = aggregated([{"v": 1}, {"v": 2}], AggregateQuery().group_by(x=FirstValue("v", by="t")))
    assert row == {"x": 1}


def test_minimum_and_maximum_take_everything_that_has_an_order() -> None:
    query = AggregateQuery().group_by(low=Minimum("x"), high=Maximum("x"))
    assert aggregated([{"x": "b"}, {"x": "a"}, {}], query) == [{"low": "a", "high": "b"}]
    days = [date(2024, 1, 2), date(2024, 1, 1)]
    assert aggregated([{"x": day} for day in days], query) == [{"low": days[1], "high": days[0]}]
    mixed = [NAN, "a", [1], 2, False, None]
    assert aggregated([{"x": value} for value in mixed], query) == [{"low": False, "high": "a"}]
    assert aggregated([{"x": [1]}, {"x": NAN}], query) == [{"low": None, "high": None}]


def test_missing_comes_last_in_either_direction_and_equal_rows_stay() -> None:
    rows: Rows = [
        {"x": 2, "i": 0},
        {"i": 1},
        {"x": 1, "i": 2},
        {"x": 2.0, "i": 3},
        {"x": None, "i": 4},
    ]
    for limit in (None, 10, 3):
        up, down = AggregateQuery().sort_by("x"), AggregateQuery().sort_by("x", descending=True)
        if limit is not None:
            up, down = up.limit(limit), down.limit(limit)
        assert [row["i"] for row in aggregated(rows, up)] == [2, 0, 3, 1, 4][:limit]
        assert [row["i"] for row in aggregated(rows, down)] == [0, 3, 2, 1, 4][:limit]


@given(
    st.lists(st.fixed_dictionaries({}, optional={"x": st.integers(0, 3), "y": st.integers(0, 3)})),
    st.booleans(),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_a_sort_with_a_limit_is_the_part_of_the_whole_sort(
    rows: list[dict[str, int]], descending: bool, count: int, offset: int
) -> None:
    numbered = [{**row, "i": number} for number, row in enumerate(rows)]
    query = AggregateQuery().sort_by("x", "y", descending=descending)
    whole = aggregated(numbered, query)
    assert aggregated(numbered, query.limit(count, offset)) == whole[offset : offset + count]


def test_unwinding_a_list_creates_a_row_for_each_element() -> None:
    rows: Rows = [{"t": ["a", "b"], "i": 1}, {"t": "c", "i": 2}, {"t": [], "i": 3}, {"i": 4}]
    query = AggregateQuery().unwind("t").group_by("t", n=Count(), i=Sum("i"))
    assert aggregated(rows, query) == [
        {"t": "a", "n": 1, "i": 1},
        {"t": "b", "n": 1, "i": 1},
        {"t": "c", "n": 1, "i": 2},
        {"t": None, "n": 1, "i": 4},
    ]
    nested = AggregateQuery().unwind("a.b").group_by("a.b", n=Count())
    assert [row["a.b"] for row in aggregated([{"a": {"b": [2, 1]}}], nested)] == [1, 2]


def test_steps_follow_one_another() -> None:
    rows = [{"c": c, "p": p, "q": 2} for c, p in [("a", 1), ("b", 5), ("a", 3), ("c", 9), ("b", 1)]]
    query = (
        AggregateQuery()
        .apply(total=Item("p") * Item("q"), double=Item("total") * 2)
        .where(F("p") > 0)
        .group_by("c", turnover=Sum("total"), n=Count())
        .where(F("n") == 2)
        .sort_by("turnover", descending=True)
        .limit(1)
    )
    assert aggregated(rows, query) == [{"c": "b", "turnover": 12, "n": 2}]


X, Y = Item("x"), Item("y")


@pytest.mark.parametrize(
    ("expression", "items", "result"),
    [
        (X + Y, {"x": 1, "y": 2}, 3),
        (X + Y, {"x": "a", "y": "b"}, "ab"),
        (X + Y, {"x": "a", "y": 1}, None),
        (X + Y, {"x": 1}, None),
        (X + 1, {"x": True}, None),
        (1 - X, {"x": 3}, -2),
        (2 / X, {"x": 4}, 0.5),
        (2 / X, {"x": 0}, None),
        (7 // X, {"x": -2}, -4),
        (7 % X, {"x": -2}, -1),
        (X % 0, {"x": 1}, None),
        (X**2, {"x": 2**60}, 2**120),
        (X**0.5, {"x": -1}, None),
        (X**Y, {"x": 10, "y": 10**9}, None),
        (X**Y, {"x": 10.0, "y": 400}, None),
        (2**X, {"x": -1}, 0.5),
        (X * Y, {"x": 10**900, "y": 10**900}, None),
        (X / Y, {"x": 10**900, "y": 1}, None),
        ("<" + X, {"x": "@t:{*}"}, "<@t:{*}"),
        (Call.of("abs", X), {"x": -2.5}, 2.5),
        (Call.of("floor", X), {"x": -2.5}, -3),
        (Call.of("ceil", X), {"x": math.inf}, None),
        (Call.of("round", X), {"x": 2.5}, 2),
        (Call.of("sqrt", X), {"x": 9}, 3.0),
        (Call.of("sqrt", X), {"x": -9}, None),
        (Call.of("log", X), {"x": 0}, None),
        (Call.of("log2", X), {"x": 8}, 3.0),
        (Call.of("exp", X), {"x": 1000}, None),
        (Call.of("lower", X), {"x": "ÀB"}, "àb"),
        (Call.of("upper", X), {"x": 1}, None),
        (Call.of("length", X), {"x": "日本"}, 2),
        (Call.of("length", X), {"x": [1, 2, 3]}, 3),
        (Call.of("substring", X, 1, 2), {"x": "abcd"}, "bc"),
        (Call.of("substring", X, -1, 2), {"x": "abcd"}, None),
        (Call.of("substring", X, 3, 9), {"x": "abcd"}, "d"),
        (Call.of("starts_with", X, "a"), {"x": "abcd"}, True),
        (Call.of("contains", X, Y), {"x": "abcd", "y": "bd"}, False),
        (Call.of("contains", X, Y), {"x": "abcd", "y": None}, None),
        (Call.of("text", X), {"x": 1.5}, "1.5"),
        (Call.of("text", X), {"x": False}, "false"),
        (Call.of("text", X), {"x": date(2024, 1, 31)}, "2024-01-31"),
        (Call.of("text", X), {"x": [1]}, None),
        (Call.of("year", X), {"x": "2024-01-31T23:30:00-01:00"}, 2024),
        (Call.of("month", X), {"x": "2024-01-31T23:30:00-01:00"}, 2),
        (Call.of("day", X), {"x": date(2024, 1, 31)}, 31),
        (Call.of("hour", X), {"x": datetime(2024, 1, 31, 5)}, 5),  # noqa: DTZ001
        (Call.of("weekday", X), {"x": date(2024, 1, 31)}, 3),
        (Call.of("year", X), {"x": "yesterday"}, None),
        (Call.of("year", X), {"x": 2024}, None),
        (
            Call.of("year", X),
            {"x": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))},
            None,
        ),
        (Item("a.b"), {"a": {"b": 1}}, 1),
        (Constant(5), {}, 5),
    ],
)
def test_expressions(expression: Expression, items: dict[str, Any], result: Any) -> None:
    found = computed(expression, **items)
    assert found == result
    assert type(found) is type(result)


def test_id_and_content_can_be_read_until_rows_are_grouped() -> None:
    row = Line({"id": "metadata"}, id="r1", content="abc")
    assert value_of(Item.id() + Item.content() + Item("id"), row) == "r1abcmetadata"
    grouped = AggregateQuery().group_by("x", n=Count())
    with pytest.raises(InvalidInputError, match="after group_by\\(\\)"):
        grouped.apply(c=Item.content())
    with pytest.raises(InvalidInputError, match="after group_by\\(\\)"):
        grouped.where((F("n") > 1) & ~(F.id == "a"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UNTYPED().group_by(), "neither a key nor a reducer"),
        (
            lambda: UNTYPED().group_by("n", n=Count()),
            "two results named 'n'",
        ),
        (lambda: UNTYPED().group_by("k", n=Count), "needs a reducer"),
        (lambda: UNTYPED().group_by(1), "must be text"),
        (lambda: UNTYPED().limit(-1), "limit"),
        (lambda: UNTYPED().sort_by(), "at least one"),
        (lambda: UNTYPED().sort_by("a", descending=1), "True or False"),
        (lambda: UNTYPED(steps=("group",)), "is not a step"),
        (lambda: UNTYPED().apply(x=None), "not NoneType"),
        (lambda: UNTYPED().apply(x="\ud800"), "surrogate"),
        (lambda: StandardDeviation("x", ddof=2), "ddof"),
        (lambda: Call.of("eval", "1"), "unknown function 'eval'"),
        (lambda: Call.of("substring", "a", 1), "takes 3 values, not 2"),
        (lambda: UNTYPED_GROUP(("a",), (("n", 5),)), "needs a reducer"),
    ],
)
def test_an_invalid_query_is_refused_when_it_is_created(make: Any, message: str) -> None:
    with pytest.raises((InvalidInputError, FilterError), match=message):
        make()


def test_an_expression_has_no_truth_value_and_a_limited_depth() -> None:
    with pytest.raises(TypeError, match="truth value"):
        bool(X + 1)
    with pytest.raises(InvalidInputError, match="deep"):
        sum([X] * 200, start=Constant(0))


def test_queries_are_values() -> None:
    query = AggregateQuery(filter={"a": 1}).group_by("k", n=Count())
    assert query == AggregateQuery(filter=F("a") == 1).group_by("k", n=Count())
    assert hash(query.group_by("n", m=Count()))
    assert query.steps == AggregateQuery(filter={"b": 1}).group_by("k", n=Count()).steps
