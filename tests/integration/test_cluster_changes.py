"""Stores, caches and LangGraph on a plain cluster whose slots move, that gets a node, and whose node fails over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from clusters import ClusterNode, TestCluster
from langgraph_savers import thread
from langgraph_valkey import ValkeyCache, ValkeySaver, ValkeyStore
from valkey_vector import Index, Record
from valkey_vector.cache import ExactCache
from valkey_vector.connection import Connection
from valkey_vector.errors import ConnectionLostError, PartialWriteError, RequestTimeoutError
from valkey_vector.secondary import Column, Completion, CompositeIndex, NumericIndex
from valkey_vector.stores import ByteStore, IndexedKeys, MessageLog
from valkey_vector.stores.sequences import Sequences

TIMEOUT = ["--cluster-node-timeout", "2000"]


class JoiningNode(ClusterNode):
    """A node without slots that joins a cluster."""

    def __init__(self) -> None:
        super().__init__(0, 0, TIMEOUT)

    def _claim_all_slots(self) -> None:
        """It gets its slots later, or none."""

    def join(self, cluster: TestCluster) -> None:
        first = cluster.nodes[0]
        self.command("CLUSTER", "MEET", first.host, first.port, first._bus_port)
        for node in cluster.nodes:
            until(lambda node=node: self.identity in text(node, "CLUSTER", "NODES"))  # type: ignore[misc]
        until(lambda: "cluster_state:ok" in text(self, "CLUSTER", "INFO"))

    @property
    def identity(self) -> str:
        return text(self, "CLUSTER", "MYID")


def text(node: ClusterNode, *command: str) -> str:
    reply = node.command(*command)
    assert isinstance(reply, bytes)
    return reply.decode()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def move(slot: int, source: ClusterNode, target: ClusterNode, everybody: list[ClusterNode]) -> None:
    """Move a slot key by key, as `valkey-cli --cluster reshard` does, with pauses in which its keys are on both nodes."""
    ids = [text(node, "CLUSTER", "MYID") for node in (source, target)]
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    time.sleep(0.2)
    keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
    assert isinstance(keys, list)
    for key in keys:
        assert isinstance(key, bytes)
        source.command("MIGRATE", target.host, target.port, key, 0, 5000)
        time.sleep(0.05)
    time.sleep(0.2)
    left = source.command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
    assert isinstance(left, list)
    for key in left:
        assert isinstance(key, bytes)
        source.command("MIGRATE", target.host, target.port, key, 0, 5000)
    for node in (target, source, *everybody):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])


def slots_of(node: ClusterNode, cluster: TestCluster, connection: Connection) -> list[int]:
    """The slots of the keys that a node has."""
    keys = node.command("KEYS", "*")
    assert isinstance(keys, list)
    found = (
        cluster.nodes[0].command("CLUSTER", "KEYSLOT", key)
        for key in keys
        if isinstance(key, bytes)
    )
    return sorted({slot for slot in found if isinstance(slot, int)})


class Work:
    """Writes and reads in a loop, and remembers what was acknowledged and which errors were raised."""

    def __init__(self, connection: Connection) -> None:
        self.log = MessageLog("log", connection=connection)
        self.bytes = ByteStore("bytes", connection=connection)
        self.keys = IndexedKeys("keys", connection=connection)
        self.cache = ExactCache("cache", on_error="raise", connection=connection)
        self.sequences = Sequences("sequences", connection=connection)
        self.rows = CompositeIndex("rows", [Column("n", int)], connection=connection)
        self.numbers = NumericIndex("numbers", connection=connection)
        self.completion = Completion("completion", connection=connection)
        self.saver = ValkeySaver(connection=connection)
        self.items = ValkeyStore(connection=connection)
        self.results: ValkeyCache[int] = ValkeyCache(connection=connection, on_error="raise")
        self.index = Index.open("{tenant}index", connection=connection)
        # With a deletion and an expiration all keys of the index exist, so its scripts run while the slot moves.
        self.index.upsert([Record(id="removed", vector=[0.0, 1.0])])
        self.index.upsert([Record(id="expiring", vector=[0.0, 1.0])], ttl=3600)
        self.index.delete(["removed"])
        self.appended: list[bytes] = []
        self.rounds = 0
        self.errors: list[Exception] = []
        self._stop = threading.Event()

    def round(self) -> None:
        number = self.rounds
        self.log.append([b"%d" % number])
        self.appended.append(b"%d" % number)
        self.bytes.mset({f"k{item}": b"%d" % number for item in range(20)})
        assert self.bytes.mget([f"k{item}" for item in range(20)]) == [b"%d" % number] * 20
        self.keys.update(["d"], groups=["g"])
        assert self.keys.select(groups=["g"]) == ["d"]
        self.sequences.replace("s", [{"n": number}] * 2)
        assert self.sequences.read("s") == [{"n": number}] * 2
        self.rows.put("m", {"n": number})
        assert self.rows.items() == [("m", {"n": number})]
        self.numbers.add("m", number * 10**20 + 1)
        assert self.numbers.count() == 1
        self.completion.record("text")
        assert self.completion.frequencies(["text"]) == [number + 1]
        metadata = {"n": number, f"only{number}": True}
        self.index.upsert([Record(id="r", vector=[1.0, 0.0], metadata=metadata)])
        [found] = self.index.search([1.0, 0.0], k=1)
        assert found.record.metadata == metadata
        self.cache.store("prompt", number)
        hit = self.cache.lookup("prompt")
        assert hit is not None
        assert hit.answer == number
        self.graph_round(number)
        self.rounds += 1

    def graph_round(self, number: int) -> None:
        """Write and read as LangGraph does."""
        checkpoint = empty_checkpoint()
        place = thread("t", checkpoint_ns="")
        written = self.saver.put(place, checkpoint, {"step": number}, {})
        self.saver.put_writes(written, [("channel", number)], "task")
        found = self.saver.get_tuple(place)
        assert found is not None
        assert found.checkpoint["id"] == checkpoint["id"]
        assert found.metadata.get("step") == number
        assert found.pending_writes == [("task", "channel", number)]
        self.items.put(("user",), "k", {"n": number})
        item = self.items.get(("user",), "k")
        assert item is not None
        assert item.value == {"n": number}
        key = (("node",), "k")
        self.results.set({key: (number, None)})
        assert self.results.get([key]) == {key: number}

    @contextmanager
    def under_way(self) -> Iterator[None]:
        thread = threading.Thread(target=self._loop)
        thread.start()
        try:
            until(lambda: self.rounds > 2 or bool(self.errors))
            yield
        finally:
            self._stop.set()
            thread.join(60)

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self.round()
            except Exception as error:  # noqa: BLE001 - the test checks it
                self.errors.append(error)
                time.sleep(0.05)


def test_nothing_is_lost_or_repeated_while_slots_move_to_a_new_node() -> None:
    with (
        TestCluster(2, extra=TIMEOUT) as cluster,
        JoiningNode() as added,
        Connection.open(cluster.url) as connection,
    ):
        work = Work(connection)
        with work.under_way():
            added.join(cluster)
            for node in cluster.nodes:
                for slot in slots_of(node, cluster, connection):
                    move(slot, node, added, cluster.nodes)
            after = work.rounds
            until(lambda: work.rounds > after + 3 or bool(work.errors))
        assert work.errors == []
        assert work.log.read() == work.appended
        assert added.command("DBSIZE") != 0
        assert [node.command("DBSIZE") for node in cluster.nodes] == [0, 0]


@pytest.mark.timeout(180)
def test_the_same_connection_works_after_a_replica_has_taken_over() -> None:
    with TestCluster(3, extra=TIMEOUT) as cluster, JoiningNode() as replica:
        replica.join(cluster)
        victim = cluster.nodes[1]
        replica.command("CLUSTER", "REPLICATE", text(victim, "CLUSTER", "MYID"))
        until(lambda: "master_link_status:up" in text(replica, "INFO", "replication"))
        with Connection.open(cluster.url) as connection:
            work = Work(connection)
            with work.under_way():
                victim.kill()
                until(lambda: "role:master" in text(replica, "INFO", "replication"))
                after = work.rounds
                until(lambda: work.rounds > after + 5)
            documented = (ConnectionLostError, RequestTimeoutError, PartialWriteError)
            assert [error for error in work.errors if not isinstance(error, documented)] == []
            failed = len(work.errors)
            work.round()
            assert len(work.errors) == failed


def test_the_address_of_a_replica_leads_to_its_cluster() -> None:
    with TestCluster(3, extra=TIMEOUT) as cluster, JoiningNode() as replica:
        replica.join(cluster)
        replica.command("CLUSTER", "REPLICATE", text(cluster.nodes[0], "CLUSTER", "MYID"))
        until(lambda: "master_link_status:up" in text(replica, "INFO", "replication"))
        with Connection.open(replica.url) as connection:
            assert connection.capabilities.cluster
            store = ByteStore("bytes", connection=connection)
            store.mset({f"k{number}": b"v" for number in range(20)})
            assert store.mget([f"k{number}" for number in range(20)]) == [b"v"] * 20
