"""What an operator does with a server: list, describe, search, check and diagnose. The command prints the results."""

from valkey_vector.operations.caches import CacheReport, cache_report, clear_cache
from valkey_vector.operations.doctor.diagnose import adiagnose, diagnose
from valkey_vector.operations.doctor.findings import (
    DoctorReport,
    Finding,
    RecallMeasure,
    Severity,
)
from valkey_vector.operations.listing import IndexDetails, IndexSummary, describe, summarize
from valkey_vector.operations.opening import open_any, open_own
from valkey_vector.operations.privileges import AclLine, acl_line
from valkey_vector.operations.searching import SearchOutcome, SearchRequest, search
from valkey_vector.operations.server_statistics import (
    NodeStatistics,
    SearchStatistics,
    ServerStatistics,
    server_statistics,
)

__all__ = [
    "AclLine",
    "CacheReport",
    "DoctorReport",
    "Finding",
    "IndexDetails",
    "IndexSummary",
    "NodeStatistics",
    "RecallMeasure",
    "SearchOutcome",
    "SearchRequest",
    "SearchStatistics",
    "ServerStatistics",
    "Severity",
    "acl_line",
    "adiagnose",
    "cache_report",
    "clear_cache",
    "describe",
    "diagnose",
    "open_any",
    "open_own",
    "search",
    "server_statistics",
    "summarize",
]
