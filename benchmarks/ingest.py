"""Compare ways to store documents: raw GLIDE, the core and the three adapters, in many short turns.

    python -m benchmarks.ingest --url valkey://host:6379 [--documents 4000] [--rounds 6]

Raw GLIDE sends prepared commands: HSET in pipelines, the kind of writes that is safe on Valkey-Search, and MULTI/EXEC.
"""

from __future__ import annotations

import argparse
import gc
import re
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import glide_sync as glide
from haystack import Document as HaystackDocument
from langchain_core.documents import Document
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

from benchmarks.contenders import KnownEmbeddings
from benchmarks.corpus import Corpus, clustered
from haystack_integrations.document_stores.valkey import ValkeyDocumentStore
from langchain_valkey import ValkeyVectorStore
from llama_index.vector_stores.valkey import ValkeyVectorStore as ValkeyNodeStore
from valkey_vector import Connection, Index, Record, Schema
from valkey_vector.engines.search.commands import create_command
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.layout import document_fields
from valkey_vector.storage.preparation import prepare

__all__ = ["main"]

_CONNECTIONS = 4


@dataclass
class Contender:
    """One way to store documents.

    Attributes:
        name: name in the table.
        ingest: creates the index and stores all documents.
        drop: removes both.
        seconds: duration of each round.
        client: CPU seconds of this process, one value a round: all threads, GLIDE's own included.
        server: CPU seconds of all primaries, one value a round.
    """

    name: str
    ingest: Callable[[], object]
    drop: Callable[[], object]
    seconds: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument("--url", required=True, help="a server or cluster with Valkey-Search")
    parser.add_argument("--documents", type=int, default=4_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--only", nargs="*", help="contenders beside the first")
    arguments = parser.parse_args()
    corpus = clustered(arguments.documents, arguments.dimension, 1)
    with Connection.open(arguments.url) as connection:
        contenders = [*_raw(connection, corpus), *_layers(arguments.url, corpus)]
        chosen = arguments.only
        contenders = [
            each
            for number, each in enumerate(contenders)
            if chosen is None or not number or each.name in chosen
        ]
        for round_number in range(arguments.rounds):
            for each in contenders if round_number % 2 else contenders[::-1]:
                _measure(each, connection)
        print(connection.capabilities.description)
    _print(contenders, len(corpus.texts))


def _measure(contender: Contender, connection: Connection) -> None:
    gc.collect()
    server, client, begun = _server_cpu(connection), time.process_time(), time.perf_counter()
    contender.ingest()
    contender.seconds.append(time.perf_counter() - begun)
    contender.client.append(time.process_time() - client)
    contender.server.append(_server_cpu(connection) - server)
    contender.drop()


def _server_cpu(connection: Connection) -> float:
    if connection.capabilities.cluster:
        replies = list(connection.execute_on_primaries("INFO", "cpu").values())
    else:
        replies = [connection.execute("INFO", "cpu")]
    used = (re.findall(rb"used_cpu_(?:user|sys):([\d.]+)", reply) for reply in replies)
    return sum(float(seconds) for found in used for seconds in found)


def _raw(connection: Connection, corpus: Corpus) -> list[Contender]:
    name, size = f"ingest_raw_{secrets.token_hex(4)}", 100
    schema = Schema(dimension=corpus.vectors.shape[1])
    entry = CatalogEntry(name, "00000000", "search", schema, None, {("number", "number"): 0})
    commands = [
        ["HSET", f"{name}:{item.id}", "created", str(n), *document_fields(item, entry, "raw")]
        for n, item in enumerate(prepare(_records(corpus), schema))
    ]
    batches = [commands[at : at + size] for at in range(0, len(commands), size)]
    clients = [_client(connection) for _ in range(_CONNECTIONS)]

    def ingest(atomic: bool) -> None:
        clients[0].custom_command(create_command(entry, connection.capabilities))

        def send(numbered: tuple[int, list[list[Any]]]) -> None:
            number, batch = numbered
            prepared = (glide.ClusterBatch if connection.capabilities.cluster else glide.Batch)(
                is_atomic=atomic
            )
            for command in batch:
                prepared.custom_command(command)
            clients[number % _CONNECTIONS].exec(prepared, raise_on_error=True)

        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            list(pool.map(send, enumerate(batches)))

    def drop() -> None:
        clients[0].custom_command(["FT.DROPINDEX", entry.search_index])
        connection.pipeline([["UNLINK", str(command[1])] for command in commands])

    found = [Contender("raw GLIDE, HSET", lambda: ingest(False), drop)]
    if not connection.capabilities.cluster:  # a transaction cannot span slots
        found.append(Contender("raw GLIDE, MULTI", lambda: ingest(True), drop))
    return found


def _client(connection: Connection) -> Any:
    settings = connection.settings
    addresses = [glide.NodeAddress(host, port) for host, port in settings.addresses]
    if connection.capabilities.cluster:
        cluster = glide.GlideClusterClientConfiguration(addresses, request_timeout=60_000)
        return glide.GlideClusterClient.create(cluster)
    return glide.GlideClient.create(
        glide.GlideClientConfiguration(addresses, request_timeout=60_000)
    )


def _records(corpus: Corpus) -> list[Record]:
    rows = enumerate(zip(corpus.texts, corpus.vectors, corpus.metadatas, strict=True))
    return [
        Record(id=f"d{number}", content=text, vector=vector, metadata=metadata)
        for number, (text, vector, metadata) in rows
    ]


def _layers(url: str, corpus: Corpus) -> list[Contender]:
    mark = secrets.token_hex(4)
    dimension, lists = corpus.vectors.shape[1], corpus.vectors.tolist()
    rows = list(enumerate(zip(corpus.texts, lists, corpus.metadatas, strict=True)))
    core = Index.open(f"ingest_core_{mark}", url=url, engine="search")
    chain = ValkeyVectorStore(
        KnownEmbeddings(lists), index_name=f"ingest_chain_{mark}", url=url, engine="search"
    )
    documents = [Document(id=f"d{n}", page_content=text, metadata=m) for n, (text, _, m) in rows]
    nodes = ValkeyNodeStore(url, index_name=f"ingest_nodes_{mark}", engine="search")
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="source")}
    texts = [
        TextNode(id_=f"d{n}", text=text, embedding=v, metadata=m, relationships=source)
        for n, (text, v, m) in rows
    ]
    store = ValkeyDocumentStore(
        url=url, index_name=f"ingest_documents_{mark}", embedding_dim=dimension, engine="search"
    )
    own = [HaystackDocument(id=f"d{n}", content=t, embedding=v, meta=m) for n, (t, v, m) in rows]
    return [
        Contender("core", lambda: core.upsert(_records(corpus), progress=False), core.drop),
        Contender("LangChain", lambda: chain.add_documents(documents), chain.index.drop),
        Contender("LlamaIndex", lambda: nodes.add(texts), nodes.index.drop),
        Contender("Haystack", lambda: store.write_documents(own), store.index.drop),
    ]


def _print(contenders: Sequence[Contender], documents: int) -> None:
    raw = contenders[0]
    print("| | docs/s | × raw HSET | client CPU µs | server CPU µs |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for one in contenders:
        ratio = statistics.median(a / b for a, b in zip(raw.seconds, one.seconds, strict=True))
        client, server = (
            statistics.median(values) / documents * 1e6 for values in (one.client, one.server)
        )
        rate = documents / statistics.median(one.seconds)
        print(f"| {one.name} | {rate:,.0f} | {ratio:.2f} | {client:.0f} | {server:.0f} |")


if __name__ == "__main__":
    main()
