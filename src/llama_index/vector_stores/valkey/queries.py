"""Translation of a `VectorStoreQuery` and its keywords to a query of the core, by mode."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.vector_stores.types import (
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from llama_index.vector_stores.valkey.filters import to_filter
from valkey_vector import (
    F,
    Filter,
    FilterQuery,
    HybridQuery,
    InvalidInputError,
    ReadOptions,
    ReciprocalRank,
    TextQuery,
    VectorQuery,
    Weighted,
    all_of,
)
from valkey_vector.records.validation import check_k

__all__ = [
    "MMR_KEYWORDS",
    "TEXT_KEYWORDS",
    "check_source",
    "check_threshold",
    "filter_query",
    "hybrid_query",
    "mmr_candidates",
    "refuse_unknown",
    "restriction",
    "text_query",
    "vector_query",
]

MMR_KEYWORDS = ("mmr_threshold", "mmr_prefetch_k", "mmr_prefetch_factor")
TEXT_KEYWORDS = ("match", "fields", "stop_words")

_MMR_CANDIDATES = 100
"""Default minimum number of candidates for MMR."""

_HYBRID = (VectorStoreQueryMode.HYBRID, VectorStoreQueryMode.SEMANTIC_HYBRID)
_BY_EMBEDDING = (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR, *_HYBRID)


def filter_query(query: VectorStoreQuery) -> FilterQuery | None:
    """Return a query by filter alone if the query has filters, an empty text and no embedding; otherwise None."""
    if query.query_embedding is not None or query.query_str != "":
        return None
    condition = _filter(query)
    if condition is None or query.mode not in _BY_EMBEDDING:
        return None
    k = check_k(query.similarity_top_k, "similarity_top_k")
    if query.mode in _HYBRID and query.hybrid_top_k is not None:
        k = check_k(query.hybrid_top_k, "hybrid_top_k")
    return FilterQuery(
        filter=condition,
        limit=k,
        with_vectors=_wants_vectors(query),
        with_payloads=True,
    )


def vector_query(
    query: VectorStoreQuery,
    k: int,
    ef_runtime: int | None,
    options: ReadOptions,
    *,
    with_vectors: bool = False,
) -> VectorQuery:
    """Return the query for the k nearest neighbors of the embedding.

    Raises:
        InvalidInputError: if the embedding is missing, or a value in the query is invalid.
    """
    return VectorQuery(
        vector=_embedding(query, "to find nodes without one, call get_nodes(filters=...)"),
        k=check_k(k, "similarity_top_k"),
        filter=_filter(query),
        ef_runtime=ef_runtime,
        with_vectors=with_vectors or _wants_vectors(query),
        with_payloads=True,
        **options,
    )


def text_query(query: VectorStoreQuery, keywords: Mapping[str, Any]) -> TextQuery:
    """Return the BM25 query for `sparse_top_k` nodes, or `similarity_top_k` if that is None.

    Raises:
        InvalidInputError: if the text is missing, or a value in the query is invalid.
    """
    k = check_k(query.similarity_top_k, "similarity_top_k")
    if query.sparse_top_k is not None:
        k = check_k(query.sparse_top_k, "sparse_top_k")
    return TextQuery(
        _text(query),
        k=k,
        filter=_filter(query),
        with_vectors=_wants_vectors(query),
        with_payloads=True,
        **_text_options(keywords),
    )


def hybrid_query(
    query: VectorStoreQuery, ef_runtime: int | None, keywords: Mapping[str, Any]
) -> HybridQuery:
    """Return the hybrid query for the embedding and the text.

    `hybrid_top_k` is the number of results, and `similarity_top_k` the number of nearest neighbors to fuse, as
    LlamaIndex defines them. Without `hybrid_top_k`, `similarity_top_k` is the number of results.

    Raises:
        InvalidInputError: if the embedding or the text is missing, or a value in the query is invalid.
    """
    k, candidates = check_k(query.similarity_top_k, "similarity_top_k"), None
    if query.hybrid_top_k is not None:
        k, candidates = check_k(query.hybrid_top_k, "hybrid_top_k"), k
    if query.sparse_top_k is not None:
        check_k(query.sparse_top_k, "sparse_top_k")
    return HybridQuery(
        _embedding(query, "to search by text alone, use the mode text_search"),
        _text(query),
        k=k,
        fusion=ReciprocalRank() if query.alpha is None else Weighted(query.alpha),
        candidates=candidates,
        text_candidates=query.sparse_top_k,
        filter=_filter(query),
        ef_runtime=ef_runtime,
        with_vectors=_wants_vectors(query),
        with_payloads=True,
        **_text_options(keywords),
    )


def restriction(
    filters: MetadataFilters | None,
    node_ids: Sequence[str] | None,
    doc_ids: Sequence[str] | None = None,
) -> Filter | None:
    """Combine filters, node ids and source documents with AND. Return None if there is no condition."""
    parts = [to_filter(filters)]
    parts.append(None if node_ids is None else F.id.in_(node_ids))
    parts.append(None if doc_ids is None else F.parent.in_(list(map(check_source, doc_ids))))
    conditions = [part for part in parts if part is not None]
    return all_of(conditions) if conditions else None


def check_source(doc_id: object) -> str:
    """Return the id of a source document. None is rejected: it would match all nodes without a source.

    Raises:
        InvalidInputError: if the id is not text.
    """
    if not isinstance(doc_id, str):
        raise InvalidInputError(
            f"the id of a source document must be text, not {doc_id!r} ({type(doc_id).__name__})"
        )
    return doc_id


def mmr_candidates(k: int, keywords: Mapping[str, Any]) -> int:
    """Return the number of candidates for MMR, at least k."""
    count, factor = keywords.get("mmr_prefetch_k"), keywords.get("mmr_prefetch_factor")
    if count is not None and factor is not None:
        raise InvalidInputError("pass mmr_prefetch_k or mmr_prefetch_factor, not both")
    if count is not None:
        return max(k, int(_number(count, "mmr_prefetch_k")))
    if factor is None:
        return max(_MMR_CANDIDATES, 4 * k)
    return max(k, int(k * _number(factor, "mmr_prefetch_factor")))


def check_threshold(threshold: object) -> float | None:
    """Return the setting `mmr_threshold`, or None.

    Raises:
        InvalidInputError: if it is not a number from 0 to 1.
    """
    if threshold is None:
        return None
    number = _number(threshold, "mmr_threshold")
    if not 0 <= number <= 1:
        raise InvalidInputError(f"mmr_threshold must be from 0 to 1, not {threshold!r}")
    return number


def refuse_unknown(keywords: Mapping[str, Any], known: Sequence[str] = ()) -> None:
    """Raise `TypeError` for keywords that do not apply to a mode."""
    if not keywords:
        return
    unknown = sorted(set(keywords) - set(known))
    if unknown:
        raise TypeError(f"query() in this mode does not take {', '.join(unknown)}")


def _number(value: Any, name: str) -> float:
    """Return a setting as a float. Python and NumPy numbers are accepted."""
    try:
        number = math.inf if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.inf
    if not math.isfinite(number):
        raise InvalidInputError(f"{name} must be a finite number, not {value!r}")
    return number


def _filter(query: VectorStoreQuery) -> Filter | None:
    if query.filters is None and query.doc_ids is None and not query.node_ids:
        return None
    return restriction(query.filters, query.node_ids or None, query.doc_ids)


def _wants_vectors(query: VectorStoreQuery) -> bool:
    return "embedding" in (query.output_fields or ())


def _embedding(query: VectorStoreQuery, cure: str) -> list[float]:
    if query.query_embedding is None:
        raise InvalidInputError(f"the query has no query_embedding; {cure}")
    if query.embedding_field not in (None, "embedding"):
        raise InvalidInputError(
            f"nodes have one embedding, and embedding_field cannot be {query.embedding_field!r}"
        )
    return query.query_embedding


def _text(query: VectorStoreQuery) -> str:
    if query.query_str is None:
        mode = VectorStoreQueryMode(query.mode).value
        raise InvalidInputError(f"the query has no query_str, which the mode {mode} searches for")
    return query.query_str


def _text_options(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords for `TextQuery` and `HybridQuery`, with lists as tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in keywords.items()
    }
