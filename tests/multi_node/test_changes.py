"""Every answer stays right while a cluster changes and a model checker writes and searches in several processes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from cluster_topology import Node, Topology
from soak_driver import Watch, run_plans, soak_seconds
from soak_history import History
from soak_records import DIMENSION, MARK, record_of, untouched, vector_of
from soak_workers import Plan, Report
from valkey_vector import Index, Record

pytestmark = pytest.mark.timeout(600)

DOCUMENTED = ("ConnectionLostError", "RequestTimeoutError", "PartialWriteError", "ServerError")
"""What an operation may raise while the cluster changes."""
CALM = 3.0
"""Seconds before and after a change in which the workers run."""


@pytest.fixture
def index(topology: Topology) -> Iterator[Index]:
    """An index with the records that no worker changes, and every metadata key in use."""
    url = f"{topology.url}?request_timeout=10"
    with Index.open(f"t{uuid4().hex}", url=url, dimension=DIMENSION) as index:
        index.upsert(untouched())
        first = record_of(0)
        index.upsert([Record(id="first", metadata={**first.metadata, MARK: 0})])
        index.delete(["first"])
        yield index
        index.drop()


@contextmanager
def meanwhile(change: Callable[[], None]) -> Iterator[list[int]]:
    """Run a change in a thread during the block; when it began and ended, in nanoseconds."""
    times: list[int] = []
    errors: list[BaseException] = []

    def run() -> None:
        time.sleep(CALM)
        times.append(time.monotonic_ns())
        try:
            change()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)
        times.append(time.monotonic_ns())

    thread = threading.Thread(target=run)
    thread.start()
    yield times
    thread.join()
    if errors:
        raise errors[0]


def checked(index: Index, change: Callable[[], None], seconds: float, folder: Path) -> Report:
    """Let workers of two processes write and read while the cluster changes; check every answer.

    Each process has one client from the beginning to the end. The last operations succeed, so it recovers by itself.
    """
    plans = [
        Plan(
            url=index.connection.settings.location + "?request_timeout=10",
            name=index.name,
            engine="search",
            number=number,
            processes=2,
            threads=3,
            loops=1,
            seconds=2 * CALM + seconds,
            report=folder / f"{number}.pickle",
            tolerated=DOCUMENTED,
        )
        for number in range(2)
    ]
    with meanwhile(change) as times:
        report = run_plans(plans, Watch([]))
    began, ended = times
    assert ended - began < seconds * 1e9, f"the change took {(ended - began) / 1e9:.1f} s"
    changes = Counter(one.kind.value for one in report.changes)
    sights = Counter(one.how.partition("(")[0] for one in report.sights)
    errors = Counter(text[:140] for _, text in report.errors)
    seconds = (ended - began) / 1e9
    print(f"{seconds:.1f} s; {dict(changes)} {dict(sights)}, {errors.total()} errors")
    for text, number in errors.most_common(20):
        print(f"  {number} × {text}")
    late = [text for when, text in report.errors if when > ended + (CALM - 1) * 1e9]
    faults = [*report.faults, *History(report.changes).faults(report.sights)]
    assert not faults, f"{len(faults)} wrong answers\n" + "\n".join(faults[:8])
    assert not late, late[:5]
    assert min(changes.values()) > 0
    assert min(sights.values()) > 0
    return report


def test_replicas_take_over(topology: Topology, index: Index, tmp_path: Path) -> None:
    """A replica that takes over by ``CLUSTER FAILOVER`` has every write, so none may be lost."""

    def change() -> None:
        for primary in topology.primaries:
            topology.fail_over(primary)
            time.sleep(1.0)

    checked(index, change, max(20.0, soak_seconds()), tmp_path)


def test_slots_move(topology: Topology, index: Index, tmp_path: Path) -> None:
    first, second, _ = topology.primaries
    slots = first.slots()[:100]

    def change() -> None:
        topology.move(slots, first, second)
        topology.move(slots, second, first)

    checked(index, change, max(60.0, soak_seconds()), tmp_path)


def test_a_node_is_added_and_removed(topology: Topology, index: Index, tmp_path: Path) -> None:
    """A replica leaves its primary, gets slots of its own and gives them back."""
    first, *_, last = topology.primaries
    slots = first.slots()[-60:]
    (spare,) = topology.replicas_of(last)

    def change() -> None:
        with topology.added(spare) as added:
            topology.move(slots, first, added)
            time.sleep(2.0)
            topology.move(slots, added, first)

    checked(index, change, max(60.0, soak_seconds()), tmp_path)


def test_a_node_is_flushed(topology: Topology, index: Index) -> None:
    """The records of that node are gone; all others are found, and the index works again on every node."""
    index.upsert([record_of(number) for number in range(90)])
    others = [
        Index.open(index.name, url=f"{topology.url}?request_timeout={9 + n}") for n in range(3)
    ]
    before = [each.count() for each in others]
    for primary in topology.primaries:
        kept = sum(keys_of(node, index.name) for node in topology.primaries if node != primary)
        primary("FLUSHALL")
        index._handle.forget()
        counts = [each.count() for each in (index, *others)]
        assert counts == [kept] * 4, f"{counts} after {before}"
        assert len(index.search(vector_of(0), k=200)) == kept
        index.upsert([record_of(number) for number in range(90)])
        assert index.count() == others[0].count() == keys_in(topology, index.name)
    for each in others:
        each.connection.close()


def test_a_primary_ends(topology: Topology, index: Index, tmp_path: Path) -> None:
    """The last test: the node stays away unless something starts it again.

    ``SHUTDOWN`` waits until the replica has every write, so none may be lost.
    """
    checked(index, lambda: topology.end(topology.primaries[0]), max(60.0, soak_seconds()), tmp_path)


def keys_of(node: Node, name: str) -> int:
    """The number of records of an index on a node."""
    found = node("KEYS", f"{name}:*")
    assert isinstance(found, list)
    return len(found)


def keys_in(topology: Topology, name: str) -> int:
    """The number of records of an index."""
    return sum(keys_of(node, name) for node in topology.primaries)
