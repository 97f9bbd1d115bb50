"""Both engines answer any text query with the records, scores and order of the plain-Python oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers import Server
from text_oracle import answers, words_of
from valkey_vector import F, Fuzzy, Index, Phrase, Prefix, Record, Term
from valkey_vector.engines.search import text as search_text
from valkey_vector.engines.search import text_rounds
from valkey_vector.query import Clause

POOL = [
    "fox", "foxes", "running", "runs", "run", "runner", "quick", "the", "of", "and", "AND", "or", "OR", "not", "in",
    "new", "york", "how", "do", "I'm", "re", "naïve", "naive", "straße", "STRASSE", "日本", "日本語", "😀", "हिन्दी", "x_y", "308", "1e5", "inf", "nan",
    "as", "knn", "ismissing", "a" * 120, "b" * 99 + "cd", "e\u0301t", "ﬁne", "İstanbul", "ꭰ", "𐍈𐍈",
]  # fmt: skip
SYNTAX = [
    "", " ", "|", "@x:{y}", "-", "*", '"', "'", "\\", "(", ")", "{", "}", "[", "]", "=>", "=>[KNN 3 @vector $v]", "%",
    "~", "$x", ";", ",", ".", "\n", "\x00", "\x1f", "/", "?", "!", "@words:", "@stems:fox", ":", "…", "“", "\u200d", "\ue023",
]  # fmt: skip

common = st.sampled_from(POOL[:20])
pieces = common | common | st.sampled_from(POOL) | st.sampled_from(SYNTAX) | st.text(max_size=4)
texts = st.tuples(st.lists(pieces, max_size=7), st.sampled_from([" ", "", "-"])).map(
    lambda pair: pair[1].join(pair[0])
)
clauses: st.SearchStrategy[Clause] = st.one_of(
    st.builds(Term, texts),
    st.builds(Phrase, texts, st.integers(0, 3), st.booleans()),
    st.builds(Prefix, texts | st.sampled_from(["f", "ru", "new y", "日", "a" * 130, "x_"])),
    st.builds(Fuzzy, st.sampled_from(POOL) | st.text(max_size=5), st.integers(1, 2)),
)
asked_for = texts | st.lists(clauses, max_size=3).map(tuple)

STOPS = ["fox", "how do", "I'm", "re", "new york", "quick", "", "-", "RUNS", "日本"]

# At most this many words, so that the oracle may try every choice of places.
LONGEST = 6


@pytest.fixture(scope="module")
def urls(native_server: Server, search_server: Server) -> dict[str, str]:
    return {"native": native_server.url, "search": search_server.url}


@pytest.fixture
def indexes(
    urls: dict[str, str], index_name: str
) -> Iterator[dict[Literal["native", "search"], Index]]:
    opened: dict[Literal["native", "search"], Index] = {
        engine: Index.open(index_name, dimension=2, url=urls[engine], engine=engine, full_text=True)
        for engine in ("native", "search")
    }
    yield opened
    for index in opened.values():
        index.close()


@pytest.mark.timeout(600)
def test_any_text_query_is_answered_as_by_the_oracle(
    indexes: dict[Literal["native", "search"], Index],
) -> None:
    compare_with_oracle(list(indexes.values()))


@pytest.mark.timeout(600)
def test_a_large_index_is_answered_as_by_the_oracle(
    indexes: dict[Literal["native", "search"], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Limits that make a few records a large index, which is searched in rounds.
    for limit in ("_RARE", "_LISTED", "_SAMPLE", "_ENOUGH"):
        monkeypatch.setattr(text_rounds, limit, 2)
    monkeypatch.setattr(search_text, "_FIRST", 2)
    monkeypatch.setattr(search_text, "_SMALL", 0)
    compare_with_oracle([indexes["search"]])


def compare_with_oracle(indexes: Sequence[Index]) -> None:
    telling = 0

    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(texts, min_size=5, max_size=12),
        st.lists(st.tuples(asked_for, st.booleans()), min_size=5, max_size=12),
        st.none() | st.just(()) | st.lists(st.sampled_from(STOPS), max_size=3).map(tuple),
    )
    def check(
        contents: list[str],
        asked: list[tuple[str | tuple[Clause, ...], bool]],
        stop_words: tuple[str, ...] | None,
    ) -> None:
        nonlocal telling
        records = [
            Record(id=f"r{n}", content=content.replace("\ud800", ""), metadata={"n": n})
            for n, content in enumerate(contents)
        ]
        for index in indexes:
            index.delete_all()
            index.upsert(records)
        for query, every in asked:
            if not isinstance(query, str) and any(
                len(words_of(clause.text)) > LONGEST for clause in query
            ):
                continue
            expected = answers(
                {record.id: record.content for record in records},
                query,
                every=every,
                stop_words=stop_words,
            )
            telling += 0 < len(expected) < len(records)
            for index in indexes:
                check_answer(index, query, every, expected, stop_words)

    check()
    assert telling >= settings().max_examples / 4


def check_answer(
    index: Index,
    query: str | tuple[Clause, ...],
    every: bool,
    expected: dict[str, float],
    stop_words: tuple[str, ...] | None,
) -> None:
    match: Literal["any", "all"] = "all" if every else "any"
    hits = index.search_text(query, k=20, match=match, stop_words=stop_words)
    assert {hit.record.id for hit in hits} == set(expected)
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.record.id])
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.record.id))
    few = index.search_text(query, k=20, match=match, filter=F("n") >= 2, stop_words=stop_words)
    assert few == [hit for hit in hits if hit.record.metadata["n"] >= 2]
    for k in (1, 2, 4):
        assert index.search_text(query, k=k, match=match, stop_words=stop_words) == hits[:k]
