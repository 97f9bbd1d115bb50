"""Questions are searched by what they are about: without the stop words of the language, on both engines."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from text_oracle import answers
from valkey_vector import FullText, Index, Phrase, Record, Schema, Term, TextField

QUICKSTART = Path(__file__).parents[2] / "cookbook" / "quickstart.py"

QUESTION = "How do I catch an exception?"

TEXTS = {
    "how": "How do I do it? How I do.",
    "handle": "Catch the exception. A handler handles what others may pass on to it.",
    "raise": "An exception stops the program, unless some handler is there for it to find.",
    "other": "Lists keep what they hold in order.",
}


def ids(hits: Any) -> list[str]:
    return [hit.record.id for hit in hits]


@pytest.fixture
def index(open_index: Callable[..., Index]) -> Index:
    index = open_index(full_text=True)
    index.upsert(
        Record(id=id, content=text, vector=[1.0, float(n), 0, 0])
        for n, (id, text) in enumerate(TEXTS.items())
    )
    return index


def test_a_question_finds_the_chapters_about_its_subject(open_index: Callable[..., Index]) -> None:
    documents = runpy.run_path(str(QUICKSTART))["passages"]()
    index = open_index(
        schema=Schema(dimension=4, full_text=FullText(), fields=(TextField("title"),))
    )
    index.upsert(
        Record(
            id=document.id or "",
            content=document.page_content,
            metadata={"title": document.metadata["title"]},
        )
        for document in documents
    )

    def topics(k: int, **settings: Any) -> list[str]:
        return [id.split("-")[0] for id in ids(index.search_text(QUESTION, k=k, **settings))]

    # By titles and texts, the chapter "Exceptions" is first; by texts alone, the first says "catching an exception".
    assert topics(3, fields=("content", "title")) == ["exceptions"] * 3
    first = index.search_text(QUESTION, k=1)[0].record.content
    assert "catching an exception" in " ".join(first.split())
    assert {"try", "compound"} <= set(topics(5))
    # These are long passages that have "how", "do" and "I".
    assert not {"comparisons", "in"} & set(topics(10))
    assert {"comparisons", "in"} <= set(topics(10, stop_words=()))


def test_stop_words_are_left_out_of_text_and_hybrid_questions(index: Index) -> None:
    assert ids(index.search_text(QUESTION)) == ["handle", "raise"]
    assert ids(index.search_text(QUESTION, stop_words=()))[0] == "how"
    near = [1.0, 3.0, 0, 0]
    both = index.search_hybrid(near, QUESTION, k=4, candidates=1, text_candidates=1)
    assert set(ids(both)) >= {"handle"}
    told = {hit.record.id: hit.score for hit in index.search_hybrid(near, QUESTION, k=4)}
    plain = {hit.record.id: hit.score for hit in index.search_hybrid(near, "catch exception", k=4)}
    assert told == plain
    every = {
        hit.record.id: hit.score for hit in index.search_hybrid(near, QUESTION, k=4, stop_words=())
    }
    assert every != plain


@pytest.mark.parametrize("match", ["any", "all"])
@pytest.mark.parametrize(
    "stop_words", [None, (), ("exception",), ("how do", "I"), ("how", "do", "I", "catch", "exception")]
)  # fmt: skip
def test_scores_are_those_of_the_oracle(
    index: Index, match: Any, stop_words: tuple[str, ...] | None
) -> None:
    for question in (QUESTION, "How do I?", "what others may find", "the of", ""):
        expected = answers(TEXTS, question, every=match == "all", stop_words=stop_words)
        hits = index.search_text(question, k=9, match=match, stop_words=stop_words)
        assert {hit.record.id: hit.score for hit in hits} == pytest.approx(expected), question


def test_required_terms_and_clauses_are_searched_as_they_are(index: Index) -> None:
    assert ids(index.search_text("how do I", match="all")) == ["how"]
    assert ids(index.search_text("how catch", match="all")) == []
    assert ids(index.search_text((Term("how"), Term("catch")))) == ["how", "handle"]
    assert ids(index.search_text((Phrase("what others may"),))) == ["handle"]


def test_a_question_of_stop_words_alone_is_searched_by_all_of_them(index: Index) -> None:
    assert ids(index.search_text("How do I?")) == ["how"]
    assert ids(index.search_text("How do I catch?", stop_words=("catch",))) == ["how"]


def test_an_index_with_its_own_stop_words_uses_only_these(open_index: Callable[..., Index]) -> None:
    index = open_index(schema=Schema(dimension=4, full_text=FullText(stop_words=("i",))))
    index.upsert(Record(id=id, content=text) for id, text in TEXTS.items())
    assert ids(index.search_text(QUESTION))[0] == "how"
    assert ids(index.search_text(QUESTION, stop_words=("how", "do", "an"))) == ["handle", "raise"]


def test_stop_words_follow_the_language_of_the_index(open_index: Callable[..., Index]) -> None:
    index = open_index(schema=Schema(dimension=4, full_text=FullText(language="german")))
    index.upsert(
        [
            Record(id="frage", content="Wie, wo und wann? Wie man eine Frage stellt."),
            Record(id="ausnahme", content="Ausnahmen unterbrechen das Programm, bis sie etwas fängt."),
        ]
    )  # fmt: skip
    assert ids(index.search_text("Wie fängt man eine Ausnahme?")) == ["ausnahme"]
    assert ids(index.search_text("Wie fängt man eine Ausnahme?", stop_words=())) == [
        "frage",
        "ausnahme",
    ]
