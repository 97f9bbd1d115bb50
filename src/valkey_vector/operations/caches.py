"""Statistics and clearing of a semantic cache, without its embedder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from valkey_vector.cache import CacheStatistics, SemanticCache
from valkey_vector.cache.entries import SCOPE_ID
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Connection
from valkey_vector.errors import ConfigurationError
from valkey_vector.operations.opening import open_own

__all__ = ["CacheReport", "acache_report", "aclear_cache", "cache_report", "clear_cache"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheReport:
    """A semantic cache and its statistics.

    Attributes:
        name: name of the cache.
        entries: number of stored answers.
        hits: lookups with an answer.
        lookups: all lookups.
        hit_rate: share of the lookups with an answer, 0 to 1.
        statistics: all counters of all processes.
    """

    name: str
    entries: int
    hits: int
    lookups: int
    hit_rate: float
    statistics: CacheStatistics


def cache_report(connection: Connection, name: str) -> CacheReport:
    """Read the statistics of a semantic cache. Other processes report within their `report_every` seconds.

    Raises:
        IndexNotFoundError: there is no such cache.
    """
    cache = _opened(connection, name)
    statistics = cache.stats()
    return CacheReport(
        name=name,
        entries=cache.count(),
        hits=statistics.hits,
        lookups=statistics.lookups,
        hit_rate=statistics.hit_rate,
        statistics=statistics,
    )


async def acache_report(connection: Connection, name: str) -> CacheReport:
    """Async version of `cache_report`."""
    return await offload(cache_report, connection, name)


def clear_cache(connection: Connection, name: str) -> int:
    """Remove all entries of a semantic cache and no other key. The statistics stay.

    Returns:
        The number of removed entries.

    Raises:
        IndexNotFoundError: there is no such cache.
        ConfigurationError: the index of this name is not a cache.
    """
    return _opened(connection, name).clear()


async def aclear_cache(connection: Connection, name: str) -> int:
    """Async version of `clear_cache`."""
    return await offload(clear_cache, connection, name)


def _opened(connection: Connection, name: str) -> SemanticCache:
    """Open a cache that exists.

    Clearing an index that is not a cache would remove documents, so an index with other records is refused.
    """
    index = open_own(connection, name)
    if index.select({SCOPE_ID: {"$exists": False}}, limit=1, with_content=False):
        raise ConfigurationError(
            f"index {name!r} is not a semantic cache: it has records that no cache wrote"
        )
    return SemanticCache(_refuse_to_embed, name=name, connection=connection, on_error="raise")


def _refuse_to_embed(prompt: str) -> NoReturn:
    """Stand in for the embedder, which statistics and clearing do not use."""
    raise ConfigurationError(
        f"this cache was opened without an embedder, to embed {len(prompt)} characters"
    )
