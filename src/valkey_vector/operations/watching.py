"""Samples of a server at intervals: latency, rates, memory and hit rates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from valkey_vector.connection import Connection
from valkey_vector.errors import InvalidInputError
from valkey_vector.operations.server_statistics import ServerStatistics, server_statistics

__all__ = ["Sample", "watch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Activity of a server since the previous sample.

    Attributes:
        seconds: time since the previous sample.
        latency: milliseconds of a PING.
        commands: commands per second, on all primaries.
        searches: searches of the search module per second; failed ones included. 0 if the module does not report them.
        failures: failed searches per second.
        queue: writes that are not indexed yet.
        clients: connected clients.
        used_memory: bytes in use.
        hit_rate: share of the reads that found a key, 0 to 1; None without reads.
        evicted: keys evicted since the sample before.
        documents: documents in all indexes of the search module.
    """

    seconds: float
    latency: float
    commands: float
    searches: float
    failures: float
    queue: int
    clients: int
    used_memory: int
    hit_rate: float | None
    evicted: int
    documents: int


def watch(
    connection: Connection, *, interval: float = 2.0, count: int | None = None
) -> Iterator[Sample]:
    """Yield a sample of the server after each interval.

    Args:
        connection: to the server.
        interval: seconds between samples, > 0.
        count: number of samples, >= 1. None for no end.

    Raises:
        InvalidInputError: `interval` or `count` is out of range.
        AuthenticationError: the user may not run INFO.

    Cost: two round trips for each sample.
    """
    if not 0 < interval < 1e6:
        raise InvalidInputError(f"interval must be a number of seconds above 0, not {interval!r}")
    if count is not None and count < 1:
        raise InvalidInputError(f"count must be at least 1, not {count!r}")
    return _samples(connection, interval, count)


def _samples(connection: Connection, interval: float, count: int | None) -> Iterator[Sample]:
    before, at = server_statistics(connection), time.monotonic()
    number = 0
    while count is None or number < count:
        time.sleep(interval)
        begun = time.perf_counter()
        connection.execute("PING", retry=True)
        latency = 1000 * (time.perf_counter() - begun)
        now, moment = server_statistics(connection), time.monotonic()
        yield _sample(before, now, moment - at, latency)
        before, at = now, moment
        number += 1


def _sample(
    before: ServerStatistics, now: ServerStatistics, seconds: float, latency: float
) -> Sample:
    """Compare two readings. A counter that fell, because a node restarted, counts from zero."""
    earlier = {node.node: node for node in before.nodes}

    def grown(name: str) -> int:
        return sum(
            _growth(getattr(earlier.get(node.node), name, 0), getattr(node, name))
            for node in now.nodes
        )

    def searched(name: str) -> int:
        return _growth(getattr(before.search, name), getattr(now.search, name))

    hits, misses = grown("keyspace_hits"), grown("keyspace_misses")
    failures = searched("failure_requests_count")
    return Sample(
        seconds=seconds,
        latency=latency,
        commands=grown("commands") / seconds,
        searches=(searched("successful_requests_count") + failures) / seconds,
        failures=failures / seconds,
        queue=now.search.writer_queue_size,
        clients=sum(node.clients for node in now.nodes),
        used_memory=now.used_memory,
        hit_rate=hits / (hits + misses) if hits + misses else None,
        evicted=grown("evicted_keys"),
        documents=now.search.total_indexed_documents,
    )


def _growth(before: int, now: int) -> int:
    return now - before if now >= before else now
