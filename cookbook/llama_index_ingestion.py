"""Ingest documents, query them and keep a chat history with LlamaIndex on Valkey: `python cookbook/llama_index_ingestion.py`.

Needs ``valkey-vector[llama-index,quickstart]``. Documents, vectors, the cache of the pipeline and the chat history are on one
server. Without --url the program starts a private Valkey server, which ends with it. The text is the Python language
reference, the embedding is latent semantic analysis fitted on it, and the model only repeats its input, so nothing is
downloaded. You can use any embedding and model of LlamaIndex instead.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pydoc_data.topics import topics

from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.ingestion import DocstoreStrategy, IngestionCache, IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, NodeWithScore
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters
from quickstart import LsaEmbeddings

from llama_index.storage.chat_store.valkey import ValkeyChatStore
from llama_index.storage.docstore.valkey import ValkeyDocumentStore
from llama_index.storage.kvstore.valkey import ValkeyKVStore
from llama_index.vector_stores.valkey import ValkeyVectorStore

NAME = "cookbook_llama_index"
QUESTION = "How do I catch an exception?"


class LsaEmbedding(BaseEmbedding):
    """Embedding that needs no download."""

    _model: LsaEmbeddings = PrivateAttr()

    def __init__(self, texts: list[str]) -> None:
        super().__init__(model_name="lsa")
        self._model = LsaEmbeddings(texts, 128)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._model.embed_query(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._model.embed_query(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._model.embed_query(query)


def documents() -> list[Document]:
    """Return one document for each topic of the language reference."""
    return [
        Document(id_=topic, text=text, metadata={"topic": topic, "chars": len(text)})
        for topic, text in sorted(topics.items())
        if text.strip()
    ]


def show(found: Sequence[NodeWithScore]) -> None:
    for each in found:
        start = each.text.strip().split("\n", 1)[0]
        print(f"   {each.get_score():.3f}  {each.metadata['topic']}: {start[:60]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="embedded://", help="a Valkey server")
    url: str = parser.parse_args().url

    values = ValkeyKVStore(url, namespace=NAME)
    vectors = ValkeyVectorStore(url, index_name=NAME, full_text=True)
    chats = ValkeyChatStore(url, namespace=NAME)
    reference = documents()
    embedding = LsaEmbedding([document.text for document in reference])

    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(chunk_size=256, chunk_overlap=0), embedding],
        docstore=ValkeyDocumentStore(values),
        docstore_strategy=DocstoreStrategy.UPSERTS,
        vector_store=vectors,
        cache=IngestionCache(cache=values),
    )
    print(f"First run: {len(pipeline.run(documents=reference))} nodes written")
    print(f"Second run: {len(pipeline.run(documents=reference))} nodes written")
    reference[0] = Document(id_=reference[0].id_, text="Changed.", metadata={"topic": "none"})
    print(f"One document changed: {len(pipeline.run(documents=reference))} nodes written")

    index = VectorStoreIndex.from_vector_store(vectors, embed_model=embedding)
    print(f"\nQ: {QUESTION}")
    show(index.as_retriever(similarity_top_k=3).retrieve(QUESTION))

    filters = MetadataFilters(
        filters=[
            MetadataFilter(key="topic", value=["try", "with", "raise"], operator=FilterOperator.IN),
            MetadataFilter(key="chars", value=20_000, operator=FilterOperator.LT),
        ]
    )
    print(f"\nQ: {QUESTION}  (topic in try, with, raise and chars < 20000, async)")
    retriever = index.as_retriever(similarity_top_k=3, filters=filters)
    show(asyncio.run(retriever.aretrieve(QUESTION)))

    print(f"\nQ: {QUESTION}  (mmr)")
    diverse = index.as_retriever(
        similarity_top_k=3,
        vector_store_query_mode="mmr",
        vector_store_kwargs={"mmr_threshold": 0.5},
    )
    show(diverse.retrieve(QUESTION))

    print(f"\nQ: {QUESTION}  (hybrid: by meaning and by terms)")
    both = index.as_retriever(similarity_top_k=3, vector_store_query_mode="hybrid", alpha=0.5)
    show(both.retrieve(QUESTION))

    memory = ChatMemoryBuffer.from_defaults(
        token_limit=4000, chat_store=chats, chat_store_key="alice"
    )
    chat = index.as_chat_engine(
        chat_mode="context", llm=MockLLM(), memory=memory, similarity_top_k=1
    )
    for question in (QUESTION, "And what comes after it?"):
        chat.chat(question)
    print("\nThe conversation of alice, as another program reads it:")
    for message in ValkeyChatStore(url, namespace=NAME).get_messages("alice"):
        print(f"   {message.role.value}: {str(message.content)[:60]}")

    vectors.index.drop()
    values.drop()
    chats.drop()


if __name__ == "__main__":
    main()
