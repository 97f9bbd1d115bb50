"""LlamaIndex's query modes by terms: text search and hybrid search, compared with references."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.indices.vector_store.retrievers import VectorIndexAutoRetriever
from llama_index.core.llms import CompletionResponse, MockLLM
from llama_index.core.schema import ImageNode
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataInfo,
    VectorStoreInfo,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from llama_index.vector_stores.valkey import ValkeyVectorStore
from llamaindex_stores import (
    SERVERS,
    LocalEmbedding,
    ids_of,
    node,
    only,
    opened,
    vector_of,
)
from round_trips import CommandLog
from text_oracle import answers
from valkey_vector import ConfigurationError, FullText, IndexMismatchError

TEXTS = {
    "a": "The quick brown fox jumps over the lazy dog.",
    "b": "Running foxes are quick; a fox runs.",
    "c": "New York is a big city in the United States.",
    "d": "A fox in the city of York.",
    "e": "Nothing of the kind.",
    "f": "The dog sleeps.",
}
SOURCES = {
    "a": "animals",
    "b": "animals",
    "c": "places",
    "d": "places",
    "e": "none",
    "f": "animals",
}
QUESTION = "fox city"
BY_TEXT = ["text_search", "sparse"]
HYBRID = ["hybrid", "semantic_hybrid"]
ALL = sorted(TEXTS)


@pytest.fixture(params=SERVERS)
def store(request: pytest.FixtureRequest, index_name: str) -> Iterator[ValkeyVectorStore]:
    with opened(request.param, request, index_name, full_text=True) as made:
        yield made


@pytest.fixture
def library(store: ValkeyVectorStore) -> ValkeyVectorStore:
    store.add(
        [
            node(id, text, source=SOURCES[id], metadata={"n": n, "title": f"Title {id}"})
            for n, (id, text) in enumerate(TEXTS.items())
        ]
    )
    store.add([ImageNode(id_="picture", image_url="fox.png", embedding=vector_of("picture"))])
    return store


def asking(mode: str, text: str | None = QUESTION, k: int = 10, **fields: Any) -> VectorStoreQuery:
    """A query as LlamaIndex's retriever makes it: without an embedding where words alone count."""
    embedding = None if mode in BY_TEXT else vector_of("question")
    return VectorStoreQuery(
        **{"query_embedding": embedding, "query_str": text, "similarity_top_k": k, **fields},
        mode=VectorStoreQueryMode(mode),
    )


def scores_of(result: VectorStoreQueryResult) -> dict[str, float]:
    return dict(zip(result.ids or [], result.similarities or [], strict=True))


def best(scores: Mapping[str, float], k: int) -> list[str]:
    return sorted(scores, key=lambda name: (-scores[name], name))[:k]


@pytest.mark.parametrize("mode", BY_TEXT)
@pytest.mark.parametrize(
    "text",
    [
        QUESTION, "runs", "The", "", "unheard-of", "@content:{fox} | -dog*", "york york \"new york\" (", "big.city",
    ],
)  # fmt: skip
def test_words_are_found_by_bm25(library: ValkeyVectorStore, mode: str, text: str) -> None:
    expected = answers(TEXTS, text, every=False)
    result = library.query(asking(mode, text))
    assert result.ids == best(expected, 10)
    assert scores_of(result) == pytest.approx(expected, abs=1e-6)
    assert [found.get_content() for found in result.nodes or []] == [
        TEXTS[id] for id in result.ids or []
    ]


@pytest.mark.parametrize("mode", BY_TEXT)
def test_a_text_search_returns_the_requested_number(library: ValkeyVectorStore, mode: str) -> None:
    ranked = best(answers(TEXTS, QUESTION, every=False), 10)
    assert library.query(asking(mode, k=2)).ids == ranked[:2]
    assert library.query(asking(mode, k=1, sparse_top_k=3)).ids == ranked[:3]
    assert library.query(asking(mode, k=3, sparse_top_k=1, hybrid_top_k=2)).ids == ranked[:1]


@pytest.mark.parametrize("mode", BY_TEXT + HYBRID)
def test_all_words_or_any_are_looked_for(library: ValkeyVectorStore, mode: str) -> None:
    every = library.query(asking(mode, alpha=0.0), match="all")
    assert best(scores_of(every), 1) == ["d"]
    assert [id for id, score in scores_of(every).items() if score > 0] == ["d"]


