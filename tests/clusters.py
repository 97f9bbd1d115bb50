"""A cluster of three nodes for the tests: private plain servers, or the one that VALKEY_SEARCH_CLUSTER_URL names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from servers import ServerUnavailableError, TestServer, free_port, start_server

NODES = 3
SLOTS = 16384
JOIN_SECONDS = 20.0


@contextmanager
def three_nodes() -> Iterator[str]:
    """The URL of a cluster whose slots are shared out among three nodes."""
    if url := os.environ.get("VALKEY_SEARCH_CLUSTER_URL"):
        yield url
        return
    with ExitStack() as stack:
        nodes = [stack.enter_context(_node()) for _ in range(NODES)]
        for number, node in enumerate(nodes):
            first, last = SLOTS * number // NODES, SLOTS * (number + 1) // NODES - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in nodes[1:]:
            node.command("CLUSTER", "MEET", node.host, nodes[0].port, _bus_port(nodes[0]))
        _wait_until_joined(nodes)
        yield nodes[0].url


def _node() -> TestServer:
    bus = str(free_port())
    cluster = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]
    return start_server(extra=[*cluster, "--cluster-port", bus, "--cluster-node-timeout", "5000"])


def _bus_port(node: TestServer) -> int:
    return int(node._extra[list(node._extra).index("--cluster-port") + 1])


def _wait_until_joined(nodes: list[TestServer]) -> None:
    deadline = time.monotonic() + JOIN_SECONDS
    while time.monotonic() < deadline:
        infos = [bytes(node.command("CLUSTER", "INFO")) for node in nodes]  # type: ignore[arg-type]
        wanted = b"cluster_state:ok\r", b"cluster_known_nodes:%d\r" % NODES
        if all(line in info for info in infos for line in wanted):
            return
        time.sleep(0.02)
    raise ServerUnavailableError("the nodes did not form a cluster in time")
