"""Filters in filters, as callers write them: how deep they may be, and chains of one operator that are not deep at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from valkey_vector.errors import FilterError

__all__ = ["DEEPEST", "check_depth", "unchained"]

_T = TypeVar("_T")

DEEPEST = 100
"""Levels of a filter. Deeper ones would exhaust the stack of whoever walks them."""

_LONGEST_CHAIN = 10_000


def check_depth(depth: int) -> None:
    """Refuse what is nested too deep.

    Args:
        depth: levels above this one.

    Raises:
        FilterError: they are too many.
    """
    if depth > DEEPEST:
        raise FilterError(f"the filter is nested more than {DEEPEST} deep")


def unchained(operands: Iterable[_T], inner: Callable[[_T], Sequence[_T] | None]) -> Iterator[_T]:
    """The operands of ``or`` or ``and`` in order, with those of each operand that is the same operator in its place.

    ``{"$or": [{"$or": [{"$or": [a, b]}, c]}, d]}``, as `functools.reduce` builds it, has the operands a, b, c and d.

    Args:
        operands: of the outermost one.
        inner: the operands of an operand that is the same operator; None if it is something else.

    Raises:
        FilterError: the chain has no end, or one beyond all reason.
    """
    rest = [(operand, 1) for operand in reversed(list(operands))]
    while rest:
        operand, depth = rest.pop()
        below = inner(operand)
        if below is None:
            yield operand
            continue
        if depth > _LONGEST_CHAIN:
            raise FilterError(f"the filter is nested more than {_LONGEST_CHAIN:,} deep")
        rest += [(each, depth + 1) for each in reversed(below)]
