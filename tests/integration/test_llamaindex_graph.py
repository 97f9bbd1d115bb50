from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core import Document, PropertyGraphIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.graph_stores import SimplePropertyGraphStore
from llama_index.core.graph_stores.types import (
    ChunkNode,
    EntityNode,
    LabelledNode,
    PropertyGraphStore,
    Relation,
    Triplet,
)
from llama_index.core.indices.property_graph import (
    CustomPGRetriever,
    ImplicitPathExtractor,
    LLMSynonymRetriever,
    VectorContextRetriever,
)
from llama_index.core.llms import MockLLM
from llama_index.core.schema import (
    BaseNode,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
    TransformComponent,
)
from llama_index.core.vector_stores.types import (
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)

from llama_index.graph_stores.valkey import ValkeyPropertyGraphStore
from valkey_vector import InvalidInputError
from valkey_vector.connection import Connection

names = st.sampled_from(["a", "b", "c", "d\x00", "é:", "f|}"])
values = st.sampled_from([1, 1.0, True, "x", None, ["x"], {"k": 1}])
properties = st.dictionaries(st.sampled_from(["p", "id", "content"]), values, max_size=2)
embeddings = st.none() | st.lists(st.floats(0.1, 1), min_size=4, max_size=4)
entities = st.builds(
    EntityNode, name=names, label=st.sampled_from(["entity", "person"]), properties=properties
)
chunks = st.builds(ChunkNode, text=st.text(max_size=3), id_=names, properties=properties)
related = st.builds(
    Relation,
    label=st.sampled_from(["knows", "likes", ""]),
    source_id=names | st.just("new"),
    target_id=names,
    properties=properties,
)
lists = st.none() | st.lists(names | st.just("other"), max_size=2)
labels = st.none() | st.lists(st.sampled_from(["knows", "likes", "other"]), max_size=2)


@pytest.fixture
def opened(server_url: str, index_name: str, engine_name: Any) -> Iterator[Callable[..., Any]]:
    """Opens graph stores on the engine under test; closed afterwards."""
    with Connection.open(server_url) as connection:

        def make(suffix: str = "") -> ValkeyPropertyGraphStore:
            return ValkeyPropertyGraphStore(
                index_name=f"{index_name}{suffix}",
                connection=connection,
                engine=engine_name,
                dimension=4,
            )

        yield make


@pytest.fixture
def store(opened: Callable[..., ValkeyPropertyGraphStore]) -> ValkeyPropertyGraphStore:
    return opened()


def shown(node: LabelledNode) -> tuple[object, ...]:
    return type(node).__name__, node.id, node.model_dump_json()


def triplets_of(triplets: list[Triplet]) -> list[tuple[object, ...]]:
    return sorted((shown(s), r.model_dump_json(), shown(o)) for s, r, o in triplets)


def nodes_of(nodes: list[LabelledNode]) -> list[tuple[object, ...]]:
    return sorted(map(shown, nodes))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    nodes=st.lists(entities | chunks, max_size=6),
    relations=st.lists(related, max_size=8),
    queries=st.lists(
        st.tuples(lists, labels, st.none() | properties, lists), min_size=1, max_size=5
    ),
    depth=st.integers(0, 3),
)
def test_it_answers_as_the_store_in_memory_does(
    store: ValkeyPropertyGraphStore,
    nodes: list[LabelledNode],
    relations: list[Relation],
    queries: list[Any],
    depth: int,
) -> None:
    simple = SimplePropertyGraphStore()
    store.clear()
    for one in (simple, store):
        one.upsert_nodes(nodes)
        one.upsert_relations(relations)
    assert nodes_of(store.get()) == nodes_of(simple.get())
    for entity_names, relation_names, wanted, ids in queries:
        assert nodes_of(store.get(wanted, ids)) == nodes_of(simple.get(wanted, ids))
        conditions = (entity_names, relation_names, wanted, ids)
        assert triplets_of(store.get_triplets(*conditions)) == triplets_of(
            simple.get_triplets(*conditions)
        )
        start = simple.get(ids=ids)
        # In memory a relation may come twice; the order is that of a set, so only a large limit compares.
        theirs = simple.get_rel_map(start, depth=depth, limit=1000, ignore_rels=relation_names)
        ours = store.get_rel_map(start, depth=depth, limit=1000, ignore_rels=relation_names)
        assert triplets_of(ours) == sorted({*triplets_of(theirs)})
        assert len(
            store.get_rel_map(start, depth=depth, limit=2, ignore_rels=relation_names)
        ) == min(2, len(ours))
    # Whole components: deleting less, the store in memory deletes the neighbors, too.
    component = {"a"}
    for _ in relations:
        for relation in relations:
            if component & {relation.source_id, relation.target_id}:
                component |= {relation.source_id, relation.target_id}
    for one in (simple, store):
        one.delete(ids=sorted(component))
    assert nodes_of(store.get()) == nodes_of(simple.get())
    assert triplets_of(store.get_triplets(ids=["b", "c", "é:"])) == triplets_of(
        simple.get_triplets(ids=["b", "c", "é:"])
    )
    assert [report.found for report in store.verify()] == [0, 0]


