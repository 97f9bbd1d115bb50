"""Batches of bounded size, by number of items and by bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from math import ceil
from typing import TypeVar

__all__ = ["REQUEST_BYTES", "even_size", "in_batches", "staggered_sizes"]

_T = TypeVar("_T")

REQUEST_BYTES = 4 * 1024 * 1024
"""Maximum number of bytes in one request. A single larger item has a request of its own."""

_LEAST = 20
"""Minimum number of items in the first of staggered batches. With fewer, all batches have the same size."""


def even_size(count: int, size: int, connections: int) -> int:
    """Return the size of batches that keep all connections busy until the end.

    Args:
        count: number of items.
        size: maximum number of items in a batch, >= 1. All of them are one batch if they fit.
        connections: number of batches under way at a time, >= 1.
    """
    if count <= size:
        return size
    rounds = ceil(count / (size * connections))
    return ceil(count / (rounds * connections))


def staggered_sizes(count: int, size: int, connections: int) -> Iterator[int]:
    """Iterate over sizes of batches that keep all connections busy: they begin one after another and end together.

    The first connection soon has a small batch, while those of the others are being encoded. From then on the
    connections end their batches at different times, so that they do not all wait for their next ones at once. The last
    batches are smaller by as much as the first ones were.

    Args:
        count: number of items.
        size: maximum number of items in a batch, >= 1. All of them are one batch if they fit.
        connections: number of batches under way at a time, >= 1.
    """
    full = even_size(count, size, connections)
    rounds = ceil(count / (full * connections))
    if rounds > 1 and full >= _LEAST * connections:
        firsts = [full * number // connections for number in range(1, connections + 1)]
        yield from firsts
        yield from repeat(full, connections * (rounds - 1))
        yield from (full - first for first in firsts[:-1])
    yield from repeat(full)


def in_batches(
    items: Iterable[_T],
    size: int | Iterator[int],
    weigh: Callable[[_T], int] | None = None,
    max_bytes: int = REQUEST_BYTES,
) -> Iterator[list[_T]]:
    """Split items into batches, in order. Each batch is returned as soon as it is full.

    Args:
        items: any number of items.
        size: maximum number of items in a batch, >= 1; an iterator returns that of each batch, and does not end.
        weigh: returns the bytes of an item; None sets no limit on the bytes.
        max_bytes: maximum number of bytes in a batch of more than one item.
    """
    sizes = repeat(size) if isinstance(size, int) else size
    most = next(sizes)
    batch: list[_T] = []
    weight = 0
    for item in items:
        own = 0 if weigh is None else weigh(item)
        if batch and weight + own > max_bytes:
            yield batch
            batch, weight, most = [], 0, next(sizes)
        batch.append(item)
        weight += own
        if len(batch) >= most or weight >= max_bytes:
            yield batch
            batch, weight, most = [], 0, next(sizes)
    if batch:
        yield batch