@pytest.mark.parametrize("mode", HYBRID)
def test_without_alpha_rankings_are_fused_by_rank(library: ValkeyVectorStore, mode: str) -> None:
    near = ids_of(library.query(asking("default")))
    text = ids_of(library.query(asking("text_search")))
    assert len(near) == 7
    expected = {
        id: sum(1 / (61 + ranked.index(id)) for ranked in (near, text) if id in ranked)
        for id in near
    }
    result = library.query(asking(mode))
    assert result.ids == best(expected, 10)
    assert scores_of(result) == pytest.approx(expected)
    assert library.query(asking(mode, k=3)).ids == best(expected, 3)


@pytest.mark.parametrize("mode", HYBRID)
@pytest.mark.parametrize("alpha", [0.0, 0.25, 1, 1.0])
def test_alpha_weighs_the_embedding(library: ValkeyVectorStore, mode: str, alpha: float) -> None:
    near = scores_of(library.query(asking("default")))
    text = scores_of(library.query(asking("text_search")))

    def share(scores: dict[str, float], id: str) -> float:
        low, high = min(scores.values()), max(scores.values())
        return (scores[id] - low) / (high - low) if id in scores else 0.0

    expected = {id: alpha * share(near, id) + (1 - alpha) * share(text, id) for id in near}
    result = library.query(asking(mode, alpha=alpha))
    assert scores_of(result) == pytest.approx(expected, abs=1e-6)
    assert result.similarities == sorted(result.similarities or [], reverse=True)


@pytest.mark.parametrize("mode", HYBRID)
def test_each_ranking_has_its_own_limit(library: ValkeyVectorStore, mode: str) -> None:
    near = ids_of(library.query(asking("default")))
    text = ids_of(library.query(asking("text_search")))

    def fused(nearest: int, by_text: int, k: int) -> list[str]:
        kept = (near[:nearest], text[:by_text])
        return best(
            {
                id: sum(1 / (61 + ranked.index(id)) for ranked in kept if id in ranked)
                for ranking in kept
                for id in ranking
            },
            k,
        )

    assert library.query(asking(mode, k=2, sparse_top_k=1)).ids == fused(7, 1, 2)
    assert library.query(asking(mode, k=4, hybrid_top_k=2)).ids == fused(4, 4, 2)
    assert library.query(asking(mode, k=4, hybrid_top_k=4, sparse_top_k=1)).ids == fused(4, 1, 4)
    assert library.query(asking(mode, k=2, hybrid_top_k=1, sparse_top_k=3)).ids == fused(2, 3, 1)
    # Of the nearest never fewer than are wanted, so that there are as many.
    assert library.query(asking(mode, k=1, hybrid_top_k=5, sparse_top_k=2)).ids == fused(5, 2, 5)


@pytest.mark.parametrize("mode", HYBRID)
def test_a_text_without_words_leaves_the_ranking_by_embedding(
    library: ValkeyVectorStore, mode: str
) -> None:
    for text in ("", "the"):
        assert (
            library.query(asking(mode, text, k=3)).ids == library.query(asking("default", k=3)).ids
        )


@pytest.mark.parametrize("mode", BY_TEXT + HYBRID)
def test_restrictions_hold_together_in_every_mode(library: ValkeyVectorStore, mode: str) -> None:
    def found(**fields: Any) -> set[str]:
        return set(ids_of(library.query(asking(mode, **fields))))

    everything = {"a", "b", "c", "d"} if mode in BY_TEXT else {*ALL, "picture"}
    allowed: list[tuple[dict[str, Any], set[str]]] = [
        ({}, everything),
        ({"node_ids": []}, everything),
        ({"doc_ids": []}, set()),
        ({"doc_ids": ["animals"]}, {"a", "b", "f"}),
        ({"node_ids": ["a", "d", "e", "missing"]}, {"a", "d", "e"}),
        ({"node_ids": ["a", "d"], "doc_ids": ["places"]}, {"d"}),
        ({"filters": only("n", 1, FilterOperator.GT)}, {"c", "d", "e", "f"}),
        ({"filters": only("title", "E A", FilterOperator.TEXT_MATCH)}, set()),
        ({"filters": only("title", "e a", FilterOperator.TEXT_MATCH)}, {"a"}),
        ({"filters": only("ref_doc_id", "places"), "node_ids": ["c", "e"]}, {"c"}),
    ]
    for fields, expected in allowed:
        assert found(**fields) == expected & everything, fields