def people() -> tuple[list[LabelledNode], list[Relation]]:
    nodes: list[LabelledNode] = [
        EntityNode(
            name="Ada", label="person", properties={"born": 1815}, embedding=[1.0, 0.0, 0.0, 0.0]
        ),
        EntityNode(
            name="Babbage",
            label="person",
            properties={"born": 1791},
            embedding=[0.8, 0.6, 0.0, 0.0],
        ),
        EntityNode(
            name="Engine", label="machine", properties={"p": [1]}, embedding=[0.0, 0.0, 1.0, 0.0]
        ),
        ChunkNode(text="Ada wrote the notes.", id_="c1"),
    ]
    relations = [
        Relation(label="knows", source_id="Ada", target_id="Babbage", properties={"since": 1833}),
        Relation(label="designed", source_id="Babbage", target_id="Engine"),
        Relation(label="described", source_id="Ada", target_id="Engine"),
    ]
    return nodes, relations


def filled(store: ValkeyPropertyGraphStore) -> ValkeyPropertyGraphStore:
    nodes, relations = people()
    store.upsert_nodes(nodes)
    store.upsert_relations(relations)
    return store


def query(embedding: list[float], k: int = 10, **more: Any) -> VectorStoreQuery:
    return VectorStoreQuery(query_embedding=embedding, similarity_top_k=k, **more)


def test_nodes_are_found_by_embedding_and_filtered_by_property(
    store: ValkeyPropertyGraphStore,
) -> None:
    filled(store)
    nodes, scores = store.vector_query(query([1.0, 0.0, 0.0, 0.0], 2))
    assert [node.id for node in nodes] == ["Ada", "Babbage"]
    assert scores == pytest.approx([1.0, 0.8], abs=1e-5)
    assert nodes[0].embedding == [1.0, 0.0, 0.0, 0.0]
    early = MetadataFilters(filters=[MetadataFilter(key="born", value=1800, operator="<")])  # type: ignore[arg-type]
    nodes, _ = store.vector_query(query([1.0, 0.0, 0.0, 0.0], filters=early))
    assert [node.id for node in nodes] == ["Babbage"]
    nodes, _ = store.vector_query(query([1.0, 0.0, 0.0, 0.0], node_ids=["Engine"]))
    assert [node.id for node in nodes] == ["Engine"]


def test_an_embedding_that_is_dropped_or_deleted_is_found_no_more(
    store: ValkeyPropertyGraphStore,
) -> None:
    filled(store)
    store.upsert_nodes([EntityNode(name="Ada", label="person")])
    assert [n.id for n in store.vector_query(query([1.0, 0.0, 0.0, 0.0]))[0]] == [
        "Babbage",
        "Engine",
    ]
    store.delete(entity_names=["Babbage"])
    assert [n.id for n in store.vector_query(query([1.0, 0.0, 0.0, 0.0]))[0]] == ["Engine"]
    assert store.index.count() == 1
    assert [str(report).endswith("no problem found") for report in store.verify()] == [True, True]


def test_deleting_leaves_the_neighbors(store: ValkeyPropertyGraphStore) -> None:
    filled(store)
    store.delete()
    store.delete(ids=[], entity_names=[])
    assert len(store.get()) == 4
    store.delete(relation_names=["knows"], ids=["Ada"])
    assert [r.id for _, r, _ in store.get_triplets(entity_names=["Ada"])] == ["described"]
    store.delete(ids=["Ada"])
    assert {node.id for node in store.get()} == {"Babbage", "Engine", "c1"}
    assert [r.id for _, r, _ in store.get_triplets(relation_names=["described", "designed"])] == [
        "designed"
    ]
    store.delete(properties={"born": 1791})
    assert {node.id for node in store.get()} == {"Engine", "c1"}
    store.delete(entity_names=["Engine"], ids=["c1"])
    assert {node.id for node in store.get()} == {"Engine", "c1"}


