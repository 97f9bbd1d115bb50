"""Rejection of keywords that a method would ignore: ``filters``, which other libraries use for `filter`, and misspelled ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from valkey_vector.query.read_options import READ_OPTIONS

__all__ = ["names_filter", "refuse_filters", "refuse_unknown"]

_Class = TypeVar("_Class", bound=type)
_ANNOTATION = "Unpack[ReadOptions]"
"""Annotation of the parameter ``**options`` of a read."""


def refuse_filters(method: str, keywords: Mapping[str, Any]) -> None:
    """Reject the keyword ``filters``.

    Raises:
        TypeError: `keywords` contains ``filters``; names `filter`.
    """
    if "filters" in keywords:
        raise TypeError(f"{method}() takes filter=, a dict or an expression, not filters=")


def refuse_unknown(method: str, options: Mapping[str, Any]) -> None:
    """Check the names of the ``**options`` of a read, in a method that `names_filter` does not wrap.

    Raises:
        TypeError: a name is not in `ReadOptions`; for ``filters`` the message names `filter`.
    """
    if options.keys() <= READ_OPTIONS:
        return
    refuse_filters(method, options)
    unknown = min(options.keys() - READ_OPTIONS)
    raise TypeError(f"{method}() got an unexpected keyword argument {unknown!r}")


def names_filter(owner: _Class) -> _Class:
    """Class decorator: in each own method with a parameter `filter`, ``filters=`` raises an error that names `filter`.

    A method with ``**options`` accepts the names of `ReadOptions` there, and no others.
    """
    for name, method in list(vars(owner).items()):
        if inspect.isfunction(method) and "filter" in inspect.signature(method).parameters:
            setattr(owner, name, _naming_filter(method))
    return owner


def _naming_filter(method: Callable[..., Any]) -> Callable[..., Any]:
    refuse = _refusal(method)
    # These keywords need no closer look.
    known = inspect.signature(method).parameters.keys() - {"self", "options", "filters"}
    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def acall(self: object, /, *args: Any, **kwargs: Any) -> Any:
            if not kwargs.keys() <= known:
                refuse(kwargs)
            return await method(self, *args, **kwargs)

        return acall

    @wraps(method)
    def call(self: object, /, *args: Any, **kwargs: Any) -> Any:
        if not kwargs.keys() <= known:
            refuse(kwargs)
        return method(self, *args, **kwargs)

    return call


def _refusal(method: Callable[..., Any]) -> Callable[[Mapping[str, Any]], None]:
    """The function that rejects keywords of a method."""
    name = method.__name__
    known: frozenset[str] | None = None
    if method.__annotations__.get("options") == _ANNOTATION:
        known = READ_OPTIONS | inspect.signature(method).parameters.keys()

    def refuse(keywords: Mapping[str, Any]) -> None:
        if "filters" in keywords:
            refuse_filters(name, keywords)
        if known is not None and not keywords.keys() <= known:
            unknown = min(keywords.keys() - known)
            raise TypeError(f"{name}() got an unexpected keyword argument {unknown!r}")

    return refuse
