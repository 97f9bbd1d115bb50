"""Values of subclasses are stored, indexed and searched as the plain values they equal; other types are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from strategies import filters, stored_metadata
from subclasses import Kind, Level, Text, dressed
from valkey_vector import F, FilterError, InvalidInputError
from valkey_vector.filters.ast import Compare, Contains, Equal, Field, Like, OneOf, Operator
from valkey_vector.filters.evaluate import matches
from valkey_vector.records.metadata import dump, indexed_items, load, plain_metadata
from valkey_vector.records.plain_values import NotPlainError, plain_moment, plain_text, plain_value
from valkey_vector.records.tokens import escape, kind_token, parent_token, value_token


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return type(value) is dict and all(
            type(key) is str and is_plain(item) for key, item in value.items()
        )
    if isinstance(value, list):
        return type(value) is list and all(map(is_plain, value))
    return type(value) in (str, bool, int, float, datetime, date, type(None))


@given(stored_metadata())
def test_metadata_of_subclasses_is_stored_and_indexed_as_what_it_equals(
    metadata: dict[str, Any],
) -> None:
    strange = dressed(metadata)
    plain = plain_metadata(strange, "record 'a'")
    assert is_plain(plain)
    assert dump(strange, "record 'a'") == dump(metadata, "record 'a'")
    assert repr(indexed_items(plain)) == repr(indexed_items(metadata))
    assert is_plain(load(dump(strange, "record 'a'")))


@given(stored_metadata(), filters)
def test_a_filter_with_values_of_subclasses_means_the_same(
    metadata: dict[str, Any], filter: Any
) -> None:
    strange = dressed(metadata)
    assert matches(filter, plain_metadata(strange, "record 'a'")) is matches(filter, metadata)


@pytest.mark.parametrize("text", [Kind.NEWS, Text("news"), np.str_("news"), "news"])
def test_text_is_what_it_holds(text: str) -> None:
    assert type(plain_text(text)) is str
    assert plain_text(text) == "news"
    spelt = (escape(text), kind_token(text, "s"), value_token("k", text), parent_token(text))
    assert spelt == ("news", "news_xs", "k_snews", "_psnews")


def test_the_memory_of_spellings_is_not_misled_by_a_member_that_came_first() -> None:
    # Equal texts share a place in it, whichever of them was spelt first.
    class Label(str):
        __slots__ = ()

        def __format__(self, spec: str) -> str:
            return "formatted otherwise"

    first = Label("a text that no other test spells")
    assert kind_token(first, "s") == kind_token(str(first), "s")
    assert f"{escape(first)}" == f"{escape(str(first))}"


@pytest.mark.parametrize(
    "value",
    [Kind.NEWS, Level.HIGH, np.float64(1.5), np.str_("x"), pd.Timestamp("2024-01-31"), [Kind.NEWS]],
)
def test_filters_hold_plain_values(value: Any) -> None:
    for node in (Equal(Field("k"), value), Contains(Field("k"), value)):
        assert is_plain(node.value)
        assert node.value == value
    assert is_plain(list(OneOf(Field("k"), (value,)).values))
    assert is_plain(Like(Field(Kind.NEWS), Kind.NEWS).pattern)
    assert is_plain(Field(Kind.NEWS).path)
    if not isinstance(value, list):
        assert is_plain(Compare(Field("k"), Operator.LESS, value).value)


def test_a_filter_keeps_its_values_when_the_callers_list_changes() -> None:
    values = ["a"]
    asked = F("k") == values
    values.append("b")
    assert matches(asked, {"k": ["a"]})


def test_moments_of_other_libraries_are_datetimes() -> None:
    berlin = pd.Timestamp("2024-01-31 12:00", tz="Europe/Berlin")
    moment = plain_moment(berlin)
    assert type(moment) is datetime
    assert moment == berlin
    assert moment.utcoffset() == timedelta(hours=1)
    assert plain_moment(datetime(2024, 1, 31, tzinfo=UTC)) == datetime(2024, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (pd.NaT, "not a point in time"),
        (pd.Timestamp("2024-01-31 00:00:00.000000001"), "nanoseconds"),
        (np.datetime64("2024-01-31"), "datetime64"),
        (np.int64(1), "int64"),
        (np.bool_(True), "bool"),
        (np.array([1.0]), "ndarray"),
        (pd.NA, "NAType"),
        (pd.Timedelta("1D"), "Timedelta"),
        ((1, 2), "tuple"),
        (b"x", "bytes"),
    ],
)
def test_a_value_that_could_not_be_returned_unchanged_is_refused_at_any_depth(
    value: Any, what: str
) -> None:
    for metadata, path in (
        ({"k": value}, "'k'"),
        ({"a": {"b": value}}, "'a.b'"),
        ({"a": [1, value]}, "'a[]'"),
    ):
        with pytest.raises(InvalidInputError, match=what) as caught:
            dump(metadata, "record 'x'")
        assert path in str(caught.value)
        assert "record 'x'" in str(caught.value)
    for ask in (lambda: F("k") == value, lambda: F("k") > value, lambda: F("k").in_([value])):
        with pytest.raises(FilterError):
            ask()


def test_one_text_cannot_be_two_keys() -> None:
    class Odd(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            return self is other

    with pytest.raises(NotPlainError, match="twice"):
        plain_value({"a": 1, Odd("a"): 2})


def test_nan_and_infinity_are_returned() -> None:
    loaded = load(dump({"a": float("nan"), "b": [float("-inf")]}, ""))
    assert loaded["a"] != loaded["a"]
    assert loaded["b"] == [float("-inf")]


def test_what_earlier_versions_wrote_for_nat_is_missing() -> None:
    assert load(b'{"a":{"$datetime":"NaT"},"b":1}') == {"a": None, "b": 1}
