"""LlamaIndex itself on these stores: indexes, pipelines, engines, graphs and memory, with and without a URL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import PropertyGraphIndex, StorageContext, VectorStoreIndex
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.graph_stores import SimplePropertyGraphStore
from llama_index.core.graph_stores.types import KG_NODES_KEY, KG_RELATIONS_KEY, EntityNode, Relation
from llama_index.core.ingestion import DocstoreStrategy, IngestionCache, IngestionPipeline
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.memory import Memory, VectorMemoryBlock
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import BaseNode, Document, ImageNode, TransformComponent
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)
from sqlalchemy.ext.asyncio import create_async_engine

from llama_index.storage.docstore.valkey import ValkeyDocumentStore
from llama_index.storage.index_store.valkey import ValkeyIndexStore
from llama_index.storage.kvstore.valkey import ValkeyKVStore
from llama_index.vector_stores.valkey import ValkeyVectorStore
from llamaindex_stores import SERVERS, LocalEmbedding, node, only, settings_of, vector_of


@dataclass
class Stores:
    """All stores of one application, on one server."""

    vectors: ValkeyVectorStore
    values: ValkeyKVStore
    namespace: str

    @property
    def documents(self) -> ValkeyDocumentStore:
        return ValkeyDocumentStore(self.values)


@pytest.fixture(params=SERVERS)
def stores(request: pytest.FixtureRequest, index_name: str) -> Iterator[Stores]:
    settings = settings_of(request.param, request)
    made = Stores(
        ValkeyVectorStore(index_name=index_name, **settings),
        ValkeyKVStore(namespace=index_name, **settings),
        index_name,
    )
    yield made
    made.vectors.index.drop()
    made.vectors.close()
    made.values.close()


ROSE = "A rose is a rose."
DOCUMENTS = [
    Document(id_="rose", text=ROSE, metadata={"year": 1913, "doc_id": "mine"}),
    Document(
        id_="sea", text="The sea is wide.", metadata={"year": 1950, "tags": ["water", "blue"]}
    ),
    Document(id_="sky", text="The sky is blue.", metadata={"year": 2001, "tags": ["blue"]}),
]


def indexed(stores: Stores) -> VectorStoreIndex:
    # Not the metadata as well, so that a question can be just the text.
    documents = [
        document.model_copy(
            update={"excluded_embed_metadata_keys": list(document.metadata)}, deep=True
        )
        for document in DOCUMENTS
    ]
    context = StorageContext.from_defaults(vector_store=stores.vectors)
    return VectorStoreIndex.from_documents(
        documents, storage_context=context, embed_model=LocalEmbedding(), show_progress=False
    )


def test_an_index_of_documents_is_opened_again_from_its_store(stores: Stores) -> None:
    indexed(stores)
    index = VectorStoreIndex.from_vector_store(stores.vectors, embed_model=LocalEmbedding())
    (best, _) = index.as_retriever(similarity_top_k=2).retrieve(ROSE)
    assert best.text == ROSE
    assert best.score == pytest.approx(1, abs=1e-5)
    assert best.metadata == {"year": 1913, "doc_id": "mine"}
    assert best.node.ref_doc_id == "rose"
    filtered = index.as_retriever(
        similarity_top_k=5,
        filters=MetadataFilters(
            filters=[
                MetadataFilter(key="tags", value="blue", operator=FilterOperator.CONTAINS),
                MetadataFilter(key="year", value=2000, operator=FilterOperator.LT),
            ]
        ),
    )
    assert [found.node.ref_doc_id for found in filtered.retrieve("blue")] == ["sea"]
    of_documents = index.as_retriever(similarity_top_k=5, doc_ids=["sky", "rose"])
    assert {found.node.ref_doc_id for found in of_documents.retrieve("x")} == {"sky", "rose"}
    diverse = index.as_retriever(
        vector_store_query_mode="mmr", vector_store_kwargs={"mmr_threshold": 0.4}
    )
    assert diverse.retrieve(ROSE)[0].text == ROSE


async def test_an_index_is_awaited(stores: Stores) -> None:
    index = indexed(stores)
    (best,) = await index.as_retriever(similarity_top_k=1).aretrieve(ROSE)
    assert best.text == ROSE
    await index.ainsert_nodes([node("extra", source="rose")])
    await index.adelete_ref_doc("rose")
    assert {found.ref_doc_id for found in await stores.vectors.aget_nodes()} == {"sea", "sky"}


def test_documents_of_an_index_are_changed_and_removed(stores: Stores) -> None:
    index = indexed(stores)
    index.delete_ref_doc("sea")
    index.update_ref_doc(Document(id_="sky", text="The sky is grey."))
    index.insert(Document(id_="new", text="New."))
    assert sorted(found.get_content() for found in stores.vectors.get_nodes()) == [
        ROSE, "New.", "The sky is grey.",
    ]  # fmt: skip
    index.delete_nodes([stores.vectors.get_nodes(filters=only("ref_doc_id", "new"))[0].node_id])
    assert len(stores.vectors.get_nodes()) == 2


def test_a_query_engine_answers_from_the_store(stores: Stores) -> None:
    engine = indexed(stores).as_query_engine(llm=MockLLM(), similarity_top_k=1)
    answer = engine.query(ROSE)
    assert ROSE in str(answer)
    assert [source.text for source in answer.source_nodes] == [ROSE]
    awaited = asyncio.run(engine.aquery(ROSE))
    assert ROSE in str(awaited)


def test_images_are_found_like_texts(stores: Stores) -> None:
    picture = ImageNode(id_="p", image_url="http://example.org/p.png", embedding=vector_of("p"))
    index = VectorStoreIndex.from_vector_store(stores.vectors, embed_model=LocalEmbedding())
    index.insert_nodes([picture])
    (found,) = index.as_retriever(similarity_top_k=1).retrieve("p")
    assert found.node == picture.model_copy(update={"embedding": None})


def test_all_stores_of_a_context_live_on_the_server(stores: Stores, tmp_path: Path) -> None:
    context = StorageContext.from_defaults(
        docstore=stores.documents,
        index_store=ValkeyIndexStore(stores.values),
        vector_store=stores.vectors,
    )
    index = VectorStoreIndex.from_documents(
        DOCUMENTS,
        storage_context=context,
        embed_model=LocalEmbedding(),
        store_nodes_override=True,
    )
    assert len(stores.documents.docs) == 3
    assert [s.index_id for s in ValkeyIndexStore(stores.values).index_structs()] == [index.index_id]
    context.persist(str(tmp_path / "written"))


class Counting(TransformComponent):
    """Counts the nodes that it transforms."""

    _seen: int = PrivateAttr(default=0)  # a field would be part of the cache's key

    @property
    def seen(self) -> int:
        return self._seen

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        self._seen += len(nodes)
        return nodes


def pipeline(stores: Stores, last: Counting) -> IngestionPipeline:
    return IngestionPipeline(
        transformations=[SentenceSplitter(chunk_size=64, chunk_overlap=0), LocalEmbedding(), last],
        docstore=stores.documents,
        docstore_strategy=DocstoreStrategy.UPSERTS,
        vector_store=stores.vectors,
        cache=IngestionCache(cache=stores.values, collection="cache"),
    )


def long_text(word: str) -> str:
    return " ".join(f"This is sentence {n} about {word}." for n in range(30))


@pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])
def test_a_pipeline_does_only_what_is_new(stores: Stores, awaited: bool) -> None:
    def run(documents: list[Document]) -> int:
        last = Counting()
        flow = pipeline(stores, last)
        if awaited:
            asyncio.run(flow.arun(documents=documents))
        else:
            flow.run(documents=documents, show_progress=False)
        return last.seen

    documents = [Document(id_=f"d{n}", text=long_text(f"topic {n}")) for n in range(3)]
    first = run(documents)
    assert first > 6
    stored = {found.node_id for found in stores.vectors.get_nodes()}
    assert len(stored) == first
    assert run(documents) == 0
    assert {found.node_id for found in stores.vectors.get_nodes()} == stored

    changed = [documents[0], Document(id_="d1", text="Short now."), documents[2]]
    assert run(changed) == 1
    of_changed = stores.vectors.get_nodes(filters=only("ref_doc_id", "d1"))
    assert [found.get_content() for found in of_changed] == ["Short now."]
    others = stores.vectors.get_nodes(filters=only("ref_doc_id", "d1", FilterOperator.NE))
    assert {found.node_id for found in others} < stored


def test_the_cache_of_a_pipeline_spares_transforming_again(stores: Stores) -> None:
    last = Counting()
    flow = IngestionPipeline(
        transformations=[last], cache=IngestionCache(cache=stores.values, collection="cache")
    )
    documents = [Document(id_="d", text="text")]
    for _ in range(2):
        assert [found.get_content() for found in flow.run(documents=documents)] == ["text"]
    assert last.seen == 1


class Extractor(TransformComponent):
    """Finds the same two entities in every text."""

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        for found in nodes:
            rose, flower = EntityNode(name="rose"), EntityNode(name="flower")
            found.metadata[KG_NODES_KEY] = [rose, flower]
            found.metadata[KG_RELATIONS_KEY] = [
                Relation(label="is a", source_id=rose.id, target_id=flower.id)
            ]
        return nodes


def test_a_property_graph_finds_its_entities_in_the_store(stores: Stores) -> None:
    index = PropertyGraphIndex.from_documents(
        [Document(text=ROSE)],
        property_graph_store=SimplePropertyGraphStore(),
        vector_store=stores.vectors,
        kg_extractors=[Extractor()],
        embed_model=LocalEmbedding(),
        llm=MockLLM(),
        use_async=False,
    )
    assert len(stores.vectors.get_nodes()) == 2
    found = index.as_retriever(include_text=False).retrieve("rose")
    assert any("rose" in each.text and "flower" in each.text for each in found)
    awaited = asyncio.run(index.as_retriever(include_text=False).aretrieve("rose"))
    assert [each.text for each in awaited] == [each.text for each in found]


async def test_a_memory_block_remembers_by_session(stores: Stores) -> None:
    def block() -> VectorMemoryBlock:
        return VectorMemoryBlock(
            vector_store=stores.vectors, embed_model=LocalEmbedding(), similarity_top_k=5
        )

    for session in ("one", "two"):
        said = ChatMessage(content=f"I am {session}", additional_kwargs={"session_id": session})
        await block().aput([said])
    remembered = await block().aget([ChatMessage(content="who?")], session_id="one")
    assert "I am one" in remembered
    assert "I am two" not in remembered


async def test_a_memory_keeps_what_leaves_its_queue_in_the_store(stores: Stores) -> None:
    block = VectorMemoryBlock(vector_store=stores.vectors, embed_model=LocalEmbedding())
    # Of its own, the memory would open a database that nothing closes.
    messages = create_async_engine("sqlite+aiosqlite:///:memory:")
    memory = Memory.from_defaults(
        session_id="s",
        async_engine=messages,
        token_limit=60,
        token_flush_size=20,
        chat_history_token_ratio=0.5,
        memory_blocks=[block],
    )
    try:
        for n in range(12):
            said = ChatMessage(content=f"This is the message number {n} of a long talk.")
            await memory.aput(said)
    finally:
        await messages.dispose()
    stored = await stores.vectors.aget_nodes(filters=only("session_id", "s"))
    assert any("message number 0" in found.get_content() for found in stored)


def test_the_store_is_one_of_the_fields_of_other_components(stores: Stores) -> None:
    block = VectorMemoryBlock(vector_store=stores.vectors, embed_model=LocalEmbedding())
    assert block.model_dump()["vector_store"]["class_name"] == "ValkeyVectorStore"
    assert (
        block.model_copy(deep=True)
        .vector_store.query(VectorStoreQuery(query_embedding=vector_of("x")))
        .ids
        == []
    )
