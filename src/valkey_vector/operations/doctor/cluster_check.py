"""Checks that this machine reaches every node that a cluster announces."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace

from valkey_vector.connection import Connection, ConnectionSettings
from valkey_vector.errors import ServerError
from valkey_vector.operations.doctor.findings import Finding, error, warning

__all__ = ["ClusterNode", "check_nodes", "parse_nodes"]

_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A node as CLUSTER NODES reports it.

    Attributes:
        host: address or name that it announces.
        port: port that it announces.
        primary: it is a primary.
        failed: other nodes consider it failed.
    """

    host: str
    port: int
    primary: bool
    failed: bool


def check_nodes(settings: ConnectionSettings) -> list[Finding]:
    """Connect to every node that the cluster announces.

    Cost: one round trip, and a connection to each node.
    """
    with Connection(replace(settings, cluster=False)) as connection:
        try:
            reply = connection.execute("CLUSTER", "NODES", retry=True)
        except ServerError:
            return []  # connecting reports an outage, and the permissions a refusal
    findings: list[Finding] = []
    known = settings.addresses[0].host
    for node in parse_nodes(reply.decode(errors="replace"), known):
        place = f"{node.host}:{node.port}"
        kind = "primary" if node.primary else "replica"
        if node.failed:
            what = f"the cluster considers the {kind} {place} failed"
            cure = "start the node, or remove it with `CLUSTER FORGET` after a failover"
            findings.append(
                (error if node.primary else warning)("cluster.node_failed", place, what, cure)
            )
        elif not _accepts(node):
            what = f"the cluster announces the {kind} {place}, which this machine cannot reach"
            cure = "set cluster-announce-ip (or -hostname) and -port on each node to an address that clients reach"
            findings.append(
                (error if node.primary else warning)("cluster.node_unreachable", place, what, cure)
            )
    return findings


def parse_nodes(text: str, known: str) -> list[ClusterNode]:
    """Parse CLUSTER NODES. Nodes without an address, or in a handshake, are left out.

    Args:
        text: the reply.
        known: host of the node that replied, which may not know its own address.
    """
    found: list[ClusterNode] = []
    for line in text.splitlines():
        parts = line.split()
        if len(parts) < 3:
            continue
        address, flags = parts[1].split(",")[0].split("@")[0], parts[2].split(",")
        host, _, port = address.rpartition(":")
        if not port.isdecimal() or "handshake" in flags or "noaddr" in flags:
            continue
        name = parts[1].split(",")[1:2]
        found.append(
            ClusterNode(
                host=name[0] if name and name[0] and "=" not in name[0] else host or known,
                port=int(port),
                primary="master" in flags,
                failed="fail" in flags,
            )
        )
    return found


def _accepts(node: ClusterNode) -> bool:
    try:
        socket.create_connection((node.host, node.port), _SECONDS).close()
    except OSError:
        return False
    return True
