"""A cluster of three plain primaries, for tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from servers import ServerUnavailableError, TestServer, free_port

_SLOTS = 16384
_SECONDS = 30.0


class _Node(TestServer):
    """One node; it waits for its PING only, and gets its slots later."""

    def __init__(self) -> None:
        super().__init__(modules=(), cluster=False, extra=())
        self._bus = free_port()
        self._extra = [
            *("--cluster-enabled", "yes", "--cluster-port", str(self._bus)),
            *("--cluster-config-file", "nodes.conf"),
        ]

    @property
    def bus(self) -> int:
        return self._bus


@contextmanager
def plain_cluster(nodes: int = 3) -> Iterator[str]:
    """Starts the nodes and joins them; yields the URL of the first one."""
    with ExitStack() as stack:
        started = [stack.enter_context(_Node()) for _ in range(nodes)]
        first = started[0]
        for number, node in enumerate(started):
            low, high = number * _SLOTS // nodes, (number + 1) * _SLOTS // nodes - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", low, high)
            # Two nodes of one number would each take the other's slots.
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in started[1:]:
            node.command("CLUSTER", "MEET", first.host, first.port, first.bus)
        _wait(started)
        yield first.url


def _wait(nodes: list[_Node]) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        infos = [node.command("CLUSTER", "INFO") for node in nodes]
        if all(
            isinstance(info, bytes)
            and b"cluster_state:ok" in info
            and b"cluster_known_nodes:%d" % len(nodes) in info
            for info in infos
        ):
            return
        if time.monotonic() > deadline:
            raise ServerUnavailableError(f"the cluster did not come up: {infos}")
        time.sleep(0.05)
