"""The path of a vector search through the core: it stays short, and what it remembers of a query never changes an answer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from valkey_vector import F, Filter, Hit, Index, InvalidInputError, Record, VectorQuery
from valkey_vector.connection import Connection

VECTOR = [1.0, 0.5, 0.25, 0.125]
NUMBER = 300


def record(number: int) -> Record:
    metadata = {"group": f"g{number % 3}", "number": number, "flag": number % 2 == 0}
    vector = [1.0, number % 7, number % 11, number / NUMBER]
    return Record(
        id=f"r{number}", content=f"text {number}", vector=vector, metadata=metadata, payload=b"p"
    )


def functions_of(search: Callable[[], object]) -> set[str]:
    """The functions of this library that a call enters, by file and name."""
    found: set[str] = set()

    def enter(frame: Any, event: str, _: object) -> None:
        if event == "call" and "/valkey_vector/" in frame.f_code.co_filename:
            found.add(f"{frame.f_code.co_filename}:{frame.f_code.co_firstlineno}")

    previous = sys.getprofile()
    sys.setprofile(enter)
    try:
        search()
    finally:
        sys.setprofile(previous)
    return found


@pytest.mark.parametrize(
    ("chosen", "most"), [(None, 62), (F("group") == "g1", 110)], ids=["unfiltered", "filtered"]
)
def test_a_repeated_search_enters_few_functions(
    open_search_index: Callable[..., Index], chosen: Filter | None, most: int
) -> None:
    """Between two requests other programs take the processor's caches, so each function costs a microsecond or more.

    Valkey-Search returns hits in order: then it is 45 without a filter. The server of the tests does not.
    """
    index = open_search_index()
    index.upsert(map(record, range(NUMBER)))
    entered = [functions_of(lambda: index.search(VECTOR, k=10, filter=chosen)) for _ in range(10)]
    # Now and then a search also sends the status commands, and counts its filter.
    assert min(map(len, entered)) <= most


def shown(hits: list[Hit]) -> list[tuple[str, str, int, bytes | None]]:
    return [(h.record.id, h.record.content, len(h.record.metadata), h.record.payload) for h in hits]


def test_queries_of_different_forms_in_turn_return_what_each_requests(
    open_index: Callable[..., Index],
) -> None:
    index = open_index()
    index.upsert(map(record, range(NUMBER)))
    forms: list[dict[str, Any]] = [
        {"k": 3},
        {"k": 7},
        {"k": 3, "with_payloads": True},
        {"k": 3, "with_content": False},
        {"k": 3, "with_metadata": False},
        {"k": 3, "ef_runtime": 300},
        {"k": 3, "with_vectors": True},
    ]
    other = [0.1, 5.0, 0.2, 0.9]
    first = [shown(index.query(VectorQuery(vector=VECTOR, **form))) for form in forms]
    away = [shown(index.query(VectorQuery(vector=other, **form))) for form in reversed(forms)]
    again = [shown(index.query(VectorQuery(vector=VECTOR, **form))) for form in forms]
    assert first == again
    assert [len(hits) for hits in first] == [form["k"] for form in forms]
    assert away[-1] != first[0]
    for form, hits in zip(forms, first, strict=True):
        for _, content, items, payload in hits:
            assert bool(content) is form.get("with_content", True)
            assert items == (3 if form.get("with_metadata", True) else 0)
            assert (payload is not None) is form.get("with_payloads", False)


def test_equal_values_of_other_types_are_other_filters(open_index: Callable[..., Index]) -> None:
    index = open_index()
    values: list[Any] = ["1", 1, True, "true", "2024-01-31", "x" * 200]
    index.upsert(
        [
            Record(id=f"v{place}", vector=[1.0, place, 0, 0], metadata={"a": value})
            for place, value in enumerate(values)
        ]
    )
    for _ in range(2):
        for place, value in enumerate(values):
            hits = index.search(VECTOR, k=5, filter=F("a") == value)
            assert [hit.record.id for hit in hits] == [f"v{place}"]
            assert [r.id for r in index.select({"a": value})] == [f"v{place}"]


def test_a_search_sees_an_index_that_another_client_created_again(
    open_index: Callable[..., Index], engine_server: Any
) -> None:
    index = open_index()
    index.upsert(map(record, range(20)))
    chosen = F("group") == "g1"
    assert len(index.search(VECTOR, k=5)) == len(index.search(VECTOR, k=5, filter=chosen)) == 5
    with Connection.open(engine_server.url) as connection:
        other = Index.open(index.name, connection=connection, dimension=4)
        other.drop()
        assert index.search(VECTOR, k=5) == []
        other.upsert([record(1), record(2)])
        assert {hit.record.id for hit in index.search(VECTOR, k=5)} == {"r1", "r2"}
        assert [hit.record.id for hit in index.search(VECTOR, k=5, filter=chosen)] == ["r1"]


@pytest.mark.parametrize("k", [0, -1, True, 1.0, "1"])
def test_a_k_that_is_not_a_positive_integer_is_refused(k: Any) -> None:
    with pytest.raises(InvalidInputError, match="k must be an integer"):
        VectorQuery(vector=VECTOR, k=k)
