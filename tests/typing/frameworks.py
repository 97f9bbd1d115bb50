"""Programs over the adapters that type checkers judge; nothing here is run."""

from __future__ import annotations

from typing import Any, assert_type

from haystack import Document as HaystackDocument
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import RunnableConfig
from langchain_core.vectorstores import VectorStore
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.store.base import BaseStore, Item, SearchItem
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from haystack_integrations.components.retrievers.valkey import ValkeyEmbeddingRetriever
from haystack_integrations.document_stores.valkey import ValkeyDocumentStore
from langchain_valkey import ValkeyRetriever, ValkeyVectorStore
from langgraph_valkey import ValkeySaver, ValkeyStore
from llama_index.vector_stores.valkey import ValkeyVectorStore as LlamaIndexStore
from valkey_vector import F


def langchain(embedding: Embeddings) -> None:
    store = ValkeyVectorStore(embedding, index_name="articles")
    generic: VectorStore = store
    assert_type(generic.as_retriever().invoke("a question"), list[Document])
    assert_type(store.add_texts(["a"], [{"year": 2024}]), list[str])
    assert_type(store.similarity_search("a", k=2, filter=F("year") > 2020), list[Document])
    assert_type(store.similarity_search_with_score("a"), list[tuple[Document, float]])
    retriever = ValkeyRetriever.from_store(store, search_type="hybrid")
    assert_type(retriever.invoke("a question"), list[Document])


async def langchain_awaited(store: ValkeyVectorStore) -> None:
    assert_type(await store.aadd_texts(["a"]), list[str])
    assert_type(await store.asimilarity_search("a", filter={"year": 2024}), list[Document])


def langgraph(config: RunnableConfig) -> None:
    saver: BaseCheckpointSaver[str] = ValkeySaver()
    assert_type(saver.get_tuple(config), CheckpointTuple | None)
    store: BaseStore = ValkeyStore()
    assert_type(store.get(("users",), "ann"), Item | None)
    assert_type(store.search(("users",), filter={"since": {"$gte": 2000}}), list[SearchItem])


async def langgraph_awaited(saver: ValkeySaver, store: ValkeyStore, config: RunnableConfig) -> None:
    assert_type(await saver.aget_tuple(config), CheckpointTuple | None)
    assert_type(await store.aget(("users",), "ann"), Item | None)


def llama_index(nodes: list[BaseNode], query: VectorStoreQuery) -> None:
    store = LlamaIndexStore(index_name="articles")
    generic: BasePydanticVectorStore = store
    assert_type(generic.add(nodes), list[str])
    assert_type(store.query(query), VectorStoreQueryResult)


async def llama_index_awaited(store: LlamaIndexStore, query: VectorStoreQuery) -> None:
    assert_type(await store.aquery(query), VectorStoreQueryResult)


def haystack(filters: dict[str, Any]) -> None:
    store = ValkeyDocumentStore(embedding_dim=3)
    assert_type(store.write_documents([HaystackDocument(content="a")]), int)
    assert_type(store.filter_documents(filters), list[HaystackDocument])
    assert_type(store.count_documents(), int)
    retriever = ValkeyEmbeddingRetriever(document_store=store)
    assert_type(retriever.run(query_embedding=[0.1, 0.2, 0.3]), dict[str, list[HaystackDocument]])


async def haystack_awaited(store: ValkeyDocumentStore) -> None:
    assert_type(await store.count_documents_async(), int)
