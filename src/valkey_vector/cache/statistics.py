"""What a cache did: its counts, which all processes share on the server."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["COUNTS", "CacheStatistics", "Count"]


class Count(StrEnum):
    """The names of the counts on the server."""

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
"""All of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStatistics:
    """Counts since the cache was made, or since they were last reset, of all processes together.

    Attributes:
        exact_hits: prompts answered because they were asked before, word for word.
        semantic_hits: prompts answered because a similar one was asked before.
        misses: prompts that were not answered.
        rejected: doubtful hits that ``verify`` turned down.
        stores: answers stored.
        evictions: entries removed to keep to ``max_entries``.
        failures: operations that went without the cache because it, or the embedder, failed.
        saved_seconds: how long it took to make the answers that hits returned, as far as known.
        saved_tokens: how many tokens they cost, as far as known.
        mean_similarity: of the semantic hits; NaN without any.
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
        """Prompts that were answered."""
        return self.exact_hits + self.semantic_hits

    @property
    def lookups(self) -> int:
        """Prompts that were asked."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float:
        """Share of the prompts that were answered, 0 to 1; 0 where none was asked."""
        return self.hits / self.lookups if self.lookups else 0.0

    @staticmethod
    def number(stored: bytes) -> float:
        """A count as the server has it; 0 for what is no finite number, which something else wrote."""
        try:
            value = float(stored)
        except ValueError:
            return 0.0
        return value if math.isfinite(value) else 0.0

    @classmethod
    def of(cls, counts: Mapping[str, float]) -> CacheStatistics:
        """From the counts as they are kept."""

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
    """The mean of so many similarities; their sum is rounded, and a similarity is at most 1."""
    return max(-1.0, min(1.0, total / count)) if count else math.nan
