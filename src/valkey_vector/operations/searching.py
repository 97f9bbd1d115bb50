"""One search as an operator types it: by the vector of a record, by a vector, by BM25 terms, or by both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from valkey_vector.concurrency.threads import offload
from valkey_vector.errors import IndexNotFoundError, InvalidInputError
from valkey_vector.index.index import Index
from valkey_vector.query import FilterQuery, HybridQuery, Query, TextQuery, VectorQuery
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.records.record import Hit, Record, Vector
from valkey_vector.records.validation import check_k
from valkey_vector.schema.schema import MAIN_VECTOR

__all__ = ["SearchKind", "SearchOutcome", "SearchRequest", "asearch", "query_of", "search"]

SearchKind: TypeAlias = Literal["vector", "text", "hybrid", "filter"]
"""Method by which a search chooses and ranks its records."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchRequest:
    """Arguments of a search. Terms and a vector together make a hybrid search; neither makes a search by filter.

    Attributes:
        like: id of a record whose vector is compared. The record itself is left out of the result.
        vector: the vector to compare, instead of `like`.
        text: terms to search for with BM25.
        filter: only records that match.
        field: name of the vector in the schema. None for the main vector.
        k: number of records, at least 1.
        ef_runtime: HNSW candidates to examine. None for the default of the index.

    Raises:
        InvalidInputError: `like` and `vector` are both set, `field` is set for a search by terms, or `k` is not a
            positive integer.
    """

    like: str | None = None
    vector: Vector | None = None
    text: str | None = None
    filter: FilterLike | None = None
    field: str | None = None
    k: int = 10
    ef_runtime: int | None = None

    def __post_init__(self) -> None:
        if self.like is not None and self.vector is not None:
            raise InvalidInputError("pass like or vector, not both")
        if self.text is not None and self.field is not None:
            raise InvalidInputError("a search by terms compares the main vector: leave out field")
        check_k(self.k, "k")

    @property
    def kind(self) -> SearchKind:
        """Method by which the search chooses and ranks its records."""
        compares = self.like is not None or self.vector is not None
        if self.text is not None:
            return "hybrid" if compares else "text"
        return "vector" if compares else "filter"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOutcome:
    """The result of a search.

    Attributes:
        kind: how the records were chosen and ranked.
        hits: the records, best first. Records chosen by filter alone have the score NaN, oldest first.
    """

    kind: SearchKind
    hits: tuple[Hit, ...]


def search(index: Index, request: SearchRequest) -> SearchOutcome:
    """Search an index.

    Cost: one round trip more if the vector is that of a record.

    Raises:
        IndexNotFoundError: there is no index, or no record with the id in `like`.
        InvalidInputError: the record in `like` has no such vector, or an argument is not valid.
    """
    answer = index.query(query_of(index, request))
    found: Sequence[Hit | Record] = answer if isinstance(answer, list) else []
    hits = [each if isinstance(each, Hit) else Hit(record=each, score=math.nan) for each in found]
    others = [hit for hit in hits if hit.record.id != request.like]
    return SearchOutcome(kind=request.kind, hits=tuple(others[: request.k]))


async def asearch(index: Index, request: SearchRequest) -> SearchOutcome:
    """Async version of `search`."""
    return await offload(search, index, request)


def query_of(index: Index, request: SearchRequest) -> Query:
    """Build the query of a request. Reads the vector of the record in `like` from the index.

    Raises:
        IndexNotFoundError: there is no record with the id in `like`.
        InvalidInputError: that record has no such vector.
    """
    vector = request.vector if request.like is None else _vector_of(index, request)
    k = request.k if request.like is None else request.k + 1  # the record finds itself
    if vector is None:
        if request.text is not None:
            return TextQuery(request.text, k=k, filter=request.filter)
        return FilterQuery(filter=request.filter, limit=k)
    if request.text is not None:
        return HybridQuery(
            vector,
            request.text,
            k=k,
            filter=request.filter,
            ef_runtime=request.ef_runtime,
        )
    return VectorQuery(
        vector=vector,
        k=k,
        filter=request.filter,
        field=request.field,
        ef_runtime=request.ef_runtime,
    )


def _vector_of(index: Index, request: SearchRequest) -> Vector:
    """Read the vector of a record."""
    id = str(request.like)
    (record,) = index.get([id], with_vectors=True)
    if record is None:
        raise IndexNotFoundError(f"index {index.name!r} has no record {id!r}")
    vector = _named(record, request.field)
    if vector is None:
        raise InvalidInputError(
            f"record {id!r} of index {index.name!r} has no vector {request.field or MAIN_VECTOR!r}"
        )
    return vector


def _named(record: Record, field: str | None) -> Vector | None:
    if field is None or field == MAIN_VECTOR:
        return record.vector
    return record.vectors.get(field)
