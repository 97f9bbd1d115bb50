"""`SearchResult`: the list that a read returns, which also reports if records may be missing."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from typing import TypeVar

__all__ = ["PartialResultWarning", "SearchResult", "warn_if_partial", "warn_of_partial_result"]

_T = TypeVar("_T")
_Result = TypeVar("_Result")

_PACKAGES = frozenset(
    {
        "valkey_vector",
        "langchain_valkey",
        "langchain_core",
        "llama_index",
        "llama_index_instrumentation",
        "haystack_integrations",
        "haystack",
    }
)


class PartialResultWarning(UserWarning):
    """Category of the warning that a result may lack records, where the result itself cannot say so."""


class SearchResult(list[_T]):
    """The records or rows that a read found: a list, equal to any list with the same items.

    Attributes:
        partial: True if records may be missing: a shard of the cluster did not answer (``consistency="partial"``), or the
            nodes did not check that they agree about the slots (``consistency="loose"``).
    """

    __slots__ = ("partial",)

    def __init__(self, items: Iterable[_T] = (), *, partial: bool = False) -> None:
        super().__init__(items)
        self.partial = partial

    def __repr__(self) -> str:
        shown = super().__repr__()
        return f"SearchResult({shown}, partial=True)" if self.partial else shown


def warn_if_partial(result: _Result, what: str = "the result") -> _Result:
    """Return a result unchanged. Warn if it may lack records, for callers that pass on the records only."""
    if isinstance(result, SearchResult) and result.partial:
        warn_of_partial_result(what)
    return result


def warn_of_partial_result(what: str) -> None:
    """Issue a `PartialResultWarning` at the line of the application that called this library.

    Args:
        what: the value that may be incomplete, such as ``the count``.
    """
    warnings.warn(
        f"{what} may lack records: a shard of the cluster did not answer, or consistency is 'loose'. "
        "Read again with consistency='strict' for a complete result or an error",
        PartialResultWarning,
        stacklevel=_calls_within() + 1,
    )


def _calls_within() -> int:
    """The number of calls on the stack that belong to this library and its adapters."""
    frame, number = sys._getframe(1), 0
    while frame.f_back is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _PACKAGES:
            break
        frame, number = frame.f_back, number + 1
    return number
