"""Rules that judge whether a node can lose documents: memory, eviction and persistence."""

from __future__ import annotations

from collections.abc import Iterator

from valkey_vector.operations.doctor.facts import NodeFacts
from valkey_vector.operations.doctor.findings import Finding, error, note, warning
from valkey_vector.records.amounts import counted

__all__ = ["judge_storage"]

_NEARLY = 0.9


def judge_storage(node: NodeFacts) -> Iterator[Finding]:
    """Judge memory, eviction and persistence of one node."""
    if node.info:
        yield from _eviction(node)
        yield from _memory(node)
        yield from _persistence(node)


def _eviction(node: NodeFacts) -> Iterator[Finding]:
    policy, limit = node.info.get("maxmemory_policy", ""), node.number("maxmemory")
    safe = "CONFIG SET maxmemory-policy noeviction (or volatile-ttl for caches with a TTL), and in the server's configuration file"
    if policy.startswith("allkeys-") and limit:
        what = f"maxmemory-policy {policy} removes any key when memory is full: documents, and the records of indexes"
        yield error("memory.evicts_documents", node.node, what, safe)
    elif policy.startswith("allkeys-"):
        what = f"maxmemory-policy {policy} will remove any key as soon as maxmemory is set"
        yield warning("memory.evicts_documents_later", node.node, what, safe)
    elif policy.startswith("volatile-") and limit:
        what = f"maxmemory-policy {policy} removes keys with a TTL before their time: cache entries, and documents written with ttl="
        yield note("memory.evicts_expiring", node.node, what, "use noeviction if they must last")
    if evicted := node.number("evicted_keys"):
        what = f"{counted(evicted, 'key')} evicted since the server started"
        cure = "raise maxmemory or add nodes; run `valkey-vector verify` on each index to see what is missing"
        yield warning("memory.evicted", node.node, what, cure)


def _memory(node: NodeFacts) -> Iterator[Finding]:
    limit, used = node.number("maxmemory"), node.number("used_memory")
    if not limit:
        what = "maxmemory is not set: the operating system ends the server when memory is exhausted"
        cure = "set maxmemory below the machine's memory, with room for a snapshot"
        yield note("memory.unlimited", node.node, what, cure)
        return
    shown = f"{used:,} of {limit:,} bytes are used"
    if used >= limit and node.info.get("maxmemory_policy") == "noeviction":
        what = f"memory is full: {shown}. Writes are refused, and Valkey-Search refuses searches"
        yield error(
            "memory.full", node.node, what, "raise maxmemory, delete documents, or add nodes"
        )
    elif used >= _NEARLY * limit:
        what = f"memory is nearly full: {shown}"
        yield warning(
            "memory.nearly_full", node.node, what, "raise maxmemory, delete documents, or add nodes"
        )


def _persistence(node: NodeFacts) -> Iterator[Finding]:
    appends = node.info.get("aof_enabled") == "1"
    points = node.configuration.get("save")
    if not appends and points == "":
        what = "persistence is off: a restart loses every document and index"
        cure = "CONFIG SET appendonly yes (and in the configuration file), or set `save` points"
        yield warning("persistence.off", node.node, what, cure)
    if node.info.get("rdb_last_bgsave_status") == "err":
        what = (
            "the last snapshot failed; with stop-writes-on-bgsave-error the server refuses writes"
        )
        cure = "read the server's log; free disk space, and check `dir` and its permissions"
        yield error("persistence.snapshot_failed", node.node, what, cure)
    if node.info.get("aof_last_write_status") == "err":
        what = "the last write to the append-only file failed: the server refuses writes"
        yield error(
            "persistence.append_failed",
            node.node,
            what,
            "free disk space, and read the server's log",
        )
