"""`CachedQueryEngine`: LlamaIndex query engine with a semantic cache."""

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

from llama_index.storage.cache.valkey.answers import Answers
from valkey_vector import InvalidInputError
from valkey_vector.cache import SemanticCache
from valkey_vector.records.metadata import dump, load

__all__ = ["CachedQueryEngine"]


class CachedQueryEngine(BaseQueryEngine):
    """Answer repeated questions from a semantic cache instead of the query engine.

    A cached answer contains its text, metadata and source nodes, including dates. An answer that cannot be serialized
    is returned but not stored, with a warning in the log. A streamed answer is collected first. A query with its own
    embedding or image is not cached.

    Args:
        query_engine: query engine to call.
        cache: cache of the core, such as ``SemanticCache(QueryEmbedder(embed_model))``.
        scope: JSON values that must be equal for a hit, in addition to the scope of the cache. Add everything that an
            answer depends on besides the question: index, model, tenant, ….
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
        self._answers = Answers(cache, _to_bytes, _from_bytes)
        self._scope = dict(scope or {})

    def retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Call the engine. Not cached."""
        return self._query_engine.retrieve(query_bundle)

    def synthesize(
        self,
        query_bundle: QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
    ) -> RESPONSE_TYPE:
        """Call the engine. Not cached, because the answer depends on the passed nodes."""
        return self._query_engine.synthesize(query_bundle, nodes, additional_source_nodes)

    async def asynthesize(
        self,
        query_bundle: QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
    ) -> RESPONSE_TYPE:
        """Call the engine. Not cached."""
        return await self._query_engine.asynthesize(query_bundle, nodes, additional_source_nodes)

    def _get_prompt_modules(self) -> PromptMixinType:
        return {"query_engine": self._query_engine}

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        if not _is_text(query_bundle):
            return self._query_engine.query(query_bundle)

        def create() -> Response:
            response = self._query_engine.query(query_bundle)
            if isinstance(response, StreamingResponse):
                response = response.get_response()
            return _in_text(response)

        return self._answers.get(query_bundle.query_str, self._scope_of(query_bundle), create)

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        if not _is_text(query_bundle):
            return await self._query_engine.aquery(query_bundle)

        async def create() -> Response:
            response = await self._query_engine.aquery(query_bundle)
            if isinstance(response, AsyncStreamingResponse):
                response = await response.get_response()
            elif isinstance(response, StreamingResponse):
                response = response.get_response()
            return _in_text(response)

        return await self._answers.aget(
            query_bundle.query_str, self._scope_of(query_bundle), create
        )

    def _scope_of(self, query_bundle: QueryBundle) -> dict[str, Any]:
        texts = query_bundle.custom_embedding_strs
        return self._scope if not texts else {**self._scope, "embedding_strs": list(texts)}


def _is_text(query_bundle: QueryBundle) -> bool:
    return query_bundle.embedding is None and query_bundle.image_path is None


def _in_text(response: RESPONSE_TYPE) -> Response:
    if not isinstance(response, Response):
        raise InvalidInputError(
            f"a {type(response).__name__} cannot be cached; use a query engine that returns a Response"
        )
    return response


def _to_bytes(response: Response) -> bytes:
    """Serialize a response like metadata of the core, which preserves dates."""
    answer = {
        "response": response.response,
        "source_nodes": [
            {"node": doc_to_json(found.node), "score": _plain(found.score)}
            for found in response.source_nodes
        ],
        "metadata": response.metadata,
    }
    return dump(answer, "the answer")


def _from_bytes(data: Any) -> Response:
    """Load a response. Only `Response` and LlamaIndex's own node classes are created."""
    if not isinstance(data, bytes):
        raise TypeError(f"a stored answer must be bytes, not a {type(data).__name__}")
    answer = load(data)
    text, metadata = answer["response"], answer["metadata"]
    if not isinstance(text, str | None) or not isinstance(metadata, dict | None):
        raise TypeError("the answer is not text, or its metadata is not a dict")
    return Response(
        response=text,
        source_nodes=[
            NodeWithScore(node=json_to_doc(found["node"]), score=found["score"])
            for found in answer["source_nodes"]
        ],
        metadata=metadata,
    )


def _plain(score: float | None) -> float | None:
    """Convert a score to a float. Rerankers may return NumPy numbers."""
    return None if score is None else float(score)
