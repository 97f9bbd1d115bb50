"""Typed statistics of each node, and of all nodes together: INFO with the search module's part of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Connection
from valkey_vector.errors import ServerError

__all__ = [
    "NodeStatistics",
    "SearchStatistics",
    "ServerStatistics",
    "aserver_statistics",
    "parse_info",
    "read_info",
    "server_statistics",
]

_PREFIX = "search_"
_NOT_SUMMED = frozenset({"coordinator_server_listening_port", "used_read_cpu", "used_write_cpu"})
"""Numbers that mean nothing in sum: a port, and shares of a node's processors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStatistics:
    """The ``search_*`` fields of INFO of Valkey-Search 1.2, without the prefix. 0 for a field the module does not report.

    Attributes:
        number_of_indexes: indexes on this node.
        number_of_attributes: attributes of all indexes.
        total_indexed_documents: documents in all indexes.
        total_active_write_threads: threads that index.
        used_memory_bytes: memory of the module.
        index_reclaimable_memory: memory of deleted vectors that can be used again.
        string_interning_store_size: strings that several indexes share.
        vector_externing_entry_count: vectors that the module and the keyspace share.
        successful_requests_count: searches that succeeded.
        failure_requests_count: searches that failed.
        hybrid_requests_count: vector searches with a filter.
        vector_requests_count: vector searches.
        nonvector_requests_count: searches without a vector.
        inline_filtering_requests_count: vector searches that filtered during the search of the graph.
        prefiltering_requests_count: vector searches that filtered first, and compared all that matched.
        result_record_dropped_count: results that were left out, because they were too large or gone.
        query_queue_size: searches that wait for a thread.
        writer_queue_size: writes that are not indexed yet.
        used_read_cpu: processor use of the reader threads, in percent.
        used_write_cpu: processor use of the writer threads, in percent.
        worker_pool_suspend_cnt: times that the threads were suspended, for a save.
        writer_suspension_expired_cnt: times that a suspension took too long.
        hnsw_add_exceptions_count: vectors that could not be added to a graph.
        hnsw_modify_exceptions_count: vectors that could not be changed in a graph.
        hnsw_remove_exceptions_count: vectors that could not be removed from a graph.
        hnsw_search_exceptions_count: searches of a graph that failed.
        hnsw_create_exceptions_count: graphs that could not be created.
        rdb_load_success_cnt: snapshots of indexes that were loaded.
        rdb_load_failure_cnt: snapshots of indexes that could not be loaded.
        rdb_save_success_cnt: snapshots of indexes that were saved.
        rdb_save_failure_cnt: snapshots of indexes that could not be saved.
        coordinator_server_listening_port: port of the coordinator, through which the nodes of a cluster search together.
            0 without a coordinator.
        coordinator_bytes_in: bytes that the coordinator received.
        coordinator_bytes_out: bytes that the coordinator sent.
        coordinator_client_search_index_partition_success_count: searches of other nodes that succeeded.
        coordinator_client_search_index_partition_failure_count: searches of other nodes that failed.
        other: fields that this class does not have, as the server reports them.
    """

    number_of_indexes: int = 0
    number_of_attributes: int = 0
    total_indexed_documents: int = 0
    total_active_write_threads: int = 0
    used_memory_bytes: int = 0
    index_reclaimable_memory: int = 0
    string_interning_store_size: int = 0
    vector_externing_entry_count: int = 0
    successful_requests_count: int = 0
    failure_requests_count: int = 0
    hybrid_requests_count: int = 0
    vector_requests_count: int = 0
    nonvector_requests_count: int = 0
    inline_filtering_requests_count: int = 0
    prefiltering_requests_count: int = 0
    result_record_dropped_count: int = 0
    query_queue_size: int = 0
    writer_queue_size: int = 0
    used_read_cpu: float = 0.0
    used_write_cpu: float = 0.0
    worker_pool_suspend_cnt: int = 0
    writer_suspension_expired_cnt: int = 0
    hnsw_add_exceptions_count: int = 0
    hnsw_modify_exceptions_count: int = 0
    hnsw_remove_exceptions_count: int = 0
    hnsw_search_exceptions_count: int = 0
    hnsw_create_exceptions_count: int = 0
    rdb_load_success_cnt: int = 0
    rdb_load_failure_cnt: int = 0
    rdb_save_success_cnt: int = 0
    rdb_save_failure_cnt: int = 0
    coordinator_server_listening_port: int = 0
    coordinator_bytes_in: int = 0
    coordinator_bytes_out: int = 0
    coordinator_client_search_index_partition_success_count: int = 0
    coordinator_client_search_index_partition_failure_count: int = 0
    other: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, info: Mapping[str, str]) -> SearchStatistics:
        """Read the fields of an INFO reply."""
        reported = {
            name.removeprefix(_PREFIX): value
            for name, value in info.items()
            if name.startswith(_PREFIX)
        }
        numbers = {name: _number(reported.pop(name)) for name in _names() if name in reported}
        return cls(**numbers, other=reported)  # type: ignore[arg-type]  # as their fields say

    @classmethod
    def total(cls, nodes: Iterable[SearchStatistics]) -> SearchStatistics:
        """Sum the statistics of nodes. Ports, processor shares and `other` are left out."""
        listed = list(nodes)
        sums: dict[str, Any] = {
            name: sum(getattr(node, name) for node in listed)
            for name in _names()
            if name not in _NOT_SUMMED
        }
        return cls(**sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatistics:
    """Statistics of one node.

    Attributes:
        node: address of the node.
        version: version of the server.
        uptime: seconds since the start.
        clients: connected clients.
        used_memory: bytes in use.
        max_memory: limit in bytes. 0 for none.
        commands: commands since the start.
        commands_per_second: commands in the last second.
        keyspace_hits: reads that found a key.
        keyspace_misses: reads that did not.
        evicted_keys: keys that were evicted since the start.
        expired_keys: keys that expired since the start.
        search: statistics of the search module.
    """

    node: str
    version: str
    uptime: int
    clients: int
    used_memory: int
    max_memory: int
    commands: int
    commands_per_second: int
    keyspace_hits: int
    keyspace_misses: int
    evicted_keys: int
    expired_keys: int
    search: SearchStatistics

    @classmethod
    def of(cls, node: str, info: Mapping[str, str]) -> NodeStatistics:
        """Read an INFO reply with all sections."""

        def whole(name: str) -> int:
            return int(_number(info.get(name, "0")))

        return cls(
            node=node,
            version=info.get("valkey_version") or info.get("redis_version", ""),
            uptime=whole("uptime_in_seconds"),
            clients=whole("connected_clients"),
            used_memory=whole("used_memory"),
            max_memory=whole("maxmemory"),
            commands=whole("total_commands_processed"),
            commands_per_second=whole("instantaneous_ops_per_sec"),
            keyspace_hits=whole("keyspace_hits"),
            keyspace_misses=whole("keyspace_misses"),
            evicted_keys=whole("evicted_keys"),
            expired_keys=whole("expired_keys"),
            search=SearchStatistics.of(info),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatistics:
    """Statistics of a server: of each node, and in total.

    Attributes:
        nodes: each node (of a cluster, each primary).
        commands_per_second: of all nodes.
        used_memory: bytes in use on all nodes.
        search: statistics of the search module on all nodes together.
    """

    nodes: tuple[NodeStatistics, ...]
    commands_per_second: int
    used_memory: int
    search: SearchStatistics


def server_statistics(connection: Connection) -> ServerStatistics:
    """Read the statistics of every primary.

    Cost: one round trip to each node.

    Raises:
        AuthenticationError: the user may not run INFO.
    """
    nodes = tuple(NodeStatistics.of(node, info) for node, info in read_info(connection).items())
    return ServerStatistics(
        nodes=nodes,
        commands_per_second=sum(node.commands_per_second for node in nodes),
        used_memory=sum(node.used_memory for node in nodes),
        search=SearchStatistics.total(node.search for node in nodes),
    )


async def aserver_statistics(connection: Connection) -> ServerStatistics:
    """Async version of `server_statistics`."""
    return await offload(server_statistics, connection)


def read_info(connection: Connection) -> dict[str, dict[str, str]]:
    """Read INFO with all sections from every primary: address -> fields.

    Raises:
        AuthenticationError: the user may not run INFO.
    """
    if not connection.capabilities.cluster:
        text = connection.execute("INFO", "everything", retry=True)
        return {connection.settings.location: parse_info(text)}
    replies = connection.execute_on_primaries("INFO", "everything", retry=True)
    found: dict[str, dict[str, str]] = {}
    for address, text in sorted(replies.items()):
        if isinstance(text, ServerError):
            raise text
        found[address.decode()] = parse_info(text)
    return found


def parse_info(text: bytes | str) -> dict[str, str]:
    """Parse an INFO reply into fields and values."""
    decoded = text.decode(errors="replace") if isinstance(text, bytes) else text
    pairs = (line.partition(":") for line in decoded.splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}


def _names() -> list[str]:
    return [each.name for each in fields(SearchStatistics) if each.name != "other"]


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return 0
