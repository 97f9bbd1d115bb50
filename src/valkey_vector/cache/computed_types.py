"""Types of `aget_or_compute`, which returns the type that its function returns, awaited or not."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, overload

from valkey_vector.cache.entries import Scope
from valkey_vector.records.record import Metadata

__all__ = ["AwaitedComputing", "AwaitedMethod"]

_T = TypeVar("_T")


class AwaitedComputing(Protocol):
    """`aget_or_compute` of one cache."""

    @overload
    def __call__(
        self,
        prompt: str,
        fn: Callable[[str], Coroutine[Any, Any, _T]],
        scope: Scope | None = None,
        *,
        ttl: float | None = None,
        metadata: Metadata | None = None,
        tokens: Callable[[_T], int] | None = None,
    ) -> Coroutine[Any, Any, _T]: ...

    @overload
    def __call__(
        self,
        prompt: str,
        fn: Callable[[str], _T],
        scope: Scope | None = None,
        *,
        ttl: float | None = None,
        metadata: Metadata | None = None,
        tokens: Callable[[_T], int] | None = None,
    ) -> Coroutine[Any, Any, _T]: ...


class AwaitedMethod(Protocol):
    """`aget_or_compute` in its class."""

    def __get__(self, instance: object, owner: type) -> AwaitedComputing:
        """Return the method of one cache."""
