"""Metadata is returned exactly as it was stored, and is indexed under safe, distinct tokens."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import TEXTS, scalars, stored_metadata, values
from valkey_vector import InvalidInputError
from valkey_vector.filters.evaluate import equal
from valkey_vector.records.metadata import MISSING, dump, indexed_items, load, lookup
from valkey_vector.records.temporal import instant, parse_iso
from valkey_vector.records.tokens import LONGEST, element_token, escape, kind_token, value_token

SAFE = re.compile(r"[A-Za-z0-9_]+")
anything = values(scalars | st.sampled_from(TEXTS))


def same(one: Any, two: Any) -> bool:
    """Equality with types, where NaN equals NaN and 1 is not True."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two) or (one != one and two != two)


@given(stored_metadata())
def test_metadata_round_trips_with_its_types(metadata: dict[str, Any]) -> None:
    assert same(load(dump(metadata, "record 'a'")), metadata)


@pytest.mark.parametrize(
    "metadata",
    [
        {"$date": "2024-01-31"},
        {"k": {"$date": "2024-01-31"}},
        {"k": {"$$datetime": "x", "$date": date(2024, 1, 31)}},
        {"k": datetime(2024, 1, 31, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))},
        {"k": [{"a": [date.min, datetime.max.replace(tzinfo=UTC)]}]},
        {"k": -0.0, "j": 1e308, "i": 5e-324, "big": -(10**900)},
        {"": {"": ""}},
        {"é": "e\u0301", "\u2028": "\x00\x1f\x7f"},
    ],
)
def test_odd_metadata_round_trips(metadata: dict[str, Any]) -> None:
    assert same(load(dump(metadata, "record 'a'")), metadata)


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ({"a": {"b": [object()]}}, "a.b"),
        ({"a": {1: 2}}, "a"),
        ({"a": (1, 2)}, "a"),
        ({"a": 1j}, "a"),
        ({"a": "\ud800"}, "surrogate"),
        ({"a": 10**1001}, "a"),
    ],
)
def test_a_value_that_could_not_be_returned_unchanged_is_refused_with_its_path(
    metadata: dict[str, Any], path: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        dump(metadata, "record 'x'")
    assert "record 'x'" in str(caught.value)
    assert path in str(caught.value)


@given(st.text(), anything)
def test_tokens_hold_nothing_that_a_query_could_take_for_syntax(path: str, value: Any) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        return
    for token in (value_token(path, value), element_token(path, value), kind_token(path, "s")):
        if token is not None:
            assert SAFE.fullmatch(token)
            assert len(token) <= LONGEST


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_different_texts_have_different_spellings(one: str, two: str) -> None:
    assert (escape(one) == escape(two)) is (one == two)


@given(anything, anything)
def test_values_have_one_token_exactly_if_they_are_equal(one: Any, two: Any) -> None:
    first, second = value_token("k", one), value_token("k", two)
    if first is None or second is None:
        return  # NaN somewhere: equal to nothing
    spelt = isinstance(one, str) or isinstance(two, str)
    if not (spelt and type(one) is not type(two)):  # a text that spells a date has a token for each
        assert (first == second) is equal(one, two)


def test_a_path_and_a_value_cannot_be_confused() -> None:
    tokens = {
        value_token(path, value)
        for path in ("a", "a_s", "a_sb", "a.b", "", "_", "a_x")
        for value in ("", "b", "b_s", "sb", 1, "1", True, 1.5, "n1", [1], {"a": 1})
    }
    assert len(tokens) == 7 * 11
    assert element_token("a", "b") != value_token("a", "b")
    assert element_token("a", "b") != value_token("a", "lsb")


def test_the_longest_values_are_distinguished() -> None:
    long = "x" * 10_000
    assert len({value_token("k", long + end) for end in ("", "a", "b", "*", " ")}) == 5
    assert len({kind_token(long + end, "s") for end in ("", "a", "b")}) == 3


def test_paths_reach_into_dicts_and_a_literal_key_comes_first() -> None:
    metadata = {"a": {"b": 1, "c": {"d": 2}}, "a.b": 3, "x": [1]}
    assert lookup(metadata, "a.b") == 3
    assert lookup(metadata, "a.c.d") == 2
    assert lookup(metadata, "x.0") is MISSING
    assert lookup(metadata, "y") is MISSING
    assert repr(MISSING) == "MISSING"


@given(stored_metadata())
def test_what_is_indexed_is_what_lookup_finds(metadata: dict[str, Any]) -> None:
    items = indexed_items(metadata)
    for path, number in items.numbers.items():
        found = lookup(metadata, path)
        assert isinstance(found, (int, float))
        assert number == found or abs(found) > 2**53
    for path, moment in items.instants.items():
        found = lookup(metadata, path)
        assert moment == instant(parse_iso(found) if isinstance(found, str) else found)  # type: ignore[arg-type]
    assert len(set(items.tokens)) <= len(items.tokens)
    assert all(SAFE.fullmatch(token) for token in items.tokens)


@pytest.mark.parametrize(
    "text",
    ["2024-01-31", "2024-01-31T12:00", "2024-01-31 12:00:00.5Z", "2024-01-31T12:00:00+01:00"],
)
def test_iso_texts_are_points_in_time(text: str) -> None:
    assert parse_iso(text) is not None


@pytest.mark.parametrize(
    "text",
    ["20240131", "2024-1-31", "2024-02-30", "2024-01-31x", "", "2024", "٢٠٢٤-01-31", " 2024-01-31"],
)
def test_other_texts_are_not(text: str) -> None:
    assert parse_iso(text) is None


def test_a_time_without_a_zone_is_utc_and_a_date_its_midnight() -> None:
    midnight = instant(datetime(2024, 1, 31, tzinfo=UTC))
    assert instant(date(2024, 1, 31)) == midnight
    assert instant(datetime(2024, 1, 31)) == midnight  # noqa: DTZ001
    assert instant(datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)) == 1
