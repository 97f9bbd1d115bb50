"""What the tests of LlamaIndex's stores share: stores on every kind of server, nodes, and a local embedding."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

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
    """Embeds without a model: equal texts are near, all others are somewhere."""

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
