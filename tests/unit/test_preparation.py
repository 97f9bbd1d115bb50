"""Preparation of records for a write: the fast paths accept and encode exactly what the thorough ones do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from strategies import stored_metadata
from valkey_vector import FullText, InvalidInputError, Record, Schema
from valkey_vector.records.metadata import encode, encode_flat, plain_metadata
from valkey_vector.records.vectors import check_vectors, packed_vectors, quickly_packed
from valkey_vector.storage.preparation import prepare, prepare_text
from valkey_vector.storage.record_version import new_uniques

ROWS = np.array([[0.1, -2.5, 3e-40], [1.0, 2.0, 3.0]])


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<f2", "list"])
def test_vectors_are_packed_as_the_thorough_check_packs_them(kind: str) -> None:
    with np.errstate(under="ignore"):
        rows = ROWS.astype("<f8" if kind == "list" else kind)
    vectors: list[Any] = rows.tolist() if kind == "list" else list(rows)
    expected = [row.tobytes() for row in check_vectors(vectors, 3, ["a", "b"])]
    assert quickly_packed(vectors, 3) == quickly_packed(vectors, None) == expected
    assert packed_vectors(vectors, 3, ["a", "b"]) == expected


def test_a_vector_in_every_other_element_of_an_array_is_packed_alone() -> None:
    assert quickly_packed([np.arange(6.0)[::2]], 3) == [np.array([0, 2, 4], "<f4").tobytes()]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (np.array([1.0, math.nan]), "NaN"),
        (np.array([1.0, math.inf]), "NaN"),
        (np.array([1.0, 1e300]), "beyond float32"),
        (np.array([1.0, 2.0, 3.0]), "3 dimensions"),
        (np.array([]), "empty"),
        (np.array([[1.0, 2.0]]), "shape"),
        ([1.0, 2.0, 3.0], "3 dimensions"),
        ([1.0, math.nan], "NaN"),
        ([], "empty"),
        ("text", "not a sequence"),
    ],
)
def test_an_invalid_vector_beside_a_valid_one_names_its_record(second: Any, message: str) -> None:
    records = [Record(id="a", vector=np.array([1.0, 2.0])), Record(id="b", vector=second)]
    with pytest.raises(InvalidInputError, match=message) as caught:
        prepare(records, Schema(dimension=2))
    assert "record 'b'" in str(caught.value)
    with pytest.raises(InvalidInputError, match=message):
        prepare(records, Schema())


@given(stored_metadata())
def test_flat_metadata_is_encoded_as_all_other_metadata(metadata: dict[str, Any]) -> None:
    flat = encode_flat(metadata)
    if flat is not None:
        assert flat == encode(plain_metadata(metadata, "a record"), "a record")


@pytest.mark.parametrize(
    "value",
    [10**1001, 2**64, -(2**64), math.nan, math.inf, "\ud800", [1], {"a": 1}, None.__class__, b"x"],
)
def test_metadata_that_needs_a_thorough_check_is_not_encoded_fast(value: Any) -> None:
    assert encode_flat({"a": 1, "b": value}) is None


def test_a_dict_that_looks_like_a_stored_date_is_not_encoded_fast() -> None:
    assert encode_flat({"$date": "2024-01-31"}) is None
    assert encode_flat({"\ud800": 1}) is None
    assert encode_flat({1: 1}) is None  # type: ignore[dict-item]
    assert encode_flat({"$date": "2024-01-31", "a": True}) == b'{"$date":"2024-01-31","a":true}'


def test_a_prepared_record_keeps_the_metadata_that_was_checked() -> None:
    metadata = {"n": 1}
    (prepared,) = prepare([Record(id="a", metadata=metadata)], Schema(dimension=2))
    metadata["n"] = 2
    assert prepared.metadata == b'{"n":1}'
    assert prepared.items.numbers == {"n": 1.0}
    assert prepared.items is prepared.items


def test_terms_are_encoded_when_a_record_is_written() -> None:
    schema = Schema(dimension=2, full_text=FullText())
    (prepared,) = prepare([Record(id="a", content="two words")], schema)
    assert not list(prepared.text)
    prepare_text(prepared, schema)
    assert "words" in prepared.text


def test_marks_of_one_batch_differ() -> None:
    marks = new_uniques(500)
    assert len(set(marks)) == 500
    assert {len(mark) for mark in marks} == {12}
    assert new_uniques(0) == []
