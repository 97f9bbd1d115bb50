"""Rules that judge what a server reports: module, versions, cluster and load. Pure functions of recorded facts."""

from __future__ import annotations

from collections.abc import Iterator

from valkey_vector.connection import Feature, SearchModule
from valkey_vector.operations.doctor.facts import NodeFacts, ServerFacts
from valkey_vector.operations.doctor.findings import Finding, error, note, warning
from valkey_vector.operations.doctor.memory_rules import judge_storage
from valkey_vector.records.amounts import counted

__all__ = ["judge_server"]

_OLDEST_SERVER = (7, 0, 0)
_TESTED_MODULE = (1, 2, 0)
_CLUSTER_SLOTS = "16384"
_LONG_QUEUE = 10_000


def judge_server(facts: ServerFacts) -> tuple[Finding, ...]:
    """Judge the facts about a server.

    Returns:
        The findings, in the order of the rules.
    """
    findings = [*_versions(facts), *_module(facts), *_cluster(facts)]
    for node in facts.nodes:
        findings += [
            *_replicas(node),
            *_state(node),
            *judge_storage(node),
            *_search_module(node, facts),
        ]
    return tuple(findings)


def _versions(facts: ServerFacts) -> Iterator[Finding]:
    capabilities = facts.capabilities
    if capabilities.server_version < _OLDEST_SERVER:
        what = f"{capabilities.description} is older than version 7"
        yield error("server.old", facts.location, what, "upgrade to Valkey 7.2 or newer, best to 9")
    elif capabilities.has_search and not capabilities.create_only:
        what = "the server has no HSETEX, so the write policies SKIP and FAIL are refused"
        yield note("server.no_hsetex", facts.location, what, "upgrade to Valkey 9 to use them")


def _module(facts: ServerFacts) -> Iterator[Finding]:
    capabilities, subject = facts.capabilities, facts.location
    version = ".".join(map(str, capabilities.module_version))
    match capabilities.module:
        case SearchModule.NONE if capabilities.cluster:
            what = (
                "the cluster has no search module, and the native engine does not work in a cluster"
            )
            cure = "load Valkey-Search on every node (`loadmodule libsearch.so --use-coordinator`), or use a single server"
            yield error("module.missing_in_cluster", subject, what, cure)
        case SearchModule.NONE:
            what = "the server has no search module: each process holds the vectors of its indexes in memory (native engine)"
            cure = "load Valkey-Search (`loadmodule libsearch.so`, or the image valkey/valkey-bundle) for large indexes"
            yield warning("module.missing", subject, what, cure)
        case SearchModule.REDISEARCH:
            what = f"the search module is RediSearch {version}: zero vectors are refused for the metric COSINE"
            yield note("module.redisearch", subject, what, "use Valkey-Search 1.2 or newer")
            if facts.database:
                what = f"RediSearch works in database 0 only, and the URL names database {facts.database}"
                yield error("module.database", subject, what, 'use database 0, or engine="native"')
        case SearchModule.VALKEY_SEARCH if capabilities.module_version < _TESTED_MODULE:
            lacking = [each.value for each in Feature if not capabilities.has(each)]
            what = f"Valkey-Search {version} is old: it lacks {', '.join(lacking)}"
            yield warning("module.old", subject, what, "upgrade to Valkey-Search 1.2 or newer")
        case SearchModule.VALKEY_SEARCH:
            pass


