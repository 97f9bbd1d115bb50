"""Work on the blocks of an array in two threads. NumPy and numkong release the interpreter lock while they compute."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from valkey_vector.concurrency.threads import writers

__all__ = ["in_two_threads"]

_LEAST = 2
"""Number of blocks from which on a second thread saves more time than it takes to wake it."""

_Block = TypeVar("_Block")


def in_two_threads(work: Callable[[_Block], None], blocks: Sequence[_Block]) -> None:
    """Call a function with each block, in this thread and, if there are several, in one of a pool.

    If all threads of the pool are busy, or none can start because the interpreter exits, this thread does all the work.

    Args:
        work: the function; it must be thread-safe.
        blocks: the blocks; the order in which they are worked on is not defined.
    """
    left = deque(blocks)  # a deque, because several threads may take from it

    def some() -> None:
        while left:
            try:
                block = left.popleft()
            except IndexError:  # the other thread took the last one
                return
            work(block)

    if len(blocks) < _LEAST or _processors() < 2:
        some()
        return
    try:
        helper = writers().submit(some)
    except RuntimeError as error:
        if "shutdown" not in str(error):
            raise
        some()
        return
    try:
        some()
    finally:
        if not helper.cancel():
            helper.result()


def _processors() -> int:
    """Number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
