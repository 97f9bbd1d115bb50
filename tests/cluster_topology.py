"""Changes of a cluster that runs already, by commands of the cluster alone: failover, slots that move, nodes that join or end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from servers import Reply, ServerReplyError, send

__all__ = ["Node", "Topology", "until"]

SECONDS = 60.0
_SLOTS = 16_384
_MIGRATION = "cluster-allow-replica-migration"


def until(condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Wait until a condition holds. A node that does not answer does not fulfill it."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(OSError, EOFError, ServerReplyError):
            if condition():
                return
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Node:
    """One node, by its address."""

    host: str
    port: int

    def __call__(self, *args: str | bytes | int, timeout: float = 10.0) -> Reply:
        """Send one command.

        Raises:
            ServerReplyError: the node answered with an error.
            OSError, EOFError: it does not answer.
        """
        return send(self.host, self.port, *args, timeout=timeout)

    def text(self, *args: str | int) -> str:
        """Send one command, and decode its reply."""
        reply = self(*args)
        assert isinstance(reply, bytes)
        return reply.decode()

    @property
    def id(self) -> str:
        """The identity of the node in its cluster."""
        return self.text("CLUSTER", "MYID")

    @property
    def is_primary(self) -> bool:
        """True if the node is a primary, with or without slots."""
        return "role:master" in self.text("INFO", "replication")

    @property
    def in_sync(self) -> bool:
        """True if the node is a replica that follows its primary."""
        found = self.text("INFO", "replication")
        return "master_link_status:up" in found and "master_sync_in_progress:0" in found

    def slots(self) -> list[int]:
        """The slots of the node, by its own account."""
        (own,) = [row for row in self.rows() if "myself" in row[2]]
        found: list[int] = []
        for part in own[8:]:
            if not part.startswith("["):
                first, _, last = part.partition("-")
                found += range(int(first), int(last or first) + 1)
        return found

    def rows(self) -> list[list[str]]:
        """The nodes that the node knows: the columns of CLUSTER NODES."""
        return [line.split() for line in self.text("CLUSTER", "NODES").splitlines()]


class Topology:
    """The nodes of a cluster of primaries with a replica each.

    Args:
        url: of the cluster.
    """

    def __init__(self, url: str) -> None:
        first = urlsplit(url).netloc.rpartition("@")[2].split(",")[0]
        host, _, port = first.partition(":")
        rows = Node(host, int(port or 6379)).rows()
        places = [row[1].partition("@")[0].rpartition(":") for row in rows if "fail" not in row[2]]
        self.nodes = [Node(host, int(port)) for host, _, port in places]

    @property
    def url(self) -> str:
        """The URL of all nodes."""
        return "valkey://" + ",".join(f"{node.host}:{node.port}" for node in self.nodes)

    @property
    def primaries(self) -> list[Node]:
        """The primaries that have slots, by their first slot."""
        found = [node for node in self.nodes if node.is_primary and node.slots()]
        return sorted(found, key=lambda node: node.slots()[0])

    def replicas_of(self, primary: Node) -> list[Node]:
        """The replicas of a primary."""
        id = primary.id
        rows = primary.rows()
        places = {row[1].partition("@")[0] for row in rows if row[3] == id}
        return [node for node in self.nodes if f"{node.host}:{node.port}" in places]

    def fail_over(self, primary: Node, *how: str) -> Node:
        """Let the replica of a primary take its place; the new primary.

        Without more words, the replica waits until it has all writes of the primary.
        """
        (replica, *_) = self.replicas_of(primary)
        replica("CLUSTER", "FAILOVER", *how)
        until(lambda: replica.is_primary and bool(replica.slots()), "the replica takes over")
        until(lambda: not primary.is_primary, "the old primary follows")
        self.settle()
        return replica

    def end(self, primary: Node) -> None:
        """End the process of a primary after its replica has all of its writes.

        Its replica takes over, unless something starts the process again before the cluster holds it to be down.
        """
        replicas = self.replicas_of(primary)
        run = _run_of(primary)
        with suppress(OSError, EOFError):
            primary("SHUTDOWN", "NOSAVE", timeout=30.0)
        self.nodes.remove(primary)

        def has_returned() -> bool:
            with suppress(OSError, EOFError, ServerReplyError):
                return _run_of(primary) != run and primary.is_primary
            return False

        def is_served() -> bool:
            return any(each.is_primary for each in replicas) or has_returned()

        until(is_served, "a replica takes over, or the node returns")
        if has_returned():
            self.nodes.append(primary)
        self.settle()

    def settle(self) -> None:
        """Wait until all nodes agree about the slots, and the replicas follow their primaries."""
        until(lambda: all(map(self._is_settled, self.nodes)), "all nodes agree")
        until(lambda: len({self._slots_at(node) for node in self.nodes}) == 1, "equal slots")

    def _is_settled(self, node: Node) -> bool:
        info = node.text("CLUSTER", "INFO")
        served = "cluster_state:ok" in info and f"cluster_slots_ok:{_SLOTS}" in info
        return served and (node.is_primary or node.in_sync)

    def _slots_at(self, node: Node) -> frozenset[tuple[str, ...]]:
        return frozenset((row[0], *row[8:]) for row in node.rows() if "master" in row[2])

    def move(self, slots: Iterable[int], source: Node, target: Node) -> None:
        """Move slots key by key, as `valkey-cli --cluster reshard` does."""
        ids = source.id, target.id
        everybody = [node for node in self.nodes if node.is_primary]
        others = [node for node in everybody if node not in (source, target)]
        for slot in slots:
            target("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
            source("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
            while keys := source("CLUSTER", "GETKEYSINSLOT", slot, 100):
                assert isinstance(keys, list)
                named = [key for key in keys if isinstance(key, bytes)]
                source("MIGRATE", target.host, target.port, "", 0, 5000, "KEYS", *named)
            for node in (target, source, *others):
                node("CLUSTER", "SETSLOT", slot, "NODE", ids[1])

    @contextmanager
    def added(self, replica: Node) -> Iterator[Node]:
        """Make a replica a node of its own, without slots, in this block; afterwards it is a replica again."""
        (primary,) = [node for node in self.primaries if replica in self.replicas_of(node)]
        replica("CLUSTER", "RESET", "SOFT")
        replica("FLUSHALL")
        # Otherwise it becomes a replica of the node that gets its last slot.
        replica("CONFIG", "SET", _MIGRATION, "no")
        other = next(node for node in self.nodes if node != replica)
        replica("CLUSTER", "MEET", other.host, other.port)
        id = replica.id
        until(lambda: _knows_all(self.nodes, id), "the new node is known")
        until(lambda: "cluster_state:ok" in replica.text("CLUSTER", "INFO"), "it serves requests")
        yield replica
        assert not replica.slots()
        replica("CONFIG", "SET", _MIGRATION, "yes")
        replica("CLUSTER", "REPLICATE", primary.id)
        until(lambda: replica.in_sync, "the node is a replica again")
        self.settle()


def _run_of(node: Node) -> str:
    """The identity of the process of a node."""
    return node.text("INFO", "server").partition("run_id:")[2].split()[0]


def _knows_all(nodes: Sequence[Node], id: str) -> bool:
    """Return True if every node knows every other, and that the new node is a primary."""
    for node in nodes:
        rows = node.rows()
        if len(rows) != len(nodes) or any("handshake" in row[2] for row in rows):
            return False
        if not any(row[0] == id and "master" in row[2] for row in rows):
            return False
    return True
