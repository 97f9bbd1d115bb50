"""Batches of bounded size, by number of items and by bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import ceil
from typing import TypeVar

__all__ = ["REQUEST_BYTES", "even_size", "in_batches"]

_T = TypeVar("_T")

REQUEST_BYTES = 4 * 1024 * 1024
"""Maximum number of bytes in one request. A single larger item has a request of its own."""


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


def in_batches(
    items: Iterable[_T],
    size: int,
    weigh: Callable[[_T], int] | None = None,
    max_bytes: int = REQUEST_BYTES,
) -> Iterator[list[_T]]:
    """Split items into batches, in order. Each batch is returned as soon as it is full.

    Args:
        items: any number of items.
        size: maximum number of items in a batch, >= 1.
        weigh: returns the bytes of an item; None sets no limit on the bytes.
        max_bytes: maximum number of bytes in a batch of more than one item.
    """
    batch: list[_T] = []
    weight = 0
    for item in items:
        own = 0 if weigh is None else weigh(item)
        if batch and weight + own > max_bytes:
            yield batch
            batch, weight = [], 0
        batch.append(item)
        weight += own
        if len(batch) >= size or weight >= max_bytes:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch
