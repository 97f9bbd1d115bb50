"""The decorator form of a cache: calls of a function go through it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Protocol, TypeVar

from valkey_vector.cache.entries import Answer, Scope
from valkey_vector.cache.sansio import is_coroutine_function
from valkey_vector.errors import ConfigurationError

__all__ = ["CachedFunction", "Computing", "cached"]

CachedFunction = TypeVar("CachedFunction", bound=Callable[..., Any])


class Computing(Protocol):
    """A cache, as far as the decorator is concerned."""

    def get_or_compute(
        self,
        prompt: str,
        fn: Callable[[str], Any],
        scope: Scope | None = None,
        *,
        ttl: float | None = None,
        tokens: Callable[[Any], int] | None = None,
    ) -> Answer:
        """The stored answer for a prompt, else the one that the function makes."""
        ...

    async def aget_or_compute(
        self,
        prompt: str,
        fn: Callable[[str], Any],
        scope: Scope | None = None,
        *,
        ttl: float | None = None,
        tokens: Callable[[Any], int] | None = None,
    ) -> Answer:
        """The same, awaited."""
        ...


def cached(
    cache: Computing,
    *,
    prompt: str | None,
    scope: Callable[..., Scope] | Scope | None,
    ttl: float | None,
    tokens: Callable[[Any], int] | None,
) -> Callable[[CachedFunction], CachedFunction]:
    """The decorator; see `valkey_vector.cache.SemanticCache.cached`."""

    def decorate(function: CachedFunction) -> CachedFunction:
        signature = inspect.signature(function)
        name = _prompt_parameter(signature, prompt, function)
        if scope is None:
            _check_nameable(signature, function)

        def prepared(args: Any, kwargs: Any) -> tuple[str, Callable[[str], Any], Scope]:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return (
                bound.arguments[name],
                lambda _: function(*args, **kwargs),
                _scope(scope, bound, name, function),
            )

        if is_coroutine_function(function):

            @wraps(function)
            async def acall(*args: Any, **kwargs: Any) -> Any:
                asked, make, within = prepared(args, kwargs)

                async def amake(text: str) -> Any:
                    return await make(text)

                return await cache.aget_or_compute(asked, amake, within, ttl=ttl, tokens=tokens)

            return acall  # type: ignore[return-value]  # the same signature, by wraps

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            asked, make, within = prepared(args, kwargs)
            return cache.get_or_compute(asked, make, within, ttl=ttl, tokens=tokens)

        return call  # type: ignore[return-value]  # likewise

    return decorate


def _prompt_parameter(
    signature: inspect.Signature, wanted: str | None, function: Callable[..., Any]
) -> str:
    names = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    chosen = wanted if wanted is not None else next((n for n in names if n not in _OWNERS), None)
    if chosen is None or chosen not in names:
        called = getattr(function, "__qualname__", repr(function))
        raise ConfigurationError(
            f"{called} has no parameter {chosen!r} to be the prompt; it has {names}"
        )
    return chosen


_OWNERS = ("self", "cls")

_FUNCTION = "def"
"""The item of a default scope that names the function; no parameter can have this name."""


def _check_nameable(signature: inspect.Signature, function: Callable[..., Any]) -> None:
    """Refuse what its name and arguments do not tell everything about.

    Raises:
        ConfigurationError: its answers may depend on an object that no scope would mention.
    """
    first = next(iter(signature.parameters), None)
    if first in _OWNERS or inspect.ismethod(function) or not hasattr(function, "__qualname__"):
        raise ConfigurationError(
            f"{getattr(function, '__qualname__', repr(function))} needs an explicit scope=: what belongs to an object "
            "may answer otherwise for another one"
        )


def _scope(
    scope: Callable[..., Scope] | Scope | None,
    bound: inspect.BoundArguments,
    prompt: str,
    function: Callable[..., Any],
) -> Scope:
    if callable(scope):
        return scope(*bound.args, **bound.kwargs)
    if scope is not None:
        return scope
    others: dict[str, Any] = {_FUNCTION: f"{function.__module__}.{function.__qualname__}"}
    for name, value in bound.arguments.items():
        if name == prompt:
            continue
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            others[name] = list(value)
        else:
            others[name] = dict(value) if isinstance(value, Mapping) else value
    return others
