"""The stored form of texts: one field of words with marks, and indexes that were created in the layout before it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_oracle import answers
from valkey_vector import FullText, Fuzzy, Index, Phrase, Prefix, Record, Schema, Term, TextField
from valkey_vector.query import Clause
from valkey_vector.text.marks import (
    MOST_MARKED,
    number_of_words,
    repeated_term,
    stored_terms,
    words_and_stems,
)

TEXTS = {
    "1": "Running foxes run, and runners run: foxes",
    "2": "A fox runs from the running dogs, running and running",
    "3": "e-mail and emails of the state-of-the-art",
    "4": "universities, university; universal",
    "5": "run",
    "6": "Brun Arun",
}
QUERIES: tuple[str | tuple[Clause, ...], ...] = (
    "running fox", "run", "universities", "brun", "arun dogs", (Term("e-mail"),), (Term("running dogs"),),
    (Phrase("foxes run"),), (Phrase("fox runs"), Term("email")), (Prefix("ru"),), (Fuzzy("runing"),), (Prefix("a"),),
)  # fmt: skip


def check(index: Index, texts: dict[str, str]) -> None:
    for query in QUERIES:
        for every in (False, True):
            expected = answers(texts, query, every=every)
            hits = index.search_text(query, k=20, match="all" if every else "any")
            scores = {hit.record.id: hit.score for hit in hits}
            assert scores == pytest.approx(expected), (query, every)


@pytest.mark.parametrize("layout", [1, 2])
def test_an_index_of_each_layout_is_searched_and_written_as_the_oracle_says(
    open_index: Callable[..., Index], layout: int
) -> None:
    created = open_index(dimension=2, full_text=FullText(layout=layout))
    created.upsert(Record(id=id, content=text) for id, text in TEXTS.items())
    check(created, TEXTS)
    index = open_index(dimension=2, full_text=True)
    assert index.schema.full_text is not None
    assert index.schema.full_text.layout == layout
    texts = {**TEXTS, "2": "another fox", "7": "Foxes run again and again and run"}
    index.upsert(Record(id=id, content=texts[id]) for id in ("2", "7"))
    check(index, texts)
    check(created, texts)
    names = index.connection.execute("HKEYS", f"{index.name}:1")
    assert isinstance(names, list | set)
    assert (b"stems" in names) is (layout == 1)


def test_a_record_of_an_index_without_a_layout_means_the_first(
    open_index: Callable[..., Index],
) -> None:
    index = open_index(dimension=2, full_text=FullText(layout=1))
    index.upsert([Record(id="1", content="Running foxes")])
    stored = index.connection.execute("HGET", f"{{{index.name}}}:index", "schema")
    assert isinstance(stored, bytes)
    assert "layout" not in json.loads(stored)["full_text"]
    again = open_index(dimension=2, schema=Schema(dimension=2, full_text=FullText()))
    assert [hit.record.id for hit in again.search_text("run")] == ["1"]


@pytest.mark.parametrize("layout", [1, 2])
def test_an_index_that_is_created_again_over_its_documents_keeps_their_layout(
    open_index: Callable[..., Index], layout: int
) -> None:
    index = open_index(dimension=2, full_text=FullText(layout=layout))
    index.upsert(Record(id=id, content=text) for id, text in TEXTS.items())
    index.drop(documents=False)
    again = open_index(dimension=2, full_text=FullText(layout=3 - layout))
    again.upsert([Record(id="7", content="Foxes run again and again and run")])
    assert again.schema.full_text is not None
    assert again.schema.full_text.layout == layout
    check(again, {**TEXTS, "7": "Foxes run again and again and run"})


def test_a_metadata_update_keeps_the_content_searchable_and_replaces_declared_texts(
    open_index: Callable[..., Index],
) -> None:
    index = open_index(
        dimension=2, schema=Schema(fields=(TextField("title"),), full_text=FullText())
    )
    index.upsert([Record(id="1", content="Running foxes", metadata={"title": "Old dogs"})])
    index.update_metadata(["1"], {"title": "Jumping cats"})
    for query, fields, found in (
        ("fox", ("content",), True), ("cat", ("title",), True), ("dog", ("title",), False),
    ):  # fmt: skip
        assert bool(index.search_text(query, fields=fields)) is found


words = st.lists(st.sampled_from(["run", "runs", "running", "a", "naïve", "naïves"]), max_size=12)


@given(words)
def test_marks_name_the_stems_the_repeated_terms_and_no_more(split: list[str]) -> None:
    stems = [word.rstrip("s") if word != "running" else "run" for word in split]
    stored = stored_terms(split, stems).encode()
    terms = stored.split()
    assert number_of_words(stored, len(terms)) == len(split)
    found, marked = words_and_stems(terms)
    assert [word.decode() for word in found] == split
    assert [mark.decode().removeprefix("A") for mark in marked] == stems
    for stem in set(stems):
        for times in range(2, MOST_MARKED + 1):
            assert (repeated_term(stem, times).encode() in terms) is (stems.count(stem) >= times)
