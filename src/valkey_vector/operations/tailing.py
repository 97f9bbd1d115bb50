"""The changes of an index as they happen: ids that are written, deleted and expired."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeAlias

from valkey_vector.concurrency.threads import offload
from valkey_vector.errors import IndexNotFoundError, InvalidInputError
from valkey_vector.index.index import Index
from valkey_vector.operations.opening import own_handle
from valkey_vector.operations.tail_sources import ComparedVersions, LoggedChanges
from valkey_vector.records.amounts import counted
from valkey_vector.records.record import Metadata
from valkey_vector.storage.rows import StaleIndexError

__all__ = ["Change", "Missed", "Operation", "atail", "tail"]

Operation: TypeAlias = Literal["written", "deleted", "expired"]
"""Kind of a change. A record that is overwritten or whose metadata is updated is written, too."""

_MOST_COMPARED = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a record.

    Attributes:
        time: seconds since 1970 by the server's clock: of the change on the native engine, and of its discovery on the
            search engine.
        operation: what happened.
        id: id of the record.
        metadata: metadata that the record has now. None if it was not requested, or the record was removed.
        content: text that the record has now. None if it was not requested, or the record was removed.
    """

    time: float
    operation: Operation
    id: str
    metadata: Metadata | None = None
    content: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A notice that changes may be missing here.

    Attributes:
        time: seconds since 1970 by the server's clock.
        reason: why.
    """

    time: float
    reason: str


class _Source(Protocol):
    """Source of the changes of an index, read at intervals."""

    @property
    def description(self) -> str: ...

    def begin(self) -> None: ...

    def poll(self) -> Sequence[tuple[float, Operation, str]]: ...

    def missed(self) -> tuple[float, str] | None: ...


def tail(
    index: Index,
    *,
    interval: float = 1.0,
    seconds: float | None = None,
    with_metadata: bool = False,
    with_content: bool = False,
    max_records: int = _MOST_COMPARED,
    on_begin: Callable[[str], None] | None = None,
) -> Iterator[Change | Missed]:
    """Yield the changes of an index from now on. Only reads.

    The native engine has a log of its changes, which is read at intervals. Of several changes of one record in an
    interval, the last one is returned. The search engine has no log: the versions of all records are read and compared
    at intervals. A record that is written and deleted within an interval is not seen there, and one whose expiration
    slides is `deleted` when it expires.

    Args:
        index: an index that exists.
        interval: seconds between two reads, > 0. The search engine waits at least as long as a read took.
        seconds: end after this time, > 0. None for no end.
        with_metadata: fetch the metadata of written records.
        with_content: fetch the texts of written records.
        max_records: on the search engine, the number of records up to which it is acceptable to read all at each
            interval. Each needs about 150 bytes in this process.
        on_begin: called once, with a sentence that says how changes are found, when changes from now on are seen.

    Yields:
        Changes in their order on the native engine, by id on the search engine; and notices that some may be missing.

    Cost: two round trips an interval on the native engine, one for each 500 records on the search engine; one more for
    each 500 written records with metadata or content.

    Raises:
        InvalidInputError: an argument is out of range, or the index has more than `max_records` records.
        IndexNotFoundError: the index does not exist, or was dropped or created again meanwhile.
    """
    parts = _Parts(index, with_metadata, with_content)
    return _begun(parts, _Pace.of(interval, seconds), max_records, on_begin)


async def atail(
    index: Index,
    *,
    interval: float = 1.0,
    seconds: float | None = None,
    with_metadata: bool = False,
    with_content: bool = False,
    max_records: int = _MOST_COMPARED,
    on_begin: Callable[[str], None] | None = None,
) -> AsyncIterator[Change | Missed]:
    """Async version of `tail`. Cancelling it also ends the reads."""
    parts, pace = _Parts(index, with_metadata, with_content), _Pace.of(interval, seconds)
    found = await offload(_begun, parts, pace, max_records, on_begin)
    try:
        while (change := await offload(next, found, None)) is not None:
            yield change
    finally:
        pace.stopped.set()  # otherwise a thread would wait for the next change


@dataclass(frozen=True, slots=True)
class _Pace:
    """The times at which a source is read.

    Attributes:
        interval: seconds between two reads.
        end: end of the reads on the monotonic clock. None for no end.
        stopped: ends the reads at once when it is set.
    """

    interval: float
    end: float | None
    stopped: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, interval: float, seconds: float | None) -> _Pace:
        """Check the times.

        Raises:
            InvalidInputError: one is out of range.
        """
        if not 0 < interval < 1e6:
            raise InvalidInputError(
                f"interval must be a number of seconds above 0, not {interval!r}"
            )
        if seconds is not None and not 0 < seconds < 1e9:
            raise InvalidInputError(f"seconds must be a number above 0, not {seconds!r}")
        return cls(interval, None if seconds is None else time.monotonic() + seconds)

    def wait(self, took: float) -> bool:
        """Wait for the next read, at least as long as the last one took. Returns False if it is the last read."""
        pause = max(self.interval, took)
        left = math.inf if self.end is None else max(0.0, self.end - time.monotonic())
        self.stopped.wait(min(pause, left))
        return pause < left


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of written records to return with their changes."""

    index: Index
    metadata: bool
    content: bool

    def added(self, changes: Sequence[Change]) -> list[Change]:
        """Return the changes with these parts of their records."""
        written = [change.id for change in changes if change.operation == "written"]
        if not written or not (self.metadata or self.content):
            return list(changes)
        records = dict(zip(written, self.index.get(written), strict=True))
        completed: list[Change] = []
        for change in changes:
            if change.operation == "written" and (record := records[change.id]) is not None:
                metadata = record.metadata if self.metadata else None
                content = record.content if self.content else None
                completed.append(replace(change, metadata=metadata, content=content))
            else:
                completed.append(change)
        return completed


