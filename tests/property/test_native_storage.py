"""The packed texts and tokens of the native engine's replica equal dicts of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from valkey_vector.engines.native import packed_keys, token_index
from valkey_vector.engines.native.numeric_columns import all_parsed
from valkey_vector.engines.native.packed_keys import PackedKeys, PackedValues
from valkey_vector.engines.native.token_index import TokenIndex

texts = st.lists(st.text(max_size=3) | st.sampled_from(["a", "b", "ä", ""]), max_size=20)
tokens = st.sampled_from(
    [b"a_xn", b"a_n1", b"a_sx", b"b_lsx", b"v", b"", b"_r1", b"digest", b"\xff"]
)
rows_of_tokens = st.lists(st.lists(tokens, min_size=1, max_size=5), min_size=1, max_size=8)


@pytest.fixture(autouse=True)
def small_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few texts and tokens are enough to be sorted in."""
    monkeypatch.setattr(packed_keys, "_RECENT", 3)
    monkeypatch.setattr(token_index, "_WAITING", 12)
    monkeypatch.setattr(token_index, "_FREQUENT", 3)


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, max_size=12), st.booleans())
def test_texts_have_the_numbers_of_their_first_addition(
    batches: list[list[str]], colliding: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if colliding:  # as if all texts had one of two hashes
            patch.setattr(packed_keys, "hash", lambda text: len(text) % 2, raising=False)
        keys, model = PackedKeys(), dict[str, int]()
        for batch in batches:
            before = [model.get(text, -1) for text in batch]
            assert keys.find_all(batch).tolist() == before
            for text in batch:
                model.setdefault(text, len(model))
            assert keys.add_all(batch).tolist() == [model[text] for text in batch]
        keys.settle()
        assert len(keys) == len(model)
        assert keys.texts(np.arange(len(model))) == list(model)
        for text, number in model.items():
            assert keys.find(text) == number
            assert keys.text(number) == text
        assert keys.find("absent") == -1


@given(st.lists(st.lists(st.binary(max_size=3))))
def test_values_are_those_that_were_appended(batches: list[list[bytes]]) -> None:
    values, model = PackedValues(), list[bytes]()
    for batch in batches:
        values.extend(batch)
        model += batch
    assert [values[at] for at in range(len(values))] == model
    assert values.many(np.arange(len(model))) == model


@settings(max_examples=200, deadline=None)
@given(st.lists(rows_of_tokens, max_size=8), st.data())
def test_tokens_have_the_rows_that_were_added_and_remain(
    batches: list[list[list[bytes]]], data: st.DataObject
) -> None:
    index, model, size = TokenIndex(), dict[str, set[int]](), 0
    for batch in batches:
        index.add(np.arange(size, size + len(batch)), [b",".join(row) for row in batch])
        for row, found in enumerate(batch, size):
            for token in found:
                model.setdefault(token.decode("ascii", "replace"), set()).add(row)
        size += len(batch)
        if data.draw(st.booleans()):
            check(index, model, size)
        if data.draw(st.integers(0, 3)) == 0:
            retained = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
            moved = np.where(retained, np.cumsum(retained) - 1, -1)
            index.pack(moved)
            model = {
                token: {int(moved[row]) for row in rows if retained[row]}
                for token, rows in model.items()
            }
            model = {token: rows for token, rows in model.items() if rows}
            size = sum(retained)
    check(index, model, size)


def check(index: TokenIndex, model: dict[str, set[int]], size: int) -> None:
    for token, rows in model.items():
        assert index.rows(token).tolist() == sorted(rows)
    assert np.flatnonzero(index.mask([*model, "absent"], size)).tolist() == sorted(
        set[int]().union(*model.values())
    )
    assert index.rows("absent").tolist() == []
    of_key = dict(index.of_key("a"))
    assert sorted(of_key.values()) == sorted(each[2:] for each in model if each.startswith("a_"))
    held_rows, passed = index.pairs([(number, number) for number in of_key])
    pairs = sorted(
        (row, token) for token, held in model.items() if token.startswith("a_") for row in held
    )
    found = [(row, f"a_{of_key[number]}") for row, number in zip(held_rows, passed, strict=True)]
    assert sorted(found) == pairs
    hashed = {"", "digest", "\ufffd"} & set(model)
    assert np.flatnonzero(index.mask_of(index.hashed(), size)).tolist() == sorted(
        set[int]().union(*(model[token] for token in hashed))
    )


def test_numbers_that_cannot_be_read_are_the_default() -> None:
    assert all_parsed([b"1.5", b"x", b"nan", b"-inf"], 7.0).tolist() == [1.5, 7.0, 7.0, -np.inf]
    assert all_parsed([b"2", b"nan"], 0.0).tolist() == [2.0, 0.0]
