"""What an index is asked by text: records by their words, and by words and nearness together."""

from __future__ import annotations

from typing import Literal

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.connection.pipelines import alone
from valkey_vector.execution.text import answer_hybrid, answer_text
from valkey_vector.index.handle import Lifecycle
from valkey_vector.query.hybrid import Fusion, HybridQuery, ReciprocalRank
from valkey_vector.query.text import Clause, TextQuery
from valkey_vector.records.record import Hit, Vector
from valkey_vector.records.validation import FilterLike, as_filter
from valkey_vector.records.vectors import check_vector

__all__ = ["TextSearchableIndex"]


class TextSearchableIndex:
    """The part of `valkey_vector.Index` that searches texts.

    Args:
        lifecycle: of the index.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def search_text(
        self,
        text: str | tuple[Clause, ...],
        *,
        k: int = 4,
        match: Literal["any", "all"] = "any",
        fields: tuple[str, ...] = ("content",),
        filter: FilterLike | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
    ) -> list[Hit]:
        """The k records that answer a text best, by BM25, best first, ties by id.

        The arguments are those of `TextQuery`. Only records that match at all are found, so there may be fewer.

        Raises:
            InvalidInputError: an argument is not acceptable.
            UnsupportedFeatureError: the server has no text search; names the version that has.
            ConfigurationError: the index was made without text.
        """
        query = TextQuery(
            text,
            k=k,
            match=match,
            fields=fields,
            filter=filter,
            with_vectors=with_vectors,
            with_payloads=with_payloads,
        )
        if filter is not None:
            as_filter(filter)  # what is wrong with it is said also where there is nothing to search
        return self._lifecycle.read(
            lambda engine: alone(engine, answer_text(self._lifecycle, engine, query)), list[Hit]()
        )

    def search_hybrid(
        self,
        vector: Vector,
        text: str | tuple[Clause, ...],
        *,
        k: int = 4,
        fusion: Fusion | None = None,
        candidates: int | None = None,
        text_candidates: int | None = None,
        match: Literal["any", "all"] = "any",
        fields: tuple[str, ...] = ("content",),
        filter: FilterLike | None = None,
        ef_runtime: int | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
    ) -> list[Hit]:
        """The k best records by nearness and by text together, best first, ties by id.

        The arguments are those of `HybridQuery`; `fusion` is reciprocal rank fusion unless told.

        Raises:
            InvalidInputError: an argument is not acceptable.
            UnsupportedFeatureError: the server has no text search; names the version that has.
            ConfigurationError: the index was made without text.
        """
        query = HybridQuery(
            vector,
            text,
            k=k,
            fusion=ReciprocalRank() if fusion is None else fusion,
            candidates=candidates,
            text_candidates=text_candidates,
            match=match,
            fields=fields,
            filter=filter,
            ef_runtime=ef_runtime,
            with_vectors=with_vectors,
            with_payloads=with_payloads,
        )
        check_vector(vector, None, "the query")
        if filter is not None:
            as_filter(filter)
        return self._lifecycle.read(
            lambda engine: alone(engine, answer_hybrid(self._lifecycle, engine, query)), list[Hit]()
        )

    asearch_text = twin(search_text)
    asearch_hybrid = twin(search_hybrid)
