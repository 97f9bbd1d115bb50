"""Async versions of blocking methods, with the same logic and signature."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from valkey_vector.concurrency.threads import offload

__all__ = ["async_version"]

_Self = TypeVar("_Self")
_P = ParamSpec("_P")
_T = TypeVar("_T")


def async_version(
    method: Callable[Concatenate[_Self, _P], _T], name: str | None = None
) -> Callable[Concatenate[_Self, _P], Coroutine[Any, Any, _T]]:
    """Create the async version of a method. It runs the blocking method in a thread of this library.

    It takes the same arguments and raises the same errors. Cancelling it stops the waiting, not the command.

    Args:
        method: the blocking method.
        name: name of the async version. None uses the method's name with a leading ``a``.
    """

    @wraps(method)
    async def call(self: _Self, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await offload(method, self, *args, **kwargs)

    call.__name__ = name or f"a{method.__name__}"
    call.__qualname__ = f"{method.__qualname__.rpartition('.')[0]}.{call.__name__}"
    return call
