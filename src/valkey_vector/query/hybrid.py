"""`HybridQuery`: records that are near a vector and answer a text, ranked by both."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from valkey_vector.errors import InvalidInputError
from valkey_vector.query.base import check_filter, check_flags
from valkey_vector.query.text import Clause, check_words
from valkey_vector.records.record import Vector
from valkey_vector.records.validation import FilterLike, check_k
from valkey_vector.records.vectors import check_vector

__all__ = ["Fusion", "HybridQuery", "ReciprocalRank", "Weighted"]


@dataclass(frozen=True, slots=True)
class ReciprocalRank:
    """Reciprocal rank fusion: a record's score is the sum of ``1 / (constant + rank)`` over both rankings.

    Attributes:
        constant: the higher, the less the first ranks stand out; above 0. 60 is that of the method's
            authors (Cormack, Clarke and Büttcher, SIGIR 2009).
    """

    constant: float = 60.0

    def __post_init__(self) -> None:
        if not _is_number(self.constant) or not 0 < self.constant < math.inf:
            raise InvalidInputError(f"constant must be a number above 0, not {self.constant!r}")


@dataclass(frozen=True, slots=True)
class Weighted:
    """A weighted sum of both scores, each brought to 0 (the worst of its candidates) to 1 (the best).

    A record that only one ranking has gets 0 for the other.

    Attributes:
        alpha: the weight of nearness, 0 for text alone to 1 for nearness alone; the text's is 1 - alpha.
    """

    alpha: float = 0.5

    def __post_init__(self) -> None:
        if not _is_number(self.alpha) or not 0 <= self.alpha <= 1:
            raise InvalidInputError(f"alpha must be from 0 to 1, not {self.alpha!r}")


Fusion: TypeAlias = ReciprocalRank | Weighted


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare to one truth
class HybridQuery:
    """The k best records by nearness to a vector and by BM25 together, best first, ties by id.

    Attributes:
        vector: finite floats, as many as the index's dimension.
        text: as for `TextQuery`. Text without any word leaves the vector's ranking.
        k: how many, at least 1.
        fusion: how the two rankings become one.
        candidates: how many of the nearest are considered, never fewer than k; by default 4 k, at least 100.
        text_candidates: how many of the best by text are considered; by default as many as of the nearest.
        match: ``any`` or ``all`` of the words, as for `TextQuery`.
        fields: the texts to look into, as for `TextQuery`.
        filter: only records that match, in both rankings.
        ef_runtime: for HNSW, as for `Index.search`.
        with_vectors: bring the vectors, too.
        with_payloads: bring the payloads, too.

    Raises:
        InvalidInputError: a value is of the wrong kind or out of range.
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

    def __post_init__(self) -> None:
        check_vector(self.vector, None, "the query")
        check_filter(self.filter)
        check_words(self.text, self.match, self.fields)
        check_k(self.k, "k")
        check_flags(self, "with_vectors", "with_payloads")
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
        """How many of the nearest are considered."""
        return max(self.k, self.candidates or max(4 * self.k, 100))

    @property
    def text_depth(self) -> int:
        """How many of the best by text are considered."""
        return self.text_candidates or self.depth


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
