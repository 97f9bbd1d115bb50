"""Ids and payloads: injective where they must be, and exact on the way back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valkey_vector import InvalidInputError, Record, ServerError
from valkey_vector.cache.entries import decoded, encoded, entry_id, hit_of, lifetime, scope_id

ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(
    ATOMS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
FINITE = JSON.filter(lambda value: "Infinity" not in json.dumps(value))
SCOPES = st.dictionaries(st.text(), FINITE, max_size=4)


@given(JSON | st.binary(), st.none() | st.floats(0.001, 1e6), st.none() | st.integers(0, 2**40))
def test_an_answer_is_returned_unchanged(
    answer: Any, seconds: float | None, tokens: int | None
) -> None:
    payload = encoded(answer, ttl=seconds, seconds=seconds, tokens=tokens)
    found, took, cost = decoded(payload)
    assert (found, took, cost) == (answer, seconds, tokens)
    assert type(found) is type(answer)
    if not isinstance(answer, bytes):
        assert json.dumps(found) == json.dumps(answer)  # 1, 1.0 and True differ here
    assert lifetime(payload) == (0 if seconds is None else max(1, round(seconds * 1000)))


@given(st.text(), SCOPES, st.text(), SCOPES)
def test_ids_are_equal_for_the_same_prompt_and_scope_only(
    prompt: str, scope: dict[str, Any], other_prompt: str, other: dict[str, Any]
) -> None:
    turned = dict(reversed(scope.items()))
    assert entry_id(prompt, scope) == entry_id(prompt, turned)
    same_scope = json.dumps(scope, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (scope_id(scope) == scope_id(other)) == same_scope
    same = same_scope and prompt == other_prompt
    assert (entry_id(prompt, scope) == entry_id(other_prompt, other)) == same


def test_numbers_and_booleans_are_different_scopes() -> None:
    ids = {scope_id({"a": value}) for value in (1, 1.0, True, "1", None, [1], {"1": 1})}
    assert len(ids) == 7


@pytest.mark.parametrize("answer", [(1,), {1: 1}, [{"a": (1,)}], {1}, 1j], ids=repr)
def test_a_value_that_could_not_be_returned_unchanged_is_refused(answer: Any) -> None:
    with pytest.raises(InvalidInputError, match="the answer"):
        encoded(answer, ttl=None, seconds=None, tokens=None)


def test_nesting_without_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidInputError, match="deep"):
        encoded(endless, ttl=None, seconds=None, tokens=None)


BROKEN = encoded({"a": 1}, ttl=None, seconds=None, tokens=None)[:-1]


@pytest.mark.parametrize("payload", [None, b"", b"\x80\x04pickle", b"{}" * 40, BROKEN])
def test_a_foreign_payload_is_not_an_answer(payload: bytes | None) -> None:
    with pytest.raises(ServerError, match="written by another program"):
        decoded(payload)


def test_a_foreign_record_is_not_an_answer() -> None:
    payload = encoded("answer", ttl=None, seconds=None, tokens=None)
    with pytest.raises(ServerError, match="written by another program"):
        hit_of(Record(id="x", content="prompt", payload=payload), 1.0, exact=True)
