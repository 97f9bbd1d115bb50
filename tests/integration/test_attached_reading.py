"""Attached indexes: order, offset, chosen fields, vectors, aggregates and facets of documents of another program."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from attached_indexes import numbers, packed, write_hashes
from round_trips import CommandLog
from servers import Server
from valkey_vector import (
    AttachedIndex,
    Connection,
    F,
    FilterError,
    FilterQuery,
    Index,
    IndexDefinition,
    InvalidInputError,
    NumericAttribute,
    OrderBy,
    TagAttribute,
    TextAttribute,
    VectorAttribute,
    create_index,
)
from valkey_vector.attached.attributes import Attribute
from valkey_vector.query import AggregateQuery, Count, CountDistinct, FirstValue, Item, Maximum, Sum

BIG = 2**53

ROWS: list[dict[str, Any]] = [
    {"v": (0, 0), "colour": "red, Blue", "price": "5.50", "title": "fox", "note": "b"},
    {"v": (1, 0), "colour": "RED", "price": "1e2", "title": "Dog", "note": "a"},
    {"v": (2, 0), "colour": "green", "price": f"{BIG + 1}", "body": "x" * 4_000},
    {"v": (3, 0), "price": f"{BIG}", "title": "ant"},
    {"v": (4, 0), "colour": "blue", "title": "cat", "note": "a"},
    {"v": (5, 0), "colour": "red", "price": "16", "title": "eel"},
    {"v": (6, 0), "colour": "blue", "price": "-inf"},
]  # fmt: skip


@pytest.fixture
def connection(search_server: Server) -> Iterator[Connection]:
    with Connection.open(search_server.url) as opened:
        yield opened


@pytest.fixture
def shop(connection: Connection, index_name: str) -> AttachedIndex:
    definition = IndexDefinition(
        name=f"{index_name}-shop",
        prefixes=(f"{index_name}:",),
        attributes=(
            VectorAttribute("v", dimension=2, metric="L2"),  # type: ignore[arg-type]
            TagAttribute("colour", "color"),
            NumericAttribute("price"),
            TextAttribute("title"),
        ),
    )
    create_index(connection, definition)
    rows = [{**row, "v": packed(*row["v"])} for row in ROWS]
    write_hashes(connection, {f"{index_name}:{number}": row for number, row in enumerate(rows)})
    return Index.attach(definition.name, connection=connection)


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("price", [6, 0, 5, 1, 3, 2, 4]),
        (OrderBy("price", descending=True), [2, 3, 1, 5, 0, 6, 4]),
        ("title", [1, 3, 4, 5, 0, 2, 6]),
        (F("color"), [4, 6, 2, 1, 5, 0, 3]),
        ("note", [1, 4, 0, 2, 3, 5, 6]),
        (["note", OrderBy("price", descending=True)], [1, 4, 0, 2, 3, 5, 6]),
        (["note", OrderBy(F.id, descending=True)], [4, 1, 0, 6, 5, 3, 2]),
        (F.id, [0, 1, 2, 3, 4, 5, 6]),
        (None, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_documents_are_ordered_by_attributes_stored_fields_and_keys(
    shop: AttachedIndex, order: Any, found: list[int]
) -> None:
    assert numbers(shop.select(order_by=order)) == found
    for offset in (0, 2, 6, 9):
        for limit in (0, 1, 3, 20):
            part = shop.select(order_by=order, offset=offset, limit=limit)
            assert numbers(part) == found[offset : offset + limit], (offset, limit)
    assert numbers(shop.select(order_by=order, offset=3)) == found[3:]
    some = shop.select(F("color") != "red", order_by=order, offset=1, limit=2)
    assert numbers(some) == [n for n in found if n not in (0, 1, 5)][1:3]


def test_a_descending_order_is_the_reverse_and_missing_values_stay_last(
    shop: AttachedIndex,
) -> None:
    assert numbers(shop.select(descending=True, limit=3)) == [6, 5, 4]
    assert numbers(shop.select(descending=True, offset=5)) == [1, 0]
    assert numbers(shop.select(order_by="price", descending=True)) == [2, 3, 1, 5, 0, 6, 4]
    assert numbers(shop.select(order_by=F.id, descending=True, limit=2)) == [6, 5]


def test_a_search_skips_the_nearest_documents(shop: AttachedIndex) -> None:
    assert numbers(shop.search([0, 0], k=3, offset=2)) == [2, 3, 4]
    assert numbers(shop.search([0, 0], k=3, offset=6)) == [6]
    assert shop.search([0, 0], k=3, offset=7) == []
    assert numbers(shop.search([0, 0], k=1, offset=1, filter=F("color") == "red")) == [1]


def test_a_search_returns_only_what_is_near_enough(shop: AttachedIndex) -> None:
    assert numbers(shop.search([0, 0], k=9, max_distance=4)) == [0, 1, 2]
    assert numbers(shop.search([0, 0], k=2, max_distance=4)) == [0, 1]
    assert numbers(shop.search([0, 0], k=9, min_similarity=0.5)) == [0, 1]
    assert numbers(shop.search([0, 0], k=9, max_distance=4, offset=2)) == [2]
    assert shop.search([0.5, 0], k=9, max_distance=0.1) == []
    with pytest.raises(InvalidInputError, match="only one of them"):
        shop.search([0, 0], max_distance=1, min_similarity=1)
    with pytest.raises(InvalidInputError, match="max_distance must be a finite number"):
        shop.search([0, 0], max_distance=math.nan)


async def test_documents_are_iterated_over_in_pages(
    shop: AttachedIndex, commands: CommandLog, index_name: str
) -> None:
    more = [f"{index_name}:more{number:04}" for number in range(1_200)]
    shop.connection.pipeline([["HSET", key, "price", "7", "note", "m"] for key in more])
    commands.clear()
    found = shop.iterate(F("price") == 7, fields=["note"])
    assert [next(found).key for _ in range(3)] == more[:3]
    assert sum(name == "HMGET" for name in commands.names()) == 500
    assert [each.key for each in found] == more[3:]
    assert [each async for each in shop.aiterate(fields=["note"])] == shop.select(fields=["note"])
    with pytest.raises(FilterError):
        shop.iterate(F("note") == "m")


def test_only_the_chosen_fields_are_fetched_and_returned(
    shop: AttachedIndex, commands: CommandLog
) -> None:
    commands.clear()
    (found,) = shop.select((F("price") > 10) & (F("color") == "green"), fields=["title", "note"])
    assert (found.fields, found.values, found.vectors) == ({}, {}, {})
    hits = shop.search([0, 0], k=3, fields=["note", "colour", "nothing"])
    assert [dict(hit.document.fields) for hit in hits] == [
        {"note": b"b", "colour": b"red, Blue"},
        {"note": b"a", "colour": b"RED"},
        {"colour": b"green"},
    ]
    assert hits[0].document.values == {"color": ["red", "blue"]}
    (hidden,) = shop.search([0, 0], k=1, filter=F("price") < 6, fields=[])
    assert (hidden.document.fields, hidden.document.values) == ({}, {})
    shop.select(order_by="price", fields=["note"], limit=2)
    shop.count(F("title") == "fox")
    shop.get([f"{shop.name.removesuffix('-shop')}:2"], fields=["note"])
    assert "HGETALL" not in commands.names()
    asked = {word for trip in commands.round_trips for c in trip if c[0] == b"HMGET" for word in c}
    assert b"v" not in asked
    assert b"body" not in asked


def test_fewer_fields_are_fewer_bytes(shop: AttachedIndex, commands: CommandLog) -> None:
    def received(**settings: Any) -> int:
        commands.clear()
        shop.select(**settings)
        keys = [c for trip in commands.round_trips for c in trip if c[0] in (b"HMGET", b"HGETALL")]
        replies = [shop.connection.execute(*command) for command in keys]
        return sum(len(str(reply)) for reply in replies)

    assert received(fields=["note"]) * 10 < received()
    # Of the documents outside the range, only the sort key is read.
    assert received(order_by="title", limit=1) * 10 < received(order_by="title")


def test_vectors_are_returned_as_numbers_on_request(shop: AttachedIndex) -> None:
    (document,) = shop.select(F("price") == 100, fields=[], with_vectors=True)
    assert (document.fields, document.vectors) == ({}, {"v": [1.0, 0.0]})
    (hit,) = shop.search([3, 0], k=1, with_vectors=True)
    assert hit.document.vectors == {"v": [3.0, 0.0]}
    assert hit.document.fields["v"] == packed(3, 0)
    assert shop.select(limit=1)[0].vectors == {}
    shop.connection.execute("HSET", document.key, "v", b"too short")
    assert shop.get([document.key], with_vectors=True)[0].vectors == {}  # type: ignore[union-attr]


def test_a_document_that_was_removed_is_not_returned_even_without_fields(
    shop: AttachedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [each.key for each in shop.select(order_by="price")]
    assert [found is not None for found in shop.get([*keys, "nowhere"], fields=[])] == [
        True
    ] * 7 + [False]
    sent = shop.connection.pipeline
    removed: list[str] = []

    def removing(commands: Any, **settings: Any) -> Any:
        """Remove the first documents of the order once it is known, before they are fetched."""
        if not removed and commands[0][0] == "HMGET" and b"note" in commands[0]:
            removed.extend(keys[:2])
            shop.connection.execute("DEL", *removed)
        return sent(commands, **settings)

    monkeypatch.setattr(shop.connection, "pipeline", removing)
    found = shop.select(order_by="price", limit=3, fields=["note"])
    assert [each.key for each in found] == keys[2:5]


def test_the_server_sorts_many_documents_by_a_number(
    connection: Connection, index_name: str, commands: CommandLog
) -> None:
    definition = IndexDefinition(
        name=f"{index_name}-many",
        prefixes=(f"{index_name}:m:",),
        attributes=(NumericAttribute("n"), TagAttribute("t")),
    )
    create_index(connection, definition)
    values = {
        f"{index_name}:m:{i:04}": (str(i * 7919 % 997), "even" if i % 2 == 0 else "odd*")
        for i in range(1_500)
    }
    connection.pipeline([["HSET", key, "n", n, "t", t] for key, (n, t) in values.items()])
    texts = {"x": "abc", "y": "nan", "z": "0x1", "w": " 1 "}
    connection.pipeline(
        [["HSET", f"{index_name}:m:{key}", "n", n, "t", "even"] for key, n in texts.items()]
    )
    index = Index.attach(definition.name, connection=connection)
    known = {key: float(n) for key, (n, _) in values.items()}
    # RediSearch leaves out a document whose number it does not read; Valkey-Search only the number.
    there = {each.key for each in index.select(fields=[])}
    known |= {key: 1.0 for key in (f"{index_name}:m:z", f"{index_name}:m:w") if key in there}
    without = [key for key in (f"{index_name}:m:x", f"{index_name}:m:y") if key in there]
    for descending in (False, True):
        expected = sorted(known, key=lambda key: (-known[key] if descending else known[key], key))
        for offset, limit in ((0, 5), (3, 40), (0, 1)):
            commands.clear()
            found = index.select(
                order_by="n", descending=descending, offset=offset, limit=limit, fields=["n"]
            )
            assert [each.key for each in found] == expected[offset : offset + limit]
            fetched = sum(name == "HMGET" for name in commands.names())
            assert fetched <= 3 * (offset + limit + 4), "not every document is read"
            assert any(b"SORTBY" in trip[0] for trip in commands.round_trips)
    # A tag that a query cannot select exactly: every document is read, and the result is the same.
    odd = [
        key
        for key in sorted(known, key=lambda key: (known[key], key))
        if values.get(key, ("", ""))[1] == "odd*"
    ]
    found = index.select(F("t") == "odd*", order_by="n", limit=4)
    assert [each.key for each in found] == odd[:4]
    even = [key for key in sorted(known, key=lambda key: (known[key], key)) if key not in odd]
    found = index.select(F("t") == "even", order_by="n", limit=9)
    assert [each.key for each in found] == even[:9]
    # All documents, so that those without a number follow.
    whole = index.select(order_by="n", limit=1_000, offset=700)
    ordered = sorted(known, key=lambda key: (known[key], key)) + without
    assert [each.key for each in whole] == ordered[700:]


def test_an_order_with_a_limit_holds_few_documents(connection: Connection, index_name: str) -> None:
    definition = IndexDefinition(
        name=f"{index_name}-large", prefixes=(f"{index_name}:l:",), attributes=(TagAttribute("t"),)
    )
    create_index(connection, definition)
    texts = {f"{index_name}:l:{n:04}": f"{n * 7919 % 9_001:04}" + "x" * 3_000 for n in range(9_000)}
    keys = list(texts)
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        connection.pipeline([["HSET", key, "t", "a", "long", texts[key]] for key in part])
    index = Index.attach(definition.name, connection=connection)
    index.count()
    tracemalloc.start()
    found = index.select(order_by="long", limit=10, fields=["t"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [each.key for each in found] == sorted(keys, key=texts.__getitem__)[:10]
    assert peak < sum(map(len, texts.values())) / 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"order_by": "v"}, "'v' is a vector attribute"),
        ({"order_by": F.content}, "no content: order by an attribute"),
        ({"order_by": 5}, "order_by"),
        ({"offset": -1}, "offset"),
        ({"limit": True}, "limit"),
        ({"order_by": ["price", "title"], "descending": True}, "several keys"),
        ({"fields": "title"}, "fields must be a list"),
        ({"fields": [""]}, "name of a field must be non-empty text"),
        ({"fields": [5]}, "name of a field must be non-empty text"),
        ({"with_vectors": 1}, "with_vectors must be True or False"),
    ],
)
def test_invalid_ranges_and_fields_are_refused(
    shop: AttachedIndex, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        shop.select(**settings)


async def test_filters_or_a_whole_query_in_place_of_filter_is_refused_with_the_cure(
    shop: AttachedIndex,
) -> None:
    misspelled: Any = {"filters": {"color": "red"}}
    query: Any = FilterQuery(limit=1)
    for read in (shop.select, shop.count, shop.iterate, shop.aiterate):
        with pytest.raises(TypeError, match=r"takes filter=, a dict or an expression"):
            read(**misspelled)
    for read in (shop.select, shop.count, shop.iterate):
        with pytest.raises(FilterError, match="parts of the query as keywords"):
            read(query)
    with pytest.raises(TypeError, match=r"takes filter=, a dict or an expression"):
        await shop.aselect(**misspelled)
    with pytest.raises(TypeError, match=r"takes filter=, a dict or an expression"):
        shop.search([0, 0], **misspelled)
    with pytest.raises(TypeError, match=r"takes filter=, a dict or an expression"):
        shop.facets(["color"], **misspelled)


def test_documents_are_grouped_by_tags_numbers_and_stored_fields(shop: AttachedIndex) -> None:
    by_color = AggregateQuery().group_by("color", n=Count(), most=Maximum("price"))
    assert shop.aggregate(by_color) == [
        {"color": "blue", "n": 2, "most": -math.inf},
        {"color": "green", "n": 1, "most": BIG + 1},
        {"color": "red", "n": 2, "most": 100},
        {"color": ["red", "blue"], "n": 1, "most": 5.5},
        {"color": None, "n": 1, "most": BIG},
    ]
    each_tag = AggregateQuery().unwind("color").group_by("color", n=Count())
    assert [(row["color"], row["n"]) for row in shop.aggregate(each_tag)] == [
        ("blue", 3), ("green", 1), ("red", 3), (None, 1),
    ]  # fmt: skip
    stored = AggregateQuery(F("price").exists()).group_by(
        "note",
        titles=CountDistinct("title"),
        first=FirstValue("title", by="price"),
        of=Sum("price"),
    )
    assert shop.aggregate(stored) == [
        {"note": "a", "titles": 1, "first": "Dog", "of": 100},
        {"note": "b", "titles": 1, "first": "fox", "of": 5.5},
        {"note": None, "titles": 2, "first": None, "of": -math.inf},
    ]
    computed = (
        AggregateQuery(F("color") == "red")
        .apply(double=Item("price") * 2)
        .where((F("color") == "BLUE") | (F("double") > 100))
        .sort_by("double", descending=True)
        .limit(5)
    )
    assert shop.aggregate(computed) == [
        {"color": "red", "price": 100, "title": "Dog", "double": 200},
        {"color": ["red", "blue"], "price": 5.5, "title": "fox", "double": 11},
    ]
    assert shop.aggregate(AggregateQuery(words_of := F("price") < 0).group_by(n=Count())) == [
        {"n": 1}
    ]
    assert shop.aggregate(AggregateQuery(words_of & (F("price") > 0)).group_by(n=Count())) == [
        {"n": 0}
    ]
    assert shop.aggregate(AggregateQuery().group_by(n=Count()), words={"title": "dogs"}) == [
        {"n": 1}
    ]
    by_key = AggregateQuery().where(F("note") == "a").where(~(F("color") == "blue"))
    assert [row["title"] for row in shop.aggregate(by_key)] == ["Dog"]


def test_an_aggregate_fetches_only_the_fields_that_it_uses(
    shop: AttachedIndex, commands: CommandLog
) -> None:
    commands.clear()
    query = AggregateQuery(F("color") != "green").apply(p=Item("price") + 1)
    shop.aggregate(query.group_by("note", total=Sum("p")).where(F("total") > 1))
    shop.facets(["note"])
    asked = [c[2:] for trip in commands.round_trips for c in trip if c[0] == b"HMGET"]
    assert {tuple(sorted(fields)) for fields in asked} == {
        (b"colour", b"note", b"price"),
        (b"note",),
    }
    assert "HGETALL" not in commands.names()


def test_facets_count_each_tag_of_a_document(shop: AttachedIndex) -> None:
    facets = shop.facets(["color", "note"], filter=F("price") > 0)
    color, note = facets["color"], facets["note"]
    assert [(each.value, each.count) for each in color.values] == [
        ("red", 3), ("blue", 1), ("green", 1),
    ]  # fmt: skip
    assert (color.distinct, color.missing, note.missing) == (3, 1, 3)
    few = shop.facets(["color"], words={"title": "foxes"}, limit=1)["color"]
    assert [(each.value, each.count) for each in few.values] == [("blue", 1)]
    assert few.distinct == 2


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (AggregateQuery(F("note") == "a"), FilterError),
        (AggregateQuery().group_by("v", n=Count()), InvalidInputError),
        (AggregateQuery().where(F.content == "x"), InvalidInputError),
        (AggregateQuery().apply(x=Item("price") + 1).where(F("color") < "red"), FilterError),
        ("price", InvalidInputError),
    ],
)
def test_an_aggregate_that_the_index_cannot_mean_is_an_error(
    shop: AttachedIndex, query: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        shop.aggregate(query)
    with pytest.raises(InvalidInputError):
        shop.facets(["v"])
    with pytest.raises(InvalidInputError, match="list of metadata keys"):
        shop.facets("color")


async def test_the_async_versions_aggregate_and_order_the_same(shop: AttachedIndex) -> None:
    query = AggregateQuery().group_by("color", n=Count())
    assert await shop.aaggregate(query) == shop.aggregate(query)
    assert await shop.afacets(["color"]) == shop.facets(["color"])
    settings: dict[str, Any] = {"offset": 1, "fields": ["note"], "with_vectors": True}
    assert await shop.aselect(order_by="price", **settings) == shop.select(
        order_by="price", **settings
    )
    assert await shop.asearch([0, 0], **settings) == shop.search([0, 0], **settings)


def attached_json(
    connection: Connection, name: str, attributes: tuple[Attribute, ...], rows: Sequence[Any]
) -> AttachedIndex:
    """An index of JSON documents, which are written after it."""
    definition = IndexDefinition(
        name=f"{name}-json", on="json", prefixes=(f"{name}:",), attributes=attributes
    )
    create_index(connection, definition)
    for number, row in enumerate(rows):
        connection.execute("JSON.SET", f"{name}:{number}", "$", json.dumps(row))
    return Index.attach(definition.name, connection=connection)


@pytest.fixture
def notes(json_connection: Connection, index_name: str) -> AttachedIndex:
    rows: list[Any] = [
        {"v": [1, 0], "t": "b", "n": 2, "deep": {"c": "x", "a b": 7}, "list": [3, 1], "k": True},
        {"v": [0, 1], "t": "a", "n": 10**20, "deep": {"c": None}, "k": 5},
        {"v": [1, 1], "n": 1.5, "k": "text", "list": []},
    ]
    attributes = (
        VectorAttribute("$.v", "v", dimension=2),
        TagAttribute("$.t", "t"),
        NumericAttribute("$.n", "n"),
    )
    return attached_json(json_connection, index_name, attributes, rows)


def test_items_and_paths_of_json_documents_are_chosen(
    notes: AttachedIndex, commands: CommandLog
) -> None:
    commands.clear()
    fields = ["t", "deep.c", "deep.a b", "$.list[*]", "$.list", "none"]
    found = notes.select(fields=fields)
    assert [each.fields for each in found] == [
        {"t": "b", "deep.c": "x", "deep.a b": 7, "$.list[*]": [3, 1], "$.list": [3, 1]},
        {"t": "a", "deep.c": None},
        {"$.list": []},
    ]
    assert [each.values for each in found] == [{"t": ["b"]}, {"t": ["a"]}, {}]
    (hit,) = notes.search([1, 0], k=1, fields=[], with_vectors=True)
    assert (hit.document.fields, hit.document.vectors) == ({}, {"v": [1.0, 0.0]})
    assert notes.select(F("n") > 5, fields=["k"])[0].fields == {"k": 5}
    assert [each.fields for each in notes.get([found[2].key, "x"], fields=["$.n"]) if each] == [
        {"$.n": 1.5}
    ]
    whole = [c for trip in commands.round_trips for c in trip if c[0] == b"JSON.GET" and b"$" in c]
    assert whole == []
    with pytest.raises(InvalidInputError, match="cannot be written in a JSON path"):
        notes.select(fields=["a'\"b"])


def test_json_documents_are_ordered_and_grouped(notes: AttachedIndex) -> None:
    assert numbers(notes.select(order_by="n")) == [2, 0, 1]
    assert numbers(notes.select(order_by="t", limit=2)) == [1, 0]
    assert numbers(notes.select(order_by="k")) == [0, 1, 2], "booleans, numbers, texts"
    assert numbers(notes.select(order_by="deep.c", offset=1)) == [1, 2]
    query = AggregateQuery().group_by("k", n=Sum("n"))
    assert notes.aggregate(query) == [
        {"k": True, "n": 2},
        {"k": 5, "n": 10**20},
        {"k": "text", "n": 1.5},
    ]
    facet = notes.facets(["list"])["list"]
    assert [(each.value, each.count) for each in facet.values] == [(1, 1), (3, 1)]
    assert facet.missing == 1


def test_json_lists_of_numbers_follow_the_numbers_in_an_order(
    json_connection: Connection, index_name: str
) -> None:
    attributes = (NumericAttribute("$.n", "n"), TagAttribute("$.t", "t"))
    rows = [{"n": n, "t": "x"} for n in ([1, 5], 3, 2)]
    index = attached_json(json_connection, index_name, attributes, rows)
    for limit in (1, 2, None):
        assert numbers(index.select(order_by="n", limit=limit)) == [2, 1, 0][:limit]


def test_conditions_on_several_numbers_of_a_json_path_match_one_of_them(
    json_connection: Connection, index_name: str
) -> None:
    attributes = (NumericAttribute("$.prices[*]", "price"), TagAttribute("$.t", "t"))
    rows = [{"prices": prices, "t": "x"} for prices in ([1, 5], [7], [], [6, 8, 2])]
    index = attached_json(json_connection, index_name, attributes, rows)
    for filter, found in (
        (F("price") == 5, [0]),
        (F("price") != 5, [1, 2, 3]),
        (F("price").in_([7, 8]), [1, 3]),
        (F("price") > 6, [1, 3]),
        (~(F("price") > 6), [0, 2]),
        (F("price").exists(), [0, 1, 3]),
    ):
        assert numbers(index.select(filter)) == found
        assert index.count(filter) == len(found)
        query = AggregateQuery().apply(n=1).where(filter).group_by(n=Count())
        assert index.aggregate(query) == [{"n": len(found)}]
    assert [each.values.get("price") for each in index.select()] == [[1, 5], 7, None, [6, 8, 2]]
    assert numbers(index.select(order_by="price", limit=3)) == [1, 0, 3], "lists have no order"
    each_price = AggregateQuery().unwind("price").group_by(total=Sum("price"))
    assert index.aggregate(each_price) == [{"total": 29}]
