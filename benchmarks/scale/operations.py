"""The operations that are timed, on the interface that every contender has."""

# The base class has arguments that its methods do not use.
# ruff: noqa: ARG002

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.scale.workload import Document, Vectors, Workload

__all__ = [
    "LOAD",
    "OPERATIONS",
    "Operation",
    "Store",
    "Timing",
    "UnsupportedOperationError",
    "timed",
]

LOAD = "bulk load of 1,000"
"""The operation that is timed while the store grows, in milliseconds for 1,000 documents."""

_MIN_CALLS, _MAX_CALLS = 5, 300
_UNTIMED_SHARE = 4


class UnsupportedOperationError(Exception):
    """The contender does not have the operation."""


class Store:
    """A contender. A method that it does not override is an operation that it does not have."""

    name: str

    def server(self) -> str:
        """Return the server, or "in this process"."""
        return "in this process"

    def add(self, documents: Sequence[Document]) -> None:
        """Write documents; documents with these ids are replaced."""
        raise UnsupportedOperationError

    def loaded(self) -> None:
        """Finish a load before anything is timed, such as building an index."""

    def get(self, ids: Sequence[str]) -> int:
        """Return the number of documents that were fetched, with their text and metadata."""
        raise UnsupportedOperationError

    def search(self, vector: Vectors, *, group: str | None = None) -> list[str]:
        """Return the ids of the nearest documents of a group, or of all. Text and metadata are fetched, too."""
        raise UnsupportedOperationError

    def search_text(self, text: str) -> list[str]:
        """Return the ids of the best documents by BM25."""
        raise UnsupportedOperationError

    def search_hybrid(self, vector: Vectors, text: str) -> list[str]:
        """Return the ids of the best documents by vector and text."""
        raise UnsupportedOperationError

    def count(self, group: str | None = None) -> int:
        """Return the number of documents of a group, or of all."""
        raise UnsupportedOperationError

    def facets(self) -> dict[str, int]:
        """Return the number of documents of each group."""
        raise UnsupportedOperationError

    def ordered(self) -> list[str]:
        """Return the ids of the documents with the highest numbers."""
        raise UnsupportedOperationError

    def page(self) -> int:
        """Return the size of the first page of an iteration over all documents."""
        raise UnsupportedOperationError

    def delete(self, ids: Sequence[str]) -> None:
        """Remove documents by their ids."""
        raise UnsupportedOperationError

    def delete_batch(self, batch: str) -> None:
        """Remove the documents with this batch in the metadata."""
        raise UnsupportedOperationError

    def first_search(self, vector: Vectors) -> float:
        """Return the seconds that a new process needs to open the store and search once, without imports."""
        raise UnsupportedOperationError

    def close(self) -> None:
        """Remove everything and release the store."""


@dataclass(slots=True)
class Turn:
    """One call of an operation.

    Attributes:
        store: the contender.
        workload: documents and queries.
        size: documents in the store.
        batch: name of the temporary documents.
        documents: the temporary documents, or those that the call writes.
        seconds: the time, if the call measures it by itself.
    """

    store: Store
    workload: Workload
    size: int
    batch: str = ""
    documents: Sequence[Document] = ()
    seconds: float | None = None

    @property
    def ids(self) -> list[str]:
        """The ids of the documents."""
        return [each.id for each in self.documents]


Action = Callable[[Turn], Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation: what is timed, and what happens before and after without being timed."""

    name: str
    call: Action
    before: Action = lambda _: None
    after: Action = lambda _: None
    max_calls: int = _MAX_CALLS


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of an operation in milliseconds; None if the contender does not have it."""

    p50: float | None
    p95: float | None
    calls: int


def _create_temporary(turn: Turn) -> None:
    turn.batch, turn.documents = turn.workload.temporary()


def _add_temporary(turn: Turn) -> None:
    _create_temporary(turn)
    turn.store.add(turn.documents)


def _remove(turn: Turn) -> None:
    turn.store.delete(turn.ids)


def _choose(count: int) -> Action:
    def choose(turn: Turn) -> None:
        start = turn.workload.position(max(1, turn.size - count))
        turn.documents = turn.workload.documents(start, min(turn.size, start + count))

    return choose


def _search_hybrid(turn: Turn) -> None:
    turn.store.search_hybrid(*turn.workload.query())


def _write_then_search(turn: Turn) -> None:
    turn.store.add(turn.documents)
    turn.store.search(turn.workload.query()[0])


def _first_search(turn: Turn) -> None:
    turn.seconds = turn.store.first_search(turn.workload.query()[0])


def _group(turn: Turn) -> str:
    return f"g{turn.workload.position(10)}"


OPERATIONS = [
    Operation("add new, 100", lambda t: t.store.add(t.documents), _create_temporary, _remove),
    Operation("overwrite, 100", lambda t: t.store.add(t.documents), _choose(100)),
    Operation("get, 10", lambda t: t.store.get(t.ids), _choose(10)),
    Operation("vector search", lambda t: t.store.search(t.workload.query()[0])),
    Operation("filtered search", lambda t: t.store.search(t.workload.query()[0], group=_group(t))),
    Operation("text search", lambda t: t.store.search_text(t.workload.query()[1])),
    Operation("hybrid search", _search_hybrid),
    Operation("count of a filter", lambda t: t.store.count(_group(t))),
    Operation("facets", lambda t: t.store.facets()),
    Operation("select ordered, 10", lambda t: t.store.ordered()),
    Operation("iterate, first 100", lambda t: t.store.page()),
    Operation("delete by ids, 100", _remove, _add_temporary),
    Operation("delete by filter, 100", lambda t: t.store.delete_batch(t.batch), _add_temporary),
    Operation("first search of a process", _first_search, max_calls=_MIN_CALLS),
    Operation("write, then search", _write_then_search, _choose(1)),
]
"""Every operation, in the order of the report. After each, the store holds the same documents as before."""


def timed(
    operation: Operation, store: Store, workload: Workload, size: int, seconds: float
) -> Timing:
    """Call an operation until the time is over, at least five times after a first call that does not count.

    Args:
        operation: the operation.
        store: the contender, which holds `size` documents.
        workload: documents and queries.
        size: documents in the store.
        seconds: time for the timed calls, > 0. What is not timed may take four times as long.
    """
    times: list[float] = []
    began = time.perf_counter()
    gc.collect()
    for number in range(operation.max_calls + 1):
        turn = Turn(store, workload, size)
        try:
            operation.before(turn)
            start = time.perf_counter()
            operation.call(turn)
        except UnsupportedOperationError:
            if turn.batch:
                _remove(turn)
            return Timing(None, None, 0)
        took = time.perf_counter() - start
        operation.after(turn)
        if number > 0:
            times.append(took if turn.seconds is None else turn.seconds)
        over = time.perf_counter() - began > _UNTIMED_SHARE * seconds
        if len(times) >= _MIN_CALLS and (sum(times) > seconds or over):
            break
    times.sort()
    return Timing(statistics.median(times) * 1000, times[int(len(times) * 0.95)] * 1000, len(times))
