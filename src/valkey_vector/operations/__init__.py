"""What an operator does with a server: list, describe, search, check and diagnose. The command prints the results."""

from valkey_vector.operations.caches import CacheReport, cache_report, clear_cache
from valkey_vector.operations.listing import IndexDetails, IndexSummary, describe, summarize
from valkey_vector.operations.opening import open_any, open_own
from valkey_vector.operations.searching import SearchOutcome, SearchRequest, search

__all__ = [
    "CacheReport",
    "IndexDetails",
    "IndexSummary",
    "SearchOutcome",
    "SearchRequest",
    "cache_report",
    "clear_cache",
    "describe",
    "open_any",
    "open_own",
    "search",
    "summarize",
]
