"""The load of a benchmark: threads that send searches for a given time, and record times and recall."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from valkey_vector.filters.ast import Filter
from valkey_vector.index.index import Index
from valkey_vector.query import VectorQuery
from valkey_vector.records.vectors import Float32Array

__all__ = ["Load", "Outcome", "Query", "run_load"]


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One query.

    Attributes:
        vector: the vector to search for.
        own: id of the record that has this vector, which is left out of the result. None if it is not stored.
        neighbors: ids that are right. None if they are not known.
    """

    vector: Float32Array
    own: str | None
    neighbors: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Load:
    """Settings of the searches.

    Attributes:
        index: the index.
        k: number of neighbors.
        field: name of the vector.
        filter: filter of each search.
        ef_runtime: search width, or None.
    """

    index: Index
    k: int
    field: str
    filter: Filter | None
    ef_runtime: int | None

    def search(self, query: Query) -> float | None:
        """Search once. Returns the share of the true neighbors that were found, or None if they are not known."""
        hits = self.index.query(
            VectorQuery(
                vector=query.vector,
                k=self.k if query.own is None else self.k + 1,  # the record finds itself
                field=self.field,
                filter=self.filter,
                ef_runtime=self.ef_runtime,
            )
        )
        if not query.neighbors:
            return None
        others = [hit.record.id for hit in hits if hit.record.id != query.own]
        right = sum(id in query.neighbors for id in others[: self.k])
        return right / min(self.k, len(query.neighbors))


@dataclass(slots=True)
class Outcome:
    """Searches that were sent.

    Attributes:
        seconds: time of each search.
        recall: number of a query -> its recall, or None if its neighbors are not known.
        elapsed: seconds that all took together.
        processor: processor seconds that this process used meanwhile.
    """

    seconds: list[float] = field(default_factory=list)
    recall: dict[int, float | None] = field(default_factory=dict)
    elapsed: float = 0.0
    processor: float = 0.0


def run_load(load: Load, queries: Sequence[Query], concurrency: int, seconds: float) -> Outcome:
    """Send searches from several threads. Each sends at least one, and none after the time is over.

    If one fails, or the process is interrupted, all end after the search that they have sent.

    Raises:
        ServerError: a search failed.
    """
    begun, processor = time.perf_counter(), time.process_time()
    stopped = threading.Event()

    def send(first: int) -> Outcome:
        sent = Outcome()
        number = first
        while True:
            position = number % len(queries)
            before = time.perf_counter()
            share = load.search(queries[position])
            after = time.perf_counter()
            sent.seconds.append(after - before)
            sent.recall[position] = share
            number += concurrency
            if after - begun >= seconds or stopped.is_set():
                return sent

    total = Outcome()
    with ThreadPoolExecutor(concurrency, thread_name_prefix="valkey-vector-benchmark") as pool:
        try:
            for sent in pool.map(send, range(concurrency)):
                total.seconds += sent.seconds
                total.recall |= sent.recall
        finally:
            stopped.set()  # the end of the block waits for the threads
    total.elapsed = time.perf_counter() - begun
    total.processor = time.process_time() - processor
    return total
