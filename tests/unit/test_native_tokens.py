"""Rows whose tokens wait as compressed text are found as if they had been indexed at once."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from valkey_vector.engines.native import spelled_values, token_index
from valkey_vector.engines.native.token_index import TokenIndex
from valkey_vector.records.tokens import unescape

LISTS = [
    f"v,topic_xs,topic_st{row % 7},n_n{row},\xe9{row % 3}".encode("latin-1") for row in range(500)
]


def added(sizes: list[int]) -> TokenIndex:
    """An index of rows that are added in groups of some sizes."""
    index, first = TokenIndex(), 0
    for size in sizes:
        index.add(np.arange(first, first + size), LISTS[first : first + size])
        first += size
    return index


def pair_rows(index: TokenIndex) -> list[tuple[int, int]]:
    numbers = [(number, at) for at, (number, _) in enumerate(index.of_key("topic"))]
    return sorted(zip(*(each.tolist() for each in index.pairs(numbers)), strict=True))


def packed(index: TokenIndex) -> list[int]:
    moved = np.full(500, -1)
    moved[::2] = np.arange(250)
    index.pack(moved)
    return list(index.rows("topic_st3").tolist())


READS: dict[str, Callable[[TokenIndex], Any]] = {
    "rows": lambda index: index.rows("topic_st3").tolist(),
    "mask": lambda index: index.mask(["topic_st3", "n_n499", "absent"], 500).tolist(),
    "tokens of a key": lambda index: sorted(text for _, text in index.of_key("topic")),
    "digests": lambda index: len(index.hashed()),
    "pairs": pair_rows,
    "rows after packing": packed,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("sizes", [[500], [100] * 5, [99, 1, 300, 1, 1, 98], [1, 499]])
def test_rows_that_wait_are_found(
    read: Callable[[TokenIndex], Any], sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read(added(sizes))
    monkeypatch.setattr(token_index, "_MANY", 1_000)
    assert found == read(added(sizes))


def test_many_rows_wait_until_something_reads_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    indexed: list[int] = []
    add = TokenIndex._add

    def counted(self: TokenIndex, rows: Any, sizes: Any, joined: bytes) -> None:
        indexed.append(len(rows))
        add(self, rows, sizes, joined)

    monkeypatch.setattr(TokenIndex, "_add", counted)
    index = added([400, 1])
    assert not indexed
    assert index.rows("n_n400").tolist() == [400]
    assert indexed == [400, 1]
    index.add(np.arange(401, 403), LISTS[401:403])
    assert indexed == [400, 1, 2]


@pytest.mark.parametrize("waiting", [1, 10_000])
def test_a_token_that_a_record_has_twice_counts_once(
    waiting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program can write one twice. So it is before the entries are sorted, and after it."""
    monkeypatch.setattr(token_index, "_WAITING", waiting)
    monkeypatch.setattr(token_index, "_LARGE", 0)
    index = TokenIndex()
    index.add(np.arange(3), [b"k_sa,k_sa,k_sb", b"k_sb", b"k_sb,k_sa,k_sb"])
    assert index.rows("k_sa").tolist() == [0, 2]
    assert index.rows("k_sb").tolist() == [0, 1, 2]
    numbers = [(number, 7) for number, text in index.of_key("k") if text in {"sa", "sb"}]
    rows, passed = index.pairs(numbers)
    assert sorted(rows.tolist()) == [0, 0, 1, 2, 2]
    assert set(passed.tolist()) == {7}


def test_few_additions_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_index, "_MOST_LATER", 10)
    index = added([200, *[1] * 25])
    assert len(index._later) <= 10
    row = random.Random(1).randrange(200, 225)
    assert index.rows(f"n_n{row}").tolist() == [row]


def test_rows_that_wait_are_kept_when_the_first_filter_is_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Indexing many rows takes seconds, in which Ctrl-C is likely."""
    numbers = TokenIndex._numbers
    calls: list[int] = []

    def interrupted(self: TokenIndex, tokens: Any) -> Any:
        calls.append(len(tokens))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return numbers(self, tokens)

    index = added([200, 100, 200])
    monkeypatch.setattr(TokenIndex, "_numbers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        index.rows("topic_st3")
    assert index.rows("topic_st3").tolist() == list(range(3, 500, 7))


def test_the_tokens_of_one_write_are_not_compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """To compress them takes longer than all else that a write adds to the index."""
    sizes: list[int] = []
    compress = zlib.compress

    def counted(text: bytes, level: int) -> bytes:
        sizes.append(text.count(b",") + 1)
        return compress(text, level)

    monkeypatch.setattr(zlib, "compress", counted)
    added([200, 1, 1])
    assert len(sizes) == 1


def test_values_of_a_key_are_decoded_once_and_new_ones_are_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = TokenIndex()
    index.add(np.arange(2), [b"topic_sa_20b,topic_n7", b"topic_lsx,topic_xq"])
    values = index.spelled("topic")
    pairs = values.read(index.of_key("topic")).tolist()
    assert [values.values[number] for _, number in pairs] == ["a b", 7]
    assert len(values.others) == 2
    decoded: list[str] = []

    def recorded(text: str) -> str:
        decoded.append(text)
        return unescape(text)

    monkeypatch.setattr(spelled_values, "unescape", recorded)
    index.add(np.array([2]), [b"topic_sc,topic_n7"])
    again = index.spelled("topic")
    assert [again.values[number] for _, number in again.read(index.of_key("topic")).tolist()] == [
        "a b",
        7,
        "c",
    ]
    assert decoded == ["c"]


def test_values_of_a_key_are_decoded_again_after_rows_are_packed() -> None:
    index = TokenIndex()
    index.add(np.arange(2), [b"topic_sa", b"topic_sb"])
    index.spelled("topic").read(index.of_key("topic"))
    index.pack(np.array([-1, 0]))
    values = index.spelled("topic")
    ((token, number),) = values.read(index.of_key("topic")).tolist()
    assert values.values[number] == "b"
    assert index.pairs([(token, 0)])[0].tolist() == [0]


def test_values_of_a_key_are_not_kept_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_index, "_KEPT", 2)
    index = TokenIndex()
    index.add(np.arange(2), [b"topic_sa", b"topic_sb"])
    assert index.spelled("topic") is index.spelled("topic")
    index.add(np.array([2]), [b"topic_sc"])
    assert index.spelled("topic") is not index.spelled("topic")