def _cluster(facts: ServerFacts) -> Iterator[Finding]:
    if not facts.capabilities.cluster:
        return
    subject = facts.location
    if facts.cluster.get("cluster_state", "ok") != "ok":
        what = f"the cluster is down (cluster_state:{facts.cluster['cluster_state']})"
        cure = "start the nodes that failed, or fail over to their replicas; `CLUSTER NODES` lists them"
        yield error("cluster.down", subject, what, cure)
    assigned = facts.cluster.get("cluster_slots_ok", _CLUSTER_SLOTS)
    if assigned != _CLUSTER_SLOTS:
        what = f"only {assigned} of {_CLUSTER_SLOTS} slots are served"
        cure = "assign the missing slots, or fail over to the replicas of the nodes that failed"
        yield error("cluster.slots", subject, what, cure)
    if facts.capabilities.module is not SearchModule.VALKEY_SEARCH:
        return
    for node in facts.nodes:
        if node.info and not node.number("search_coordinator_server_listening_port"):
            what = (
                "the coordinator of Valkey-Search is off: this node searches its own documents only"
            )
            cure = "load the module on every node with `--use-coordinator`, and open its port (the node's port + 20294) between nodes"
            yield error("module.coordinator_off", node.node, what, cure)
        failed = node.number("search_coordinator_client_search_index_partition_failure_count")
        if failed:
            what = f"{counted(failed, 'search', 'searches')} of other nodes failed since this node started"
            port = node.number("search_coordinator_server_listening_port")
            cure = f"open the coordinator's port ({port} on this node) between all nodes, and check that all are up"
            yield warning("module.coordinator_failures", node.node, what, cure)


def _replicas(node: NodeFacts) -> Iterator[Finding]:
    if node.info.get("min_slaves_good_slaves") == "0":
        what = "the server requires connected replicas for writes (min-replicas-to-write), and has none"
        cure = "start the replicas, or set min-replicas-to-write to 0"
        yield error("server.no_replicas", node.node, what, cure)


def _state(node: NodeFacts) -> Iterator[Finding]:
    if node.number("loading"):
        cure = "wait until it has loaded; `INFO persistence` shows the progress"
        yield error("server.loading", node.node, "the server is loading its data", cure)
    if (reason := node.info.get("paused_reason", "none")) != "none":
        what = f"the server has paused {node.info.get('paused_actions', 'commands')} ({reason})"
        cure = "wait for the end of the failover, or run `CLIENT UNPAUSE`"
        yield error("server.paused", node.node, what, cure)
    if rejected := node.number("rejected_connections"):
        refused = counted(rejected, "connection")
        what = f"{refused} refused since the start, because maxclients was reached"
        cure = "share one connection in each process, end unused clients, or raise `maxclients`"
        yield warning("server.rejected_connections", node.node, what, cure)


def _search_module(node: NodeFacts, facts: ServerFacts) -> Iterator[Finding]:
    counts = {
        name: node.number(f"search_hnsw_{name}_exceptions_count")
        for name in ("add", "create", "modify", "remove", "search")
    }
    if failed := {name: count for name, count in counts.items() if count}:
        listed = ", ".join(f"{name}: {count}" for name, count in failed.items())
        what = f"operations on HNSW graphs failed ({listed})"
        cure = "read the server's log; free memory; then run `valkey-vector verify` and repair each index"
        yield error("module.graph_failures", node.node, what, cure)
    if failures := node.number("search_rdb_load_failure_cnt"):
        what = f"{counted(failures, 'index', 'indexes')} could not be loaded from the snapshot"
        cure = "read the server's log; open each index, which creates it again over its documents"
        yield error("module.load_failures", node.node, what, cure)
    if (queue := node.number("search_writer_queue_size")) > _LONG_QUEUE:
        what = f"{queue} writes are not indexed yet"
        cure = "write more slowly, or raise search.writer-threads"
        yield warning("module.write_queue", node.node, what, cure)
    yield from _threads(node, facts.cores)


def _threads(node: NodeFacts, cores: int | None) -> Iterator[Finding]:
    if cores is None:
        return
    for name in ("reader", "writer"):
        threads = node.setting(f"search.{name}-threads")
        if threads is None:
            continue
        setting = f"search.{name}-threads"
        if threads > cores:
            what = f"{setting} is {threads}, and the machine has {cores} processors: threads wait for each other"
            yield warning("module.threads", node.node, what, f"CONFIG SET {setting} {cores}")
        elif threads * 2 <= cores:
            what = f"{setting} is {threads}, and the machine has {cores} processors: most of them stay idle"
            yield note("module.threads", node.node, what, f"CONFIG SET {setting} {cores}")
