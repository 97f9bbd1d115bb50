"""Compare one vector search through each layer with the same FT.SEARCH through raw GLIDE.

    python -m benchmarks.search_path --url valkey://host:6379 [--documents 10000] [--rounds 60]

Prints Markdown: client CPU (`time.process_time`, all threads), median latency and bytes to the client, each with its ratio
to raw GLIDE. In a round every contender searches for the same vectors in turn; a ratio is the median over the rounds. The
server counts the bytes of each connection (CLIENT INFO), so other clients of the server do not disturb them.
"""

from __future__ import annotations

import argparse
import gc
import re
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from glide_sync import GlideClient, GlideClientConfiguration, NodeAddress, ProtocolVersion
from haystack import Document as HaystackDocument
from langchain_core.embeddings import Embeddings
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery

from benchmarks.contenders import EF_RUNTIME
from benchmarks.corpus import Corpus, clustered
from haystack_integrations.components.retrievers.valkey import ValkeyEmbeddingRetriever
from haystack_integrations.document_stores.valkey import ValkeyDocumentStore
from langchain_valkey import ValkeyVectorStore
from llama_index.vector_stores.valkey import ValkeyVectorStore as ValkeyNodeStore
from valkey_vector import Index, Record

__all__ = ["main"]

_K = 10
_BLOCK = 10
"""Searches of one contender in a row."""


@dataclass
class Contender:
    """One way to search.

    Attributes:
        name: name in the table.
        search: searches for one vector. Returns the ids.
        info: returns the reply to CLIENT INFO on the connection that searches.
        cpu: CPU seconds per search, one value a round.
        latencies: seconds of each search.
        bytes: bytes to the client per search.
    """

    name: str
    search: Callable[[Any], Sequence[str]]
    info: Callable[[], bytes]
    cpu: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    bytes: float = 0.0


