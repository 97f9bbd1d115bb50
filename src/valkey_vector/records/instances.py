"""Instances of a framework's class, created from their attributes without the constructor.

A constructor that validates every value takes longer than anything else in a search, and the values come from a record:
they have the right types already. Use `filled` only after `are_alike` has shown for the installed version of the framework
that an instance of the constructor has the same state.
"""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["are_alike", "filled"]

_T = TypeVar("_T")

_set = object.__setattr__
_STATE = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")


def filled(kind: type[_T], attributes: dict[str, Any], given: set[str] | None = None) -> _T:
    """Create an instance of a class.

    Args:
        kind: a class whose instances have a ``__dict__``.
        attributes: all attributes of the instance, in the order in which the constructor sets them. Not copied.
        given: for a model of Pydantic: names of the fields that a caller passes to the constructor. Not copied.
    """
    instance = object.__new__(kind)
    _set(instance, "__dict__", attributes)
    if given is not None:
        _set(instance, "__pydantic_fields_set__", given)
        _set(instance, "__pydantic_extra__", None)
        _set(instance, "__pydantic_private__", None)
    return instance


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
