"""Statistics of a cache, which all processes share on the server."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["COUNTS", "CacheStatistics", "Count"]


class Count(StrEnum):
    """Names of the counters on the server."""

    EXACT = "exact_hits"
    SEMANTIC = "semantic_hits"
    MISSES = "misses"
    REJECTED = "rejected"
    STORES = "stores"
    EVICTIONS = "evictions"
    FAILURES = "failures"
    SECONDS = "saved_seconds"
    TOKENS = "saved_tokens"
    SIMILARITY = "similarity"


COUNTS = tuple(count.value for count in Count)
"""All counter names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStatistics:
    """Statistics of all processes since the cache was created or the statistics were reset.

    Attributes:
        exact_hits: lookups answered by an entry with the same prompt.
        semantic_hits: lookups answered by an entry with a similar prompt.
        misses: lookups without an answer.
        rejected: doubtful hits that ``verify`` rejected.
        stores: stored answers.
        evictions: entries removed because of ``max_entries``.
        failures: operations that continued without the cache because the server or the embedder failed.
        saved_seconds: total time it took to compute the answers that hits returned, where known.
        saved_tokens: total number of tokens those answers cost, where known.
        mean_similarity: mean similarity of the semantic hits, -1 to 1. NaN without semantic hits.
    """

    exact_hits: int
    semantic_hits: int
    misses: int
    rejected: int
    stores: int
    evictions: int
    failures: int
    saved_seconds: float
    saved_tokens: int
    mean_similarity: float

    @property
    def hits(self) -> int:
        """Number of lookups with an answer."""
        return self.exact_hits + self.semantic_hits

    @property
    def lookups(self) -> int:
        """Number of lookups."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float:
        """Share of the lookups with an answer, 0 to 1. 0 without lookups."""
        return self.hits / self.lookups if self.lookups else 0.0

    @staticmethod
    def number(stored: bytes) -> float:
        """Parse a stored counter. Returns 0 for a value that is not a finite number, which another program wrote."""
        try:
            value = float(stored)
        except ValueError:
            return 0.0
        return value if math.isfinite(value) else 0.0

    @classmethod
    def of(cls, counts: Mapping[str, float]) -> CacheStatistics:
        """Create the statistics from the stored counters."""

        def whole(name: str) -> int:
            return round(counts.get(name, 0.0))

        semantic = whole(Count.SEMANTIC)
        total = counts.get(Count.SIMILARITY, 0.0)
        return cls(
            exact_hits=whole(Count.EXACT),
            semantic_hits=semantic,
            misses=whole(Count.MISSES),
            rejected=whole(Count.REJECTED),
            stores=whole(Count.STORES),
            evictions=whole(Count.EVICTIONS),
            failures=whole(Count.FAILURES),
            saved_seconds=counts.get(Count.SECONDS, 0.0),
            saved_tokens=whole(Count.TOKENS),
            mean_similarity=_mean(total, semantic),
        )


def _mean(total: float, count: int) -> float:
    """Return the mean similarity, limited to -1 to 1 because the stored sum is rounded."""
    return max(-1.0, min(1.0, total / count)) if count else math.nan
