"""Traffic of a search through each adapter: one round trip, and no byte more than through the core."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from haystack import Document as HaystackDocument
from langchain_core.embeddings import Embeddings
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery

from haystack_integrations.components.retrievers.valkey import ValkeyEmbeddingRetriever
from haystack_integrations.document_stores.valkey import ValkeyDocumentStore
from langchain_valkey import ValkeyVectorStore
from llama_index.vector_stores.valkey import ValkeyVectorStore as ValkeyNodeStore
from round_trips import CommandLog
from valkey_vector import Index, Record
from valkey_vector.index.settings import EngineChoice

DIMENSION = 64
HERE = [1.0] + [0.0] * (DIMENSION - 1)
SOURCE = "the-source"


class NoModel(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError

    def embed_query(self, text: str) -> list[float]:
        raise NotImplementedError


@dataclass
class Layer:
    """One way to search an index.

    Attributes:
        index: the core's index.
        search: searches, and returns the ids.
    """

    index: Index
    search: Callable[[], list[str]]

    def reply_bytes(self) -> int:
        """Return the bytes of the reply to one search, by the count of the server, or of all nodes of a cluster.

        Now and then a search carries the vital signs of the server along: the smallest of three is one without.
        """
        first, second = self._info(), self._info()
        framing = sent(second) - sent(first) - length(first)
        found = []
        for _ in range(3):
            before = self._info()
            assert self.search() == ["d0", "d1", "d2"]
            found.append(sent(self._info()) - sent(before) - length(before) - framing)
        return min(found)

    def _info(self) -> list[bytes]:
        connection = self.index.connection
        if connection.capabilities.cluster:
            return [*connection.execute_on_primaries("CLIENT", "INFO").values()]
        return [connection.execute("CLIENT", "INFO")]


def sent(infos: list[bytes]) -> int:
    """The bytes that the nodes had sent to a client before these replies to CLIENT INFO."""
    found = [re.search(rb"tot-net-out=(\d+)", info) for info in infos]
    return sum(int(match[1]) for match in found if match)


def length(infos: list[bytes]) -> int:
    return sum(map(len, infos))


def vector_of(number: int) -> list[float]:
    return [1.0, float(number), *HERE[2:]]


@pytest.fixture
def core(server_url: str, engine_name: EngineChoice, index_name: str) -> Iterator[Index]:
    with Index.open(f"{index_name}c", url=server_url, engine=engine_name) as index:
        index.upsert(
            Record(
                id=f"d{n}",
                content=f"text {n}",
                vector=vector_of(n),
                metadata={"n": n},
                parent=SOURCE,
            )
            for n in range(20)
        )
        yield index
        index.drop()


@pytest.fixture(params=["LangChain", "LlamaIndex", "Haystack"])
def layer(
    request: pytest.FixtureRequest, core: Index, server_url: str, engine_name: Any, index_name: str
) -> Iterator[Layer]:
    settings: dict[str, Any] = {"url": server_url, "engine": engine_name}
    match request.param:
        case "LangChain":
            chain = ValkeyVectorStore(NoModel(), index_name=core.name, connection=core.connection)

            def by_langchain() -> list[str]:
                found = chain.similarity_search_by_vector(HERE, k=3)
                return [document.id or "" for document in found]

            yield Layer(core, by_langchain)
        case "LlamaIndex":
            source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=SOURCE)}
            nodes = ValkeyNodeStore(index_name=f"{index_name}n", **settings)
            nodes.add(
                [
                    TextNode(
                        id_=f"d{n}",
                        text=f"text {n}",
                        embedding=vector_of(n),
                        metadata={"n": n},
                        relationships=source,
                    )
                    for n in range(20)
                ]
            )
            query = VectorStoreQuery(query_embedding=HERE, similarity_top_k=3)
            yield Layer(nodes.index, lambda: list(nodes.query(query).ids or ()))
            nodes.index.drop()
            nodes.close()
        case _:
            store = ValkeyDocumentStore(
                index_name=f"{index_name}d", embedding_dim=DIMENSION, **settings
            )
            store.write_documents(
                [
                    HaystackDocument(
                        id=f"d{n}", content=f"text {n}", embedding=vector_of(n), meta={"n": n}
                    )
                    for n in range(20)
                ]
            )
            retriever = ValkeyEmbeddingRetriever(document_store=store, top_k=3)
            yield Layer(
                store.index, lambda: [found.id for found in retriever.run(HERE)["documents"]]
            )
            store.index.drop()
            store.close()


def test_a_search_through_an_adapter_is_one_round_trip_without_vectors(
    layer: Layer, commands: CommandLog, engine_name: str
) -> None:
    assert layer.search() == ["d0", "d1", "d2"]
    commands.clear()
    assert layer.search() == ["d0", "d1", "d2"]
    (trip,) = commands.round_trips
    signs = (b"TIME", b"INFO", b"CONFIG")  # of the server, which ride along from time to time
    (command,) = [each for each in trip if each[0] not in signs]
    assert b"vector" not in command[command.index(b"content") :]
    if engine_name == "search":
        start = command.index(b"RETURN")
        returned = command[start + 2 : start + 2 + int(command[start + 1])]
        own = [b"distance", b"version", b"expires", b"content", b"metadata", b"parent"]
        assert returned in (own, [*own, b"payload"])


def test_the_server_sends_an_adapter_no_more_than_the_core(layer: Layer, core: Index) -> None:
    payloads = layer.index.name != core.name  # of nodes and documents: none, but asked for
    through_core = Layer(
        core,
        lambda: [hit.record.id for hit in core.search(HERE, k=3, with_payloads=payloads)],
    )
    assert layer.reply_bytes() <= through_core.reply_bytes()
