"""Records and hits of a search are ordinary ones, however they are created."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from valkey_vector import Hit, Record
from valkey_vector.records.amounts import counted
from valkey_vector.records.record import new_hit, new_record


def test_a_record_of_a_search_is_an_ordinary_record() -> None:
    created = new_record("a", "text", [1.0], {"n": 1}, "p", b"x", {"title": [2.0]})
    expected = Record(
        id="a",
        content="text",
        vector=[1.0],
        metadata={"n": 1},
        parent="p",
        payload=b"x",
        vectors={"title": [2.0]},
    )
    assert type(created) is Record
    assert created == expected
    assert repr(created) == repr(expected)
    assert pickle.loads(pickle.dumps(created)) == expected  # noqa: S301 - made here
    assert replace(created, id="b") == replace(expected, id="b")
    assert {field.name: getattr(created, field.name) for field in fields(created)} == {
        field.name: getattr(expected, field.name) for field in fields(expected)
    }
    with pytest.raises(FrozenInstanceError):
        created.id = "b"  # type: ignore[misc]


def test_a_hit_of_a_search_is_an_ordinary_hit() -> None:
    created = new_hit(Record(id="a"), 0.5, 0.25, 0.75)
    expected = Hit(record=Record(id="a"), score=0.5, distance=0.25, similarity=0.75)
    assert type(created) is Hit
    assert created == expected
    assert hash(replace(created, record=None)) == hash(replace(expected, record=None))  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(created)) == expected  # noqa: S301 - made here
    with pytest.raises(FrozenInstanceError):
        created.score = 1.0  # type: ignore[misc]


def test_a_number_has_the_right_plural() -> None:
    assert counted(1, "record") == "1 record"
    assert counted(0, "record") == "0 records"
    assert counted(2_000, "index", "indexes") == "2,000 indexes"
