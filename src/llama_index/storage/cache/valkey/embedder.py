"""`QueryEmbedder`: an embedding model of LlamaIndex as the core's cache knows embedders."""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.base.embeddings.base import BaseEmbedding

from valkey_vector.records.record import Vector

__all__ = ["QueryEmbedder"]


class QueryEmbedder:
    """Embeds questions as queries: ``SemanticCache(QueryEmbedder(embed_model))``.

    Args:
        embed_model: any of LlamaIndex's; awaited natively by what is asynchronous.
    """

    def __init__(self, embed_model: BaseEmbedding) -> None:
        self._embed_model = embed_model

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of texts, one call for each."""
        return [self._embed_model.get_query_embedding(text) for text in texts]

    async def aembed(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of texts, awaited."""
        return [await self._embed_model.aget_query_embedding(text) for text in texts]
