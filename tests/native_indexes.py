"""Indexes on the native engine for tests: records, readers with an empty replica, and tasks for other processes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from valkey_vector import Index, Record, ServerError
from valkey_vector.engines.native import shared_replica

HERE = [1.0, 0.0, 0.0, 0.0]


def record(number: int, prefix: str = "d", **metadata: object) -> Record:
    """A record with its number as metadata, the farther from `HERE` the greater it is."""
    vector = [1.0, number / 1000, 0.0, 0.0]
    return Record(
        id=f"{prefix}{number}", vector=vector, content="red fox", metadata={"n": number, **metadata}
    )


def records(numbers: Iterable[int], prefix: str = "d") -> list[Record]:
    """Records with these numbers."""
    return [record(number, prefix) for number in numbers]


def share_nothing() -> None:
    """Have indexes that are opened from now on begin with an empty replica, as in a new process."""
    shared_replica._shared.clear()


def found(index: Index, k: int = 5_000) -> set[str]:
    """The ids that a search finds."""
    return {hit.record.id for hit in index.search(HERE, k=k)}


def selected(index: Index) -> set[str]:
    """The ids that a selection of all finds."""
    return {each.id for each in index.select(None)}


def load_while_others_delete(url: str, name: str, last: int) -> tuple[int, int]:
    """Load an index for the first time, wait for the last deletion, and count and search."""
    with Index.open(name, url=url, engine="native") as index:
        index.search(HERE, k=1)
        while index.get([f"d{last}"]) != [None]:
            time.sleep(0.01)
        return index.count(), len(index.search(HERE, k=10_000))


def write_for(url: str, name: str, seconds: float, numbers: Sequence[int]) -> int:
    """Write records over and over; returns how many were written."""
    ends = time.monotonic() + seconds
    written = 0
    with Index.open(name, url=url, engine="native", dimension=4) as index:
        while time.monotonic() < ends:
            index.upsert(records(numbers), batch_size=500, progress=False)
            written += len(numbers)
    return written


def write_and_drop(url: str, name: str, number: int) -> None:
    """Create an index, write to it and drop it, again and again, as other processes do at the same time."""
    with Index.open(name, url=url, engine="native", dimension=4) as index:
        for _ in range(5):
            with suppress(ServerError):  # "is dropped and recreated repeatedly by another client"
                index.upsert(records(range(number, 50, 5)), progress=False)
                index.search(HERE, k=3)
            index.drop()