class _NoModel(Embeddings):
    """An embedding that is never called: the benchmark searches by vector."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError

    def embed_query(self, text: str) -> list[float]:
        raise NotImplementedError


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search_path", description=__doc__)
    parser.add_argument("--url", required=True, help="a server with Valkey-Search")
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--only", nargs="*", help="contenders beside raw GLIDE")
    arguments = parser.parse_args()
    corpus = clustered(arguments.documents, arguments.dimension, arguments.rounds * _BLOCK)
    mark = secrets.token_hex(4)
    core = _core(arguments.url, f"path_core_{mark}", corpus)
    nodes = _nodes(arguments.url, f"path_nodes_{mark}", corpus)
    documents = _documents(arguments.url, f"path_documents_{mark}", corpus)
    try:
        for index in (core, nodes.index, documents.index):
            index.wait_until_indexed()
        contenders = [_raw(arguments.url, core), *_layers(core, nodes, documents)]
        chosen = arguments.only
        contenders = [c for c in contenders if chosen is None or c.name in ("raw GLIDE", *chosen)]
        _measure(contenders, corpus)
        _print(contenders)
    finally:
        for index in (core, nodes.index, documents.index):
            index.drop()


def _core(url: str, name: str, corpus: Corpus) -> Index:
    index = Index.open(name, url=url, engine="search")
    rows = enumerate(zip(corpus.texts, corpus.vectors, corpus.metadatas, strict=True))
    index.upsert(
        [
            Record(id=f"d{number}", content=text, vector=vector, metadata=metadata)
            for number, (text, vector, metadata) in rows
        ],
        progress=False,
    )
    return index


def _nodes(url: str, name: str, corpus: Corpus) -> ValkeyNodeStore:
    store = ValkeyNodeStore(url, index_name=name, engine="search")
    rows = enumerate(zip(corpus.texts, corpus.vectors, corpus.metadatas, strict=True))
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="source")}
    store.add(
        [
            TextNode(
                id_=f"d{number}",
                text=text,
                embedding=vector.tolist(),
                metadata=metadata,
                relationships=source,
            )
            for number, (text, vector, metadata) in rows
        ]
    )
    return store


def _documents(url: str, name: str, corpus: Corpus) -> ValkeyDocumentStore:
    store = ValkeyDocumentStore(
        url=url, index_name=name, embedding_dim=corpus.vectors.shape[1], engine="search"
    )
    rows = enumerate(zip(corpus.texts, corpus.vectors, corpus.metadatas, strict=True))
    store.write_documents(
        [
            HaystackDocument(
                id=f"d{number}", content=text, embedding=vector.tolist(), meta=metadata
            )
            for number, (text, vector, metadata) in rows
        ]
    )
    return store


def _raw(url: str, core: Index) -> Contender:
    """FT.SEARCH on the core's index, for the same fields, sent by GLIDE's own client."""
    host, _, port = url.removeprefix("valkey://").partition(":")
    client = GlideClient.create(
        GlideClientConfiguration(
            [NodeAddress(host, int(port))], request_timeout=60_000, protocol=ProtocolVersion.RESP2
        )
    )
    engine = core._handle.existing()
    assert engine is not None
    name, skip = engine.entry.search_index, len(engine.entry.prefix)
    query = f"*=>[KNN {_K} @vector $vector EF_RUNTIME {EF_RUNTIME} AS distance]"
    fields = ["distance", "content", "metadata"]

    def search(vector: Any) -> list[str]:
        packed = np.asarray(vector, dtype="<f4").tobytes()
        command = ["FT.SEARCH", name, query, "PARAMS", "2", "vector", packed]
        command += ["RETURN", str(len(fields)), *fields, "LIMIT", "0", str(_K), "DIALECT", "2"]
        reply: Any = client.custom_command(command)
        return [key.decode()[skip:] for key in reply[1]]

    return Contender("raw GLIDE", search, lambda: client.custom_command(["CLIENT", "INFO"]))  # type: ignore[arg-type, return-value]


def _layers(core: Index, nodes: ValkeyNodeStore, documents: ValkeyDocumentStore) -> list[Contender]:
    chain = ValkeyVectorStore(_NoModel(), index_name=core.name, connection=core.connection)
    retriever = ValkeyEmbeddingRetriever(document_store=documents, top_k=_K)

    def by_core(vector: Any) -> list[str]:
        return [hit.record.id for hit in core.search(vector, k=_K)]

    def by_langchain(vector: Any) -> list[str]:
        found = chain.similarity_search_with_score_by_vector(vector, k=_K)
        return [document.id or "" for document, _ in found]

    def by_llamaindex(vector: Any) -> list[str]:
        query = VectorStoreQuery(query_embedding=vector, similarity_top_k=_K)
        return list(nodes.query(query).ids or ())

    def by_haystack(vector: Any) -> list[str]:
        return [document.id for document in retriever.run(vector)["documents"]]

    return [
        Contender("core", by_core, _info(core)),
        Contender("LangChain", by_langchain, _info(core)),
        Contender("LlamaIndex", by_llamaindex, _info(nodes.index)),
        Contender("Haystack", by_haystack, _info(documents.index)),
    ]


def _info(index: Index) -> Callable[[], bytes]:
    return lambda: index.connection.execute("CLIENT", "INFO")


def _measure(contenders: Sequence[Contender], corpus: Corpus) -> None:
    """Search in turns, and check that all find the same."""
    blocks = [
        corpus.queries[at : at + _BLOCK].tolist() for at in range(0, len(corpus.queries), _BLOCK)
    ]
    for contender in contenders:
        for vector in blocks[0]:
            contender.search(vector)
    for number, block in enumerate(blocks):
        order = contenders if number % 2 else contenders[::-1]
        for contender in order:
            gc.collect()
            started = time.process_time()
            for vector in block:
                begun = time.perf_counter()
                contender.search(vector)
                contender.latencies.append(time.perf_counter() - begun)
            contender.cpu.append((time.process_time() - started) / len(block))
    for contender in contenders:
        contender.bytes = _bytes(contender, blocks[0])
    expected = [contenders[0].search(vector) for vector in blocks[0]]
    for contender in contenders[1:]:
        found = [contender.search(vector) for vector in blocks[0]]
        same = sum(len(set(a) & set(b)) for a, b in zip(expected, found, strict=True))
        assert same >= 0.98 * _K * len(expected), f"{contender.name} finds other documents"


def _bytes(contender: Contender, vectors: Sequence[Any]) -> float:
    """The median of single searches: now and then one also carries the vital signs of the server."""
    own = _sent(contender) - _sent(contender)  # what CLIENT INFO itself takes
    found = []
    for vector in vectors:
        before = _sent(contender)
        contender.search(vector)
        found.append(_sent(contender) - before + own)
    return statistics.median(found)


def _sent(contender: Contender) -> int:
    match = re.search(rb"tot-net-out=(\d+)", contender.info())
    assert match is not None
    return int(match[1])


def _print(contenders: Sequence[Contender]) -> None:
    raw = contenders[0]
    print("| | CPU µs | × raw | p50 ms | × raw | bytes | × raw |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for one in contenders:
        cpu = statistics.median(a / b for a, b in zip(one.cpu, raw.cpu, strict=True))
        p50 = statistics.median(one.latencies)
        slower = statistics.median(
            a / b for a, b in zip(_medians(one.latencies), _medians(raw.latencies), strict=True)
        )
        print(
            f"| {one.name} | {statistics.median(one.cpu) * 1e6:.0f} | {cpu:.2f} | {p50 * 1e3:.3f} | {slower:.2f} | "
            f"{one.bytes:,.0f} | {one.bytes / raw.bytes:.2f} |"
        )


def _medians(values: Sequence[float]) -> list[float]:
    return [statistics.median(values[at : at + _BLOCK]) for at in range(0, len(values), _BLOCK)]


if __name__ == "__main__":
    main()
