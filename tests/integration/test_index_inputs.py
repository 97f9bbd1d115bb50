"""Whatever cannot be stored or asked is refused by name, before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from valkey_vector import (
    ConfigurationError,
    F,
    FilterError,
    Index,
    InvalidInputError,
    Record,
)

GOOD = Record(id="good", content="text", vector=[1, 2, 3, 4])
LOOP: dict[str, Any] = {}
LOOP["self"] = LOOP

BAD_RECORDS: dict[str, tuple[Any, str]] = {
    "too short a vector": (Record(id="bad", vector=[1, 2, 3]), "'bad' has 3 dimensions.* 4"),
    "too long a vector": (Record(id="bad", vector=[1] * 5), "'bad' has 5 dimensions.* 4"),
    "an empty vector": (Record(id="bad", vector=[]), "'bad' is empty"),
    "NaN": (Record(id="bad", vector=[1, 2, math.nan, 4]), "'bad' holds NaN"),
    "infinity": (Record(id="bad", vector=[1, 2, -math.inf, 4]), "'bad' holds NaN, infinity"),
    "more than float32": (Record(id="bad", vector=[1, 2, 1e39, 4]), "'bad' holds.*float32"),
    "a nested vector": (Record(id="bad", vector=np.ones((1, 4))), r"'bad' has shape \(1, 4\)"),
    "text as a vector": (Record(id="bad", vector="1234"), "'bad' is a str"),  # type: ignore[arg-type]
    "texts in a vector": (Record(id="bad", vector=["a"] * 4), "'bad' is not made of numbers"),  # type: ignore[list-item]
    "no text": (Record(id="bad", content=b"bytes"), "content of record 'bad' is a bytes"),  # type: ignore[arg-type]
    "None as text": (Record(id="bad", content=None), "content of record 'bad' is a NoneType"),  # type: ignore[arg-type]
    "half a character": (Record(id="bad", content="\ud800"), "'bad' holds a lone surrogate"),
    "no id": (Record(id=""), "id of item 1 must be non-empty text"),
    "a number as id": (Record(id=7), "id of item 1 must be non-empty text, not 7"),  # type: ignore[arg-type]
    "NUL in an id": (Record(id="a\0b"), "id of item 1 holds a NUL"),
    "an endless id": (Record(id="x" * 100_000), "id of item 1 is longer"),
    "an object in metadata": (Record(id="bad", metadata={"k": {"o": object()}}), "'k.*'bad'"),
    "a set in metadata": (Record(id="bad", metadata={"k": {1, 2}}), "'k.*'bad'"),
    "bytes in metadata": (Record(id="bad", metadata={"k": b"x"}), "'k.*'bad'"),
    "a key that is no text": (Record(id="bad", metadata={1: "x"}), "'bad'"),  # type: ignore[dict-item]
    "endless metadata": (Record(id="bad", metadata=LOOP), "'bad'"),
    "a list as metadata": (Record(id="bad", metadata=[1]), "metadata of record 'bad' is a list"),  # type: ignore[arg-type]
    "no record": ({"id": "bad"}, "item 1 is a dict, not a Record"),
    "an id twice": (Record(id="good"), "'good' occurs more than once"),
}


@pytest.mark.parametrize("case", BAD_RECORDS)
@pytest.mark.parametrize("batch_size", [1, 100])
def test_a_record_that_cannot_be_stored_is_named_and_none_is_written(
    index: Index, case: str, batch_size: int
) -> None:
    bad, message = BAD_RECORDS[case]
    with pytest.raises(InvalidInputError, match=message):
        index.upsert([GOOD, bad], batch_size=batch_size)
    assert not index.exists()
    assert list(index.connection.scan(f"*{index.name}*")) == []


@pytest.mark.parametrize("value", ["x" * 100_000, ["word"] * 20_000, {"a": {"b": "y" * 100_000}}])
def test_large_metadata_comes_back_and_can_be_filtered_on(index: Index, value: Any) -> None:
    index.upsert([Record(id="a", vector=[1, 2, 3, 4], metadata={"big": value, "n": 1}), GOOD])
    assert index.get(["a"]) == [Record(id="a", metadata={"big": value, "n": 1})]
    for wanted in (F("big") == value, F("n") == 1, F("big").exists()):
        assert [found.id for found in index.select(wanted)] == ["a"]
        assert [hit.record.id for hit in index.search([1, 2, 3, 4], filter=wanted)] == ["a"]


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", None, True])
def test_k_must_be_a_whole_number_from_one_on(index: Index, k: Any) -> None:
    index.upsert([GOOD])
    asks: list[Callable[[], object]] = [
        lambda: index.search([1, 2, 3, 4], k=k),
        lambda: index.search_mmr([1, 2, 3, 4], k=k),
        lambda: index.search_mmr([1, 2, 3, 4], fetch_k=k),
    ]
    for ask in asks:
        with pytest.raises(InvalidInputError, match=r"k must be a whole number from 1 on"):
            ask()


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ([1, 2, 3], "3 dimensions"),
        ([], "empty"),
        ([1, 2, 3, math.nan], "NaN"),
        ("abcd", "str"),
        (None, "NoneType"),
        (np.ones((4, 1)), "shape"),
    ],
)
def test_a_query_vector_that_cannot_be_compared_is_refused(
    index: Index, vector: Any, message: str
) -> None:
    index.upsert([GOOD])
    for ask in (index.search, index.search_mmr):
        with pytest.raises(InvalidInputError, match=f"the query.*{message}"):
            ask(vector)


@pytest.mark.parametrize(
    "wrong",
    [
        {"a": {"$near": 1}},
        {"$nor": [{"a": 1}]},
        {"a": {"$gt": 1, "nested": 2}},
        {"a": {"$in": "text"}},
        {"a": {"$in": 5}},
        {"a": {"$between": [1]}},
        {"a": {"$exists": "yes"}},
        {"$and": {"a": 1}},
        {"$or": []},
        {"a": {}},
        {"a": {"$like": 5}},
        {"a": b"bytes"},
        {1: 2},
        "a == 1",
        [("a", 1)],
    ],
)
def test_a_filter_that_is_not_understood_is_an_error_wherever_it_is_given(
    index: Index, wrong: Any
) -> None:
    index.upsert([GOOD])
    uses: list[Callable[[], object]] = [
        lambda: index.search([1, 2, 3, 4], filter=wrong),
        lambda: index.search_mmr([1, 2, 3, 4], filter=wrong),
        lambda: index.select(wrong),
        lambda: index.count(wrong),
        lambda: index.delete_by_filter(wrong),
    ]
    for use in uses:
        with pytest.raises(FilterError):
            use()
    assert index.count() == 1


def test_an_expression_cannot_be_cut_short_by_and_or_not(index: Index) -> None:
    for use in (
        lambda: (F("a") == 1) and (F("b") == 2),
        lambda: (F("a") == 1) or (F("b") == 2),
        lambda: not F("a") == 1,  # noqa: SIM201
        lambda: 1 < F("a") < 3,
        lambda: bool(F("a")),
    ):
        with pytest.raises(TypeError, match="truth"):
            use()


@pytest.mark.parametrize("ids", ["abc", b"abc", [""], [7], [None]])
def test_ids_must_be_a_list_of_texts(index: Index, ids: Any) -> None:
    index.upsert([GOOD])
    for use in (index.get, index.delete):
        with pytest.raises(InvalidInputError, match="id"):
            use(ids)
    assert index.count() == 1


def test_windows_cannot_be_negative(index: Index) -> None:
    with pytest.raises(InvalidInputError, match="limit"):
        index.select(limit=-1)
    with pytest.raises(InvalidInputError, match="offset"):
        index.select(offset=-1)


@pytest.mark.parametrize("changes", [{"k": object()}, {1: 2}, ["k"], {"k": {1}}])
def test_an_update_that_cannot_be_stored_changes_nothing(index: Index, changes: Any) -> None:
    index.upsert([GOOD])
    with pytest.raises(InvalidInputError):
        index.update_metadata(["good"], changes)
    assert index.get(["good"]) == [Record(id="good", content="text")]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "{a}", "a*", "-a", "ä" * 300, 5, None])
def test_an_index_name_that_could_meet_another_is_refused(
    open_index: Callable[..., Index], name: Any
) -> None:
    with open_index().connection as connection, pytest.raises(ConfigurationError):
        Index.open(name, connection=connection)


def test_values_that_only_look_odd_are_stored_exactly(index: Index) -> None:
    odd: dict[str, Any] = {
        "": "empty key",
        "id": 1,
        "content": None,
        "vector": [1.5, None, True],
        "tags": {"nested": {"deep": ["é", {"x": 10**30}]}},
        "$date": "2024-01-31",
        "nan": math.inf,
        "when": datetime(2024, 1, 31, 12, 30, 0, 5),  # noqa: DTZ001
        "a.b": {"c": 1},
    }
    index.upsert([Record(id="odd", metadata=odd)])
    assert index.get(["odd"]) == [Record(id="odd", metadata=odd)]
