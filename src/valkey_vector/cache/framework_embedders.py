"""The embeddings of LangChain and LlamaIndex as the cache's embedder, known by their methods: neither is imported."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from valkey_vector.cache.embedder import Embed
from valkey_vector.errors import ConfigurationError
from valkey_vector.records.record import Vector

__all__ = ["CacheEmbedder", "LangChainEmbeddings", "LlamaIndexEmbedding", "question_embedder"]


@runtime_checkable
class LangChainEmbeddings(Protocol):
    """One of LangChain's `Embeddings`."""

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        ...

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query`, awaited."""
        ...


@runtime_checkable
class LlamaIndexEmbedding(Protocol):
    """One of LlamaIndex's embedding models."""

    def get_query_embedding(self, query: str) -> list[float]:
        """The vector of a question."""
        ...

    async def aget_query_embedding(self, query: str) -> list[float]:
        """`get_query_embedding`, awaited."""
        ...


CacheEmbedder: TypeAlias = Embed | LangChainEmbeddings | LlamaIndexEmbedding
"""Whatever a cache can embed prompts with."""


def question_embedder(embed: CacheEmbedder) -> Embed:
    """What the core embeds with. Both sides of a comparison are questions, so both are embedded as such.

    Args:
        embed: of the core, which is returned as it is, or of LangChain or LlamaIndex.

    Raises:
        ConfigurationError: it is the name of a model.
    """
    if isinstance(embed, str):
        raise ConfigurationError(
            f"embed must be a function of one text or an object that embeds, not the name {embed!r}: give a function "
            "that calls the model, or an embeddings object of LangChain or LlamaIndex"
        )
    if callable(getattr(embed, "embed", None)) or callable(getattr(embed, "aembed", None)):
        return embed  # type: ignore[return-value]  # has what the core looks for
    if isinstance(embed, LangChainEmbeddings):
        return _Questions(embed.embed_query, embed.aembed_query)
    if isinstance(embed, LlamaIndexEmbedding):
        return _Questions(embed.get_query_embedding, embed.aget_query_embedding)
    return embed


class _Questions:
    """Embeds texts one by one, and together where it is awaited."""

    def __init__(self, one: Any, aone: Any) -> None:
        self._one = one
        self._aone = aone

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        return [self._one(text) for text in texts]

    async def aembed(self, texts: Sequence[str]) -> list[Vector]:
        return list(await asyncio.gather(*map(self._aone, texts)))
