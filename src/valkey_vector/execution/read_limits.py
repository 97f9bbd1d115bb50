"""Run a read at its consistency and within its time limit, and label its result."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, TypeVar, overload

from valkey_vector.connection.time_limits import is_over, time_limit
from valkey_vector.engines.read_scope import ReadScope, reading
from valkey_vector.errors import ConnectionLostError, RequestTimeoutError
from valkey_vector.query.read_options import Consistency
from valkey_vector.query.result import SearchResult, warn_of_partial_result

__all__ = ["Limited", "has_limits", "labeled", "limited", "limited_pages"]

_T = TypeVar("_T")


class Limited(Protocol):
    """A query with read options."""

    @property
    def consistency(self) -> Consistency:
        """See `ReadOptions`."""
        ...

    @property
    def timeout(self) -> float | None:
        """See `ReadOptions`."""
        ...


def limited(query: Limited) -> AbstractContextManager[ReadScope]:
    """Context manager that runs the reads of its block with the options of a query.

    Raises:
        RequestTimeoutError: at the end of the block, if the time of the query is over.
    """
    if not has_limits(query):
        return nullcontext(ReadScope("strict"))
    return _limited(query.consistency, query.timeout)


def has_limits(query: Limited) -> bool:
    """Return True if a query has other read options than the defaults."""
    return query.consistency != "strict" or query.timeout is not None


@contextmanager
def _limited(consistency: Consistency, timeout: float | None) -> Iterator[ReadScope]:
    begun = time.monotonic()
    with reading(consistency) as scope, time_limit(timeout):
        try:
            yield scope
        except RequestTimeoutError as error:
            if timeout is None:
                raise
            raise _exceeded(begun, timeout, error.message, error.command) from error
        except ConnectionLostError as error:
            if not is_over():
                raise
            raise _exceeded(begun, timeout, error.message, error.command) from error
        if is_over():
            raise _exceeded(begun, timeout, "the answer came too late", "")


def _exceeded(
    begun: float, timeout: float | None, reason: str, command: str
) -> RequestTimeoutError:
    elapsed = time.monotonic() - begun
    each = (
        "" if is_over() else "connect with a longer request_timeout=, which limits each request, "
    )
    return RequestTimeoutError(
        f"the read ended without an answer after {elapsed:.2g} seconds, with its timeout of {timeout} seconds ({reason}): "
        f"pass a longer timeout=, {each}request fewer records, narrow the filter, or accept an answer without slow shards "
        "with consistency='partial'",
        command,
    )


def limited_pages(pages: Iterator[_T], query: Limited) -> Iterator[_T]:
    """Iterate over pages that a query reads; its timeout is for each page. Warns once if records may be missing."""
    warned = False
    while True:
        with limited(query) as scope:
            page = next(pages, None)
        if scope.partial and not warned:
            warned = True
            warn_of_partial_result("the iteration")
        if page is None:
            return
        yield page


@overload
def labeled(found: int, scope: ReadScope | None = None) -> int: ...
@overload
def labeled(found: Iterable[_T], scope: ReadScope | None = None) -> SearchResult[_T]: ...
def labeled(found: int | Iterable[_T], scope: ReadScope | None = None) -> int | SearchResult[_T]:
    """Return what a read found: as a `SearchResult`, or a number, with a warning if it may be too low.

    Args:
        found: the records, rows or number.
        scope: the read; None if it had no limits.
    """
    partial = scope is not None and scope.partial
    if not isinstance(found, int):
        return SearchResult(found, partial=partial)
    if partial:
        warn_of_partial_result("the count")
    return found
