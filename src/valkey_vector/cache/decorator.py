"""Decorator that caches the calls of a function."""

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
    """The methods of a cache that the decorator uses."""

    def get_or_compute(
        self,
        prompt: str,
        fn: Callable[[str], Any],
        scope: Scope | None = None,
        *,
        ttl: float | None = None,
        tokens: Callable[[Any], int] | None = None,
    ) -> Answer:
        """Return the stored answer for a prompt, or compute it with the function."""
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
        """Async version of `get_or_compute`."""
        ...


def cached(
    cache: Computing,
    *,
    prompt: str | None,
    scope: Callable[..., Scope] | Scope | None,
    ttl: float | None,
    tokens: Callable[[Any], int] | None,
) -> Callable[[CachedFunction], CachedFunction]:
    """Return the decorator. See `valkey_vector.cache.SemanticCache.cached`."""

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
                text, compute, call_scope = prepared(args, kwargs)

                async def acompute(text: str) -> Any:
                    return await compute(text)

                return await cache.aget_or_compute(
                    text, acompute, call_scope, ttl=ttl, tokens=tokens
                )

            return acall  # type: ignore[return-value]  # `wraps` keeps the signature

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            text, compute, call_scope = prepared(args, kwargs)
            return cache.get_or_compute(text, compute, call_scope, ttl=ttl, tokens=tokens)

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
            f"{called} has no parameter {chosen!r} for the prompt: set prompt= to one of {names}"
        )
    return chosen


_OWNERS = ("self", "cls")

_FUNCTION = "def"
"""Item of a default scope that names the function. No parameter can have this name."""


def _check_nameable(signature: inspect.Signature, function: Callable[..., Any]) -> None:
    """Check that the name and arguments of a function identify its answers.

    Raises:
        ConfigurationError: the answers may depend on an object that the default scope does not contain.
    """
    first = next(iter(signature.parameters), None)
    if first in _OWNERS or inspect.ismethod(function) or not hasattr(function, "__qualname__"):
        raise ConfigurationError(
            f"{getattr(function, '__qualname__', repr(function))} needs an explicit scope=: the answers of a method "
            "can depend on its object"
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
