"""Adapt embeddings of LangChain and LlamaIndex to the cache, recognized by their methods without an import."""

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
    """The methods of LangChain's `Embeddings` that a cache uses."""

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        ...

    async def aembed_query(self, text: str) -> list[float]:
        """Async version of `embed_query`."""
        ...


@runtime_checkable
class LlamaIndexEmbedding(Protocol):
    """The methods of LlamaIndex's embedding models that a cache uses."""

    def get_query_embedding(self, query: str) -> list[float]:
        """Return the vector of a query."""
        ...

    async def aget_query_embedding(self, query: str) -> list[float]:
        """Async version of `get_query_embedding`."""
        ...


CacheEmbedder: TypeAlias = Embed | LangChainEmbeddings | LlamaIndexEmbedding
"""Embedders that a cache accepts."""


def question_embedder(embed: CacheEmbedder) -> Embed:
    """Return an embedder for prompts. Both sides of a comparison are embedded as queries.

    Args:
        embed: an embedder of the core, which is returned unchanged, or one of LangChain or LlamaIndex.

    Raises:
        ConfigurationError: `embed` is the name of a model.
    """
    if isinstance(embed, str):
        raise ConfigurationError(
            f"embed must be a function of one text or an object that embeds, not the name {embed!r}: pass a function "
            "that calls the model, or an embeddings object of LangChain or LlamaIndex"
        )
    if callable(getattr(embed, "embed", None)) or callable(getattr(embed, "aembed", None)):
        return embed  # type: ignore[return-value]  # it has a method that the core accepts
    if isinstance(embed, LangChainEmbeddings):
        return _Questions(embed.embed_query, embed.aembed_query)
    if isinstance(embed, LlamaIndexEmbedding):
        return _Questions(embed.get_query_embedding, embed.aget_query_embedding)
    return embed


class _Questions:
    """Embeds texts one after another, or concurrently in the async version."""

    def __init__(self, one: Any, aone: Any) -> None:
        self._one = one
        self._aone = aone

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        return [self._one(text) for text in texts]

    async def aembed(self, texts: Sequence[str]) -> list[Vector]:
        return list(await asyncio.gather(*map(self._aone, texts)))
