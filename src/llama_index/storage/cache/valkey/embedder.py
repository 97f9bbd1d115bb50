"""`QueryEmbedder`: adapter of a LlamaIndex embedding model for the core's cache."""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.base.embeddings.base import BaseEmbedding

from valkey_vector.records.record import Vector

__all__ = ["QueryEmbedder"]


class QueryEmbedder:
    """Embed questions as queries: ``SemanticCache(QueryEmbedder(embed_model))``.

    Args:
        embed_model: LlamaIndex embedding model. Async calls of the cache use its async method.
    """

    def __init__(self, embed_model: BaseEmbedding) -> None:
        self._embed_model = embed_model

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Return the vectors of texts, with one call per text."""
        return [self._embed_model.get_query_embedding(text) for text in texts]

    async def aembed(self, texts: Sequence[str]) -> list[Vector]:
        """Async version of `embed`."""
        return [await self._embed_model.aget_query_embedding(text) for text in texts]
