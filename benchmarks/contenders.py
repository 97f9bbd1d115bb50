"""Contenders with one interface: raw GLIDE, the core, and the LangChain store."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from glide_sync import (
    Batch,
    GlideClient,
    GlideClientConfiguration,
    NodeAddress,
    ProtocolVersion,
)
from langchain_core.embeddings import Embeddings

from benchmarks.corpus import Corpus
from langchain_valkey import ValkeyVectorStore
from valkey_vector import F, Flat, Hnsw, Index, Record, Schema
from valkey_vector.engines.base import Near
from valkey_vector.engines.search.commands import create_command, knn_command
from valkey_vector.engines.search.query_syntax import query_text
from valkey_vector.filters.compiler import compile_filter
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.layout import CONTENT, METADATA, document_fields
from valkey_vector.storage.preparation import prepare

__all__ = ["EF_RUNTIME", "Contender", "CoreIndex", "LangChainStore", "RawGlide"]

EF_RUNTIME = Hnsw().ef_runtime
FILTER = F("group") == "g3"
_BATCH = 100


class Contender(Protocol):
    """A store that can hold and search a corpus."""

    name: str

    def prepare(self, corpus: Corpus) -> None:
        """Prepare input whose cost is not the contender's own."""

    def ingest(self, corpus: Corpus) -> None:
        """Store every document."""

    def search(self, vector: Any, k: int, *, filtered: bool) -> Sequence[str]:
        """Return the ids of the k nearest documents. Text and metadata are fetched, too."""

    def drop(self) -> None:
        """Remove everything."""

    def close(self) -> None:
        """Release the connection."""


class CoreIndex:
    """`valkey_vector.Index`."""

    name = "core"

    def __init__(self, url: str, engine: str, algorithm: Hnsw | Flat) -> None:
        schema = Schema(algorithm=algorithm)
        self._index = Index.open("bench_core", url=url, engine=engine, schema=schema)  # type: ignore[arg-type]
        self._index.drop()

    def prepare(self, corpus: Corpus) -> None:
        """Do nothing: records are created from the corpus."""

    def ingest(self, corpus: Corpus) -> None:
        rows = zip(corpus.texts, corpus.vectors, corpus.metadatas, strict=True)
        self._index.upsert(
            [
                Record(id=f"d{number}", content=text, vector=vector, metadata=metadata)
                for number, (text, vector, metadata) in enumerate(rows)
            ],
            progress=False,
        )

    def search(self, vector: Any, k: int, *, filtered: bool) -> Sequence[str]:
        hits = self._index.search(vector, k=k, filter=FILTER if filtered else None)
        return [hit.record.id for hit in hits]

    def drop(self) -> None:
        self._index.drop()

    def close(self) -> None:
        self._index.close()


class KnownEmbeddings(Embeddings):
    """Embeddings with known vectors, so that no time of a model is measured."""

    def __init__(self, vectors: Sequence[Sequence[float]]) -> None:
        self._vectors = vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:  # noqa: ARG002 - LangChain's contract
        return list(self._vectors)  # type: ignore[arg-type]

    def embed_query(self, text: str) -> list[float]:  # noqa: ARG002 - likewise
        raise AssertionError("the benchmark searches by vector")


class LangChainStore:
    """`langchain_valkey.ValkeyVectorStore`, with vectors as lists of floats, as embedders return them."""

    name = "LangChain store"

    def __init__(self, url: str, engine: str, algorithm: Hnsw | Flat) -> None:
        self._url, self._engine, self._algorithm = url, engine, algorithm
        self._store: ValkeyVectorStore | None = None

    def ingest(self, corpus: Corpus) -> None:
        self._store = ValkeyVectorStore(
            KnownEmbeddings(self._lists(corpus)),
            index_name="bench_langchain",
            url=self._url,
            engine=self._engine,  # type: ignore[arg-type]
            schema=Schema(algorithm=self._algorithm),
        )
        ids = [f"d{number}" for number in range(len(corpus.texts))]
        self._store.add_texts(corpus.texts, corpus.metadatas, ids=ids)

    def prepare(self, corpus: Corpus) -> None:
        """Create the embedder's lists, which is not the store's work."""
        self._lists_of = (corpus.name, corpus.vectors.tolist())

    def _lists(self, corpus: Corpus) -> list[list[float]]:
        name, lists = self._lists_of
        assert name == corpus.name
        typed: list[list[float]] = lists
        return typed

    def search(self, vector: Any, k: int, *, filtered: bool) -> Sequence[str]:
        assert self._store is not None
        found = self._store.similarity_search_with_score_by_vector(
            vector, k=k, filter=FILTER if filtered else None
        )
        return [document.id or "" for document, _ in found]

    def drop(self) -> None:
        assert self._store is not None
        self._store.index.drop()

    def close(self) -> None:
        assert self._store is not None
        self._store.close()


