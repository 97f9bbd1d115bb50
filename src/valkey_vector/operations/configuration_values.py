"""Settings of one node as typed values, and what to consider when you choose one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

__all__ = ["ADVICE", "NodeConfiguration", "SearchConfiguration"]

_PREFIX = "search."


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfiguration:
    """The ``search.*`` settings of Valkey-Search 1.2, without the prefix. None if the module does not report one.

    Attributes:
        reader_threads: threads that search.
        writer_threads: threads that index.
        utility_threads: threads for work of low priority.
        high_priority_weight: share of the threads' time for searches and writes, against backfills, in percent.
        default_timeout_ms: time limit of a search without a timeout of its own.
        coordinator_query_timeout_secs: time limit of the part of a search that another node answers.
        enable_partial_results: searches return what they found when a node does not answer. This library requires all
            nodes in each search, whatever this says.
        enable_consistent_results: searches fail if nodes disagree about the index.
        max_indexes: number of indexes.
        max_attributes: number of attributes of an index.
        max_prefixes: number of key prefixes of an index.
        max_vector_dimensions: dimension of a vector.
        max_vector_knn: neighbors in one search.
        max_vector_ef_construction: `ef_construction` of an index.
        max_vector_ef_runtime: `ef_runtime` of a search.
        max_vector_m: `m` of an index.
        max_nonvector_search_results_fetched: keys that a search without a vector reads; it ends there without an error.
            This library divides its queries below it.
        max_search_result_record_size: bytes of a record; larger ones are left out of results without an error.
        max_search_result_fields_count: fields of a record in a result.
        max_term_expansions: terms that a prefix or fuzzy term stands for.
        query_string_bytes: length of a query.
        query_string_depth: nesting of a query.
        query_string_terms_count: number of terms in a query.
        prefiltering_threshold_ratio: share of matching records up to which a filtered vector search compares them all.
        hnsw_block_size: vectors that a graph allocates at once.
        hnsw_allow_replace_deleted: a graph uses the place of a deleted vector again.
        backfill_batch_size: keys that a backfill reads at once.
        max_worker_suspension_secs: time for which a save may stop the threads.
        skip_rdb_load: do not load indexes from a snapshot.
        other: settings that this class does not have, by their names without prefix.
    """

    reader_threads: int | None = None
    writer_threads: int | None = None
    utility_threads: int | None = None
    high_priority_weight: int | None = None
    default_timeout_ms: int | None = None
    coordinator_query_timeout_secs: int | None = None
    enable_partial_results: bool | None = None
    enable_consistent_results: bool | None = None
    max_indexes: int | None = None
    max_attributes: int | None = None
    max_prefixes: int | None = None
    max_vector_dimensions: int | None = None
    max_vector_knn: int | None = None
    max_vector_ef_construction: int | None = None
    max_vector_ef_runtime: int | None = None
    max_vector_m: int | None = None
    max_nonvector_search_results_fetched: int | None = None
    max_search_result_record_size: int | None = None
    max_search_result_fields_count: int | None = None
    max_term_expansions: int | None = None
    query_string_bytes: int | None = None
    query_string_depth: int | None = None
    query_string_terms_count: int | None = None
    prefiltering_threshold_ratio: float | None = None
    hnsw_block_size: int | None = None
    hnsw_allow_replace_deleted: bool | None = None
    backfill_batch_size: int | None = None
    max_worker_suspension_secs: int | None = None
    skip_rdb_load: bool | None = None
    other: Mapping[str, str]

    @classmethod
    def of(cls, values: Mapping[str, str]) -> SearchConfiguration:
        """Read the settings of a node."""
        texts = {
            name.removeprefix(_PREFIX).replace("-", "_"): text
            for name, text in values.items()
            if name.startswith(_PREFIX)
        }
        typed: dict[str, Any] = {
            each.name: _typed(str(each.type), texts.pop(each.name))
            for each in fields(cls)
            if each.name in texts
        }
        return cls(**typed, other=texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfiguration:
    """Settings of one node. None for a setting that the server does not report.

    Attributes:
        node: address of the node.
        maxmemory: limit of memory in bytes; 0 for none.
        maxmemory_policy: what the server does when it is full.
        maxclients: number of connections.
        save: when snapshots are written; empty for never.
        appendonly: writes are appended to a file.
        appendfsync: when that file is written to the disk.
        io_threads: threads that read from and write to sockets.
        notify_keyspace_events: events that the server publishes; empty for none.
        search: settings of the search module.
        values: all settings that were read, by their names, as the server spells them.
    """

    node: str
    maxmemory: int | None
    maxmemory_policy: str | None
    maxclients: int | None
    save: str | None
    appendonly: bool | None
    appendfsync: str | None
    io_threads: int | None
    notify_keyspace_events: str | None
    search: SearchConfiguration
    values: Mapping[str, str]

    @classmethod
    def of(cls, node: str, values: Mapping[str, str]) -> NodeConfiguration:
        """Read the reply of a node to CONFIG GET."""
        typed: dict[str, Any] = {
            each.name: _typed(str(each.type), values.get(each.name.replace("_", "-")))
            for each in fields(cls)
            if each.name not in ("node", "search", "values")
        }
        return cls(node=node, search=SearchConfiguration.of(values), values=dict(values), **typed)


def _typed(kind: str, text: str | None) -> int | float | bool | str | None:
    """Convert the text of a setting to the type of its field. None for a text of another type."""
    if text is None:
        return None
    match kind.partition(" ")[0]:
        case "bool":
            return {"yes": True, "no": False}.get(text.lower())
        case "int":
            return int(text) if text.lstrip("-").isdecimal() else None
        case "float":
            try:
                return float(text)
            except ValueError:
                return None
        case _:
            return text


ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "maxmemory": "below the machine's memory, with room for a snapshot; `valkey-vector size` estimates the need",
        "maxmemory-policy": "noeviction for documents; allkeys policies remove documents and indexes",
        "save": "a restart without a snapshot or an append-only file loses everything",
        "appendonly": "yes loses at most a second of writes with appendfsync everysec",
        "notify-keyspace-events": "not needed by this library; each event costs time",
        "search.reader-threads": "begin with the number of processors; measure more with `valkey-vector bench --concurrency`",
        "search.writer-threads": "begin with the number of processors; a write waits until it is indexed",
        "search.max-nonvector-search-results-fetched": "this library divides its queries below it; a lower value costs round trips",
        "search.max-search-result-record-size": "larger records are left out of results without an error; this library refuses to write them",
        "search.enable-partial-results": "no effect on this library, which says in each search if a partial result is allowed",
        "search.default-timeout-ms": "no effect on this library on clusters, which passes its own time limit",
        "search.max-vector-knn": "above it this library compares all records, which is slow",
        "search.high-priority-weight": "100 lets backfills wait for searches; lower it to finish a backfill sooner",
    }
)
"""Advice on the choice of a setting: name -> advice. `docs/operations.md` has the measurements."""
