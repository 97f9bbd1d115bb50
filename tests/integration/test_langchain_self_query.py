"""`ValkeyTranslator`: directly, against plain Python, and under LangChain's `SelfQueryRetriever`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from langchain_classic.chains.query_constructor.schema import AttributeInfo
from langchain_classic.retrievers.self_query.base import SelfQueryRetriever
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.structured_query import (
    Comparator,
    Comparison,
    FilterDirective,
    Operation,
    Operator,
    StructuredQuery,
)

from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyTranslator, ValkeyVectorStore
from valkey_vector import FilterError

FILMS: dict[str, dict[str, Any]] = {
    "a": {"title": "Space Odyssey", "year": 1968, "genres": ["drama", "space"], "rating": 8.3},
    "b": {"title": "Space Jam", "year": 1996, "genres": ["comedy"], "rating": 6.5, "seen": True},
    "c": {"title": "Stalker", "year": 1979, "genres": ["drama"], "out": "1979-05-25"},
    "d": {"title": "100% Wolf", "year": 2020, "seen": False, "out": "2020-05-29T10:00:00"},
    "e": {"year": 2001},
}


def compared(comparator: Comparator, attribute: str, value: Any) -> Comparison:
    return Comparison(comparator, attribute, value)


@pytest.fixture
def store(index_name: str, server_url: str, engine_name: str) -> Iterator[ValkeyVectorStore]:
    settings: Any = {"engine": engine_name}
    with opened(TableEmbeddings(), index_name, url=server_url, **settings) as store:
        store.add_documents(
            [Document(f"film {id}", id=id, metadata=film) for id, film in FILMS.items()]
        )
        yield store


COMPARISONS: list[tuple[Comparator, str, Any, str]] = [
    (Comparator.EQ, "year", 1968, "a"),
    (Comparator.EQ, "title", "Stalker", "c"),
    (Comparator.EQ, "seen", True, "b"),
    (Comparator.EQ, "genres", ["drama"], "c"),
    (Comparator.NE, "year", 1968, "bcde"),
    (Comparator.NE, "title", "Stalker", "abde"),
    (Comparator.GT, "year", 1979, "bde"),
    (Comparator.GTE, "year", 1979, "bcde"),
    (Comparator.LT, "rating", 8.3, "b"),
    (Comparator.LTE, "rating", 8.3, "ab"),
    (Comparator.CONTAIN, "genres", "drama", "ac"),
    (Comparator.CONTAIN, "title", "Space", "ab"),
    (Comparator.CONTAIN, "title", "100%", "d"),
    (Comparator.CONTAIN, "genres", 5, ""),
    (Comparator.LIKE, "title", "Space%", "ab"),
    (Comparator.LIKE, "title", "S%er", "c"),
    (Comparator.LIKE, "title", "alke", "c"),
    (Comparator.LIKE, "title", "space", ""),
    (Comparator.IN, "year", [1968, 2001, 3000], "ae"),
    (Comparator.IN, "title", [], ""),
    (Comparator.NIN, "year", [1968, 2001], "bcd"),
    (Comparator.NIN, "title", [], "abcde"),
    (Comparator.LT, "out", {"type": "date", "date": "2000-01-01"}, "c"),
    (Comparator.EQ, "out", {"type": "date", "date": "1979-05-25"}, "c"),
    (Comparator.GT, "out", {"type": "datetime", "datetime": "2020-05-29T09:59:59"}, "d"),
    (Comparator.IN, "out", [{"type": "date", "date": "1979-05-25"}], "c"),
    (Comparator.EQ, "nothing", "x", ""),
]


def found(store: ValkeyVectorStore, directive: FilterDirective) -> str:
    text, arguments = ValkeyTranslator().visit_structured_query(StructuredQuery("film", directive))
    documents = store.similarity_search(text, k=10, filter=arguments["filter"])
    return "".join(sorted(str(one.id) for one in documents))


def test_every_comparator_selects_the_matching_documents(store: ValkeyVectorStore) -> None:
    assert {comparator for comparator, *_ in COMPARISONS} == set(Comparator)
    for comparator, attribute, value, expected in COMPARISONS:
        directive = compared(comparator, attribute, value)
        assert found(store, directive) == expected, directive
        negated = Operation(Operator.NOT, [directive])
        assert found(store, negated) == "".join(sorted(set("abcde") - set(expected))), negated


def test_every_operator_combines(store: ValkeyVectorStore) -> None:
    drama = compared(Comparator.CONTAIN, "genres", "drama")
    old = compared(Comparator.LT, "year", 1970)
    new = compared(Comparator.GT, "year", 2000)
    assert found(store, Operation(Operator.AND, [drama, old])) == "a"
    assert found(store, Operation(Operator.OR, [drama, old, new])) == "acde"
    nested = Operation(
        Operator.AND, [Operation(Operator.NOT, [new]), Operation(Operator.OR, [drama, old])]
    )
    assert found(store, nested) == "ac"


def test_a_query_without_a_filter_searches_for_the_text_alone() -> None:
    assert ValkeyTranslator().visit_structured_query(StructuredQuery("x", None)) == ("x", {})


@pytest.mark.parametrize(
    ("directive", "words"),
    [
        (compared(Comparator.IN, "year", 1968), "'in' on 'year' needs a list"),
        (compared(Comparator.NIN, "title", "Stalker"), "'nin' on 'title' needs a list"),
        (compared(Comparator.LIKE, "title", 3), "'like' on 'title' needs text"),
        (compared(Comparator.GT, "out", {"type": "date", "date": "May"}), "ISO 8601"),
        (Operation(Operator.NOT, []), "'not' takes one condition"),
        (
            Operation(
                Operator.NOT, [compared(Comparator.EQ, "a", 1), compared(Comparator.EQ, "b", 1)]
            ),
            "not 2",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(directive: FilterDirective, words: str) -> None:
    with pytest.raises(FilterError, match=words):
        ValkeyTranslator().visit_structured_query(StructuredQuery("x", directive))


ATTRIBUTES = [
    AttributeInfo(name="title", description="the title", type="string"),
    AttributeInfo(name="year", description="the year", type="integer"),
    AttributeInfo(name="genres", description="the genres", type="list[string]"),
    AttributeInfo(name="out", description="day of release", type="date"),
]

WRITTEN = [
    ('and(contain("genres", "drama"), lt("year", 1970))', "a"),
    ('or(eq("year", 1996), like("title", "%Wolf"))', "bd"),
    ('not(in("year", [1968, 1979]))', "bde"),
    ('and(gte("out", "1979-05-25"), ne("title", "Stalker"))', "d"),
    ('lt("out", 2000-01-01)', "c"),
    ("NO_FILTER", "abcde"),
]


@pytest.mark.parametrize(("written", "expected"), WRITTEN)
async def test_a_self_query_finds_what_the_model_wrote(
    store: ValkeyVectorStore, written: str, expected: str
) -> None:
    answer = f'```json\n{{"query": "film", "filter": "{written.replace(chr(34), chr(92) + chr(34))}"}}\n```'
    retriever = SelfQueryRetriever.from_llm(
        FakeListLLM(responses=[answer]),
        store,
        "films",
        ATTRIBUTES,
        structured_query_translator=ValkeyTranslator(),
        search_kwargs={"k": 10},
    )
    assert "".join(sorted(str(one.id) for one in retriever.invoke("?"))) == expected
    assert "".join(sorted(str(one.id) for one in await retriever.ainvoke("?"))) == expected


def test_a_limit_the_model_wrote_is_kept(store: ValkeyVectorStore) -> None:
    answer = '```json\n{"query": "film", "filter": "gt(\\"year\\", 1970)", "limit": 2}\n```'
    retriever = SelfQueryRetriever.from_llm(
        FakeListLLM(responses=[answer]),
        store,
        "films",
        ATTRIBUTES,
        structured_query_translator=ValkeyTranslator(),
        enable_limit=True,
    )
    assert len(retriever.invoke("two films")) == 2


def test_dates_are_dates() -> None:
    directive = compared(Comparator.LT, "out", {"type": "date", "date": "2000-01-01"})
    _, arguments = ValkeyTranslator().visit_structured_query(StructuredQuery("x", directive))
    assert arguments["filter"].value == date(2000, 1, 1)  # type: ignore[union-attr]
