"""Settings and indexes of the stand-in for Valkey-Search."""

from __future__ import annotations

from dataclasses import dataclass, field

from dialect_rules import Dialect, IndexSchema

VERSION = (1, 2, 1)
MODULE_NUMBER = VERSION[0] << 16 | VERSION[1] << 8 | VERSION[2]
COMMANDS = (
    *("FT.SEARCH", "FT.AGGREGATE", "FT.CREATE", "FT.DROPINDEX", "FT.INFO", "FT._LIST"),
    *("FT._DEBUG", "FT.INTERNAL_UPDATE"),
)
RESULT_CAP = "search.max-nonvector-search-results-fetched"
PARTIAL_RESULTS = "search.enable-partial-results"
DEFAULT_CAP = 100_000
INCONSISTENT = "Index or slot consistency check failed"
"""Error of a search with CONSISTENT if nodes have different versions of the index, or know different slots."""
DIFFERENT = "Slot fingerprint mismatch"
"""Error of a search with INCONSISTENT if nodes have different versions of the index."""
REFUSAL = "OOM command not allowed when used memory > 'maxmemory'"
"""Error of a full node for a search."""


def default_settings() -> dict[str, bytes]:
    """The settings that ``CONFIG`` knows, with the defaults of Valkey-Search 1.2.1."""
    return {
        RESULT_CAP: b"%d" % DEFAULT_CAP,
        PARTIAL_RESULTS: b"yes",
        "search.enable-consistent-results": b"no",
        "search.query-string-bytes": b"10240",
        "search.max-vector-knn": b"10000",
        "search.tag-min-prefix-length": b"2",
    }


@dataclass(slots=True)
class State:
    """State that all connections to one stand-in share.

    Attributes:
        cluster: whether it plays a cluster of one node.
        port: of the stand-in, for the description of the cluster.
        shard_lost: whether one of three shards refuses every search: keys are on it by their hash.
        differing: indexes of which a node has another version than the others, as after FLUSHALL on one node.
        settings: of ``CONFIG``, by name.
        schemas: of the indexes created through it, by name.
        failures: errors of the stand-in itself; a test that uses it fails because of them.
    """

    cluster: bool
    port: int = 0
    shard_lost: bool = False
    differing: set[str] = field(default_factory=set)
    settings: dict[str, bytes] = field(default_factory=default_settings)
    schemas: dict[str, IndexSchema] = field(default_factory=dict)
    failures: list[object] = field(default_factory=list)

    @property
    def dialect(self) -> Dialect:
        """The version to judge queries by."""
        return Dialect(version=VERSION)

    @property
    def result_cap(self) -> int:
        """The maximum number of keys that a query without a vector returns or counts."""
        return int(self.settings[RESULT_CAP])

    @property
    def partial_results(self) -> bool:
        """True if a reply may lack a shard when the query does not specify it."""
        return self.settings[PARTIAL_RESULTS] == b"yes"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of all indexed keys."""
        return tuple(one for schema in self.schemas.values() for one in schema.prefixes)
