"""List the checkpoints of one thread or of all threads, newest first, one page at a time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from valkey_vector.stores.checkpoint_records import Place, StoredCheckpoint
from valkey_vector.stores.checkpoint_store import PAGE, CheckpointStore

__all__ = ["list_all_threads", "list_thread"]

Accept = Callable[[bytes], bool]
"""Returns True for the metadata of each checkpoint to list."""


def list_thread(
    store: CheckpointStore,
    thread: str,
    *,
    namespace: str | None = None,
    before: str | None = None,
    accept: Accept | None = None,
    limit: int | None = None,
) -> Iterator[StoredCheckpoint]:
    """Iterate over the checkpoints of a thread, newest first.

    Args:
        store: the store to read.
        thread: the thread to list.
        namespace: list only this namespace. None: all namespaces.
        before: list only checkpoints with lower ids.
        accept: list only checkpoints whose metadata it accepts.
        limit: maximum number of checkpoints, ≥ 0. None: no limit.

    Cost: one round trip for each 100 checkpoints or megabyte. With `accept`, one round trip reads the metadata of up to
        1000 checkpoints, and more round trips read the accepted checkpoints.
    """
    after = _before(namespace, before)
    if accept is not None:
        pages = _metadata_pages(store, thread, namespace, after)
        yield from _accepted(store, thread, pages, accept, limit)
        return
    rest, more = limit, True
    while more and rest != 0:
        page, more = store.page(thread, namespace, after, PAGE if rest is None else rest)
        yield from page
        if page:
            after = page[-1].place
        rest = rest if rest is None else rest - len(page)


def list_all_threads(
    store: CheckpointStore,
    *,
    namespace: str | None = None,
    before: str | None = None,
    accept: Accept | None = None,
    limit: int | None = None,
) -> Iterator[tuple[str, StoredCheckpoint]]:
    """Iterate over the checkpoints of all threads, newest first, as pairs of thread and checkpoint.

    Takes the arguments of `list_thread`.

    Cost: scans all keys of the server. Reads a thread only when its newest checkpoint is next in order.
    """
    heads: list[_Head] = []
    for threads in store.threads():
        places = store.newest(threads, _before(None, before))
        heads += [
            _Head(place, thread)
            for thread, place in zip(threads, places, strict=True)
            if place is not None
        ]
    heapq.heapify(heads)
    count = 0
    while heads and count != limit:
        head = heapq.heappop(heads)
        if head.checkpoint is not None:
            yield head.thread, head.checkpoint
            count += 1
        rest = head.rest
        if rest is None:
            remaining = None if limit is None else limit - count
            rest = list_thread(
                store,
                head.thread,
                namespace=namespace,
                before=before,
                accept=accept,
                limit=remaining,
            )
        following = next(rest, None)
        if following is not None:
            heapq.heappush(heads, _Head(following.place, head.thread, following, rest))


@dataclass(frozen=True, slots=True)
class _Head:
    """Next checkpoint of a thread: its place and, after the thread was read, its data and the iterator of the rest."""

    place: Place
    thread: str
    checkpoint: StoredCheckpoint | None = None
    rest: Iterator[StoredCheckpoint] | None = None

    def __lt__(self, other: _Head) -> bool:
        return (self.place.id, self.thread) > (other.place.id, other.thread)


def _metadata_pages(
    store: CheckpointStore, thread: str, namespace: str | None, after: Place | None
) -> Iterator[list[tuple[Place, bytes]]]:
    more = True
    while more:
        page, more = store.metadata_page(thread, namespace, after)
        if page:
            after = page[-1][0]
            yield page


def _accepted(
    store: CheckpointStore,
    thread: str,
    pages: Iterator[list[tuple[Place, bytes]]],
    accept: Accept,
    limit: int | None,
) -> Iterator[StoredCheckpoint]:
    rest = limit
    for page in pages:
        chosen = [place for place, metadata in page if accept(metadata)][:rest]
        yield from store.at(thread, chosen)
        rest = rest if rest is None else rest - len(chosen)
        if rest == 0:
            return


def _before(namespace: str | None, id: str | None) -> Place | None:
    """Return the place after which the list starts."""
    if id is None:
        return None
    # Places with the same id are ordered by namespace. No namespace is higher than `_HIGHEST`.
    return Place(_HIGHEST if namespace is None else namespace, id)


_HIGHEST = "\U0010ffff" * 8
