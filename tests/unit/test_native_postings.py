"""The inverted index of the native engine: rows that wait are found as if they had been added one by one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from valkey_vector.engines.native import postings
from valkey_vector.engines.native.postings import Inverted
from valkey_vector.text.marks import is_mark, is_repeated

TERMS = ["run", "running", "Arun", "Brun", "Crun", "fox", "ärger", "1"]
TEXTS = st.lists(st.lists(st.sampled_from(TERMS), max_size=8).map(" ".join), min_size=1)


def content(index: Inverted, size: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        term: dict(zip(index.rows(term).tolist(), index.times(term).tolist(), strict=True))
        for term in TERMS
    }
    return {**found, "lengths": index.lengths(size).tolist(), "terms": sorted(index.terms())}


def expected(texts: list[str]) -> dict[str, Any]:
    split = [[term for term in text.split() if not is_repeated(term)] for text in texts]
    counts = [Counter(terms) for terms in split]
    found: dict[str, Any] = {
        term: {row: count[term] for row, count in enumerate(counts) if term in count}
        for term in TERMS
    }
    words = [[term for term in terms if not is_mark(term)] for terms in split]
    every = sorted({word for each in words for word in each})
    return {**found, "lengths": list(map(len, words)), "terms": every}


def add(index: Inverted, texts: list[str], first: int, end: int) -> bool:
    return index.add(np.arange(first, end), [text.encode() for text in texts[first:end]])


@settings(deadline=None)
@given(texts=TEXTS, data=st.data())
def test_rows_are_found_however_they_are_added(texts: list[str], data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings, "_MANY", data.draw(st.sampled_from([2, 4, 100])))
        patch.setattr(postings, "_MOST_LATER", data.draw(st.sampled_from([2, 100])))
        index, first = Inverted(), 0
        while first < len(texts):
            end = data.draw(st.integers(first + 1, len(texts)))
            add(index, texts, first, end)
            if data.draw(st.booleans()):
                assert content(index, end) == expected(texts[:end])
            first = end
        assert content(index, len(texts)) == expected(texts)


def test_many_rows_wait_until_something_reads_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    indexed: list[int] = []
    now = Inverted._add

    def counted(self: Inverted, rows: Any, texts: Any) -> bool:
        indexed.append(len(rows))
        return now(self, rows, texts)

    monkeypatch.setattr(Inverted, "_add", counted)
    index, texts = Inverted(), [f"fox {number}" for number in range(302)]
    assert add(index, texts, 0, 300), "it may have new terms"
    assert add(index, texts, 300, 301)
    assert not indexed
    assert index.rows("300").tolist() == [300]
    assert indexed == [300, 1]
    assert add(index, texts, 301, 302)
    assert not index.add(np.arange(302, 303), [b"fox"]), "no new term"
    assert indexed == [300, 1, 1, 1]


@pytest.mark.parametrize("stop", [0, 1, 2, 3, 5, 400, 701, 1201, 1500])
def test_rows_that_wait_are_complete_after_an_interruption(
    stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Indexing many texts takes seconds, in which Ctrl-C is likely."""
    texts = [f"run fox w{number % 7} w{number % 5} fox" for number in range(400)]
    index, calls = Inverted(), 0
    for first in range(0, 400, 100):
        add(index, texts, first, first + 100)

    def interrupted(term: str) -> bool:
        nonlocal calls
        calls += 1
        if calls == stop + 1:
            raise KeyboardInterrupt
        return is_mark(term)

    monkeypatch.setattr("valkey_vector.engines.native.postings.is_mark", interrupted)
    with pytest.raises(KeyboardInterrupt):
        index.rows("fox")
    texts.append("run w6")
    add(index, texts, 400, 401)
    assert content(index, 401) == expected(texts)
    assert index.rows("w6").tolist() == [row for row in range(401) if "w6" in texts[row].split()]
