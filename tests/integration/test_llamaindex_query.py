"""Queries of LlamaIndex's vector store: modes, restrictions, similarities, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.schema import (
    BaseNode,
)
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from llama_index.vector_stores.valkey import ValkeyVectorStore
from llamaindex_stores import (
    SERVERS,
    fill,
    ids_of,
    near,
    node,
    only,
    opened,
    vector_of,
)
from round_trips import CommandLog
from valkey_vector import FilterError, InvalidInputError


@pytest.fixture(params=SERVERS)
def store(request: pytest.FixtureRequest, index_name: str) -> Iterator[ValkeyVectorStore]:
    with opened(request.param, request, index_name) as made:
        yield made


@pytest.fixture
def library(store: ValkeyVectorStore) -> ValkeyVectorStore:
    fill(store)
    return store


def test_restrictions_hold_together(library: ValkeyVectorStore) -> None:
    def found(**fields: Any) -> set[str]:
        return set(ids_of(library.query(near("n0", 20, **fields))))

    everything = {f"n{n}" for n in range(12)} | {"lone"}
    assert found() == everything
    assert found(doc_ids=["doc0"]) == {"n0", "n3", "n6", "n9"}
    assert found(doc_ids=["doc0", "doc1", "none"]) == {
        "n0", "n3", "n6", "n9", "n1", "n4", "n7", "n10",
    }  # fmt: skip
    assert found(doc_ids=[]) == set()
    assert found(node_ids=[]) == everything  # what an index sends whose store has the texts
    assert found(node_ids=[], doc_ids=[]) == set()
    assert found(node_ids=["n0", "n1", "missing"]) == {"n0", "n1"}
    assert found(node_ids=["n0", "n1"], doc_ids=["doc0"]) == {"n0"}
    assert found(doc_ids=["doc0"], filters=only("n", 3, FilterOperator.GT)) == {"n6", "n9"}
    assert found(
        node_ids=["n6", "n3"], doc_ids=["doc0"], filters=only("n", 3, FilterOperator.GT)
    ) == {"n6"}
    assert found(filters=MetadataFilters(filters=[])) == everything
    assert found(filters=only("even", 1)) == {f"n{n}" for n in range(0, 12, 2)}
    assert found(filters=only("doc_id", "doc0")) == {"n0", "n3", "n6", "n9", "lone"}
    assert found(filters=only("ref_doc_id", "doc0")) == {"n0", "n3", "n6", "n9"}
    assert len(library.query(near("n0", 5)).ids or []) == 5


def test_similarities_are_higher_the_nearer(library: ValkeyVectorStore) -> None:
    result = library.query(near("n0", 20))
    assert result.ids is not None
    assert result.ids[0] == "n0"
    assert result.similarities == sorted(result.similarities or [], reverse=True)
    assert result.similarities[0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("L2", [1.0, 1 / 2]), ("IP", [2.0, 1.0]), ("COSINE", [1.0, 1 / math.sqrt(2)])],
)
def test_every_metric_has_its_similarity(
    server_url: str, index_name: str, engine_name: Any, metric: str, expected: list[float]
) -> None:
    store = ValkeyVectorStore(server_url, index_name=index_name, engine=engine_name, metric=metric)
    store.add([node("a", embedding=[1.0, 1.0]), node("b", embedding=[1.0, 0.0])])
    query = VectorStoreQuery(query_embedding=[1.0, 1.0], similarity_top_k=2)
    result = store.query(query)
    assert result.ids == ["a", "b"]
    assert result.similarities == pytest.approx(expected, abs=1e-6)
    query.mode = VectorStoreQueryMode.MMR
    assert ids_of(store.query(query, mmr_threshold=1)) == ["a", "b"]
    store.close()


def test_the_requested_parts_are_returned(library: ValkeyVectorStore) -> None:
    def brought(*fields: str) -> BaseNode:
        (found,) = library.query(near("n0", 1, output_fields=list(fields))).nodes or []
        assert found.node_id == "n0"
        assert found.ref_doc_id == "doc0"
        return found

    (plain,) = library.query(near("n0", 1)).nodes or []
    assert plain == node("n0", source="doc0", metadata={"n": 0, "even": True}, embedding=None)
    everything = brought("text", "metadata", "embedding")
    assert everything == node("n0", source="doc0", metadata={"n": 0, "even": True})
    bare = brought("embedding")
    assert (bare.get_content(), bare.metadata, bare.embedding) == ("", {}, vector_of("n0"))
    assert brought("n", "unknown").metadata == {"n": 0}
    assert brought("text").get_content() == "n0"
    assert brought().metadata == {}


def test_what_was_never_written_is_empty(store: ValkeyVectorStore) -> None:
    assert store.query(near("x")) == VectorStoreQueryResult(nodes=[], similarities=[], ids=[])
    mmr = near("x", mode=VectorStoreQueryMode.MMR)
    assert store.query(mmr) == VectorStoreQueryResult(nodes=[], similarities=[], ids=[])
    assert store.get_nodes() == []
    store.delete("x")
    store.delete_nodes(["x"])
    store.clear()


@pytest.mark.parametrize("mode", ["svm", "logistic_regression", "linear_regression"])
def test_another_mode_is_refused(library: ValkeyVectorStore, mode: str) -> None:
    query = near("n0", mode=VectorStoreQueryMode(mode), query_str="n0")
    with pytest.raises(ValueError, match=f"{mode}.*default, mmr, text_search, sparse, hybrid or"):
        library.query(query)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"query_embedding": None}, "query_embedding"),
        ({"embedding_field": "other"}, "embedding_field"),
        ({"similarity_top_k": 0}, "must be an integer"),
        ({"similarity_top_k": 0, "mode": "mmr"}, "must be an integer"),
        ({"mode": "fuzzy"}, "fuzzy"),
        ({"mode": "mmr", "mmr_threshold": 1.5}, "mmr_threshold"),
        ({"filters": MetadataFilters.model_construct(filters=["x"], condition=None)}, "str"),
    ],
)
def test_an_unsupported_query_is_refused(
    library: ValkeyVectorStore, fields: dict[str, Any], named: str
) -> None:
    query = near("n0")
    for name, value in fields.items():
        setattr(query, name, value)
    with pytest.raises(ValueError, match=named):
        library.query(query)


def test_a_keyword_that_means_nothing_is_refused(library: ValkeyVectorStore) -> None:
    with pytest.raises(TypeError, match="mmr_threshold"):
        library.query(near("n0"), mmr_threshold=0.5)
    mmr = near("n0", mode=VectorStoreQueryMode.MMR)
    with pytest.raises(TypeError, match="tenant"):
        library.query(mmr, tenant="a")
    with pytest.raises(ValueError, match="not both"):
        library.query(mmr, mmr_prefetch_k=5, mmr_prefetch_factor=2)


@pytest.mark.parametrize("value", ["x", math.inf, math.nan, [1]], ids=str)
@pytest.mark.parametrize("name", ["mmr_threshold", "mmr_prefetch_k", "mmr_prefetch_factor"])
def test_a_setting_of_mmr_that_is_no_number_is_named(
    library: ValkeyVectorStore, name: str, value: Any
) -> None:
    with pytest.raises(InvalidInputError, match=f"{name} must be a finite number"):
        library.query(near("n0", mode=VectorStoreQueryMode.MMR), **{name: value})


def test_the_threshold_of_mmr_arrives_both_ways(library: ValkeyVectorStore) -> None:
    simple = SimpleVectorStore()
    simple.add(library.get_nodes())

    def same(by_query: float | None, expected: float | None, **keywords: Any) -> None:
        query = near("question", 6, mode=VectorStoreQueryMode.MMR, mmr_threshold=by_query)
        answer, reference = (
            library.query(query, **keywords),
            simple.query(query, mmr_threshold=expected),
        )
        assert answer.ids == reference.ids
        assert answer.similarities == pytest.approx(reference.similarities, abs=1e-5)

    same(None, 0.5)
    same(0.1, 0.1)
    same(0.1, 0.9, mmr_threshold=0.9)
    same(0.1, 0.5, mmr_threshold=None)
    same(None, 1.0, mmr_threshold=1.0)
    same(1.0, 1.0)


def test_mmr_selects_from_the_explicit_number_of_candidates(library: ValkeyVectorStore) -> None:
    ranked = ids_of(library.query(near("n0", 20)))
    query = near("n0", 3, mode=VectorStoreQueryMode.MMR, mmr_threshold=0.0)
    widths: list[tuple[dict[str, Any], int]] = [
        ({"mmr_prefetch_k": 4}, 4),
        ({"mmr_prefetch_factor": 2}, 6),
    ]
    for keywords, of in widths:
        vectors = [vector_of(id) for id in ranked[:of]]
        _, expected = get_top_k_mmr_embeddings(
            vector_of("n0"),
            vectors,
            similarity_top_k=3,
            embedding_ids=ranked[:of],
            mmr_threshold=0.0,
        )
        assert library.query(query, **keywords).ids == expected


def test_mmr_heeds_restrictions_and_output_fields(library: ValkeyVectorStore) -> None:
    query = near(
        "n0", 3, mode=VectorStoreQueryMode.MMR, doc_ids=["doc1"], output_fields=["embedding"]
    )
    result = library.query(query)
    assert set(result.ids or []) < {"n1", "n4", "n7", "n10"}
    assert [found.embedding for found in result.nodes or []] == [
        vector_of(id) for id in result.ids or []
    ]
    query.output_fields = None
    assert all(found.embedding is None for found in library.query(query).nodes or [])


def test_a_query_is_one_round_trip_that_returns_no_vectors(
    server_url: str, index_name: str, engine_name: Any, commands: CommandLog
) -> None:
    store = ValkeyVectorStore(server_url, index_name=index_name, engine=engine_name)
    store.add([node(f"n{n}", source=f"d{n % 2}", metadata={"n": n}) for n in range(20)])
    filters = MetadataFilters(
        filters=[
            MetadataFilter(key="n", value=[1, 2, 3], operator=FilterOperator.IN),
            MetadataFilters(filters=[MetadataFilter(key="n", value=2)], condition="not"),  # type: ignore[arg-type]
        ]
    )
    query = near("n0", 2, filters=filters, doc_ids=["d1"])
    store.query(query)  # the engine may count the records of each new filter once
    commands.clear()
    assert set(ids_of(store.query(query))) == {"n1", "n3"}
    assert len(commands.round_trips) == 1
    (command,) = commands.round_trips[0]
    if engine_name == "search":
        returned = command[command.index(b"RETURN") :]
        assert b"vector" not in returned
    commands.clear()
    store.delete("d0")
    assert "KEYS" not in commands.names()
    assert "FT.INFO" not in commands.names()
    store.close()


def test_a_range_of_dates_as_text_is_found_among_few_candidates(
    server_url: str, index_name: str, engine_name: Any, commands: CommandLog
) -> None:
    store = ValkeyVectorStore(server_url, index_name=index_name, engine=engine_name)
    first = date(2020, 1, 1)
    store.add(
        [
            node(f"n{n}", metadata={"day": f"{first + timedelta(days=n)}T12:00:00Z"})
            for n in range(3000)
        ]
    )
    store.query(near("n0"))
    commands.clear()
    filters = MetadataFilters(
        filters=[
            MetadataFilter(key="day", value="2024-02-01", operator=FilterOperator.GTE),
            MetadataFilter(key="day", value="2024-02-03", operator=FilterOperator.LT),
        ]
    )
    found = store.query(near("n0", filters=filters, output_fields=["day"]))
    assert sorted(each.metadata["day"] for each in found.nodes or []) == [
        "2024-02-01T12:00:00Z", "2024-02-02T12:00:00Z",
    ]  # fmt: skip
    assert len(commands.round_trips) <= 3
    store.close()


@pytest.mark.parametrize("mode", ["default", "mmr"])
def test_an_embedding_of_numpy_is_one(library: ValkeyVectorStore, mode: str) -> None:
    plain = near("n0", 5, mode=VectorStoreQueryMode(mode))
    array: Any = np.asarray(vector_of("n0"), dtype=np.float32)
    query = VectorStoreQuery(
        query_embedding=array, similarity_top_k=5, mode=VectorStoreQueryMode(mode)
    )
    assert library.query(query) == library.query(plain)


@pytest.mark.parametrize("wrong", [{"n": 1}, {}, [], "n == 1"])
def test_an_invalid_filter_is_refused_and_the_error_names_the_valid_type(
    library: ValkeyVectorStore, wrong: Any
) -> None:
    uses: list[Callable[[], object]] = [
        lambda: library.query(near("n0", filters=wrong)),
        lambda: library.get_nodes(filters=wrong),
        lambda: library.delete_nodes(filters=wrong),
    ]
    for use in uses:
        with pytest.raises(
            FilterError, match=rf"MetadataFilters, not a {type(wrong).__name__}; .*from_dict"
        ):
            use()
    assert len(library.get_nodes()) == 13