@pytest.mark.parametrize("mode", BY_TEXT + HYBRID)
def test_nodes_of_a_text_search_have_the_requested_parts(
    library: ValkeyVectorStore, mode: str
) -> None:
    (plain,) = library.query(asking(mode, k=1, node_ids=["d"])).nodes or []
    whole = node("d", TEXTS["d"], "places", metadata={"n": 3, "title": "Title d"})
    assert plain == whole.model_copy(update={"embedding": None})
    fields = ["text", "metadata", "embedding"]
    assert library.query(asking(mode, k=1, node_ids=["d"], output_fields=fields)).nodes == [whole]
    (bare,) = library.query(asking(mode, k=1, node_ids=["d"], output_fields=["n"])).nodes or []
    assert (bare.get_content(), bare.metadata, bare.embedding) == ("", {"n": 3}, None)


@pytest.mark.parametrize("mode", BY_TEXT + HYBRID)
async def test_words_are_looked_for_awaited(library: ValkeyVectorStore, mode: str) -> None:
    query = asking(mode, filters=only("n", 3, FilterOperator.LTE))
    assert await library.aquery(query) == library.query(query)


@pytest.mark.parametrize("mode", BY_TEXT + HYBRID)
def test_an_index_that_was_never_written_has_no_words(store: ValkeyVectorStore, mode: str) -> None:
    assert store.query(asking(mode)) == VectorStoreQueryResult(nodes=[], similarities=[], ids=[])


def test_nodes_without_an_embedding_are_found_by_words(store: ValkeyVectorStore) -> None:
    store.add([node("with", "one fox"), node("without", "two foxes", embedding=None)])
    assert set(ids_of(store.query(asking("text_search", "fox")))) == {"with", "without"}
    assert set(ids_of(store.query(asking("hybrid", "fox")))) == {"with", "without"}


def test_metadata_declared_as_text_is_looked_into(
    server_url: str, index_name: str, engine_name: Any
) -> None:
    schema = {"dimension": 8, "fields": {"title": "text"}}
    store = ValkeyVectorStore(
        server_url, index_name=index_name, engine=engine_name, index_schema=schema
    )
    store.add([node("a", "fox", metadata={"title": "wolf"}), node("b", "dog")])
    for mode in ("text_search", "hybrid"):
        query = asking(mode, "wolf", k=1)
        assert store.query(query, fields=["content", "title"]).ids == ["a"]
        assert store.query(query, fields=("title",)).ids == ["a"]
        with pytest.raises(ValueError, match="other"):
            store.query(query, fields=["other"])
    assert store.query(asking("text_search", "wolf")).ids == []
    store.close()


@pytest.mark.parametrize("mode", BY_TEXT + HYBRID)
def test_an_index_without_full_text_raises_a_clear_error(
    mode: str, server_url: str, index_name: str, engine_name: Any
) -> None:
    store = ValkeyVectorStore(server_url, index_name=index_name, engine=engine_name)
    store.add([node("a", "fox")])
    with pytest.raises(ConfigurationError, match="Create it again with full_text=True"):
        store.query(asking(mode))
    assert ids_of(store.query(asking("default"))) == ["a"]
    store.close()


@pytest.mark.parametrize(
    ("mode", "fields", "named"),
    [
        ("text_search", {"query_str": None}, "query_str.*text_search"),
        ("sparse", {"query_str": None}, "query_str.*sparse"),
        ("hybrid", {"query_str": None}, "query_str.*hybrid"),
        ("hybrid", {"query_embedding": None}, "query_embedding.*text_search"),
        ("semantic_hybrid", {"embedding_field": "other"}, "embedding_field"),
        ("hybrid", {"query_embedding": [1.0]}, "dimension"),
        ("text_search", {"similarity_top_k": 0}, "similarity_top_k"),
        ("text_search", {"sparse_top_k": 0}, "sparse_top_k"),
        ("hybrid", {"similarity_top_k": 0}, "similarity_top_k"),
        ("hybrid", {"sparse_top_k": 0}, "sparse_top_k"),
        ("hybrid", {"hybrid_top_k": 0}, "hybrid_top_k"),
        ("hybrid", {"alpha": 1.5}, "alpha"),
        ("hybrid", {"alpha": "much"}, "alpha"),
    ],
)
def test_an_unsupported_text_query_is_refused(
    library: ValkeyVectorStore, mode: str, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        library.query(asking(mode, **fields))


def test_keywords_that_mean_nothing_in_a_mode_are_refused(library: ValkeyVectorStore) -> None:
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("text_search", {"ef_runtime": 10}),
        ("text_search", {"mmr_threshold": 0.5}),
        ("hybrid", {"tenant": "a"}),
        ("default", {"match": "all"}),
        ("mmr", {"fields": ["content"]}),
    ]
    for mode, keywords in wrong:
        with pytest.raises(TypeError, match=next(iter(keywords))):
            library.query(asking(mode), **keywords)
    with pytest.raises(ValueError, match="'any' or 'all'"):
        library.query(asking("text_search"), match="some")
    with pytest.raises(ValueError, match="fields"):
        library.query(asking("text_search"), fields="content")
    assert library.query(asking("hybrid"), ef_runtime=50).ids


