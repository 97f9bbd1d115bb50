"""Indexes of other programs: attached, described, listed; searched over hashes and JSON, and never written to."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from attached_indexes import numbers, packed, write_hashes
from round_trips import CommandLog
from servers import Server, start_server
from valkey_vector import (
    AttachedIndex,
    ConfigurationError,
    Connection,
    F,
    FilterError,
    Flat,
    Hnsw,
    Index,
    IndexDefinition,
    IndexMismatchError,
    IndexNotFoundError,
    InvalidInputError,
    ListedIndex,
    Metric,
    NumericAttribute,
    Record,
    RequestTimeoutError,
    Schema,
    TagAttribute,
    TagField,
    TextAttribute,
    UnsupportedFeatureError,
    VectorAttribute,
    acreate_index,
    adescribe_index,
    adrop_index,
    alist_indexes,
    create_index,
    describe_index,
    drop_index,
    list_indexes,
)

WRITES = {
    "HSET", "DEL", "UNLINK", "FT.CREATE", "FT.DROPINDEX", "JSON.SET", "EVAL", "EVALSHA", "SET", "EXPIRE",
}  # fmt: skip


@pytest.fixture
def connection(search_server: Server) -> Iterator[Connection]:
    with Connection.open(search_server.url) as opened:
        yield opened


@pytest.fixture
def shop(connection: Connection, index_name: str) -> AttachedIndex:
    """Hashes under two prefixes, as some other application may have written them."""
    execute = connection.execute
    execute(
        "FT.CREATE", f"{index_name}-shop", "PREFIX", "2", f"{index_name}:p:", f"{index_name}:q:", "SCHEMA",
        "emb", "VECTOR", "HNSW", "6", "TYPE", "FLOAT32", "DIM", "2", "DISTANCE_METRIC", "L2",
        "colour", "AS", "color", "TAG", "price", "NUMERIC", "title", "TEXT",
        "other", "VECTOR", "FLAT", "6", "TYPE", "FLOAT32", "DIM", "3", "DISTANCE_METRIC", "IP",
    )  # fmt: skip
    rows: list[dict[str, Any]] = [
        {"emb": packed(0, 0), "colour": "red, Blue", "price": "5.50", "title": "A red fox", "note": b"\xff"},
        {"emb": packed(1, 0), "colour": "red*", "price": "1e2", "title": "dogs", "vector_distance": "-9"},
        {"emb": packed(2, 0), "colour": "green", "price": "16", "other": packed(1, 0, 0)},
        {"emb": packed(4, 0), "price": "7"},
        {"colour": "blue", "price": "3"},
    ]  # fmt: skip
    keyed = {f"{index_name}:{'pq'[number % 2]}:{number}": row for number, row in enumerate(rows)}
    write_hashes(connection, keyed)
    execute("SET", f"{index_name}:p:text", "not a hash")
    return Index.attach(f"{index_name}-shop", connection=connection)


def test_an_index_describes_its_own_attributes(shop: AttachedIndex, index_name: str) -> None:
    definition = shop.definition
    assert (definition.name, definition.on) == (f"{index_name}-shop", "hash")
    assert definition.prefixes == (f"{index_name}:p:", f"{index_name}:q:")
    told = {(type(each), each.identifier, each.alias) for each in definition.attributes}
    assert told == {
        (VectorAttribute, "emb", None),
        (TagAttribute, "colour", "color"),
        (NumericAttribute, "price", None),
        (TextAttribute, "title", None),
        (VectorAttribute, "other", None),
    }
    embedding = definition.attribute("emb")
    assert isinstance(embedding, VectorAttribute)
    assert (embedding.dimension, embedding.metric, embedding.algorithm) == (2, Metric.L2, "HNSW")
    assert definition.attribute("nothing") is None


def test_a_search_returns_the_raw_fields_and_the_indexed_values(
    shop: AttachedIndex, index_name: str
) -> None:
    first, second = shop.search([0.9, 0], k=2, attribute="emb")
    assert numbers([first, second]) == [1, 0]
    assert second.document.key == f"{index_name}:p:0"
    assert second.document.fields == {
        "emb": packed(0, 0), "colour": b"red, Blue", "price": b"5.50", "title": b"A red fox", "note": b"\xff",
    }  # fmt: skip
    assert second.document.values == {"color": ["red", "blue"], "price": 5.5, "title": "A red fox"}
    assert first.distance == pytest.approx(0.01), "not what a document says of its own distance"
    assert first.similarity == first.score == pytest.approx(1 / 1.1)
    assert numbers(shop.search([0, 0, 1], k=9, attribute="other")) == [2]


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        (F("color") == "red", [0]),
        (F("color") == " RED\n", [0]),
        (F("color") == "red*", [1]),
        (F("color") == "red, blue", []),
        (F("color") == "", []),
        (F("color").in_(["green", "blue"]), [0, 2, 4]),
        (F("color") != "blue", [1, 2, 3]),
        (~F("color").exists(), [3]),
        (F("price") == 5.5, [0]),
        (F("price") == 16, [2]),
        (F("price") > 5.5, [1, 2, 3]),
        (F("price").between(3, 7), [0, 3, 4]),
        (F("price").in_([100, float("nan")]), [1]),
        (F("price") < float("inf"), [0, 1, 2, 3, 4]),
        (F("price") <= 10**400, [0, 1, 2, 3, 4]),
        (F("price") == 10**400, []),
        (F("title") == "A red fox", [0]),
        (F("title").like("%o%"), [0, 1]),
        ((F("title") > "B") | (F("color") == "green"), [1, 2]),
        ((F("color") == "red*") & (F("price") > 99), [1]),
        ({"color": "blue", "price": {"$lt": 5}}, [4]),
        (None, [0, 1, 2, 3, 4]),
    ],
)
def test_filters_on_raw_attributes(shop: AttachedIndex, filter: Any, found: list[int]) -> None:
    selected = shop.select(filter)
    assert sorted(numbers(selected)) == found
    assert [document.key for document in selected] == sorted(document.key for document in selected)
    assert shop.count(filter) == len(found)
    hits = shop.search([0, 0], k=10, attribute="emb", filter=filter)
    assert numbers(hits) == sorted(set(found) - {4}), "nearest first; 4 has no vector"
    assert numbers(shop.search([0, 0], k=1, attribute="emb", filter=filter)) == numbers(hits)[:1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("fox", [0]),
        ("the FOXES", [0]),
        ("dog", [1]),
        ("red dog", []),
        ('fox | @x:{y} -bar "*"', []),
        ("fox*", [0]),
        ("-fox", [0]),
        ("%%fox%%", [0]),
        ("@colour:{red}", []),
        ("the", []),
        ("", []),
        (" \x00\t", []),
        ("日本 fox", []),
        ("fox " * 2_500, [0]),
    ],
)
def test_terms_query_the_servers_own_text_field(
    shop: AttachedIndex, text: str, found: list[int]
) -> None:
    words = {"title": text}
    assert numbers(shop.select(words=words)) == found
    assert shop.count(words=words) == len(found)
    assert numbers(shop.search([0, 0], attribute="emb", words=words)) == found
    assert numbers(shop.select(F("price") < 6, words=words)) == [0] * found.count(0)
    assert numbers(shop.select(F("color") == "red*", words=words)) == [1] * found.count(1)


def test_terms_that_cannot_be_queried_are_an_error(shop: AttachedIndex) -> None:
    with pytest.raises(InvalidInputError, match="no text attribute 'color'; it has title"):
        shop.select(words={"color": "red"})
    with pytest.raises(InvalidInputError, match="at most 100 words"):
        shop.count(words={"title": " ".join(f"w{n}" for n in range(101))})
    wrong: Any = {"title": 5}
    with pytest.raises(InvalidInputError, match="must be text"):
        shop.search([0, 0], attribute="emb", words=wrong)


def test_keys_can_be_filtered_and_are_returned(shop: AttachedIndex, index_name: str) -> None:
    keys = [
        f"{index_name}:p:2",
        f"{index_name}:p:nothing",
        f"{index_name}:p:text",
        f"{index_name}:q:1",
    ]
    found = shop.get(keys)
    assert [document and document.key for document in found] == [keys[0], None, None, keys[3]]
    assert numbers(shop.select(F.id.in_(keys))) == [2, 1]
    assert numbers(shop.select(limit=2)) == [0, 2]
    assert shop.get([]) == []


def test_a_search_takes_two_round_trips_and_writes_nothing(
    shop: AttachedIndex, commands: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.search([0, 0], k=2, attribute="emb", filter=F("price") > 1)
    # The status commands, which a search also sends from time to time, are not due.
    monkeypatch.setattr("valkey_vector.engines.search.support._PERIOD", 60)
    commands.clear()
    shop.search([0, 0], k=2, attribute="emb", filter=F("price") > 1)
    assert [trip[0][0] for trip in commands.round_trips] == [b"FT.SEARCH", b"HGETALL"]
    shop.select(F("title") == "dogs")
    shop.count(F("color") == "x*")
    shop.describe()
    shop.close()
    assert WRITES.isdisjoint(commands.names())
    assert not {"drop", "upsert", "delete", "write"} & set(dir(shop))


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        (
            F("colour") == "red",
            "no attribute 'colour': filter on one of its attributes, color, emb, other, price, title",
        ),
        (F("emb").exists(), "VECTOR attribute"),
        (F("color") < "red", "takes ==, in_, contains and exists, not Compare"),
        (F("color").like("r%"), "not Like"),
        (F("color") == 5, "holds text, not int"),
        (F("price") == "5", "holds numbers, not str"),
        (F("price").in_([True]), "holds numbers, not bool"),
        (F("price").like("5"), "numeric attribute"),
        (F("title").contains("fox"), "text attribute"),
        (F("title") > 5, "holds text, not int"),
        (F.content == "x", "has no content"),
        ((F("price") > 1) & ~(F("nope") == "x"), "'nope'"),
    ],
)
def test_a_filter_the_index_cannot_mean_is_an_error(
    shop: AttachedIndex, filter: Any, message: str
) -> None:
    for ask in (shop.select, shop.count, lambda f: shop.search([0, 0], attribute="emb", filter=f)):
        with pytest.raises(FilterError, match=re.escape(message)):
            ask(filter)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda shop: shop.search([0, 0]), "2 vector attributes .'emb', 'other'.: choose one"),
        (lambda shop: shop.search([0, 0], attribute="price"), "no vector attribute 'price'"),
        (lambda shop: shop.search([0, 0, 0], attribute="emb"), "3 dimensions, the index has 2"),
        (lambda shop: shop.search([0, 0], k=0, attribute="emb"), "k must be"),
        (lambda shop: shop.search([0, 0], ef_runtime=0, attribute="emb"), "ef_runtime"),
        (lambda shop: shop.select(limit=-1), "limit"),
        (lambda shop: shop.get("abc"), "list of ids"),
    ],
)
def test_invalid_arguments_are_refused(
    shop: AttachedIndex, ask: Callable[[AttachedIndex], Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        ask(shop)


def test_more_values_than_a_query_has_room_for_are_still_exact(shop: AttachedIndex) -> None:
    many = [f"colour number {number}" for number in range(2_000)]
    assert numbers(shop.select(F("color").in_([*many, "green"]))) == [2]
    some = F("color").in_([*many, "green", "red"]) & (F("price") > 6)
    assert numbers(shop.search([0, 0], k=3, attribute="emb", filter=some)) == [2]
    prices = F("price").in_([*range(1_000, 3_000), 100])
    assert numbers(shop.select(prices)) == [1]


def test_more_neighbors_than_the_server_returns_are_compared_in_the_client(
    connection: Connection, index_name: str
) -> None:
    definition = IndexDefinition(
        name=f"{index_name}-many",
        prefixes=(f"{index_name}:m:",),
        attributes=(VectorAttribute("v", dimension=2, metric=Metric.L2), TagAttribute("t")),
    )
    connection.pipeline(
        [
            [
                "HSET",
                f"{index_name}:m:{n}",
                "v",
                packed(n, 0),
                "t",
                "even*" if n % 2 == 0 else "odd",
            ]
            for n in range(700)
        ]
    )
    assert create_index(connection, definition)
    index = Index.attach(definition.name, connection=connection)
    index.wait_until_indexed()
    assert numbers(index.search([0, 0], k=300, filter=F("t") == "even*")) == list(range(0, 600, 2))
    assert numbers(index.search([0, 0], k=20_000)) == list(range(700))
    assert index.count(F("t") == "even*") == 350
    assert len(index.select()) == 700


def test_an_index_of_vectors_alone_is_scanned_key_by_key(
    connection: Connection, index_name: str
) -> None:
    definition = IndexDefinition(
        name=f"{index_name}-bare",
        prefixes=(f"{index_name}:[x]:", f"{index_name}:[x]:a"),
        attributes=(VectorAttribute("v", dimension=2, algorithm="FLAT"),),
    )
    create_index(connection, definition)
    for suffix in ("a", "b"):
        connection.execute("HSET", f"{index_name}:[x]:{suffix}", "v", packed(1, 0))
    connection.execute("HSET", f"{index_name}:x:c", "v", packed(1, 0))
    connection.execute("SET", f"{index_name}:[x]:text", "no hash")
    index = Index.attach(definition.name, connection=connection)
    assert [document.key[-1] for document in index.select()] == ["a", "b"]
    assert index.count() == 2
    assert len(index.search([1, 0], k=5)) == 2


@pytest.fixture
def notes(json_connection: Connection, index_name: str) -> AttachedIndex:
    """JSON documents that were there before the index."""
    connection = json_connection
    rows: list[Any] = [
        {
            "v": [1, 0],
            "t": "red",
            "tags": ["a", "B*"],
            "n": 1,
            "x": "hello world",
            "deep": {"c": "x y"},
        },
        {"v": [0, 1], "t": "red,blue", "tags": ["b"], "n": 2.5, "x": 'say "hi"'},
        {"v": [1, 0, 0], "t": "green", "n": "x"},
        {"v": [1, 1], "t": "=>[KNN 9 @v $q]", "n": 3},
    ]
    for number, row in enumerate(rows):
        connection.execute("JSON.SET", f"{index_name}:j:{number}", "$", json.dumps(row))
    definition = IndexDefinition(
        name=f"{index_name}-notes",
        on="json",
        prefixes=(f"{index_name}:j:",),
        attributes=(
            VectorAttribute("$.v", "v", dimension=2),
            TagAttribute("$.t", "t"),
            TagAttribute("$.tags[*]", "tags"),
            TagAttribute("$.deep.c", "c", case_sensitive=True),
            NumericAttribute("$.n", "n"),
            TextAttribute("$.x", "x"),
        ),
    )
    assert create_index(connection, definition)
    index = Index.attach(definition.name, connection=connection)
    index.wait_until_indexed()
    return index


def test_json_documents_are_searched_by_paths_with_aliases(notes: AttachedIndex) -> None:
    assert notes.definition.on == "json"
    first = notes.search([1, 0.1], k=1)[0].document
    assert first.fields["deep"] == {"c": "x y"}
    assert first.values == {
        "t": ["red"], "tags": ["a", "b*"], "c": ["x y"], "n": 1, "x": "hello world",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        (F("t") == "red", [0, 1]),
        (F("t") == "=>[KNN 9 @v $q]", [3]),
        (F("tags") == "b*", [0]),
        (F("tags") == "b", [1]),
        (F("tags").contains("a"), [0]),
        (F("c") == "x y", [0]),
        (F("c") == "X y", []),
        (F("n") >= 2.5, [1, 3]),
        (F("n").exists(), [0, 1, 3]),
        (F("x").like('%"hi"'), [1]),
        (~(F("t") == "green"), [0, 1, 3]),
    ],
)
def test_filters_on_json(notes: AttachedIndex, filter: Any, found: list[int]) -> None:
    # RediSearch leaves out a document with a vector of the wrong size; Valkey-Search only its vector.
    there = {0, 1, 3} | set(numbers(notes.select()))
    assert numbers(notes.select(filter)) == [number for number in found if number in there]
    hits = notes.search([1, 0], k=9, filter=filter)
    assert sorted(numbers(hits)) == [number for number in found if number != 2]


def test_a_document_that_is_no_object_has_its_root(
    json_connection: Connection, index_name: str
) -> None:
    connection = json_connection
    definition = IndexDefinition(
        name=f"{index_name}-list",
        on="json",
        prefixes=(f"{index_name}:l:",),
        attributes=(NumericAttribute("$[0]", "first"),),
    )
    create_index(connection, definition)
    connection.execute("JSON.SET", f"{index_name}:l:1", "$", "[5, 6]")
    index = Index.attach(definition.name, connection=connection)
    (document,) = index.select(F("first") == 5)
    assert document.fields == {"$": [5, 6]}
    assert document.values == {"first": 5}


def test_a_server_without_json_raises_a_clear_error() -> None:
    definition = IndexDefinition(name="j", on="json", attributes=(TagAttribute("$.t", "t"),))
    with start_server(search=True) as server, Connection.open(server.url) as connection:
        with pytest.raises(UnsupportedFeatureError, match="JSON module"):
            create_index(connection, definition)
        assert create_index(connection, IndexDefinition(name="h", attributes=(TagAttribute("t"),)))


def test_existing_documents_are_skipped_on_request(connection: Connection, index_name: str) -> None:
    connection.execute("HSET", f"{index_name}:s:old", "t", "x")
    definition = IndexDefinition(
        name=f"{index_name}-skip",
        prefixes=(f"{index_name}:s:",),
        attributes=(TagAttribute("t", separator=";", case_sensitive=True),),
        skip_initial_scan=True,
    )
    create_index(connection, definition)
    connection.execute("HSET", f"{index_name}:s:new", "t", "x;y")
    index = Index.attach(definition.name, connection=connection)
    assert [document.key[-3:] for document in index.select(F("t") == "x")] == ["new"]
    assert index.count(F("t") == "X") == 0


def test_an_index_is_created_once_and_never_replaced(
    connection: Connection, index_name: str
) -> None:
    definition = IndexDefinition(
        name=f"{index_name}-once",
        prefixes=(f"{index_name}:o:",),
        attributes=(
            VectorAttribute("v", dimension=8, m=32, ef_construction=100, ef_runtime=50),
            TagAttribute("t", separator="|", case_sensitive=True),
            TextAttribute("x", stemming=False),
        ),
    )
    assert create_index(connection, definition)
    assert not create_index(connection, definition)
    told = describe_index(connection, definition.name).definition
    assert told.prefixes == definition.prefixes
    # Valkey-Search lists attributes in its own order.
    (vector,) = (each for each in told.attributes if isinstance(each, VectorAttribute))
    others = [each for each in told.attributes if each is not vector]
    assert sorted(others, key=repr) == sorted(definition.attributes[1:], key=repr)
    assert (vector.dimension, vector.m, vector.ef_construction) == (8, 32, 100)
    other = IndexDefinition(name=definition.name, attributes=(TagAttribute("t"),))
    with pytest.raises(IndexMismatchError, match="prefixes"):
        create_index(connection, other)


async def test_an_index_created_by_the_library_is_dropped_and_its_documents_stay(
    connection: Connection, index_name: str
) -> None:
    definition = IndexDefinition(
        name=f"{index_name}-drop",
        prefixes=(f"{index_name}:d:",),
        attributes=(VectorAttribute("v", dimension=2), TagAttribute("t")),
    )
    connection.execute("HSET", f"{index_name}:d:1", "v", packed(1, 0), "t", "red")
    for dropped in ("now", "awaited"):
        assert create_index(connection, definition)
        if dropped == "now":
            assert drop_index(connection, definition.name)
        else:
            assert await adrop_index(connection, definition.name)
        with pytest.raises(IndexNotFoundError):
            describe_index(connection, definition.name)
    assert connection.execute("HGET", f"{index_name}:d:1", "t") == b"red"
    with pytest.raises(IndexNotFoundError, match=f"no index '{index_name}-drop'"):
        drop_index(connection, definition.name)
    with pytest.raises(IndexNotFoundError):
        await adrop_index(connection, definition.name)
    assert not drop_index(connection, definition.name, missing_ok=True)
    assert not await adrop_index(connection, definition.name, missing_ok=True)


@pytest.mark.parametrize("engine", ["search", "native"])
def test_an_index_of_this_library_is_not_dropped_by_name(
    connection: Connection, index_name: str, engine: Any
) -> None:
    own = Index.open(index_name, dimension=2, connection=connection, engine=engine)
    own.upsert([Record(id="a", vector=[1, 0])])
    (listed,) = (each for each in list_indexes(connection) if each.name == index_name)
    for name in filter(None, (index_name, listed.server_name)):
        with pytest.raises(ConfigurationError, match=rf"Index.open\('{index_name}', …\).drop"):
            drop_index(connection, name, missing_ok=True)
    assert [hit.record.id for hit in own.search([1, 0], k=1)] == ["a"]
    # Another program's index may have the same name; that one is dropped, and the own one stays.
    other = IndexDefinition(
        name=index_name, prefixes=(f"{index_name}-x:",), attributes=(TagAttribute("t"),)
    )
    assert create_index(connection, other)
    assert drop_index(connection, index_name)
    assert own.count() == 1


@pytest.mark.parametrize("name", ["", None, 5])
def test_what_is_no_name_of_an_index_is_not_dropped(connection: Connection, name: Any) -> None:
    with pytest.raises(ConfigurationError, match="needs the name of an index"):
        drop_index(connection, name)


def test_own_and_foreign_indexes_are_listed_apart(
    connection: Connection, index_name: str, native_server: Server
) -> None:
    create_index(
        connection,
        IndexDefinition(
            name=f"{index_name}-foreign", attributes=(TagAttribute("t"),), prefixes=("x:",)
        ),
    )
    own = Index.open(f"{index_name}own", dimension=2, connection=connection, engine="search")
    own.create()
    native = Index.open(f"{index_name}nat", dimension=2, connection=connection, engine="native")
    native.create()
    dropped = Index.open(f"{index_name}gone", dimension=2, connection=connection)
    dropped.upsert([Record(id="a", metadata={"n": 1})])
    dropped.drop(documents=False)
    connection.execute("SET", f"{{{index_name}alien}}:index", "no hash")
    listed = [each for each in list_indexes(connection) if index_name in each.name]
    assert [(each.name, each.own, each.engine) for each in listed] == [
        (f"{index_name}nat", True, "native"),
        (f"{index_name}own", True, "search"),
        (f"{index_name}-foreign", False, "search"),
    ]
    assert listed[0].server_name is None
    assert listed[1].server_name is not None
    assert listed[1].server_name.startswith(f"{index_name}own-")
    assert describe_index(connection, listed[1].server_name).definition.prefixes == (
        f"{index_name}own:",
    )
    with Connection.open(native_server.url) as plain:
        Index.open(f"{index_name}p", dimension=2, connection=plain).create()
        assert ListedIndex(
            name=f"{index_name}p", own=True, engine="native", server_name=None
        ) in list_indexes(plain)


def test_the_tags_of_an_own_index_are_split_and_compared_by_its_schema(
    connection: Connection, index_name: str
) -> None:
    genres = TagField("genre", separator=";", case_sensitive=False)
    schema = Schema(
        dimension=2,
        algorithm=Hnsw(m=8, ef_construction=50, ef_runtime=20, initial_cap=50),
        fields=(genres, TagField("city")),
    )
    own = Index.open(index_name, schema=schema, connection=connection, engine="search")
    own.upsert(
        [
            Record(id="a", metadata={"genre": ["Crime", "Novel"], "city": "Rome;Paris"}),
            Record(id="b", metadata={"genre": "novel"}),
        ]
    )
    (listed,) = [each for each in list_indexes(connection) if each.name == index_name]
    assert listed.server_name is not None
    raw = Index.attach(listed.server_name, connection=connection)
    assert raw.count(F("f_genre") == "NOVEL") == 2
    assert raw.count(F("f_city") == "Rome;Paris") == 1
    assert raw.count(F("f_city") == "rome;paris") == 0
    told = raw.definition.attribute("vector")
    assert isinstance(told, VectorAttribute)
    assert (told.m, told.ef_construction) == (8, 50)
    assert own.count(F("genre") == "novel") == 1, "filters of an own index go by the metadata"
    facet = own.facets(["genre"])["genre"]
    assert {(each.value, each.count) for each in facet.values} == {
        ("Crime", 1), ("Novel", 1), ("novel", 1),
    }  # fmt: skip
    with pytest.raises(InvalidInputError, match="choose another separator"):
        own.upsert([Record(id="c", metadata={"genre": ["a;b"]})])
    with pytest.raises(IndexMismatchError, match="fields"):
        Index.open(index_name, schema={"fields": {"genre": "tag"}}, connection=connection).count()


def test_an_index_that_is_not_there_is_named(connection: Connection, index_name: str) -> None:
    with pytest.raises(IndexNotFoundError, match=f"no index '{index_name}'"):
        Index.attach(index_name, connection=connection)
    Index.open(index_name, dimension=2, connection=connection).create()
    with pytest.raises(IndexNotFoundError, match=r"open it with Index\.open"):
        Index.attach(index_name, connection=connection)


def test_an_index_that_went_away_is_an_error(shop: AttachedIndex) -> None:
    shop.count()
    shop.connection.execute("FT.DROPINDEX", shop.name)
    for ask in (
        shop.count,
        shop.select,
        lambda: shop.search([0, 0], attribute="emb"),
        shop.describe,
    ):
        with pytest.raises(IndexNotFoundError):
            ask()


def test_a_server_without_a_search_module_raises_a_clear_error(native_server: Server) -> None:
    with Connection.open(native_server.url) as plain:
        with pytest.raises(UnsupportedFeatureError, match="vector search"):
            Index.attach("idx", connection=plain)
        with pytest.raises(UnsupportedFeatureError, match="vector search"):
            create_index(plain, IndexDefinition(name="i", attributes=(TagAttribute("t"),)))
        with pytest.raises(UnsupportedFeatureError, match="vector search"):
            drop_index(plain, "i", missing_ok=True)


def test_scopes_of_a_cluster_are_refused_elsewhere(shop: AttachedIndex) -> None:
    with pytest.raises(UnsupportedFeatureError, match="scope 'primary'"):
        shop.describe("primary")
    wrong: Any = "galaxy"
    with pytest.raises(ConfigurationError, match="galaxy"):
        shop.describe(wrong)


def test_an_index_of_a_cluster_is_attached_and_listed() -> None:
    with (
        start_server(search=True, cluster=True) as server,
        Connection.open(server.url) as connection,
    ):
        definition = IndexDefinition(
            name="foreign",
            prefixes=("f:",),
            attributes=(VectorAttribute("v", dimension=2, metric=Metric.L2), TagAttribute("t")),
        )
        assert create_index(connection, definition)
        for number in range(9):
            document: list[str | bytes] = [
                "v",
                packed(number, 0),
                "t",
                "*" if number % 2 else "even",
            ]
            connection.execute("HSET", f"f:{number}", *document)
        index = Index.attach("foreign", connection=connection)
        assert numbers(index.search([0, 0], k=2, filter=F("t") == "*")) == [1, 3]
        assert index.count(F("t") == "even") == 5
        assert len(index.select()) == 9
        assert list_indexes(connection) == [
            ListedIndex(name="foreign", own=False, engine="search", server_name="foreign")
        ]
        with pytest.raises(UnsupportedFeatureError, match="a cluster with Valkey-Search"):
            index.describe("cluster")
        assert drop_index(connection, "foreign")
        assert not drop_index(connection, "foreign", missing_ok=True)
        assert list_indexes(connection) == []
        assert connection.execute("EXISTS", "f:1") == 1


def test_opening_by_url_and_closing(search_server: Server, shop: AttachedIndex) -> None:
    with Index.attach(shop.name, url=search_server.url) as index:
        assert index.count() == 5
    with pytest.raises(ConfigurationError, match="closed"):
        index.count()
    with pytest.raises(ConfigurationError, match="not both"):
        Index.attach(shop.name, url=search_server.url, connection=shop.connection)
    with pytest.raises(ConfigurationError, match="name of an index"):
        Index.attach("", connection=shop.connection)
    assert shop.count() == 5, "a connection that was given stays open"
    copy = pickle.loads(pickle.dumps(shop))  # noqa: S301 - our own
    assert copy.count() == 5
    copy.connection.close()


async def test_the_async_versions_return_the_same(
    shop: AttachedIndex, search_server: Server
) -> None:
    async with await Index.aattach(shop.name, url=search_server.url) as index:
        await index.await_until_indexed(progress=False)
        assert await index.asearch([0, 0], k=3, attribute="emb") == shop.search(
            [0, 0], k=3, attribute="emb"
        )
        assert await index.aselect(F("price") > 5) == shop.select(F("price") > 5)
        assert await index.acount() == 5
        assert await index.aget(["x"]) == [None]
        assert (await index.adescribe()).attributes
        assert await alist_indexes(index.connection) == list_indexes(shop.connection)
        assert await adescribe_index(index.connection, shop.name) == shop.describe()
        assert not await acreate_index(
            index.connection,
            IndexDefinition(
                name=shop.name,
                prefixes=shop.definition.prefixes,
                attributes=shop.definition.attributes,
            ),
        )


def test_waiting_shows_a_bar_if_wanted(
    connection: Connection, index_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    connection.pipeline(
        [["HSET", f"{index_name}:w:{n}", "v", packed(*([n % 7] * 64))] for n in range(3_000)]
    )
    definition = IndexDefinition(
        name=f"{index_name}-wait",
        prefixes=(f"{index_name}:w:",),
        attributes=(VectorAttribute("v", dimension=64),),
    )
    create_index(connection, definition)
    index = Index.attach(definition.name, connection=connection)
    with pytest.raises(RequestTimeoutError, match="% indexed after 0 s"):
        index.wait_until_indexed(timeout=0)
    index.wait_until_indexed(progress=True)
    assert "100%" in capsys.readouterr().err
    assert describe_index(connection, index.name).backfill.share == 1.0
    index.wait_until_indexed()
    own = Index.open(f"{index_name}own", dimension=2, connection=connection, algorithm=Flat())
    own.create()
    own.wait_until_indexed(progress=True)
    assert f"indexing {index_name}own: 100%" in capsys.readouterr().err
