"""`ValkeyRetriever`: LangChain retriever for every search type, sync, async and in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self, TypeAlias, assert_never

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_config_list, get_executor_for_config
from langchain_core.runnables.utils import gather_with_concurrency
from pydantic import ConfigDict, Field, field_validator, model_validator

from langchain_valkey.documents import to_document
from langchain_valkey.vectorstore import ValkeyVectorStore
from valkey_vector import (
    Consistency,
    Hit,
    HybridQuery,
    Index,
    Metric,
    Query,
    ReadOptions,
    ReciprocalRank,
    TextQuery,
    ValkeyVectorError,
    VectorQuery,
    Weighted,
)
from valkey_vector.concurrency.threads import offload
from valkey_vector.query.filter_like import FilterLike, as_filter
from valkey_vector.query.result import warn_if_partial
from valkey_vector.schema.schema import MAIN_VECTOR
from valkey_vector.schema.similarity import least_similarity

__all__ = ["ValkeyRetriever"]

SearchType: TypeAlias = Literal["similarity", "similarity_score_threshold", "mmr", "text", "hybrid"]

_OUTCOME = "_outcome"
"""Keyword that passes a result of a batch to the call that reports it to LangChain's callbacks."""

_FIXED = frozenset({"index", "embedding", "tags", "metadata", "name"})