class RawGlide:
    """GLIDE alone, with prepared commands and documents, in MULTI/EXEC batches: the limit for the search engine.

    Args:
        url: the server, as ``valkey://host:port``.
        algorithm: HNSW or FLAT.
        connections: number of connections for writes.
    """

    def __init__(self, url: str, algorithm: Hnsw | Flat, connections: int) -> None:
        self.name = f"raw GLIDE, {connections} × MULTI"
        host, _, port = url.removeprefix("valkey://").partition(":")
        configuration = GlideClientConfiguration(
            [NodeAddress(host, int(port))], request_timeout=60_000, protocol=ProtocolVersion.RESP2
        )
        self._clients = [GlideClient.create(configuration) for _ in range(connections)]
        self._algorithm = algorithm
        self._url = url

    def prepare(self, corpus: Corpus) -> None:
        """Encode all documents and commands, which any user of the raw client has to do."""
        dimension = corpus.vectors.shape[1]
        schema = Schema(dimension=dimension, algorithm=self._algorithm)
        self._entry = CatalogEntry(
            "bench_raw", "00000000", "search", schema, None, {("number", "number"): 0}
        )
        rows = zip(corpus.texts, corpus.vectors, corpus.metadatas, strict=True)
        prepared = prepare(
            [
                Record(id=f"d{number}", content=text, vector=vector, metadata=metadata)
                for number, (text, vector, metadata) in enumerate(rows)
            ],
            schema,
        )
        self._commands = [
            [
                "HSET",
                f"bench_raw:{item.id}",
                "created",
                str(number),
                *document_fields(item, self._entry, "raw"),
            ]
            for number, item in enumerate(prepared)
        ]
        self._query = query_text(compile_filter(FILTER, self._entry).plan)

    def ingest(self, corpus: Corpus) -> None:  # noqa: ARG002 - the commands are prepared
        with Index.open("x", url=self._url) as opened:
            capabilities = opened.connection.capabilities
        self._clients[0].custom_command(create_command(self._entry, capabilities))  # type: ignore[arg-type]
        batches = [self._commands[at : at + _BATCH] for at in range(0, len(self._commands), _BATCH)]

        def send(numbered: tuple[int, list[list[Any]]]) -> None:
            number, commands = numbered
            batch = Batch(is_atomic=True)
            for command in commands:
                batch.custom_command(command)
            self._clients[number % len(self._clients)].exec(batch, raise_on_error=True)

        with ThreadPoolExecutor(len(self._clients)) as pool:
            list(pool.map(send, enumerate(batches)))

    def search(self, vector: Any, k: int, *, filtered: bool) -> Sequence[str]:
        packed = np.asarray(vector, dtype="<f4")
        ef = EF_RUNTIME if isinstance(self._algorithm, Hnsw) else None
        query = f"({self._query})" if filtered else "*"
        near = Near(self._entry.schema.vector_field(None), packed)
        command = knn_command(self._entry, query, near, k, [CONTENT, METADATA], width=ef)
        reply: Any = self._clients[0].custom_command(command)  # type: ignore[arg-type]
        return [key.decode()[len(self._entry.prefix) :] for key in reply[1]]

    def drop(self) -> None:
        self._clients[0].custom_command(["FT.DROPINDEX", self._entry.search_index])
        keys = [command[1] for command in self._commands]
        for at in range(0, len(keys), 1000):
            self._clients[0].custom_command(["UNLINK", *keys[at : at + 1000]])

    def close(self) -> None:
        for client in self._clients:
            client.close()
