"""Consistency of the read that runs now: engines consult it for each request, and note a result that may be incomplete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from valkey_vector.query.read_options import Consistency

__all__ = ["ReadScope", "current_scope", "reading"]


class ReadScope:
    """One read.

    Attributes:
        consistency: as requested.
        partial: True as soon as a part of the result may lack records. An engine sets it.
    """

    __slots__ = ("consistency", "partial")

    def __init__(self, consistency: Consistency) -> None:
        self.consistency: Consistency = consistency
        self.partial = False


_STRICT = ReadScope("strict")
_current: ContextVar[ReadScope] = ContextVar("valkey_vector_read", default=_STRICT)

current_scope: Callable[[], ReadScope] = _current.get
"""Return the read that runs now. Everything outside `reading` is strict."""


@contextmanager
def reading(consistency: Consistency) -> Iterator[ReadScope]:
    """Run the reads of the block at a consistency, also those that it passes to threads of this library."""
    scope = ReadScope(consistency)
    token = _current.set(scope)
    try:
        yield scope
    finally:
        _current.reset(token)
