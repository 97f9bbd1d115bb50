"""Records with several vectors: each is checked, stored, returned and searched separately."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from valkey_vector import (
    ConfigurationError,
    F,
    FilterQuery,
    Flat,
    Hnsw,
    Index,
    IndexMismatchError,
    InvalidInputError,
    Metric,
    Record,
    Schema,
    VectorField,
    VectorQuery,
)
from valkey_vector.schema.similarity import distances

TITLE = VectorField("title", 3, Metric.L2, Flat())
IMAGE = VectorField("bild/großes", 6, Metric.IP, Flat())
SCHEMA = Schema(dimension=4, vectors=(TITLE, IMAGE), algorithm=Flat())
SIZE = 150
RANDOM = np.random.default_rng(3)
MAIN, TITLES, IMAGES = (RANDOM.normal(size=(SIZE, n)).astype(np.float32) for n in (4, 3, 6))


def record(n: int) -> Record:
    """Every second one has no main vector, every third no title, every fourth no image."""
    vectors = {}
    if n % 3:
        vectors["title"] = TITLES[n]
    if n % 4:
        vectors[IMAGE.name] = IMAGES[n]
    main = MAIN[n] if n % 2 else None
    return Record(id=f"r{n:03}", vector=main, vectors=vectors, metadata={"n": n})


@pytest.fixture
def filled(open_index: Callable[..., Index]) -> Index:
    index = open_index(schema=SCHEMA, dimension=None)
    index.upsert([record(n) for n in range(SIZE)])
    return index


def brute(field: str, query: Any, keep: Callable[[int], bool]) -> list[str]:
    matrix, metric, every = {
        "vector": (MAIN, Metric.COSINE, 2),
        "title": (TITLES, Metric.L2, 3),
        IMAGE.name: (IMAGES, Metric.IP, 4),
    }[field]
    having = [n for n in range(SIZE) if n % every and keep(n)]
    measured = distances(matrix[having], np.asarray(query, dtype=np.float32), metric)
    return [f"r{n:03}" for _, n in sorted(zip(measured.tolist(), having, strict=True))]


@pytest.mark.parametrize(("field", "size"), [("vector", 4), ("title", 3), (IMAGE.name, 6)])
def test_each_vector_is_searched_by_itself(filled: Index, field: str, size: int) -> None:
    for seed in range(5):
        query = np.random.default_rng(seed).normal(size=size).astype(np.float32)
        hits = filled.query(VectorQuery(vector=query, k=SIZE, field=field))
        assert [hit.record.id for hit in hits] == brute(field, query, lambda n: True)
        some = filled.search(query, k=5, field=field, filter=F("n") < 70)
        assert [hit.record.id for hit in some] == brute(field, query, lambda n: n < 70)[:5]
        odd = VectorQuery(
            vector=query, field=field, max_distance=hits[20].distance + 1e-4, filter=F("n") < 70
        )
        assert {hit.record.id for hit in filled.query(odd)} <= {h.record.id for h in hits[:22]}
        chosen = filled.search_mmr(query, k=4, field=field, lambda_mult=1.0)
        nearest = [hit.record.id for hit in hits[:20]]
        assert len(chosen) == 4
        assert {hit.record.id for hit in chosen} <= set(nearest)
        assert all(hit.record.vector is None and not hit.record.vectors for hit in chosen)


def test_requested_vectors_are_returned_unchanged(filled: Index) -> None:
    for n, found in enumerate(filled.query(FilterQuery(with_vectors=True))):
        stored = record(n)
        assert (found.vector is None) == (stored.vector is None)
        assert found.vectors.keys() == stored.vectors.keys()
        for name, vector in stored.vectors.items():
            assert np.array_equal(found.vectors[name], vector)
    (again,) = filled.get(["r001"], with_vectors=True)
    assert again is not None
    assert set(again.vectors) == {"title", IMAGE.name}
    (bare,) = filled.get(["r001"])
    assert bare is not None
    assert bare.vectors == {}


def test_a_record_written_again_has_only_its_new_vectors(filled: Index) -> None:
    filled.upsert([Record(id="r001", vectors={"title": [9.0, 9.0, 9.0]})])
    hits = filled.search([9, 9, 9], k=1, field="title")
    assert [hit.record.id for hit in hits] == ["r001"]
    assert "r001" not in [h.record.id for h in filled.search(MAIN[1], k=SIZE)]
    assert "r001" not in [h.record.id for h in filled.search(IMAGES[1], k=SIZE, field=IMAGE.name)]


def test_changed_metadata_leaves_the_vectors_findable(filled: Index) -> None:
    assert filled.update_metadata(["r001", "r003"], {"n": 1000}) == 2
    for field, query in (("title", TITLES[1]), (IMAGE.name, IMAGES[1]), ("vector", MAIN[1])):
        hits = filled.search(query, k=5, field=field, filter=F("n") == 1000)
        expected = {"r001", "r003"} - ({"r003"} if field == "title" else set())
        assert {hit.record.id for hit in hits} == expected


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (Record(id="x", vectors={"titel": [1, 2, 3]}), "'titel'.*declares 'title'"),
        (Record(id="x", vectors={"vector": [1, 2, 3, 4]}), "'vector'"),
        (Record(id="x", vectors={"title": [1, 2]}), "record 'x' .title. has 2 dimensions"),
        (Record(id="x", vectors={"title": [1, 2, float("nan")]}), "NaN"),
        (Record(id="x", vectors={"title": None}), "title"),  # type: ignore[dict-item]
        (Record(id="x", vectors=[[1, 2, 3]]), "vectors of record 'x'"),  # type: ignore[arg-type]
    ],
)
def test_a_vector_that_does_not_fit_is_refused_and_nothing_written(
    filled: Index, record: Record, words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        filled.upsert([Record(id="good", vector=MAIN[0]), record])
    assert filled.get(["good"]) == [None]


def test_a_query_must_fit_the_vector_it_is_for(filled: Index) -> None:
    with pytest.raises(
        InvalidInputError, match=r"query \(title\) has 4 dimensions, the index has 3"
    ):
        filled.search(MAIN[0], field="title")
    with pytest.raises(
        InvalidInputError, match="no vector 'abstract'; its vectors are 'vector', 'title'"
    ):
        filled.search(MAIN[0], field="abstract")


def test_the_index_remembers_its_vectors(filled: Index, open_index: Callable[..., Index]) -> None:
    again = open_index(dimension=None)
    assert again.schema == SCHEMA
    assert again.search(TITLES[1], k=1, field="title")[0].record.id == "r001"
    other = Schema(dimension=4, vectors=(TITLE,), algorithm=Flat())
    with pytest.raises(IndexMismatchError, match="vectors"):
        open_index(schema=other, dimension=None).count()


def test_an_index_recreated_over_retained_documents_must_have_the_same_vectors(
    filled: Index, open_index: Callable[..., Index]
) -> None:
    filled.drop(documents=False)
    with pytest.raises(ConfigurationError, match="title"):
        open_index(algorithm="FLAT").create()
    again = open_index(schema=SCHEMA, dimension=None)
    again.create()
    again.wait_until_indexed()
    assert again.search(TITLES[1], k=1, field="title")[0].record.id == "r001"


def test_documents_without_further_vectors_are_stored_as_ever(
    open_index: Callable[..., Index],
) -> None:
    plain, rich = open_index("-plain"), open_index("-rich", schema=SCHEMA, dimension=None)
    for index in (plain, rich):
        index.upsert([Record(id="a", content="c", vector=[1, 0, 0, 0], metadata={"n": 1})])
    stored = [index.connection.execute("HGETALL", f"{index.name}:a") for index in (plain, rich)]
    for fields in stored:
        del fields[b"created"]
        lineage = fields.pop(b"version").partition(b":")[0]
        fields[b"tags"] = fields[b"tags"].replace(lineage, b"")
    assert stored[0] == stored[1]
    entry = plain.connection.execute("HGETALL", f"{{{plain.name}}}:index")
    assert b"vectors" not in entry[b"schema"] + entry[b"layout"]


def test_a_zero_vector_that_redisearch_could_not_rank_is_refused(
    open_index: Callable[..., Index], engine_name: str
) -> None:
    schema = Schema(dimension=2, vectors=(VectorField("other", 2),))
    index = open_index(schema=schema, dimension=None)
    zero = Record(id="zero", vector=[1, 0], vectors={"other": [0, 0]})
    refuses = engine_name == "search" and index.connection.capabilities.module.value == "RediSearch"
    if refuses:
        with pytest.raises(InvalidInputError, match="other"):
            index.upsert([zero])
        return
    index.upsert([zero])
    assert index.search([1, 0], k=1, field="other")[0].distance == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"dimension": 0}, "dimension"),
        ({"metric": "L2"}, "metric"),
        ({"algorithm": "FLAT"}, "algorithm"),
    ],
)
def test_an_invalid_field_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        VectorField(**{"name": "a", "dimension": 2, **settings})


@pytest.mark.parametrize(
    "vectors",
    [(TITLE, TITLE), (VectorField("vector", 4),), ("title",)],
    ids=["twice", "the main one", "no field"],
)
def test_a_schema_with_invalid_vectors_is_refused(vectors: Any) -> None:
    with pytest.raises(ConfigurationError):
        Schema(dimension=4, vectors=vectors)


def test_a_schema_survives_its_description() -> None:
    assert Schema.from_dict(SCHEMA.to_dict()) == SCHEMA
    short = Schema.from_dict({"vectors": [{"name": "a", "dimension": 2, "algorithm": "hnsw"}]})
    assert short.vectors == (VectorField("a", 2, Metric.COSINE, Hnsw()),)
    with pytest.raises(ConfigurationError, match="dimension"):
        Schema.from_dict({"vectors": [{"name": "a"}]})
    with pytest.raises(ConfigurationError, match="vectors must be a list"):
        Schema.from_dict({"vectors": {"a": {"dimension": 2}}})
    assert Schema(vectors=[TITLE]) == Schema(vectors=(TITLE,))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="dim"):
        Schema.from_dict({"vectors": [{"name": "a", "dimension": 2, "dim": 2}]})
