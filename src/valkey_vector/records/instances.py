"""Instances of a framework's class, created from their attributes without the constructor.

A constructor that validates every value takes longer than anything else in a search, and the values come from a record:
they have the right types already. Use `filler` only after `are_alike` has shown for the installed version of the framework
that an instance of the constructor has the same state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

__all__ = ["Filler", "are_alike", "filler"]

_T = TypeVar("_T")

Filler: TypeAlias = Callable[[dict[str, Any], set[str]], _T]
"""Creates an instance from all its attributes, in the order in which the constructor sets them, and the names of the fields
that a caller passes to the constructor (ignored unless the class is a model of Pydantic). Copies neither."""

_STATE = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")


def filler(kind: type[_T]) -> Filler[_T]:
    """Return the function that creates instances of a class.

    Args:
        kind: a class whose instances have a ``__dict__``.
    """
    new = cast("Callable[[type[_T]], _T]", object.__new__)
    set_attributes = _setter(kind, "__dict__")
    if not hasattr(kind, "__pydantic_fields_set__"):

        def fill(attributes: dict[str, Any], given: set[str]) -> _T:  # noqa: ARG001 - as `Filler`
            instance = new(kind)
            set_attributes(instance, attributes)
            return instance

        return fill
    set_given, set_extra, set_private = (_setter(kind, name) for name in _STATE)

    def fill_model(attributes: dict[str, Any], given: set[str]) -> _T:
        instance = new(kind)
        set_attributes(instance, attributes)
        set_given(instance, given)
        set_extra(instance, None)
        set_private(instance, None)
        return instance

    return fill_model


def _setter(kind: type[Any], name: str) -> Callable[[Any, Any], None]:
    """Return the function that sets an attribute of the instances of a class: faster than `object.__setattr__`."""
    for base in kind.__mro__:
        if hasattr(vars(base).get(name), "__set__"):
            return cast("Callable[[Any, Any], None]", vars(base)[name].__set__)
    return lambda instance, value: object.__setattr__(instance, name, value)


def are_alike(constructed: object, other: object) -> bool:
    """Return True if two instances have the same class and state; attributes that are instances are compared likewise.

    Returns False also for a class that creates its instances itself or that keeps state elsewhere.
    """
    kind = type(constructed)
    if type(other) is not kind:
        return False
    if not hasattr(constructed, "__dict__"):
        return bool(constructed == other)
    if kind.__new__ is not object.__new__ or list(vars(constructed)) != list(vars(other)):
        return False
    pairs = zip(vars(constructed).values(), vars(other).values(), strict=True)
    if any(getattr(constructed, name, None) != getattr(other, name, None) for name in _STATE):
        return False
    return all(_are_equal(one, another) for one, another in pairs)


def _are_equal(one: object, another: object) -> bool:
    if isinstance(one, dict) and isinstance(another, dict):
        keys = [(type(key), key) for key in one]
        return keys == [(type(key), key) for key in another] and all(
            _are_equal(one[key], another[key]) for key in one
        )
    return are_alike(one, another)
