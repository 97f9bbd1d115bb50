"""Requests of bounded size: items in batches, by number and by bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["REQUEST_BYTES", "in_batches"]

_T = TypeVar("_T")

REQUEST_BYTES = 4 * 1024 * 1024
"""Bytes in one request; a single item that is larger goes alone."""


def in_batches(
    items: Iterable[_T],
    size: int,
    weigh: Callable[[_T], int] | None = None,
    most: int = REQUEST_BYTES,
) -> Iterator[list[_T]]:
    """The items in order, in lists of at most `size`, each list as soon as it is full.

    Args:
        items: any number.
        size: items in a list, at least 1.
        weigh: how many bytes an item is; None leaves the bytes unbounded.
        most: bytes in a list, unless it has a single item.
    """
    batch: list[_T] = []
    weight = 0
    for item in items:
        own = 0 if weigh is None else weigh(item)
        if batch and weight + own > most:
            yield batch
            batch, weight = [], 0
        batch.append(item)
        weight += own
        if len(batch) >= size or weight >= most:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch
