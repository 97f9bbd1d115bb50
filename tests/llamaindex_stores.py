"""Stores on every kind of server, nodes and a local embedding for the tests of LlamaIndex."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import BaseNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from llama_index.vector_stores.valkey import ValkeyVectorStore

DIMENSION = 8
SERVERS = ["embedded", "native", "search"]
"""Without a URL, and with one."""


def settings_of(kind: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The arguments that put a store on a kind of server; for the embedded one there are none."""
    return {} if kind == "embedded" else {"url": request.getfixturevalue(f"{kind}_server").url}


def vector_of(text: str) -> list[float]:
    """A direction of its own for each text; every part is exact in float32."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    parts: list[float] = np.random.default_rng(seed).integers(-50, 50, DIMENSION).tolist()
    return [float(part) + 0.5 for part in parts]


class LocalEmbedding(BaseEmbedding):
    """Embedding without a model: equal texts have equal vectors, all others have arbitrary ones."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return vector_of(text)

    def _get_query_embedding(self, query: str) -> list[float]:
        return vector_of(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return vector_of(query)


def node(id: str, text: str = "", source: str | None = None, **fields: Any) -> TextNode:
    """A node with an embedding of its text, of a source document if one is named."""
    embedding = fields.pop("embedding") if "embedding" in fields else vector_of(text or id)
    made = TextNode(id_=id, text=text or id, embedding=embedding, **fields)
    if source is not None:
        made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=source)
    return made


def fill(store: ValkeyVectorStore) -> None:
    """Twelve chunks of three documents; one of none."""
    store.add(
        [
            node(f"n{n}", source=f"doc{n % 3}", metadata={"n": n, "even": n % 2 == 0})
            for n in range(12)
        ]
    )
    store.add([node("lone", metadata={"n": 100, "doc_id": "doc0"})])


def only(key: str, value: Any, operator: FilterOperator = FilterOperator.EQ) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])


def near(text: str, k: int = 10, **fields: Any) -> VectorStoreQuery:
    return VectorStoreQuery(query_embedding=vector_of(text), similarity_top_k=k, **fields)


def ids_of(found: VectorStoreQueryResult | list[BaseNode]) -> list[str]:
    nodes = found.nodes if isinstance(found, VectorStoreQueryResult) else found
    return [one.node_id for one in nodes or []]


@contextmanager
def opened(
    kind: str, request: pytest.FixtureRequest, index_name: str, **more: Any
) -> Iterator[ValkeyVectorStore]:
    """A vector store on a kind of server; its index is dropped afterwards."""
    settings = {**settings_of(kind, request), **more}
    if kind != "embedded":
        settings["engine"] = kind
    made = ValkeyVectorStore(index_name=index_name, dimension=DIMENSION, **settings)
    yield made
    made.index.drop()
    made.close()
