"""Queries by filter: any order, any window, any parts; and going through all of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from round_trips import CommandLog
from valkey_vector import (
    CountQuery,
    F,
    FilterQuery,
    Index,
    IndexNotFoundError,
    InvalidInputError,
    OrderBy,
    Record,
    VectorQuery,
)
from valkey_vector.execution.ordering import sort_rows
from valkey_vector.records.metadata import dump
from valkey_vector.storage.rows import Row

ROWS: list[dict[str, Any]] = [
    {"kind": "b", "price": 3},
    {"kind": "a", "price": 2.5},
    {"kind": "a", "price": 7, "at": datetime(2024, 1, 1, tzinfo=UTC)},
    {"price": 1},
    {"kind": "b", "price": 3, "deep": {"er": 1}},
    {"kind": "a"},
]


@pytest.fixture
def filled(index: Index) -> Index:
    index.upsert(
        [
            Record(
                id=f"{9 - n}",
                content=f"{n % 3} text",
                vector=[1, n, 0, 0],
                metadata=metadata,
                payload=b"p",
            )
            for n, metadata in enumerate(ROWS)
        ]
    )
    return index


def ids(records: list[Record]) -> str:
    return "".join(record.id for record in records)


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        (None, "987654"),
        ((), "987654"),
        ("price", "689574"),
        (OrderBy("price", descending=True), "795864"),
        (["kind", "price"], "874956"),
        (["kind", OrderBy("price", descending=True)], "784956"),
        ([OrderBy("kind", descending=True), F("price")], "958746"),
        (F.id, "456789"),
        (OrderBy(F.id, descending=True), "987654"),
        ([F.content, F.id], "695847"),
        ("deep.er", "598764"),
        ("at", "798654"),
        ("nothing", "987654"),
    ],
)
def test_any_keys_order_records(filled: Index, order_by: Any, expected: str) -> None:
    assert ids(filled.query(FilterQuery(order_by=order_by))) == expected
    assert ids(list(filled.iterate(FilterQuery(order_by=order_by)))) == expected
    window = FilterQuery(order_by=order_by, offset=1, limit=3)
    assert ids(filled.query(window)) == expected[1:4]
    assert ids(list(filled.iterate(window))) == expected[1:4]


def test_descending_alone_is_newest_first_and_with_a_key_that_key_reversed(filled: Index) -> None:
    assert ids(filled.query(FilterQuery(descending=True))) == "456789"
    assert ids(filled.query(FilterQuery(order_by="price", descending=True))) == "795864"
    assert ids(filled.select(order_by=["kind", "price"], limit=2)) == "87"


values = st.none() | st.integers(-3, 3) | st.booleans() | st.sampled_from(["a", "b"])


@given(st.lists(st.tuples(values, values)), st.booleans(), st.booleans())
def test_several_keys_sort_as_python_does_one_after_the_other(
    pairs: list[tuple[Any, Any]], first_down: bool, second_down: bool
) -> None:
    rows = [Row(str(n), {"metadata": dump({"x": x, "y": y}, "")}) for n, (x, y) in enumerate(pairs)]

    def key(value: Any) -> tuple[int, Any]:
        return (0 if isinstance(value, bool) else 3 if isinstance(value, str) else 1, value)

    expected = list(range(len(pairs)))
    for position, down in ((1, second_down), (0, first_down)):
        there = [n for n in expected if pairs[n][position] is not None]
        column = {n: key(pairs[n][position]) for n in there}
        there.sort(key=column.__getitem__, reverse=down)
        expected = there + [n for n in expected if pairs[n][position] is None]
    found = sort_rows(rows, [OrderBy("x", first_down), OrderBy("y", second_down)])
    assert [row.id for row in found] == [str(n) for n in expected]


@pytest.mark.parametrize("content", [True, False])
@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("more", [True, False])
def test_only_the_requested_parts_are_fetched(
    filled: Index, content: bool, metadata: bool, more: bool
) -> None:
    parts: Any = {
        "with_content": content,
        "with_metadata": metadata,
        "with_vectors": more,
        "with_payloads": more,
    }
    here: Any = {"vector": [1, 0, 0, 0], "k": 1}
    for residual in (None, F("kind").has_text("b")):
        (hit,) = filled.query(VectorQuery(**here, **parts, filter=residual))
        (record,) = filled.query(FilterQuery(**parts, filter=residual, limit=1))
        for found in (hit.record, record):
            assert (found.content != "") == content
            assert bool(found.metadata) == metadata
            assert (found.vector is not None) == more
            assert found.payload == (b"p" if more else None)


def test_iterating_fetches_pages_on_demand(
    index: Index, commands: CommandLog, engine_name: str
) -> None:
    index.upsert(Record(id=f"r{n:05}", metadata={"n": n}) for n in range(3_500))
    every = [f"r{n:05}" for n in range(3_500)]
    index.count()
    commands.clear()
    records = index.iterate()
    assert commands.round_trips == []
    assert next(records).id == "r00000"
    begun = len(commands.round_trips)
    # On Valkey-Search, two or three of them find the range of the first page.
    assert begun <= (5 if engine_name == "native" else 8)
    assert ["r00000", *(record.id for record in records)] == every
    assert len(commands.round_trips) > begun
    half = FilterQuery(filter=F("n") >= 1_700, offset=10, limit=1_500)
    assert [record.id for record in index.iterate(half)] == every[1_710:3_210]
    backwards = FilterQuery(order_by=OrderBy("n", descending=True))
    assert [record.id for record in index.iterate(backwards)] == every[::-1]


async def test_iterating_awaited(filled: Index) -> None:
    assert [record.id async for record in filled.aiterate()] == list("987654")
    ordered = FilterQuery(order_by="price", filter=F("kind").exists())
    assert [record.id async for record in filled.aiterate(ordered)] == list("89574")


def test_an_index_dropped_meanwhile_ends_iterating_with_an_error(
    index: Index,
    open_index: Callable[..., Index],
    monkeypatch: pytest.MonkeyPatch,
    engine_name: str,
) -> None:
    monkeypatch.setattr("valkey_vector.engines.search.reading._FIRST_PAGE", 10)
    index.upsert(Record(id=f"r{n}") for n in range(100))
    records = index.iterate()
    next(records)
    open_index().drop(documents=False)
    open_index().create()
    if engine_name == "native":
        assert len(list(records)) == 99  # it had all ids, and the documents stayed
        return
    with pytest.raises(IndexNotFoundError, match="during the iteration"):
        list(records)


def test_an_index_that_is_not_there_has_nothing_to_go_through(index: Index) -> None:
    assert list(index.iterate()) == []
    assert index.query(FilterQuery()) == []
    assert index.query(CountQuery()) == 0


async def test_queries_awaited(filled: Index) -> None:
    assert ids(await filled.aquery(FilterQuery(order_by="price", limit=2))) == "68"
    assert await filled.aquery(CountQuery(filter=F("kind") == "a")) == 3
    (hit,) = await filled.aquery(VectorQuery(vector=[1, 0, 0, 0], k=1))
    assert hit.record.id == "9"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"order_by": 3}, "order_by"),
        ({"order_by": [None]}, "order_by"),
        ({"order_by": ["a", "b"], "descending": True}, "descending"),
        ({"limit": -1}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": True}, "offset"),
        ({"with_content": None}, "with_content"),
        ({"filter": 7}, "filter"),
    ],
)
def test_an_invalid_query_is_refused_when_it_is_created(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        FilterQuery(**settings)


def test_only_a_filter_query_can_be_iterated(index: Index) -> None:
    with pytest.raises(InvalidInputError, match="FilterQuery"):
        index.iterate(CountQuery())  # type: ignore[arg-type]