def test_nothing_is_stored_of_nodes_that_cannot_be(store: ValkeyPropertyGraphStore) -> None:
    class Other(EntityNode):
        pass

    good = EntityNode(name="good")
    for bad in (
        Other(name="x"),
        EntityNode(name="x", properties={"p": object()}),
        EntityNode(name="x", embedding=[1.0]),
        EntityNode(name="\ud800"),
    ):
        with pytest.raises(InvalidInputError):
            store.upsert_nodes([good, bad])
    with pytest.raises(InvalidInputError):
        store.upsert_relations(
            [Relation(label="r", source_id="a", target_id="b", properties={"p": {1}})]
        )
    assert store.get() == []
    with pytest.raises(ValueError, match="embedding"):
        store.vector_query(VectorStoreQuery(query_str="text"))
    with pytest.raises(TypeError, match="keyword"):
        store.vector_query(query([1.0, 0.0, 0.0, 0.0]), mode="x")
    with pytest.raises(NotImplementedError, match="join"):
        store.structured_query("MATCH (n) RETURN n")


def test_the_embeddings_are_repaired_after_the_nodes(store: ValkeyPropertyGraphStore) -> None:
    filled(store)
    store.index.delete(["Ada"])
    (stored,) = store.index.get(["Engine"], with_vectors=True)
    assert stored is not None
    store.index.upsert([type(stored)(id="stray", vector=[1.0, 0.0, 0.0, 0.0])])
    store.index.update_metadata(["Engine"], {"p": "changed"})
    found = store.verify()[1]
    assert sorted((problem.kind, problem.detail) for problem in found.problems) == [
        ("missing embedding", b"Ada"),
        ("stale embedding", b"Engine"),
        ("stray embedding", b"stray"),
    ]
    assert [report.ok for report in store.repair()] == [True, True]
    assert [report.found for report in store.verify()] == [0, 0]
    assert store.vector_query(query([1.0, 0.0, 0.0, 0.0], 1))[0][0].id == "Ada"


def test_the_schema_names_labels_properties_and_relations(store: ValkeyPropertyGraphStore) -> None:
    filled(store)
    assert store.get_schema() == {
        "nodes": {"machine": ["p"], "person": ["born"], "text_chunk": []},
        "relations": [
            ["person", "described", "machine"], ["person", "designed", "machine"], ["person", "knows", "person"],
        ],
    }  # fmt: skip
    assert "designed" in store.get_schema_str()


def test_chunks_without_an_id_keep_theirs_in_another_process(
    store: ValkeyPropertyGraphStore,
) -> None:
    node = ChunkNode(text="some text")
    store.upsert_nodes([node])
    assert [one.model_dump() for one in store.get()] == [{**node.model_dump(), "id_": node.id}]


class Extractor(TransformComponent):
    """Takes every `A likes B.` for a relation: an LLM of one rule."""

    def __call__(self, nodes: Any, **kwargs: Any) -> list[BaseNode]:
        for node in nodes:
            found = [sentence.split(" likes ") for sentence in node.get_content().split(". ")]
            pairs = [pair for pair in found if len(pair) == 2]
            node.metadata["nodes"] = [
                EntityNode(name=name.strip(".")) for pair in pairs for name in pair
            ]
            node.metadata["relations"] = [
                Relation(label="LIKES", source_id=a, target_id=b.strip(".")) for a, b in pairs
            ]
        return list(nodes)


class Synonyms(MockLLM):
    """Finds the same keywords in every question."""

    def predict(self, *args: Any, **kwargs: Any) -> str:
        return "Ada^beer"

    async def apredict(self, *args: Any, **kwargs: Any) -> str:
        return "Ada^beer"


class Custom(CustomPGRetriever):
    def init(self, **kwargs: Any) -> None:
        pass

    def custom_retrieve(self, query_str: str) -> str:
        return f"{len(self._graph_store.get())} nodes"


