"""Aggregates and facets of an index: which road they take, and that either is exact."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from round_trips import CommandLog
from valkey_vector import F, Facet, FacetValue, Index, InvalidInputError, Record, SearchModule
from valkey_vector.query import AggregateQuery, Average, Call, Count, Item, Sum

BOOKS: list[dict[str, Any]] = [
    {"genre": "novel", "year": 1999, "price": 8.5, "tags": ["a", "b"], "used": True},
    {"genre": "novel", "year": 2001, "price": 10, "tags": ["b", "b"], "used": False},
    {"genre": "poems", "year": 2001.0, "price": 5, "tags": [], "used": True},
    {"genre": "=>[KNN 9 @vector $v]", "year": 2005, "tags": "b"},
    {"genre": "acme*", "price": 3, "used": True},
    {"genre": None, "year": 1999},
]
COUNTED = AggregateQuery().group_by("genre", n=Count())


@pytest.fixture
def books(open_index: Callable[..., Index]) -> Index:
    index = open_index(schema={"dimension": 4, "fields": {"genre": "tag"}}, dimension=None)
    index.upsert(
        [Record(id=str(n), content=f"book {n}", metadata=book) for n, book in enumerate(BOOKS)]
    )
    index.count()  # the first search compares clocks
    return index


def counts(facet: Facet) -> list[tuple[Any, int]]:
    return [(each.value, each.count) for each in facet.values]


def test_facets_of_several_keys_come_in_one_call(books: Index) -> None:
    found = books.facets(["genre", "year", "tags", "used", "nowhere"])
    assert counts(found["genre"]) == [
        ("novel", 2), ("=>[KNN 9 @vector $v]", 1), ("acme*", 1), ("poems", 1),
    ]  # fmt: skip
    assert (found["genre"].missing, found["genre"].distinct) == (1, 4)
    assert counts(found["year"]) == [(1999, 2), (2001, 2), (2005, 1)]
    assert all(type(each.value) is int for each in found["year"].values)
    assert counts(found["tags"]) == [("b", 3), ("a", 1)]
    assert found["tags"].missing == 2
    assert found["used"].values == (FacetValue(True, 3), FacetValue(False, 1))
    assert found["nowhere"] == Facet("nowhere", (), 0, 6)


def test_facets_are_of_the_records_that_match_and_as_many_as_asked_for(books: Index) -> None:
    found = books.facets(["genre", "year"], filter=F("price") > 4, limit=1)
    assert found["genre"] == Facet("genre", (FacetValue("novel", 2),), 2, 0)
    assert found["year"] == Facet("year", (FacetValue(2001, 2),), 2, 0)
    none = books.facets(["genre"], filter={"genre": {"$in": []}})
    assert none == {"genre": Facet("genre", (), 0, 0)}
    patterned = books.facets(["genre"], filter=F("genre").like("_o%"))  # checked on the records
    assert counts(patterned["genre"]) == [("novel", 2), ("poems", 1)]
    by_id = books.facets(["genre"], filter=F.id.in_(["1", "2", "9"]))
    assert counts(by_id["genre"]) == [("novel", 1), ("poems", 1)]


def test_a_search_module_counts_values_without_a_record_leaving_it(
    books: Index, commands: CommandLog, engine_name: str
) -> None:
    books.facets(["genre", "year"], filter=F("price") > 4)
    if engine_name == "native":
        return
    names = [{command[0] for command in trip} for trip in commands.round_trips]
    # The signs of a change are read with the sample.
    assert [b"FT.AGGREGATE" in each for each in names] == [True, False]
    # On one node of Valkey-Search, the signs are read again after the counts.
    assert names[1] - {b"EXISTS", b"HMGET"} == {b"FT.SEARCH"}
    others = [each for each in commands.round_trips[1] if each[0] != b"FT.SEARCH"]
    assert {each[1] for each in others} <= {
        f"{{{books.name}}}:{part}".encode() for part in ("index", "locks")
    }
    assert all(b"RETURN" not in command for trip in commands.round_trips for command in trip)
    commands.clear()
    assert books.aggregate(COUNTED)[-1] == {"genre": None, "n": 1}
    assert len(commands.round_trips) == 2
    commands.clear()
    assert books.aggregate(AggregateQuery().group_by(n=Count())) == [{"n": 6}]
    assert len(commands.round_trips) == 1


@pytest.mark.parametrize(
    "value", [["novel"], date(2024, 1, 31), 7, 2**53 + 1, float("nan"), {"a": 1}]
)
def test_what_the_server_cannot_tell_apart_is_counted_on_the_records(
    books: Index, value: Any, commands: CommandLog, engine_name: str
) -> None:
    key = "genre" if isinstance(value, list) else "year"
    books.upsert(
        [Record(id="odd", metadata={key: value, "genre": value if key == "genre" else "x"})]
    )
    commands.clear()
    rows = books.aggregate(AggregateQuery().group_by(key, n=Count()))
    told = any(
        b"RETURN" not in c for trip in commands.round_trips for c in trip if c[0] == b"FT.SEARCH"
    )
    assert told or engine_name == "native"
    odd = [row for row in rows if repr(row[key]) == repr(value)]
    assert odd == [
        {key: pytest.approx(value, nan_ok=True) if isinstance(value, float) else value, "n": 1}
    ]
    assert sum(row["n"] for row in rows) == 7
    facet = books.facets([key])[key]
    assert facet.missing == 1
    assert sum(each.count for each in facet.values) == 6


def test_more_different_values_than_the_server_is_asked_for_are_counted_all(
    open_index: Callable[..., Index],
) -> None:
    index = open_index()
    index.upsert([Record(id=str(n), metadata={"n": n // 2}) for n in range(1_300)])
    rows = index.aggregate(AggregateQuery().group_by("n", c=Count()))
    assert rows == [{"n": n, "c": 2} for n in range(650)]
    facet = index.facets(["n"], limit=3)["n"]
    assert counts(facet) == [(0, 2), (1, 2), (2, 2)]
    assert facet.distinct == 650


def test_records_are_gone_through_in_pages_to_the_last(
    open_index: Callable[..., Index], commands: CommandLog
) -> None:
    index = open_index()
    index.upsert([Record(id=str(n), metadata={"n": n, "even": n % 2 == 0}) for n in range(2_500)])
    commands.clear()
    rows = index.aggregate(
        AggregateQuery().group_by("even", total=Sum("n"), mean=Average("n"), rows=Count())
    )
    assert rows == [
        {"even": False, "total": 1_562_500, "mean": 1250.0, "rows": 1_250},
        {"even": True, "total": 1_561_250, "mean": 1249.0, "rows": 1_250},
    ]
    assert len(commands.round_trips) >= 3


def test_no_more_pages_are_read_than_a_limit_lets_through(
    open_index: Callable[..., Index], commands: CommandLog, engine_name: str
) -> None:
    index = open_index()
    index.upsert([Record(id=str(n), metadata={"n": n}) for n in range(2_500)])
    index.count()
    commands.clear()
    assert index.aggregate(AggregateQuery().limit(2, 1)) == [{"n": 1}, {"n": 2}]
    if engine_name == "native":
        assert commands.names().count("HMGET") == 100, "one page, a small one"
    elif index.connection.capabilities.module is SearchModule.REDISEARCH:
        assert commands.names() == ["FT.SEARCH"]
    else:
        assert set(commands.names()) == {"FT.SEARCH"}
        assert commands.found <= 2_000, "an unsorted page, and the first one"


def test_filters_at_the_beginning_are_the_servers(
    books: Index, commands: CommandLog, engine_name: str
) -> None:
    query = AggregateQuery(filter=F("year") >= 1999).where(F("year") < 2002)
    assert books.aggregate(query.group_by(n=Count())) == [{"n": 4}]
    assert len(commands.round_trips) == 1
    content = query.where(F.content == "book 1").apply(size=Call.of("length", Item.content()))
    assert [(row["genre"], row["size"]) for row in books.aggregate(content)] == [("novel", 6)]


def test_rows_without_a_group_are_records_oldest_first(books: Index) -> None:
    query = AggregateQuery().apply(id=Item.id(), text=Item.content()).limit(2, 1)
    assert books.aggregate(query) == [
        {**BOOKS[1], "id": "1", "text": "book 1"},
        {**BOOKS[2], "id": "2", "text": "book 2"},
    ]


def test_expired_records_are_not_counted(open_index: Callable[..., Index]) -> None:
    index = open_index(schema={"dimension": 4, "fields": {"genre": "tag"}}, dimension=None)
    index.upsert([Record(id="a", metadata={"genre": "x"}), Record(id="b", metadata={"genre": "y"})])
    index.upsert([Record(id="c", metadata={"genre": "x"})], ttl=0.05)
    time.sleep(0.1)
    assert index.aggregate(COUNTED) == [{"genre": "x", "n": 1}, {"genre": "y", "n": 1}]
    assert counts(index.facets(["genre"])["genre"]) == [("x", 1), ("y", 1)]


def test_an_index_that_is_not_there_has_nothing_to_count(index: Index) -> None:
    assert index.facets(["a"]) == {"a": Facet("a", (), 0, 0)}
    assert index.aggregate(COUNTED) == []
    assert index.aggregate(AggregateQuery().group_by(n=Count(), s=Sum("x"))) == [{"n": 0, "s": 0}]


async def test_the_twins_answer_the_same(books: Index) -> None:
    assert await books.aaggregate(COUNTED) == books.aggregate(COUNTED)
    assert await books.afacets(["year"], filter={"genre": "novel"}) == books.facets(
        ["year"], filter={"genre": "novel"}
    )


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda index: index.facets("genre"), "list of metadata keys"),
        (lambda index: index.facets(None), "list of metadata keys"),
        (lambda index: index.facets([1]), "must be text"),
        (lambda index: index.facets(["a"], limit=-1), "limit"),
        (lambda index: index.facets(["a"], filter={"a": {"$no": 1}}), r"\$no"),
        (lambda index: index.aggregate({"group": "a"}), "takes an AggregateQuery"),
    ],
)
def test_what_is_no_question_is_refused(
    index: Index, ask: Callable[[Index], Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        ask(index)
