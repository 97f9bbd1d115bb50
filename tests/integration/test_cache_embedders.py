"""`SemanticCache` with the embeddings objects of LangChain and LlamaIndex."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import PrivateAttr

from caches import vector_of
from valkey_vector import ConfigurationError
from valkey_vector.cache import SemanticCache


class OfLangChain(Embeddings):
    def __init__(self) -> None:
        self.awaited: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise AssertionError("prompts are questions")

    def embed_query(self, text: str) -> list[float]:
        return vector_of(text)

    async def aembed_query(self, text: str) -> list[float]:
        self.awaited.append(text)
        return vector_of(text)


class OfLlamaIndex(BaseEmbedding):
    _awaited: list[str] = PrivateAttr(default_factory=list)

    @property
    def awaited(self) -> list[str]:
        return self._awaited

    def _get_text_embedding(self, text: str) -> list[float]:
        raise AssertionError("prompts are questions")

    def _get_query_embedding(self, query: str) -> list[float]:
        return vector_of(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        self._awaited.append(query)
        return vector_of(query)


@pytest.mark.parametrize("kind", [OfLangChain, OfLlamaIndex])
async def test_an_embeddings_object_of_a_framework_embeds_prompts(
    open_cache: Callable[..., SemanticCache], kind: Callable[[], Any]
) -> None:
    embedding = kind()
    cache = open_cache(embed=embedding, on_error="raise")
    cache.store("what @0", "answer")
    hit = cache.lookup("near @5")
    assert hit is not None
    assert hit.answer == "answer"
    assert cache.lookup("far @90") is None
    assert embedding.awaited == []
    hit = await cache.alookup("near @4")
    assert hit is not None
    assert hit.answer == "answer"
    assert embedding.awaited == ["near @4"]


def test_the_name_of_a_model_is_refused_with_the_cure() -> None:
    with pytest.raises(
        ConfigurationError, match=r"not the name 'text-embedding-3-small'.*LangChain"
    ):
        SemanticCache("text-embedding-3-small")  # type: ignore[arg-type]
