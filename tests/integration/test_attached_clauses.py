"""Indexes with clauses that not every search module has: element types, FILTER, aliases, NOINDEX, languages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from attached_indexes import numbers, packed, write_hashes
from servers import Server, start_server
from valkey_vector import (
    AttachedIndex,
    Connection,
    F,
    Index,
    IndexDefinition,
    IndexMismatchError,
    IndexNotFoundError,
    InvalidInputError,
    Metric,
    NumericAttribute,
    ServerError,
    TagAttribute,
    TextAttribute,
    TextOptions,
    UnsupportedFeatureError,
    VectorAttribute,
    create_index,
    list_indexes,
)
from valkey_vector.query import AggregateQuery, Count

pytestmark = pytest.mark.wrong_dialect  # Valkey-Search 1.2.1 has none of the clauses

DIMENSION = 8
TYPES = ("FLOAT16", "BFLOAT16", "FLOAT64", "FLOAT32")


@pytest.fixture(scope="module")
def redisearch() -> Iterator[Connection]:
    with start_server(search=True, json=True) as server, Connection.open(server.url) as opened:
        yield opened


def bfloat16(number: float) -> float:
    """The nearest bfloat16, of two neighbors the even one; written apart from the library."""
    bits = int(np.float32(number).view(np.uint32))
    lower = bits & 0xFFFF0000
    neighbors = [lower, lower + 0x10000]
    values = [float(np.uint32(each).view(np.float32)) for each in neighbors]
    exact = float(np.float32(number))
    return min(
        zip(values, neighbors, strict=True),
        key=lambda one: (abs(one[0] - exact), (one[1] >> 16) & 1),
    )[0]


ROUND: dict[str, Callable[[float], float]] = {
    "FLOAT16": lambda number: float(np.float16(np.float32(number))),
    "BFLOAT16": bfloat16,
    "FLOAT32": lambda number: float(np.float32(number)),
    "FLOAT64": float,
}


def rounded(vector: Any, data_type: str) -> NDArray[np.float64]:
    return np.array([ROUND[data_type](float(number)) for number in vector], np.float64)


def stored(vector: NDArray[np.float64], data_type: str) -> bytes:
    if data_type == "BFLOAT16":
        return (vector.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return vector.astype(
        {"FLOAT16": "<f2", "FLOAT32": "<f4", "FLOAT64": "<f8"}[data_type]
    ).tobytes()


def distance(metric: Metric, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    match metric:
        case Metric.L2:
            return float(((a - b) ** 2).sum())
        case Metric.IP:
            return float(1 - a @ b)
        case Metric.COSINE:
            return float(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("on", ["hash", "json"])
@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("data_type", TYPES)
def test_vectors_of_every_element_type_are_searched_as_they_are_rounded(
    redisearch: Connection,
    index_name: str,
    data_type: str,
    metric: Metric,
    on: Literal["hash", "json"],
) -> None:
    place = "$.v" if on == "json" else "v"
    vector = VectorAttribute(
        place, "v", dimension=DIMENSION, metric=metric, algorithm="FLAT", data_type=data_type
    )
    field = NumericAttribute("$.n" if on == "json" else "n", "n")
    definition = IndexDefinition(
        name=f"{index_name}-{on}", on=on, prefixes=(f"{index_name}:",), attributes=(vector, field)
    )
    assert create_index(redisearch, definition)
    assert not create_index(redisearch, definition)
    drawn = np.random.default_rng(7).normal(size=(60, DIMENSION))
    for number, each in enumerate(drawn):
        key = f"{index_name}:{number:02}"
        if on == "json":
            redisearch.execute("JSON.SET", key, "$", json.dumps({"v": each.tolist(), "n": number}))
        else:
            vector_bytes = stored(rounded(each, data_type), data_type)
            redisearch.execute("HSET", key, "v", vector_bytes, "n", str(number))
    index = Index.attach(definition.name, connection=redisearch)
    told = index.definition.attribute("v")
    assert isinstance(told, VectorAttribute)
    assert told.data_type == data_type
    query = np.random.default_rng(8).normal(size=DIMENSION)
    asked = rounded(query, data_type)
    measured = sorted(
        (distance(metric, rounded(each, data_type), asked), f"{index_name}:{number:02}")
        for number, each in enumerate(drawn)
    )
    for filter, chosen in (
        (None, measured),
        (F("n") < 20, [one for one in measured if int(one[1][-2:]) < 20]),
        (F("n") < 4, [one for one in measured if int(one[1][-2:]) < 4]),
    ):
        hits = index.search(query, k=6, filter=filter, with_vectors=True)
        assert [hit.document.key for hit in hits] == [key for _, key in chosen[:6]]
        # The client's distances of the rounded vectors; of FLOAT32 the server's, in single precision.
        exact = 1e-5 if data_type == "FLOAT32" else 1e-12
        assert [hit.distance for hit in hits] == pytest.approx(
            [one for one, _ in chosen[:6]], rel=exact, abs=exact
        )
    expected = rounded(drawn[int(hits[0].document.key[-2:])], data_type).tolist()
    assert hits[0].document.vectors == {"v": expected}
    fewer = index.search(query, k=3, offset=2, fields=["n" if on == "hash" else "$.n"])
    assert [hit.document.key for hit in fewer] == [key for _, key in measured[2:5]]
    assert all(len(hit.document.fields) == 1 for hit in fewer)


def test_hnsw_of_half_floats_has_its_recall(redisearch: Connection, index_name: str) -> None:
    attribute = VectorAttribute("v", dimension=32, metric=Metric.COSINE, data_type="FLOAT16", m=16)
    definition = IndexDefinition(
        name=index_name, prefixes=(f"{index_name}:",), attributes=(attribute,)
    )
    create_index(redisearch, definition)
    drawn = np.random.default_rng(1).normal(size=(3_000, 32)).astype("<f2")
    redisearch.pipeline(
        [
            ["HSET", f"{index_name}:{number}", "v", each.tobytes()]
            for number, each in enumerate(drawn)
        ]
    )
    index = Index.attach(index_name, connection=redisearch)
    unit = drawn.astype(float) / np.linalg.norm(drawn.astype(float), axis=1, keepdims=True)
    found = 0
    for query in np.random.default_rng(2).normal(size=(20, 32)).astype("<f2").astype(float):
        nearest = set(np.argsort(-(unit @ query))[:10].tolist())
        hits = index.search(query, k=10, ef_runtime=300, fields=[])
        found += len(nearest & {int(hit.document.key.rsplit(":", 1)[1]) for hit in hits})
    assert found / 200 >= 0.99


def test_a_value_beyond_the_element_type_is_refused(
    redisearch: Connection, index_name: str
) -> None:
    for data_type, beyond in (("FLOAT16", 70_000.0), ("BFLOAT16", 3.4e38), ("FLOAT16", 10**400)):
        name = f"{index_name}-{data_type}"
        attribute = VectorAttribute("v", dimension=2, data_type=data_type)
        create_index(
            redisearch,
            IndexDefinition(name=name, prefixes=(f"{name}:",), attributes=(attribute,)),
        )
        with pytest.raises(InvalidInputError, match=f"beyond {data_type}|beyond float32"):
            Index.attach(name, connection=redisearch).search([beyond, 0])


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"condition": "@n>1"}, r"an index with a condition \(FILTER\).*Valkey-Search.*RediSearch"),
        ({"attributes": (VectorAttribute("v", dimension=2, data_type="FLOAT16"),)}, "vectors of FLOAT16"),
        ({"attributes": (VectorAttribute("v", dimension=2, data_type="BFLOAT16"),)}, "vectors of BFLOAT16"),
        ({"attributes": (VectorAttribute("v", dimension=2, data_type="FLOAT64"),)}, "vectors of FLOAT64"),
        ({"text": TextOptions(language="german")}, "the language 'german'"),
    ],
)  # fmt: skip
def test_a_clause_that_the_server_refuses_is_named_and_nothing_is_created(
    valkey_search_server: Server, index_name: str, definition: dict[str, Any], message: str
) -> None:
    settings: dict[str, Any] = {"attributes": (TagAttribute("t"), TextAttribute("x")), **definition}
    with Connection.open(valkey_search_server.url) as connection:
        wanted = IndexDefinition(name=index_name, prefixes=(f"{index_name}:",), **settings)
        with pytest.raises(UnsupportedFeatureError, match=message):
            create_index(connection, wanted)
        assert index_name not in [each.name for each in list_indexes(connection)]


def test_a_refusal_that_no_clause_explains_stays_the_servers(
    redisearch: Connection, index_name: str
) -> None:
    wrong = IndexDefinition(name=index_name, attributes=(TagAttribute("t"),), condition="@@")
    with pytest.raises(ServerError, match="Syntax error"):
        create_index(redisearch, wrong)


@pytest.fixture
def filtered(redisearch: Connection, index_name: str) -> AttachedIndex:
    """An index of another program with FILTER, a language, and attributes that it only sorts by."""
    redisearch.execute(
        "FT.CREATE", index_name, "PREFIX", "1", f"{index_name}:", "FILTER", "@n>1", "LANGUAGE", "german", "SCORE", "0.5",
        "SCHEMA", "v", "VECTOR", "FLAT", "6", "TYPE", "FLOAT32", "DIM", "2", "DISTANCE_METRIC", "L2",
        "n", "NUMERIC", "SORTABLE", "t", "TAG", "SORTABLE", "NOINDEX", "p", "NUMERIC", "SORTABLE", "NOINDEX",
        "x", "TEXT", "y", "TEXT", "SORTABLE", "NOINDEX", "e", "TAG", "INDEXMISSING", "INDEXEMPTY", "g", "GEO",
    )  # fmt: skip
    rows: list[dict[str, Any]] = [
        {"n": "1", "t": "red", "x": "Katze"},
        {"n": "2", "t": "red", "x": "Katzen", "p": "5", "y": "one", "e": ""},
        {"n": "3", "t": "blue", "p": "7", "y": "two", "e": "full", "g": "13.4,52.5"},
        {"n": "0.5", "t": "red", "x": "Katze"},
    ]
    keyed = {f"{index_name}:{n}": {**row, "v": packed(n, 0)} for n, row in enumerate(rows)}
    write_hashes(redisearch, keyed)
    return Index.attach(index_name, connection=redisearch)


def test_documents_outside_the_condition_of_an_index_are_not_in_it(
    filtered: AttachedIndex,
) -> None:
    assert filtered.definition.condition == "@n>1"
    assert filtered.definition.text.language == "german"
    assert numbers(filtered.select()) == [1, 2]
    assert filtered.count() == 2
    assert numbers(filtered.search([0, 0], k=9)) == [1, 2]
    assert filtered.aggregate(AggregateQuery().group_by(n=Count())) == [{"n": 2}]
    assert numbers(filtered.select(words={"x": "Katze"})) == [1], "stemmed as German"


def test_an_index_of_vectors_with_a_condition_is_not_scanned(
    redisearch: Connection, index_name: str
) -> None:
    definition = IndexDefinition(
        name=index_name,
        prefixes=(f"{index_name}:",),
        attributes=(VectorAttribute("v", dimension=2, algorithm="FLAT"),),
        condition="@n>1",
    )
    create_index(redisearch, definition)
    for number in range(4):
        vector = packed(1, number)
        redisearch.execute("HSET", f"{index_name}:{number}", "v", vector, "n", str(number))
    index = Index.attach(index_name, connection=redisearch)
    assert numbers(index.select()) == [2, 3]
    assert numbers(index.search([1, 0], k=10)) == [2, 3]
    other = IndexDefinition(
        name=index_name, prefixes=definition.prefixes, attributes=definition.attributes
    )
    with pytest.raises(IndexMismatchError, match="condition"):
        create_index(redisearch, other)


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        (F("t") == "red", [1]),
        (F("t") != "red", [2]),
        (F("t").in_(["red", "blue"]), [1, 2]),
        (F("p") == 5, [1]),
        (F("p") > 5, [2]),
        (F("p").exists() & (F("n") > 2), [2]),
        (F("y") == "two", [2]),
        (F("e") == "full", [2]),
        (~(F("e") == "full"), [1]),
        (F("e").exists(), [2]),
    ],
)
def test_attributes_that_the_server_does_not_query_are_filtered_here(
    filtered: AttachedIndex, filter: Any, found: list[int]
) -> None:
    assert numbers(filtered.select(filter)) == found
    assert filtered.count(filter) == len(found)
    assert numbers(filtered.search([0, 0], k=5, filter=filter)) == found
    assert numbers(filtered.select(filter, order_by="p")) == found
    with pytest.raises(InvalidInputError, match=r"not indexed \(NOINDEX\)"):
        filtered.select(words={"y": "one"})


def test_an_index_is_attached_by_an_alias_and_stays_the_one_it_was(
    redisearch: Connection, index_name: str, filtered: AttachedIndex
) -> None:
    alias, other = f"{index_name}-alias", f"{index_name}-other"
    redisearch.execute("FT.ALIASADD", alias, index_name)
    index = Index.attach(alias, connection=redisearch)
    assert index.name == index.definition.name == index_name
    assert numbers(index.select(F("t") == "red")) == numbers(filtered.select(F("t") == "red"))
    assert index.describe().definition == filtered.definition  # type: ignore[union-attr]
    create_index(
        redisearch,
        IndexDefinition(name=other, prefixes=(f"{other}:",), attributes=(TagAttribute("t"),)),
    )
    redisearch.execute("FT.ALIASUPDATE", alias, other)
    assert index.count() == 2
    assert Index.attach(alias, connection=redisearch).name == other
    redisearch.execute("FT.DROPINDEX", index_name)
    with pytest.raises(IndexNotFoundError, match=index_name):
        index.count()