class ValkeyRetriever(BaseRetriever):
    """Retrieve documents from an index by similarity, text, or both.

    Create a retriever with `from_store`, or from an `Index` and an embedding. Override a setting for one call with
    ``retriever.invoke("…", k=2, filter={"year": 2024})``, or with LangChain's configuration
    (``retriever.configurable_fields(k=ConfigurableField(id="k"))``). An unknown keyword raises `TypeError`.
    ``batch`` and ``abatch`` send all searches in one pipeline.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    index: Index
    """Index to search."""
    embedding: Embeddings | None = None
    """Embedding model for queries. Required by every search type except ``text``."""
    search_type: SearchType = "similarity"
    """``similarity``: nearest neighbors. ``similarity_score_threshold``: nearest neighbors with a score of at least
    `score_threshold`. ``mmr``: similar and diverse documents. ``text``: documents with any term of the query, ranked
    by BM25, without the stop words of the index's language. ``hybrid``: similarity and BM25 fused. The last two
    require an index with `full_text`."""
    k: int | None = Field(default=4, ge=1)
    """Maximum number of documents. With ``similarity_score_threshold``, None returns all above the threshold."""
    filter: Any = None
    """Return only documents that match: a dict or an expression, as in the store. None matches all."""
    score_threshold: float | None = Field(default=None, ge=0, le=1)
    """Minimum relevance, 0 to 1. COSINE: the cosine. L2: 1 / (1 + Euclidean distance). IP: a monotone function of the
    inner product (`valkey_vector.schema.similarity.relevance`), 0.5 for an inner product of 0."""
    fetch_k: int = Field(default=20, ge=1)
    """``mmr`` only: number of nearest neighbors to select from."""
    lambda_mult: float = Field(default=0.5, ge=0, le=1)
    """``mmr`` only: 0 (diversity only) to 1 (similarity only)."""
    alpha: float | None = Field(default=None, ge=0, le=1)
    """``hybrid`` only: 0 (text only) to 1 (vector only). None uses reciprocal rank fusion."""
    ef_runtime: int | None = Field(default=None, ge=1)
    """HNSW only: number of candidates to examine. None uses the default of the index."""
    vector_field: str | None = None
    """Name of the vector to compare, as in the schema. None is the main vector, which ``hybrid`` always uses."""
    consistency: Consistency = "strict"
    """``strict``, ``partial`` or ``loose`` (see `ReadOptions`). A result that may lack documents issues a
    `PartialResultWarning`."""
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds for a search. None: no limit but the connection's ``request_timeout``."""

    @classmethod
    def from_store(cls, store: ValkeyVectorStore, **settings: Any) -> Self:
        """Create a retriever on the index of a store, with its embedding.

        Args:
            store: vector store to search.
            settings: fields of the class, such as `search_type` and `k`. `consistency` and `timeout` default to those
                of the store.
        """
        own = {**store._read_options, **settings}
        return cls(index=store.index, embedding=store.embeddings, **own)

    @field_validator("filter")
    @classmethod
    def _check_filter(cls, value: FilterLike | None) -> FilterLike | None:
        return None if value is None else as_filter(value)

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        if self.search_type == "similarity_score_threshold" and self.score_threshold is None:
            raise ValueError("search_type 'similarity_score_threshold' needs a score_threshold")
        if self.search_type != "text" and self.embedding is None:
            raise ValueError(f"search_type {self.search_type!r} needs an embedding")
        bounded = self.search_type == "similarity_score_threshold" and self.score_threshold
        if self.k is None and not bounded:
            raise ValueError("k may be None only with a score_threshold above 0")
        if self.search_type == "hybrid" and self.vector_field not in (None, MAIN_VECTOR):
            raise ValueError(
                f"search_type 'hybrid' compares the main vector, not vector_field {self.vector_field!r}"
            )
        return self

    def batch(
        self,
        inputs: list[str],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[list[Document]]:
        """Retrieve documents for many texts in one pipeline.

        Args:
            inputs: texts, embedded concurrently (at most ``max_concurrency`` at a time).
            config: one config for all calls, or one per call.
            return_exceptions: return an exception in place of its result, instead of raising the first one.
            kwargs: settings for these calls.
        """
        configured = self._with(kwargs)
        if configured.search_type == "mmr":
            return super().batch(inputs, config, return_exceptions=return_exceptions, **kwargs)
        configs = get_config_list(config, len(inputs))
        with get_executor_for_config(configs[0] if configs else None) as executor:
            vectors = list(executor.map(configured._embedded, inputs))
        outcomes = configured._outcomes(inputs, vectors)
        found: list[Any] = []
        for text, own, outcome in zip(inputs, configs, outcomes, strict=True):
            try:
                found.append(configured.invoke(text, own, **{_OUTCOME: outcome}))
            except Exception as error:
                if not return_exceptions:
                    raise
                found.append(error)
        return found

    async def abatch(
        self,
        inputs: list[str],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[list[Document]]:
        """Async version of `batch`."""
        configured = self._with(kwargs)
        if configured.search_type == "mmr":
            return await super().abatch(
                inputs, config, return_exceptions=return_exceptions, **kwargs
            )
        configs = get_config_list(config, len(inputs))
        limit = configs[0].get("max_concurrency") if configs else None
        vectors = await gather_with_concurrency(limit, *map(configured._aembedded, inputs))
        outcomes = await offload(configured._outcomes, inputs, vectors)
        found: list[Any] = []
        for text, own, outcome in zip(inputs, configs, outcomes, strict=True):
            try:
                found.append(await configured.ainvoke(text, own, **{_OUTCOME: outcome}))
            except Exception as error:
                if not return_exceptions:
                    raise
                found.append(error)
        return found

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
        **options: Any,
    ) -> list[Document]:
        if _OUTCOME in options:
            return _documents(options[_OUTCOME])
        configured = self._with(options)
        embedder = configured._embedder
        vector = None if embedder is None else embedder.embed_query(query)
        return _documents(configured._hits(query, vector))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
        **options: Any,
    ) -> list[Document]:
        if _OUTCOME in options:
            return _documents(options[_OUTCOME])
        configured = self._with(options)
        embedder = configured._embedder
        vector = None if embedder is None else await embedder.aembed_query(query)
        return _documents(await offload(configured._hits, query, vector))

    @property
    def _embedder(self) -> Embeddings | None:
        """The embedding model for queries; None if the search type needs none."""
        return None if self.search_type == "text" else self.embedding

    def _with(self, options: dict[str, Any]) -> Self:
        """Return a retriever with settings replaced for one call. The settings are validated."""
        if not options:
            return self
        known = type(self).model_fields.keys()
        if unknown := sorted(options.keys() - (known - _FIXED)):
            allowed = ", ".join(sorted(known - _FIXED))
            raise TypeError(f"a search has no setting {', '.join(unknown)}; it has {allowed}")
        own = {name: getattr(self, name) for name in known}
        return type(self)(**{**own, **options})

    def _hits(self, query: str, vector: Sequence[float] | None) -> list[Hit]:
        if self.search_type == "mmr":
            return self.index.search_mmr(
                _given(vector),
                k=self._count,
                fetch_k=self.fetch_k,
                lambda_mult=self.lambda_mult,
                filter=self.filter,
                field=self.vector_field,
                ef_runtime=self.ef_runtime,
                **self._read_options,
            )
        return self.index.query(self._query(query, vector))

    @property
    def _count(self) -> int:
        """The number of documents. `_check_settings` ensures that `k` is set if there is no threshold."""
        return self.k or 1

    def _query(
        self, query: str, vector: Sequence[float] | None
    ) -> VectorQuery | TextQuery | HybridQuery:
        """Return the query of the core for this search type. ``mmr`` has none."""
        match self.search_type:
            case "mmr":
                raise AssertionError("mmr has no query of its own; it selects from one")
            case "similarity":
                return self._nearest(vector, None)
            case "similarity_score_threshold":
                if not self.score_threshold:
                    return self._nearest(vector, None)  # every relevance is at least 0
                return self._nearest(vector, least_similarity(self.score_threshold, self._metric))
            case "text":
                return TextQuery(query, k=self._count, filter=self.filter, **self._read_options)
            case "hybrid":
                return HybridQuery(
                    _given(vector),
                    query,
                    k=self._count,
                    fusion=ReciprocalRank() if self.alpha is None else Weighted(self.alpha),
                    filter=self.filter,
                    ef_runtime=self.ef_runtime,
                    **self._read_options,
                )
            case _:
                assert_never(self.search_type)

    @property
    def _read_options(self) -> ReadOptions:
        return {"consistency": self.consistency, "timeout": self.timeout}

    @property
    def _metric(self) -> Metric:
        """The metric of the compared vector. May send a request to the server."""
        schema = self.index.schema
        named = (field.metric for field in schema.vectors if field.name == self.vector_field)
        return next(named, schema.metric)

    def _nearest(self, vector: Sequence[float] | None, min_similarity: float | None) -> VectorQuery:
        return VectorQuery(
            vector=_given(vector),
            k=self.k,
            filter=self.filter,
            field=self.vector_field,
            min_similarity=min_similarity,
            ef_runtime=self.ef_runtime,
            **self._read_options,
        )

    def _outcomes(
        self, texts: Sequence[str], vectors: Sequence[Sequence[float] | Exception | None]
    ) -> list[list[Hit] | Exception]:
        """Return the hits, or the error, for each text. Sends one pipeline."""
        outcomes: dict[int, list[Hit] | Exception] = {}
        queries: dict[int, Query] = {}
        for position, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
            if isinstance(vector, Exception):
                outcomes[position] = vector
                continue
            try:
                queries[position] = self._query(text, vector)
            except ValkeyVectorError as error:
                outcomes[position] = error
        try:
            answers: Any = self.index.search_many(list(queries.values()), return_errors=True)
        except ValkeyVectorError as error:
            answers = [error] * len(queries)
        outcomes.update(zip(queries, answers, strict=True))
        return [outcomes[position] for position in range(len(texts))]

    def _embedded(self, text: str) -> list[float] | Exception | None:
        """Return the vector of a text, or the error, so that other texts are not affected."""
        try:
            return None if self._embedder is None else self._embedder.embed_query(text)
        except Exception as error:  # noqa: BLE001 - raised when this text is reported
            return error

    async def _aembedded(self, text: str) -> list[float] | Exception | None:
        try:
            return None if self._embedder is None else await self._embedder.aembed_query(text)
        except Exception as error:  # noqa: BLE001 - raised when this text is reported
            return error


def _documents(outcome: list[Hit] | Exception) -> list[Document]:
    if isinstance(outcome, Exception):
        raise outcome
    return [to_document(hit.record) for hit in warn_if_partial(outcome)]


def _given(vector: Sequence[float] | None) -> Sequence[float]:
    if vector is None:
        raise ValueError("a search by vector needs an embedding")
    return vector
