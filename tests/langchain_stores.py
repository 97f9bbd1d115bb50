"""A predictable embedding for tests, and stores that use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_valkey import ValkeyVectorStore


class TableEmbeddings(Embeddings):
    """Vectors from a table; for any other text ones of its own, not of unit length. Notes what was called."""

    def __init__(self, table: Mapping[str, Sequence[float]] | None = None, size: int = 16) -> None:
        self.table = dict(table or {})
        self.size = size
        self.calls: list[str] = []

    def vector(self, text: str) -> list[float]:
        if text in self.table:
            return list(self.table[text])
        seed = int.from_bytes(sha256(text.encode()).digest()[:8], "big")
        generator = np.random.default_rng(seed)
        return [float(x) for x in generator.normal(size=self.size) * generator.uniform(0.5, 5)]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls.append("embed_documents")
        return [self.vector(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        self.calls.append("embed_query")
        return self.vector(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls.append("aembed_documents")
        return [self.vector(text) for text in texts]

    async def aembed_query(self, text: str) -> list[float]:
        self.calls.append("aembed_query")
        return self.vector(text)


@contextmanager
def opened(embedding: Embeddings, index_name: str, **settings: Any) -> Iterator[ValkeyVectorStore]:
    """A store whose connection is closed afterwards; its keys are removed with the fixture `index_name`."""
    store = ValkeyVectorStore(embedding, index_name=index_name, **settings)
    try:
        yield store
    finally:
        store.index.close()