def test_searches_for_words_are_two_round_trips(
    server_url: str, index_name: str, engine_name: Any, commands: CommandLog
) -> None:
    store = ValkeyVectorStore(server_url, index_name=index_name, engine=engine_name, full_text=True)
    store.add([node(f"n{n}", f"fox {n}", metadata={"n": n}) for n in range(20)])
    for _ in range(2):
        store.query(asking("hybrid"))  # in a cluster, counts are kept from the second search on
    for mode in ("text_search", "hybrid"):
        commands.clear()
        query = asking(mode, k=3, filters=only("n", 10, FilterOperator.LT))
        assert len(ids_of(store.query(query))) == 3
        # A graph that finds fewer than it looks for, as here, is checked for others in one more.
        checked = mode == "hybrid" and engine_name == "search"
        assert len(commands.round_trips) == (3 if checked else 2)
    store.close()


# The setting


@pytest.mark.parametrize(
    "full_text",
    [True, False, None, FullText(language="german"), {"stop_words": ["der"], "stem": False}],
    ids=["true", "false", "none", "object", "dict"],
)
def test_full_text_is_written_down_with_the_store(index_name: str, full_text: Any) -> None:
    store = ValkeyVectorStore(
        "valkey://localhost:1", index_name=index_name, dimension=3, full_text=full_text
    )
    described = store.to_dict()
    assert json.loads(store.to_json())["full_text"] == json.loads(
        json.dumps(described["full_text"])
    )
    wanted = FullText.of(full_text)
    for again in (
        ValkeyVectorStore.from_dict(described),
        ValkeyVectorStore.from_json(store.to_json()),
    ):
        assert again.to_dict() == described
        asked = again.index._handle.settings
        assert asked.schema.full_text == wanted
        assert ("full_text" in asked.explicit) == (full_text is not None)


def test_full_text_defaults_to_that_of_an_existing_index(
    library: ValkeyVectorStore, index_name: str
) -> None:
    settings: dict[str, Any] = {} if library.url is None else {"url": library.url}
    quiet = ValkeyVectorStore(index_name=index_name, **settings)
    assert ids_of(quiet.query(asking("text_search"))) == ids_of(library.query(asking("sparse")))
    for other in (False, FullText(stem=False)):
        refused = ValkeyVectorStore(index_name=index_name, full_text=other, **settings)
        with pytest.raises(IndexMismatchError, match="full_text"):
            refused.query(asking("text_search"))
        refused.close()
    quiet.close()
    for wrong in ("yes", {"langauge": "german"}, {"language": "klingon"}):
        with pytest.raises(ValueError, match=r"full_text|klingon"):
            ValkeyVectorStore(index_name=index_name, full_text=wrong, **settings)  # type: ignore[arg-type]


# LlamaIndex itself


class Refusing(LocalEmbedding):
    """Embeds texts, and no questions."""

    def _get_query_embedding(self, query: str) -> list[float]:
        raise AssertionError("where words alone count nothing is embedded")


def test_a_retriever_looks_for_words_without_embedding_them(library: ValkeyVectorStore) -> None:
    index = VectorStoreIndex.from_vector_store(library, embed_model=Refusing())
    expected = answers(TEXTS, QUESTION, every=False)
    for mode in BY_TEXT:
        retriever = index.as_retriever(vector_store_query_mode=mode, similarity_top_k=3)
        found = retriever.retrieve(QUESTION)
        assert [each.node_id for each in found] == best(expected, 3)
        assert [each.score for each in found] == pytest.approx(
            [expected[each.node_id] for each in found], abs=1e-6
        )


