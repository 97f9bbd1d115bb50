"""`VectorQuery`: the nearest neighbors of a vector, or all records within a threshold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, assert_never, cast

from valkey_vector.errors import InvalidInputError
from valkey_vector.query.base import check_count, check_filter, check_number, check_returned_parts
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.query.read_options import Consistency, check_read_options
from valkey_vector.records.record import Vector
from valkey_vector.records.vectors import check_vector
from valkey_vector.schema.schema import Metric
from valkey_vector.schema.similarity import similarity

__all__ = ["Threshold", "VectorQuery", "new_nearest_query"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # arrays do not compare to one truth
class VectorQuery:
    """The records nearest to a vector, nearest first, ties by id.

    If several records tie for the last of the k results, a search module chooses among them. The native engine takes
    the ids that sort first.

    Attributes:
        vector: finite floats; the length is the dimension of the field.
        k: number of records, at least 1. Fewer are returned only if fewer match. With a threshold, None means all
            records within it.
        filter: return only records that match.
        field: name of the vector field in the schema; None for the main vector.
        max_distance: return only records up to this distance, in the units of `Hit.distance`: COSINE 1 - cosine, 0
            to 2; L2 the squared Euclidean distance, 0 or more; IP 1 - inner product, any number.
        min_similarity: return only records with at least this similarity, in the units of `Hit.similarity`: COSINE
            the cosine, -1 to 1; L2 1 / (1 + Euclidean distance), 0 < similarity <= 1; IP the inner product, any
            number. A search module computes in single precision: records within about 1e-6 of a threshold may or may
            not be returned.
        ef_runtime: HNSW search width, 1 to 1,000,000. A larger value improves recall and takes longer. Default: the
            value of the index.
        with_content: return the texts; otherwise they are empty.
        with_metadata: return the metadata; otherwise it is empty.
        with_vectors: also return all vectors.
        with_payloads: also return the payloads.
        consistency, timeout: see `ReadOptions`.

    Raises:
        InvalidInputError: an attribute is invalid, `k` and both thresholds are None, or both thresholds are set.
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
    consistency: Consistency = "strict"
    timeout: float | None = None

    def __post_init__(self) -> None:
        given = self.vector
        vector = check_vector(given, None, "the query")
        if type(given) is not list:
            vector = vector.copy()  # it may share the caller's memory, which the caller may change
        if vector.flags.writeable:
            vector.flags.writeable = False
        object.__setattr__(self, "vector", vector)
        if self.filter is not None:
            object.__setattr__(self, "filter", check_filter(self.filter))
        if self.field is not None and not isinstance(self.field, str):
            raise InvalidInputError(f"field must be the name of a vector, not {self.field!r}")
        if self.max_distance is not None and self.min_similarity is not None:
            raise InvalidInputError(
                "max_distance and min_similarity are both set: pass only one of them"
            )
        k = self.k
        if k is not None:
            if type(k) is not int or k < 1:
                check_count(k, "k", 1)
        elif self.threshold is None:
            raise InvalidInputError(
                "the query has no limit: pass k, or max_distance or min_similarity to get all records within it"
            )
        if self.ef_runtime is not None:
            check_count(self.ef_runtime, "ef_runtime", 1)
        for flag in (self.with_content, self.with_metadata, self.with_vectors, self.with_payloads):
            if flag is not True and flag is not False:
                check_returned_parts(self)
        if self.consistency != "strict" or self.timeout is not None:
            check_read_options(self.consistency, self.timeout)

    @property
    def threshold(self) -> Threshold | None:
        """The distance or similarity limit, if one is set."""
        if self.max_distance is not None:
            return Threshold(max_distance=check_number(self.max_distance, "max_distance"))
        if self.min_similarity is not None:
            return Threshold(min_similarity=check_number(self.min_similarity, "min_similarity"))
        return None


class _NewVectorQuery:
    """A `VectorQuery` while its attributes are set: five times as fast as for a frozen one (see `new_record`)."""

    __slots__ = VectorQuery.__slots__

    def __init__(  # noqa: PLR0917 - keywords take longer
        self,
        vector: Vector,
        k: int,
        filter: FilterLike | None,
        field: str | None,
        ef_runtime: int | None,
        with_vectors: bool,
        with_payloads: bool,
        consistency: Consistency = "strict",
        timeout: float | None = None,
    ) -> None:
        self.vector = vector
        self.k = k
        self.filter = filter
        self.field = field
        self.max_distance = self.min_similarity = None
        self.ef_runtime = ef_runtime
        self.with_content = self.with_metadata = True
        self.with_vectors = with_vectors
        self.with_payloads = with_payloads
        self.consistency = consistency
        self.timeout = timeout
        created: Any = self
        created.__class__ = VectorQuery
        created.__post_init__()


new_nearest_query = cast("Callable[..., VectorQuery]", _NewVectorQuery)
"""Create a checked `VectorQuery` for the `k` nearest records, with text and metadata, fast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Limit on the distance or on the similarity; exactly one of the two is set."""

    max_distance: float | None = None
    min_similarity: float | None = None

    def admits(self, distance: float, metric: Metric) -> bool:
        """Return True if a distance is within the threshold; any smaller distance is within it, too."""
        if self.max_distance is not None:
            return distance <= self.max_distance
        assert self.min_similarity is not None  # noqa: S101 - one of the two is given
        return similarity(distance, metric) >= self.min_similarity

    def radius(self, metric: Metric) -> float:
        """The distance beyond which no record is within the threshold; inf for no limit, -inf to exclude all."""
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
