"""`CachedQueryEngine`: a query engine whose answers are given again to the same question, or one that means the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import (
    RESPONSE_TYPE,
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.storage.docstore.utils import doc_to_json, json_to_doc

from valkey_vector import InvalidInputError
from valkey_vector.cache import SemanticCache

__all__ = ["CachedQueryEngine"]


class CachedQueryEngine(BaseQueryEngine):
    """Asks a query engine only what was not asked before.

    An answer comes back with its text, metadata and source nodes. One that is streamed is collected first. A query that
    brings an embedding or an image of its own is no question in words, and goes past the cache.

    Args:
        query_engine: makes the answers.
        cache: keeps them; of the core, for instance ``SemanticCache(QueryEmbedder(embed_model))``.
        scope: over the cache's own; what an answer depends on besides the question: index, model, tenant, …
    """

    def __init__(
        self,
        query_engine: BaseQueryEngine,
        cache: SemanticCache,
        *,
        scope: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(query_engine.callback_manager)
        self._query_engine = query_engine
        self._cache = cache
        self._scope = dict(scope or {})

    def retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """As the engine does."""
        return self._query_engine.retrieve(query_bundle)

    def synthesize(
        self,
        query_bundle: QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
    ) -> RESPONSE_TYPE:
        """As the engine does: nodes that are given are no matter of a question alone."""
        return self._query_engine.synthesize(query_bundle, nodes, additional_source_nodes)

    async def asynthesize(
        self,
        query_bundle: QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
    ) -> RESPONSE_TYPE:
        """As the engine does."""
        return await self._query_engine.asynthesize(query_bundle, nodes, additional_source_nodes)

    def _get_prompt_modules(self) -> PromptMixinType:
        return {"query_engine": self._query_engine}

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        if not _in_words(query_bundle):
            return self._query_engine.query(query_bundle)

        def make(_: str) -> dict[str, Any]:
            response = self._query_engine.query(query_bundle)
            if isinstance(response, StreamingResponse):
                response = response.get_response()
            return _to_json(response)

        answer = self._cache.get_or_compute(
            query_bundle.query_str, make, self._scope_of(query_bundle)
        )
        return _from_json(answer)

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        if not _in_words(query_bundle):
            return await self._query_engine.aquery(query_bundle)

        async def make(_: str) -> dict[str, Any]:
            response = await self._query_engine.aquery(query_bundle)
            if isinstance(response, AsyncStreamingResponse):
                response = await response.get_response()
            elif isinstance(response, StreamingResponse):
                response = response.get_response()
            return _to_json(response)

        answer = await self._cache.aget_or_compute(
            query_bundle.query_str, make, self._scope_of(query_bundle)
        )
        return _from_json(answer)

    def _scope_of(self, query_bundle: QueryBundle) -> dict[str, Any]:
        texts = query_bundle.custom_embedding_strs
        return self._scope if not texts else {**self._scope, "embedding_strs": list(texts)}


def _in_words(query_bundle: QueryBundle) -> bool:
    return query_bundle.embedding is None and query_bundle.image_path is None


def _to_json(response: RESPONSE_TYPE) -> dict[str, Any]:
    if not isinstance(response, Response):
        raise InvalidInputError(
            f"a {type(response).__name__} cannot be cached; cache query engines that answer in text"
        )
    return {
        "response": response.response,
        "source_nodes": [
            {"node": doc_to_json(found.node), "score": _plain(found.score)}
            for found in response.source_nodes
        ],
        "metadata": response.metadata,
    }


def _from_json(answer: Mapping[str, Any]) -> Response:
    """Nothing but a response and LlamaIndex's own nodes is made of an answer, whatever somebody wrote there."""
    return Response(
        response=answer["response"],
        source_nodes=[
            NodeWithScore(node=json_to_doc(found["node"]), score=found["score"])
            for found in answer["source_nodes"]
        ],
        metadata=answer["metadata"],
    )


def _plain(score: float | None) -> float | None:
    """Rankers give NumPy's numbers, too."""
    return None if score is None else float(score)
