"""Queries by vector: the nearest records, or all within a radius."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

from valkey_vector.errors import InvalidInputError
from valkey_vector.query.base import check_brought, check_count, check_filter, check_number
from valkey_vector.records.record import Vector
from valkey_vector.records.validation import FilterLike
from valkey_vector.records.vectors import check_vector
from valkey_vector.schema.schema import Metric
from valkey_vector.schema.similarity import similarity

__all__ = ["Threshold", "VectorQuery"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # arrays do not compare to one truth
class VectorQuery:
    """The records nearest to a vector, nearest first, ties by id.

    Which of equally near records are the last of the k, a search module chooses; the native engine takes those whose ids come first.

    Attributes:
        vector: finite floats, as many as the field's dimension.
        k: how many, at least 1; fewer are found only if there are fewer. With a threshold, None is all within it.
        filter: only records that match.
        field: the vector to compare, by its name in the schema; None for the main one.
        max_distance: only records as near as this or nearer, in the units of `Hit.distance`: COSINE 1 - cosine, 0
            to 2; L2 the squared Euclidean distance, from 0; IP 1 - inner product, any number.
        min_similarity: only records as similar as this or more, in the units of `Hit.similarity`: COSINE the cosine,
            -1 to 1; L2 1 / (1 + Euclidean distance), above 0 to 1; IP the inner product, any number. A search
            module measures in single precision, so what lies within some 1e-6 of a threshold may fall on either side.
        ef_runtime: for HNSW, candidates to look at, at least 1; more is better recall and slower, up to the 1,000,000
            that servers accept. Default: the index's.
        with_content: bring the texts; without, they are empty.
        with_metadata: bring the metadata; without, it is empty.
        with_vectors: bring all vectors, too.
        with_payloads: bring the payloads, too.

    Raises:
        InvalidInputError: an attribute is not acceptable, neither `k` nor a threshold is given, or both thresholds.
    """

    vector: Vector
    k: int | None = None
    filter: FilterLike | None = None
    field: str | None = None
    max_distance: float | None = None
    min_similarity: float | None = None
    ef_runtime: int | None = None
    with_content: bool = True
    with_metadata: bool = True
    with_vectors: bool = False
    with_payloads: bool = False

    def __post_init__(self) -> None:
        vector = check_vector(self.vector, None, "the query").copy()  # the caller may change his
        vector.flags.writeable = False
        object.__setattr__(self, "vector", vector)
        object.__setattr__(self, "filter", check_filter(self.filter))
        if self.field is not None and not isinstance(self.field, str):
            raise InvalidInputError(f"field must be the name of a vector, not {self.field!r}")
        if self.max_distance is not None and self.min_similarity is not None:
            raise InvalidInputError("give max_distance or min_similarity, not both")
        if self.k is not None:
            check_count(self.k, "k", 1)
        elif self.threshold is None:
            raise InvalidInputError("say how many: k, or a threshold for all within it")
        if self.ef_runtime is not None:
            check_count(self.ef_runtime, "ef_runtime", 1)
        check_brought(self)

    @property
    def threshold(self) -> Threshold | None:
        """How near a record must be, if that is limited."""
        if self.max_distance is not None:
            return Threshold(max_distance=check_number(self.max_distance, "max_distance"))
        if self.min_similarity is not None:
            return Threshold(min_similarity=check_number(self.min_similarity, "min_similarity"))
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """How near a record must be: by distance or by similarity, one of which is given."""

    max_distance: float | None = None
    min_similarity: float | None = None

    def admits(self, distance: float, metric: Metric) -> bool:
        """Whether a record at a distance is near enough; of two distances the lesser is admitted if the other is."""
        if self.max_distance is not None:
            return distance <= self.max_distance
        assert self.min_similarity is not None  # noqa: S101 - one of the two is given
        return similarity(distance, metric) >= self.min_similarity

    def radius(self, metric: Metric) -> float:
        """A distance beyond which nothing is admitted; infinite if everything is, -infinite if nothing."""
        if self.max_distance is not None:
            return self.max_distance
        assert self.min_similarity is not None  # noqa: S101 - one of the two is given
        match metric:
            case Metric.COSINE | Metric.IP:
                exact = 1.0 - self.min_similarity
            case Metric.L2 if self.min_similarity <= 0:
                return math.inf
            case Metric.L2 if self.min_similarity > 1:
                return -math.inf
            case Metric.L2:
                exact = (1.0 / self.min_similarity - 1.0) ** 2
            case _:
                assert_never(metric)
        return exact + 1e-9 * (1.0 + abs(exact))  # room for rounding; `admits` decides