def _begun(
    parts: _Parts, pace: _Pace, max_records: int, on_begin: Callable[[str], None] | None
) -> Iterator[Change | Missed]:
    source = _source(parts.index, max_records, pace.interval)
    return _changes(source, parts, pace, on_begin)


def _source(index: Index, max_records: int, interval: float) -> _Source:
    """Choose the source of the changes for the engine of the index.

    Raises:
        IndexNotFoundError: there is no such index.
        InvalidInputError: it has too many records to compare them.
    """
    info = index.info()
    handle = own_handle(index)
    engine = handle.existing()
    if engine is None:
        raise _gone(index.name)
    if info.engine == "native":
        return LoggedChanges(index.connection, engine.entry, interval)
    if info.documents > max_records:
        raise InvalidInputError(
            f"index {index.name!r} has {counted(info.documents, 'record')}, and the search engine has no change log: tail would read "
            f"the versions of all of them at each interval. Pass max_records (--max-records) of at least that number to "
            "accept it, and a long interval"
        )
    return ComparedVersions(handle, engine)


def _changes(
    source: _Source,
    parts: _Parts,
    pace: _Pace,
    on_begin: Callable[[str], None] | None,
) -> Iterator[Change | Missed]:
    try:
        begun = time.monotonic()
        source.begin()
        took = time.monotonic() - begun
        if on_begin is not None:
            on_begin(source.description)
        more = True
        while more:
            more = pace.wait(took)
            if pace.stopped.is_set():
                return
            begun = time.monotonic()
            found = [Change(time=at, operation=kind, id=id) for at, kind, id in source.poll()]
            completed = parts.added(found)
            took = time.monotonic() - begun  # without the time that the caller needs for them
            yield from completed
            if (missed := source.missed()) is not None:
                at, reason = missed
                yield Missed(time=at, reason=reason)
    except StaleIndexError:
        raise _gone(parts.index.name) from None


def _gone(name: str) -> IndexNotFoundError:
    return IndexNotFoundError(
        f"index {name!r} does not exist, or was dropped or created again while its changes were read: begin again"
    )
