"""`ValkeyVectorStore`: what it finds, in which order and with which scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyRetriever, ValkeyVectorStore
from valkey_vector import F, FilterError, InvalidInputError

COMPASS = {"query": [1.0, 0.0], "same": [2.0, 0.0], "across": [0.0, 1.0], "opposite": [-1.0, 0.0]}
SCORES = {
    "COSINE": [1.0, 0.0, -1.0],
    "L2": [1 / 2, 1 / (1 + math.sqrt(2)), 1 / 3],
    "IP": [2.0, 0.0, -1.0],
}
METRICS = list(SCORES)


@pytest.fixture
def store(server_url: str, index_name: str, engine_name: str) -> Iterator[ValkeyVectorStore]:
    """Sixty documents, numbered, of two languages."""
    with opened(TableEmbeddings(), index_name, url=server_url, engine=engine_name) as store:
        store.add_documents(numbered())
        yield store


@pytest.fixture
def reference() -> InMemoryVectorStore:
    """LangChain's own store with the same documents."""
    store = InMemoryVectorStore(TableEmbeddings())
    store.add_documents(numbered())
    return store


def numbered() -> list[Document]:
    return [
        Document(
            id=f"d{n}", page_content=f"text {n}", metadata={"n": n, "lang": ("en", "de")[n % 2]}
        )
        for n in range(60)
    ]


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


