"""`ValkeyRetriever`: every kind of search as a LangChain retriever, alone, awaited or in batches."""

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
    Hit,
    HybridQuery,
    Index,
    Metric,
    Query,
    ReciprocalRank,
    TextQuery,
    ValkeyVectorError,
    VectorQuery,
    Weighted,
)
from valkey_vector.concurrency.threads import offload
from valkey_vector.records.validation import FilterLike, as_filter
from valkey_vector.schema.schema import MAIN_VECTOR
from valkey_vector.schema.similarity import least_similarity

__all__ = ["ValkeyRetriever"]

SearchType: TypeAlias = Literal["similarity", "similarity_score_threshold", "mmr", "text", "hybrid"]

_OUTCOME = "_outcome"
"""The keyword by which a batch hands what it found to the call that reports it to LangChain's callbacks."""

_FIXED = frozenset({"index", "embedding", "tags", "metadata", "name"})


class ValkeyRetriever(BaseRetriever):
    """Finds documents in an index.

    Make one of a store with `from_store`, or of an `Index` and an embedding. What it is set to can be changed for one
    call, ``retriever.invoke("…", k=2, filter={"year": 2024})``, where it takes the place of the retriever's own, and by
    configuration (``retriever.configurable_fields(k=ConfigurableField(id="k"))``). An unknown keyword is a TypeError.
    ``batch`` and ``abatch`` search for all their texts in one pipeline.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    index: Index
    """Where the documents are."""
    embedding: Embeddings | None = None
    """Makes vectors of the texts asked for; only the search type ``text`` does without."""
    search_type: SearchType = "similarity"
    """``similarity``, the nearest; ``similarity_score_threshold``, the nearest with a score of at least
    `score_threshold`; ``mmr``, near the text and unlike each other; ``text``, the best by their words (BM25), whichever
    have any of the text's; ``hybrid``, the best by nearness and words. The last two need an index with `full_text`."""
    k: int | None = Field(default=4, ge=1)
    """How many documents at most; for ``similarity_score_threshold``, None is all that score enough."""
    filter: Any = None
    """Only documents that match: a dict or an expression, as for the store; None for all."""
    score_threshold: float | None = Field(default=None, ge=0, le=1)
    """The least relevance, 0 to 1: COSINE the cosine, L2 1 / (1 + Euclidean distance), IP a function of the inner product
    (`valkey_vector.schema.similarity.relevance`) that is 0.5 at right angles and nears 0 and 1."""
    fetch_k: int = Field(default=20, ge=1)
    """For ``mmr``: among how many of the nearest is chosen."""
    lambda_mult: float = Field(default=0.5, ge=0, le=1)
    """For ``mmr``: 0 for diversity alone to 1 for nearness alone."""
    alpha: float | None = Field(default=None, ge=0, le=1)
    """For ``hybrid``: 0 for the text alone to 1 for the vector alone; None fuses by reciprocal rank."""
    ef_runtime: int | None = Field(default=None, ge=1)
    """For HNSW, candidates to look at; None for the index's default."""
    vector_field: str | None = None
    """Which vector of the documents is compared, by its name in the schema; None for the main one, which is ``hybrid``'s."""

    @classmethod
    def from_store(cls, store: ValkeyVectorStore, **settings: Any) -> Self:
        """A retriever on a store's index, with its embedding. `settings` are the class's."""
        return cls(index=store.index, embedding=store.embeddings, **settings)

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
        """The documents for each of many texts, searched for in one pipeline.

        Args:
            inputs: the texts, which are embedded side by side (``max_concurrency`` bounds that).
            config: of the calls, or one for each.
            return_exceptions: put an exception in its text's place instead of raising the first one.
            kwargs: settings for these calls.
        """
        asked = self._with(kwargs)
        if asked.search_type == "mmr":
            return super().batch(inputs, config, return_exceptions=return_exceptions, **kwargs)
        configs = get_config_list(config, len(inputs))
        with get_executor_for_config(configs[0] if configs else None) as executor:
            vectors = list(executor.map(asked._embedded, inputs))
        outcomes = asked._outcomes(inputs, vectors)
        found: list[Any] = []
        for text, own, outcome in zip(inputs, configs, outcomes, strict=True):
            try:
                found.append(asked.invoke(text, own, **{_OUTCOME: outcome}))
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
        """`batch`, awaited."""
        asked = self._with(kwargs)
        if asked.search_type == "mmr":
            return await super().abatch(
                inputs, config, return_exceptions=return_exceptions, **kwargs
            )
        configs = get_config_list(config, len(inputs))
        limit = configs[0].get("max_concurrency") if configs else None
        vectors = await gather_with_concurrency(limit, *map(asked._aembedded, inputs))
        outcomes = await offload(asked._outcomes, inputs, vectors)
        found: list[Any] = []
        for text, own, outcome in zip(inputs, configs, outcomes, strict=True):
            try:
                found.append(await asked.ainvoke(text, own, **{_OUTCOME: outcome}))
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
        asked = self._with(options)
        embedder = asked._embedder
        vector = None if embedder is None else embedder.embed_query(query)
        return _documents(asked._hits(query, vector))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
        **options: Any,
    ) -> list[Document]:
        if _OUTCOME in options:
            return _documents(options[_OUTCOME])
        asked = self._with(options)
        embedder = asked._embedder
        vector = None if embedder is None else await embedder.aembed_query(query)
        return _documents(await offload(asked._hits, query, vector))

    @property
    def _embedder(self) -> Embeddings | None:
        """What makes vectors of the texts asked for; None if the search needs none."""
        return None if self.search_type == "text" else self.embedding

    def _with(self, options: dict[str, Any]) -> Self:
        """The retriever with some settings for one call, checked like its own."""
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
            )
        return self.index.query(self._query(query, vector))

    @property
    def _count(self) -> int:
        """How many, where there is no threshold: `_check_settings` sees to it that `k` is given."""
        return self.k or 1

    def _query(
        self, query: str, vector: Sequence[float] | None
    ) -> VectorQuery | TextQuery | HybridQuery:
        """The search as a query of the core: every search type but ``mmr`` is one."""
        match self.search_type:
            case "mmr":
                raise AssertionError("mmr is a choice out of what a query finds")
            case "similarity":
                return self._nearest(vector, None)
            case "similarity_score_threshold":
                if not self.score_threshold:
                    return self._nearest(vector, None)  # everything has a relevance of 0 or more
                return self._nearest(vector, least_similarity(self.score_threshold, self._metric))
            case "text":
                return TextQuery(query, k=self._count, filter=self.filter)
            case "hybrid":
                return HybridQuery(
                    _given(vector),
                    query,
                    k=self._count,
                    fusion=ReciprocalRank() if self.alpha is None else Weighted(self.alpha),
                    filter=self.filter,
                    ef_runtime=self.ef_runtime,
                )
            case _:
                assert_never(self.search_type)

    @property
    def _metric(self) -> Metric:
        """How the vectors that are compared are compared. May ask the server."""
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
        )

    def _outcomes(
        self, texts: Sequence[str], vectors: Sequence[Sequence[float] | Exception | None]
    ) -> list[list[Hit] | Exception]:
        """What is found for each text, or what went wrong; one pipeline for all."""
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
        """The text's vector, or the error, which is that of this text alone."""
        try:
            return None if self._embedder is None else self._embedder.embed_query(text)
        except Exception as error:  # noqa: BLE001 - raised again where the text's turn comes
            return error

    async def _aembedded(self, text: str) -> list[float] | Exception | None:
        try:
            return None if self._embedder is None else await self._embedder.aembed_query(text)
        except Exception as error:  # noqa: BLE001 - raised again where the text's turn comes
            return error


def _documents(outcome: list[Hit] | Exception) -> list[Document]:
    if isinstance(outcome, Exception):
        raise outcome
    return [to_document(hit.record) for hit in outcome]


def _given(vector: Sequence[float] | None) -> Sequence[float]:
    if vector is None:
        raise ValueError("a search by vector needs an embedding")
    return vector
