"""`HybridQuery`: records ranked by vector similarity and BM25 together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from valkey_vector.errors import InvalidInputError
from valkey_vector.query.base import check_filter, check_flags
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.query.read_options import Consistency, check_read_options
from valkey_vector.query.text import Clause, check_words
from valkey_vector.records.record import Vector
from valkey_vector.records.validation import check_k
from valkey_vector.records.vectors import check_vector

__all__ = ["Fusion", "HybridQuery", "ReciprocalRank", "Weighted"]


@dataclass(frozen=True, slots=True)
class ReciprocalRank:
    """Reciprocal rank fusion: a record's score is the sum of ``1 / (constant + rank)`` over both rankings.

    Attributes:
        constant: > 0. A larger constant reduces the advantage of the first ranks. The default 60 is the value of the
            method's authors (Cormack, Clarke and Büttcher, SIGIR 2009).
    """

    constant: float = 60.0

    def __post_init__(self) -> None:
        if not _is_number(self.constant) or not 0 < self.constant < math.inf:
            raise InvalidInputError(f"constant must be a number above 0, not {self.constant!r}")


@dataclass(frozen=True, slots=True)
class Weighted:
    """Weighted sum of both scores, each scaled to the range 0 (worst candidate) to 1 (best candidate).

    A record that is in only one ranking scores 0 in the other.

    Attributes:
        alpha: weight of the vector similarity, from 0 (text only) to 1 (vector only). The text has weight 1 - alpha.
    """

    alpha: float = 0.5

    def __post_init__(self) -> None:
        if not _is_number(self.alpha) or not 0 <= self.alpha <= 1:
            raise InvalidInputError(f"alpha must be from 0 to 1, not {self.alpha!r}")


Fusion: TypeAlias = ReciprocalRank | Weighted


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth
class HybridQuery:
    """The k best records by vector similarity and BM25 combined, best first, ties by id.

    Attributes:
        vector: finite floats; the length is the dimension of the index.
        text: as for `TextQuery`. Text without terms leaves the vector ranking unchanged.
        k: number of records, at least 1.
        fusion: method that combines the two rankings.
        candidates: number of nearest neighbors in the vector ranking, raised to k if smaller; default 4 * k, at least
            100.
        text_candidates: number of records in the text ranking; default: the length of the vector ranking.
        match: ``any`` or ``all`` terms, as for `TextQuery`.
        fields: text fields to search, as for `TextQuery`.
        filter: rank only records that match, in both rankings.
        ef_runtime: HNSW search width, as for `Index.search`.
        with_vectors: also return the vectors.
        with_payloads: also return the payloads.
        stop_words: words of the text that are not searched, as for `TextQuery`.
        consistency, timeout: see `ReadOptions`.

    Raises:
        InvalidInputError: an attribute has the wrong type or is out of range.
    """

    vector: Vector
    text: str | tuple[Clause, ...]
    k: int = 4
    fusion: Fusion = field(default_factory=ReciprocalRank)
    candidates: int | None = None
    text_candidates: int | None = None
    match: Literal["any", "all"] = "any"
    fields: tuple[str, ...] = ("content",)
    filter: FilterLike | None = None
    ef_runtime: int | None = None
    with_vectors: bool = False
    with_payloads: bool = False
    stop_words: tuple[str, ...] | None = None
    consistency: Consistency = "strict"
    timeout: float | None = None

    def __post_init__(self) -> None:
        check_vector(self.vector, None, "the query")
        check_filter(self.filter)
        check_words(self.text, self.match, self.fields, self.stop_words)
        check_k(self.k, "k")
        check_flags(self, "with_vectors", "with_payloads")
        check_read_options(self.consistency, self.timeout)
        if self.candidates is not None:
            check_k(self.candidates, "candidates")
        if self.text_candidates is not None:
            check_k(self.text_candidates, "text_candidates")
        if self.ef_runtime is not None:
            check_k(self.ef_runtime, "ef_runtime")
        if not isinstance(self.fusion, Fusion):
            raise InvalidInputError(
                f"fusion must be ReciprocalRank or Weighted, not {self.fusion!r}"
            )

    @property
    def depth(self) -> int:
        """The length of the vector ranking."""
        return max(self.k, self.candidates or max(4 * self.k, 100))

    @property
    def text_depth(self) -> int:
        """The length of the text ranking."""
        return self.text_candidates or self.depth


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
