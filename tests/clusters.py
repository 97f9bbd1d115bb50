"""A private cluster of several nodes on loopback ports."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from types import TracebackType
from typing import Self

from servers import ServerUnavailableError, TestServer

SLOTS = 16_384
JOIN_SECONDS = 30.0


class ClusterNode(TestServer):
    """One node of a cluster, with some of the slots."""

    __test__ = False

    def __init__(self, first: int, last: int, extra: Sequence[str]) -> None:
        super().__init__(modules=[], cluster=True, extra=extra)
        self._slots = first, last

    def is_ready(self, nodes: int) -> bool:
        """Return True if the node knows that this many nodes serve all slots."""
        info = self._cluster_info()
        return b"cluster_state:ok" in info and b"cluster_size:%d\r" % nodes in info

    def _claim_all_slots(self) -> None:
        if b"cluster_slots_assigned:0\r" in self._cluster_info():
            self.command("CLUSTER", "ADDSLOTSRANGE", *self._slots)

    def _cluster_is_ok(self) -> bool:
        return True  # until all nodes have met, none is


class TestCluster:
    """A plain Valkey cluster while the block runs; ``nodes`` may be killed and restarted one by one.

    Args:
        nodes: primaries, which share the slots evenly.
        extra: further arguments of ``valkey-server``.
    """

    __test__ = False

    def __init__(self, nodes: int = 3, *, extra: Sequence[str] = ()) -> None:
        bounds = [SLOTS * number // nodes for number in range(nodes + 1)]
        self.nodes = [ClusterNode(first, end - 1, extra) for first, end in pairwise(bounds)]
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """The URL of all nodes."""
        return "valkey://" + ",".join(f"{node.host}:{node.port}" for node in self.nodes)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for number, node in enumerate(self.nodes):
                stack.enter_context(node)
                node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            for node in self.nodes[1:]:
                meet = "CLUSTER", "MEET", node.host, node.port, node._bus_port
                self.nodes[0].command(*meet)
            self._wait()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + JOIN_SECONDS
        while not all(node.is_ready(len(self.nodes)) for node in self.nodes):
            if time.monotonic() > deadline:
                raise ServerUnavailableError("the nodes of the cluster do not find each other")
            time.sleep(0.02)


@contextmanager
def three_nodes() -> Iterator[str]:
    """The URL of a cluster of three nodes: private plain servers, or the one that VALKEY_SEARCH_CLUSTER_URL names."""
    if url := os.environ.get("VALKEY_SEARCH_CLUSTER_URL"):
        yield url
        return
    with TestCluster(extra=["--cluster-node-timeout", "5000"]) as cluster:
        yield cluster.url
