"""Rejection of the keyword ``filters``, which other libraries use for `filter`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

__all__ = ["names_filter", "refuse_filters"]

_Class = TypeVar("_Class", bound=type)


def refuse_filters(method: str, keywords: Mapping[str, Any]) -> None:
    """Reject the keyword ``filters``.

    Raises:
        TypeError: `keywords` contains ``filters``; names `filter`.
    """
    if "filters" in keywords:
        raise TypeError(f"{method}() takes filter=, a dict or an expression, not filters=")


def names_filter(owner: _Class) -> _Class:
    """Class decorator: in each own method with a parameter `filter`, ``filters=`` raises an error that names `filter`."""
    for name, method in list(vars(owner).items()):
        if inspect.isfunction(method) and "filter" in inspect.signature(method).parameters:
            setattr(owner, name, _naming_filter(method))
    return owner


def _naming_filter(method: Callable[..., Any]) -> Callable[..., Any]:
    name = method.__name__
    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def acall(self: object, /, *args: Any, **kwargs: Any) -> Any:
            if "filters" in kwargs:
                refuse_filters(name, kwargs)
            return await method(self, *args, **kwargs)

        return acall

    @wraps(method)
    def call(self: object, /, *args: Any, **kwargs: Any) -> Any:
        if "filters" in kwargs:
            refuse_filters(name, kwargs)
        return method(self, *args, **kwargs)

    return call