@pytest.fixture
def own_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop for LlamaIndex, which otherwise makes one of its own and never closes it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.parametrize("use_async", [False, True])
def test_a_property_graph_index_and_its_retrievers_work_end_to_end(
    store: ValkeyPropertyGraphStore, own_loop: asyncio.AbstractEventLoop, use_async: bool
) -> None:
    index = PropertyGraphIndex.from_documents(
        [Document(text="Ada likes beer. Bob likes beer. Bob likes tea.", id_="doc")],
        property_graph_store=store,
        kg_extractors=[Extractor(), ImplicitPathExtractor()],
        embed_model=MockEmbedding(embed_dim=4),
        llm=MockLLM(),
        show_progress=False,
        use_async=use_async,
    )
    assert {(s.id, r.id, o.id) for s, r, o in store.get_triplets(relation_names=["LIKES"])} == {
        ("Ada", "LIKES", "beer"), ("Bob", "LIKES", "beer"), ("Bob", "LIKES", "tea"),
    }  # fmt: skip
    retrievers = [
        VectorContextRetriever(store, embed_model=MockEmbedding(embed_dim=4), include_text=False),
        LLMSynonymRetriever(store, llm=Synonyms(max_tokens=None), include_text=False),
        Custom(store),
    ]
    for retriever in retrievers:
        whole = index.as_retriever(sub_retrievers=[retriever], include_text=False)
        if use_async:
            answers = own_loop.run_until_complete(whole.aretrieve("beer"))
        else:
            answers = whole.retrieve("beer")
        text = " ".join(answer.node.get_content() for answer in answers)
        assert "Ada -> LIKES -> beer" in text or "nodes" in text
    with_text = index.as_retriever(
        sub_retrievers=[VectorContextRetriever(store, embed_model=MockEmbedding(embed_dim=4))]
    )
    assert "Bob likes tea" in with_text.retrieve("Who likes tea?")[0].node.get_content()
    again = PropertyGraphIndex.from_existing(
        property_graph_store=store, embed_model=MockEmbedding(embed_dim=4), llm=MockLLM()
    )
    assert again.as_retriever(include_text=False, sub_retrievers=retrievers[:1]).retrieve("beer")
    assert [report.found for report in store.verify()] == [0, 0]
    index.delete_ref_doc("doc")
    store.delete_llama_nodes(ref_doc_ids=["doc"])
    assert not [node for node in store.get() if isinstance(node, ChunkNode)]


def test_llama_nodes_are_returned_and_deleted_with_their_entities(
    store: ValkeyPropertyGraphStore,
) -> None:
    node = TextNode(id_="n1", text="a text", metadata={"k": [1]}, embedding=[1.0, 0.0, 0.0, 0.0])
    node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="doc")
    store.upsert_llama_nodes([node])
    store.upsert_nodes(
        [EntityNode(name="e", properties={"triplet_source_id": "n1"}), EntityNode(name="f")]
    )
    (back,) = store.get_llama_nodes(["n1"])
    assert (back.id_, back.get_content(), back.metadata, back.ref_doc_id) == (
        "n1",
        "a text",
        {"k": [1]},
        "doc",
    )
    store.delete_llama_nodes(node_ids=["n1"])
    assert [one.id for one in store.get()] == ["f"]
    assert store.index.count() == 0
    store.delete_llama_nodes()
    assert [one.id for one in store.get()] == ["f"]


async def test_every_method_of_the_interface_is_there_sync_and_async(
    store: ValkeyPropertyGraphStore,
) -> None:
    public = [
        name
        for name, _ in inspect.getmembers(PropertyGraphStore, inspect.isfunction)
        if name[0] != "_"
    ]
    for name in public:
        own = name not in ("persist", "aget_llama_nodes", "aget_schema_str", "delete_llama_nodes",
                           "get_llama_nodes", "get_schema_str", "upsert_llama_nodes")  # fmt: skip
        assert (name in vars(ValkeyPropertyGraphStore)) == own, name
    nodes, relations = people()
    await store.aupsert_nodes(nodes)
    await store.aupsert_relations(relations)
    assert len(await store.aget(ids=["Ada", "c1"])) == 2
    assert len(await store.aget_triplets(["Ada"])) == 2
    assert len(await store.aget_rel_map(await store.aget(ids=["Ada"]))) == 3
    assert (await store.avector_query(query([0.0, 0.0, 1.0, 0.0], 1)))[0][0].id == "Engine"
    assert "person" in await store.aget_schema_str()
    assert await store.aget_llama_nodes(["nothing"]) == []
    await store.adelete_llama_nodes(node_ids=["c1"])
    with pytest.raises(NotImplementedError):
        await store.astructured_query("x")
    await store.adelete(ids=["Ada"])
    assert {node.id for node in await store.aget()} == {"Babbage", "Engine"}
    assert [report.ok for report in await store.arepair()] == [True, True]
    await store.aclear()
    assert await store.aget() == []
    assert store.client is store.index.connection
    store.persist("nowhere")


def test_a_graph_without_embeddings_lives_on_a_plain_cluster(
    cluster_url: str, index_name: str
) -> None:
    with ValkeyPropertyGraphStore(cluster_url, index_name=index_name) as store:
        store.upsert_nodes([EntityNode(name="a"), EntityNode(name="")])
        store.upsert_relations([Relation(label="r", source_id="a", target_id="b")])
        assert len(store.get_triplets(["b"])) == 1
        store.delete(ids=["a", ""])
        assert [node.id for node in store.get()] == ["b"]
        assert store.graph.verify().found == 0
        store.graph.clear()
