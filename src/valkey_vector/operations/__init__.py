"""Operations of an operator: list, describe, search, check and diagnose. The command prints their results."""

from valkey_vector.operations.benchmarking import (
    BenchmarkMeasure,
    BenchmarkReport,
    abenchmark,
    benchmark,
)
from valkey_vector.operations.caches import (
    CacheReport,
    acache_report,
    aclear_cache,
    cache_report,
    clear_cache,
)
from valkey_vector.operations.configuration import (
    ConfigurationChange,
    NodeChange,
    ServerConfiguration,
    aconfiguration,
    aset_configuration,
    configuration,
    set_configuration,
)
from valkey_vector.operations.configuration_values import NodeConfiguration, SearchConfiguration
from valkey_vector.operations.doctor.diagnose import adiagnose, diagnose
from valkey_vector.operations.doctor.findings import (
    DoctorReport,
    Finding,
    RecallMeasure,
    Severity,
)
from valkey_vector.operations.listing import (
    IndexDetails,
    IndexSummary,
    adescribe,
    asummarize,
    describe,
    summarize,
)
from valkey_vector.operations.opening import open_any, open_own
from valkey_vector.operations.plotting import plot_benchmark
from valkey_vector.operations.privileges import AclLine, acl_line
from valkey_vector.operations.searching import SearchOutcome, SearchRequest, asearch, search
from valkey_vector.operations.server_statistics import (
    NodeStatistics,
    SearchStatistics,
    ServerStatistics,
    aserver_statistics,
    server_statistics,
)
from valkey_vector.operations.sizing import SizeEstimate, estimate_size
from valkey_vector.operations.tailing import Change, Missed, atail, tail
from valkey_vector.operations.transfer.copying import (
    aexport_index,
    aload_index,
    amigrate_index,
    export_index,
    load_index,
    migrate_index,
)
from valkey_vector.operations.transfer.values import ExportReport, LoadReport, MigrationReport
from valkey_vector.operations.watching import Sample, watch

__all__ = [
    "AclLine",
    "BenchmarkMeasure",
    "BenchmarkReport",
    "CacheReport",
    "Change",
    "ConfigurationChange",
    "DoctorReport",
    "ExportReport",
    "Finding",
    "IndexDetails",
    "IndexSummary",
    "LoadReport",
    "MigrationReport",
    "Missed",
    "NodeChange",
    "NodeConfiguration",
    "NodeStatistics",
    "RecallMeasure",
    "Sample",
    "SearchConfiguration",
    "SearchOutcome",
    "SearchRequest",
    "SearchStatistics",
    "ServerConfiguration",
    "ServerStatistics",
    "Severity",
    "SizeEstimate",
    "abenchmark",
    "acache_report",
    "acl_line",
    "aclear_cache",
    "aconfiguration",
    "adescribe",
    "adiagnose",
    "aexport_index",
    "aload_index",
    "amigrate_index",
    "asearch",
    "aserver_statistics",
    "aset_configuration",
    "asummarize",
    "atail",
    "benchmark",
    "cache_report",
    "clear_cache",
    "configuration",
    "describe",
    "diagnose",
    "estimate_size",
    "export_index",
    "load_index",
    "migrate_index",
    "open_any",
    "open_own",
    "plot_benchmark",
    "search",
    "server_statistics",
    "set_configuration",
    "summarize",
    "tail",
    "watch",
]