@pytest.mark.parametrize("metric", METRICS)
def test_scores_are_similarities_and_higher_is_nearer(
    server_url: str, index_name: str, metric: str
) -> None:
    with opened(TableEmbeddings(COMPASS), index_name, url=server_url, metric=metric) as store:
        store.add_texts(["opposite", "same", "across"])
        found = store.similarity_search_with_score("query")
    assert [document.page_content for document, _ in found] == ["same", "across", "opposite"]
    assert [score for _, score in found] == pytest.approx(SCORES[metric], abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_relevance_is_a_function_of_the_similarity_within_0_and_1(
    server_url: str, index_name: str, metric: str
) -> None:
    with opened(TableEmbeddings(COMPASS), index_name, url=server_url, metric=metric) as store:
        store.add_texts(["opposite", "same", "across"])
        found = store.similarity_search_with_relevance_scores("query")
    expected = {
        "COSINE": [1.0, 0.0, 0.0],
        "L2": SCORES["L2"],
        "IP": [1 - 0.5 / (1 + math.log(3)), 0.5, 0.5 / (1 + math.log(2))],
    }[metric]
    assert [score for _, score in found] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_relevance_is_within_0_and_1_for_vectors_of_any_length(
    server_url: str, index_name: str, metric: str
) -> None:
    with opened(TableEmbeddings(), index_name, url=server_url, metric=metric) as store:
        store.add_documents(numbered())
        for query in ("text 3", "another", "one more"):
            found = store.similarity_search_with_relevance_scores(query, k=60)
            scores = [score for _, score in found]
            assert len(scores) == 60
            assert all(0.0 <= score <= 1.0 for score in scores)
            assert scores == sorted(scores, reverse=True)


def test_inner_products_of_any_size_have_a_relevance_of_their_own(
    server_url: str, index_name: str
) -> None:
    lengths = [sign * 1.7**n for n in range(30) for sign in (1, -1)]
    table = {"query": [3.0, 0.0], **{f"t{n}": [length, 1.0] for n, length in enumerate(lengths)}}
    with opened(TableEmbeddings(table), index_name, url=server_url, metric="IP") as store:
        store.add_texts(list(table)[1:])
        found = store.similarity_search_with_relevance_scores("query", k=60)
        scores = [score for _, score in found]
        assert len(set(scores)) == 60
        assert scores == sorted(scores, reverse=True)
        assert all(0.0 < score < 1.0 for score in scores)
        for position in (3, 20, 45):
            threshold = (scores[position - 1] + scores[position]) / 2
            kept = store.similarity_search_with_relevance_scores(
                "query", k=60, score_threshold=threshold
            )
            assert kept == found[:position]
            retriever = ValkeyRetriever.from_store(
                store, search_type="similarity_score_threshold", score_threshold=threshold, k=None
            )
            assert retriever.invoke("query") == [document for document, _ in found[:position]]


@pytest.mark.parametrize("threshold", [0.5, 1, 0])
def test_score_threshold_keeps_what_is_at_least_as_relevant(
    server_url: str, index_name: str, threshold: float
) -> None:
    table = {"query": [1.0, 0.0], "same": [1.0, 0.0], "near": [0.8, 0.6], "across": [0.0, 1.0]}
    with opened(TableEmbeddings(table), index_name, url=server_url) as store:
        store.add_texts(["same", "near", "across"])
        found = store.similarity_search_with_relevance_scores("query", score_threshold=threshold)
    kept = {0.5: ["same", "near"], 1: ["same"], 0: ["same", "near", "across"]}[threshold]
    assert [document.page_content for document, _ in found] == kept


@pytest.mark.parametrize("query", ["text 3", "never stored", "Straße"])
def test_documents_and_scores_are_those_of_the_in_memory_store(
    store: ValkeyVectorStore, reference: InMemoryVectorStore, query: str
) -> None:
    found = store.similarity_search_with_score(query, k=10)
    expected = reference.similarity_search_with_score(query, k=10)
    assert [document for document, _ in found] == [document for document, _ in expected]
    assert [score for _, score in found] == pytest.approx(
        [score for _, score in expected], abs=1e-5
    )


@pytest.mark.parametrize("lambda_mult", [0, 0.3, 0.5, 0.8, 1])
@pytest.mark.parametrize(("k", "fetch_k"), [(4, 20), (10, 60)])
def test_mmr_chooses_what_the_in_memory_store_chooses(
    store: ValkeyVectorStore,
    reference: InMemoryVectorStore,
    lambda_mult: float,
    k: int,
    fetch_k: int,
) -> None:
    settings: dict[str, Any] = {"k": k, "fetch_k": fetch_k, "lambda_mult": lambda_mult}
    found = store.max_marginal_relevance_search("some question", **settings)
    assert found == reference.max_marginal_relevance_search("some question", **settings)
    vector = TableEmbeddings().vector("some question")
    assert found == store.max_marginal_relevance_search_by_vector(vector, **settings)


def test_mmr_with_1_ranks_by_similarity_alone(store: ValkeyVectorStore) -> None:
    nearest = store.similarity_search("some question", k=5)
    assert store.max_marginal_relevance_search("some question", k=5, lambda_mult=1) == nearest


def test_mmr_with_0_takes_the_nearest_and_then_the_most_unlike(
    server_url: str, index_name: str
) -> None:
    table = {"query": [1.0, 0.0], "a": [1.0, 0.1], "copy of a": [1.0, 0.11], "far": [-1.0, 0.2]}
    with opened(TableEmbeddings(table), index_name, url=server_url) as store:
        store.add_texts(["a", "copy of a", "far"])
        found = store.max_marginal_relevance_search("query", k=2, lambda_mult=0)
    assert [document.page_content for document in found] == ["a", "far"]


def test_mmr_looks_only_at_what_the_filter_matches(
    store: ValkeyVectorStore, reference: InMemoryVectorStore
) -> None:
    found = store.max_marginal_relevance_search("some question", k=5, filter=F("lang") == "de")
    expected = reference.max_marginal_relevance_search(
        "some question", k=5, filter=lambda document: document.metadata["lang"] == "de"
    )
    assert found == expected


@pytest.mark.parametrize(
    ("filter", "matches"),
    [
        ({"lang": "en"}, lambda n: n % 2 == 0),
        (F("lang") == "en", lambda n: n % 2 == 0),
        ({"n": {"$gte": 20, "$lt": 30}}, lambda n: 20 <= n < 30),
        ((F("n") > 50) | (F("n") == 3), lambda n: n > 50 or n == 3),
        ({"$or": [{"n": {"$in": [1, 2]}}, {"n": {"$between": [40, 41]}}]}, lambda n: n in (1, 2, 40, 41)),
        ({"$not": {"lang": {"$like": "e%"}}}, lambda n: n % 2 == 1),
        ({"n": {"$in": []}}, lambda n: False),
        (F.id.in_(["d7", "d8", "nowhere"]), lambda n: n in (7, 8)),
        (None, lambda n: True),
        ({}, lambda n: True),
    ],
)  # fmt: skip
def test_filter_takes_a_dict_or_an_expression(
    store: ValkeyVectorStore,
    reference: InMemoryVectorStore,
    filter: Any,
    matches: Callable[[int], bool],
) -> None:
    expected = reference.similarity_search(
        "question", k=60, filter=lambda document: matches(document.metadata["n"])
    )
    assert store.similarity_search("question", 60, filter) == expected
    vector = TableEmbeddings().vector("question")
    assert store.similarity_search_by_vector(vector, 60, filter) == expected
    scored = store.similarity_search_with_score_by_vector(vector, 60, filter)
    assert [document for document, _ in scored] == expected


@pytest.mark.parametrize(
    "filter", [{"n": {"$near": 3}}, lambda document: True, {"$nor": []}, "lang = 'en'"]
)
def test_filter_that_is_not_understood_raises(store: ValkeyVectorStore, filter: Any) -> None:
    with pytest.raises(FilterError):
        store.similarity_search("question", filter=filter)


@pytest.mark.parametrize("k", [25, 60])
def test_a_search_returns_the_requested_number_of_documents(
    store: ValkeyVectorStore, k: int
) -> None:
    assert len(set(ids(store.similarity_search("question", k=k)))) == k


def test_fewer_documents_than_k_are_all_found(server_url: str, index_name: str) -> None:
    with opened(TableEmbeddings(), index_name, url=server_url) as store:
        store.add_texts(["a", "b", "c"])
        assert len(store.similarity_search("question", k=4)) == 3
        assert len(store.max_marginal_relevance_search("question", k=4)) == 3


def test_index_that_does_not_exist_is_empty(server_url: str, index_name: str) -> None:
    with opened(TableEmbeddings(), index_name, url=server_url) as store:
        assert store.similarity_search("question") == []
        assert store.similarity_search_with_relevance_scores("question") == []
        assert store.max_marginal_relevance_search("question") == []
        assert store.get_by_ids(["a"]) == []


@pytest.mark.parametrize("k", [0, -1, 2.5])
def test_k_that_is_no_count_is_refused(store: ValkeyVectorStore, k: Any) -> None:
    with pytest.raises(InvalidInputError, match="k must be"):
        store.similarity_search("question", k=k)


@pytest.mark.parametrize(
    "method",
    [
        "similarity_search",
        "similarity_search_with_score",
        "similarity_search_with_relevance_scores",
        "max_marginal_relevance_search",
        "asimilarity_search",
        "asimilarity_search_with_score",
        "asimilarity_search_with_relevance_scores",
        "amax_marginal_relevance_search",
    ],
)
async def test_misspelt_keyword_is_an_error_and_not_a_search_without_a_filter(
    store: ValkeyVectorStore, method: str
) -> None:
    async def search() -> None:
        found = getattr(store, method)("question", fliter={"lang": "en"})
        await found  # a method that is not asynchronous has raised already

    with pytest.raises(TypeError, match="fliter"):
        await search()


def test_query_of_another_dimension_is_refused(
    store: ValkeyVectorStore, server_url: str, index_name: str
) -> None:
    with (
        opened(TableEmbeddings(size=15), index_name, url=server_url) as other,
        pytest.raises(InvalidInputError, match=r"15 dimensions.* has 16"),
    ):
        other.similarity_search("question")


@pytest.mark.parametrize("filter", [{"lang": "en"}, F("lang") == "en"])
@pytest.mark.parametrize(
    ("search_type", "settings"),
    [
        ("similarity", {}),
        ("mmr", {"fetch_k": 30, "lambda_mult": 0.4}),
        ("similarity_score_threshold", {"score_threshold": 0.05}),
    ],
)
async def test_retrievers_of_every_type_take_a_filter(
    store: ValkeyVectorStore,
    reference: InMemoryVectorStore,
    search_type: str,
    settings: dict[str, Any],
    filter: Any,
) -> None:
    retriever = store.as_retriever(
        search_type=search_type, search_kwargs={"k": 7, "filter": filter, **settings}
    )
    in_memory = reference.as_retriever(
        search_type="mmr" if search_type == "mmr" else "similarity",
        search_kwargs={
            "k": 7,
            "filter": lambda document: document.metadata["lang"] == "en",
            **(settings if search_type == "mmr" else {}),
        },
    )
    expected = in_memory.invoke("question")
    found = retriever.invoke("question")
    if search_type == "similarity_score_threshold":
        assert len(found) > 0
        assert found == expected[: len(found)]
    else:
        assert found == expected
    assert await retriever.ainvoke("question") == found
    assert retriever.with_config(tags=["x"]).batch(["question"]) == [found]
    assert retriever.invoke("question", k=1) == found[:1]


def test_retriever_refuses_a_misspelt_setting(store: ValkeyVectorStore) -> None:
    with pytest.raises(TypeError, match="fliter"):
        store.as_retriever(search_kwargs={"fliter": {"lang": "en"}}).invoke("question")


def test_retriever_names_the_store_and_the_embedding(store: ValkeyVectorStore) -> None:
    assert store.as_retriever().tags == ["ValkeyVectorStore", "TableEmbeddings"]