async def test_a_retriever_and_an_engine_search_both_ways(library: ValkeyVectorStore) -> None:
    index = VectorStoreIndex.from_vector_store(library, embed_model=LocalEmbedding())
    settings: dict[str, Any] = {
        "vector_store_query_mode": "hybrid", "similarity_top_k": 4, "sparse_top_k": 3, "hybrid_top_k": 2, "alpha": 0.4,
        "filters": only("n", 3, FilterOperator.LTE), "vector_store_kwargs": {"match": "all"},
    }  # fmt: skip
    expected = library.query(
        asking(
            "hybrid", query_embedding=vector_of(QUESTION), k=4, sparse_top_k=3, hybrid_top_k=2, alpha=0.4,
            filters=settings["filters"],
        ),
        match="all",
    )  # fmt: skip
    retriever = index.as_retriever(**settings)
    for found in (retriever.retrieve(QUESTION), await retriever.aretrieve(QUESTION)):
        assert [each.node_id for each in found] == expected.ids
        assert [each.score for each in found] == pytest.approx(expected.similarities)
    answer = index.as_query_engine(llm=MockLLM(), **settings).query(QUESTION)
    assert [each.node_id for each in answer.source_nodes] == expected.ids


class Dictated(MockLLM):
    """Answers every question for a query with the same one."""

    _answer: str = PrivateAttr()

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__()
        self._answer = f"```json\n{json.dumps(answer)}\n```"

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        assert "the node's number" in prompt  # what the store is said to hold
        return CompletionResponse(text=self._answer)


@pytest.fixture
def automatic(library: ValkeyVectorStore) -> Callable[..., VectorIndexAutoRetriever]:
    """A retriever whose model writes the query that is given."""

    def made(
        query: str, filters: list[dict[str, Any]], **settings: Any
    ) -> VectorIndexAutoRetriever:
        return VectorIndexAutoRetriever(
            VectorStoreIndex.from_vector_store(library, embed_model=LocalEmbedding()),
            vector_store_info=VectorStoreInfo(
                content_info="sentences",
                metadata_info=[
                    MetadataInfo(name="n", type="int", description="the node's number"),
                    MetadataInfo(name="title", type="str", description="its title"),
                ],
            ),
            llm=Dictated({"query": query, "filters": filters, "top_k": 5}),
            similarity_top_k=5,
            **settings,
        )

    return made


@pytest.mark.parametrize("mode", ["default", "mmr", *BY_TEXT, *HYBRID])
async def test_an_auto_retrievers_filters_hold_in_every_mode(
    automatic: Callable[..., VectorIndexAutoRetriever], mode: str
) -> None:
    written = [
        {"key": "n", "operator": ">=", "value": 1},
        {"key": "title", "operator": "in", "value": ["Title a", "Title b", "Title d", "Title e"]},
        {"key": "n", "operator": "!=", "value": 9},
    ]
    expected = {"b", "d"} if mode in BY_TEXT else {"b", "d", "e"}
    retriever = automatic(QUESTION, written, vector_store_query_mode=VectorStoreQueryMode(mode))
    for found in (retriever.retrieve("?"), await retriever.aretrieve("?")):
        assert {each.node_id for each in found} == expected
        assert all(each.score is not None for each in found)
    more = automatic(
        QUESTION,
        written,
        vector_store_query_mode=VectorStoreQueryMode(mode),
        extra_filters=only("ref_doc_id", "places"),
    )
    assert {each.node_id for each in more.retrieve("?")} == {"d"}


@pytest.mark.parametrize("mode", ["default", "mmr", *HYBRID])
async def test_an_auto_retriever_can_query_by_filters_alone(
    automatic: Callable[..., VectorIndexAutoRetriever], library: ValkeyVectorStore, mode: str
) -> None:
    written = [{"key": "n", "operator": ">", "value": 2}]
    retriever = automatic("", written, vector_store_query_mode=VectorStoreQueryMode(mode))
    for found in (retriever.retrieve("?"), await retriever.aretrieve("?")):
        assert [each.node_id for each in found] == ["d", "e", "f"]  # the oldest first
        assert [each.score for each in found] == [None] * 3
        assert [each.text for each in found] == [TEXTS[id] for id in "def"]
    blank = asking(mode, "", query_embedding=None, filters=only("n", 2, FilterOperator.GT))
    blank.similarity_top_k = 2
    assert library.query(blank).ids == ["d", "e"]
    with pytest.raises(TypeError, match="tenant"):
        library.query(blank, tenant="a")
    with pytest.raises(ValueError, match="query_embedding"):
        automatic("", [], vector_store_query_mode=VectorStoreQueryMode(mode)).retrieve("?")
