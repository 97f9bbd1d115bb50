"""Nesting of filters: the depth limit, and flat iteration over a chain of one operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from valkey_vector.errors import FilterError

__all__ = ["DEEPEST", "check_depth", "unchained"]

_T = TypeVar("_T")

DEEPEST = 100
"""Maximum depth of a filter. Recursion over a deeper one would exhaust the stack."""

_LONGEST_CHAIN = 10_000


def check_depth(depth: int) -> None:
    """Check the nesting depth of a filter.

    Args:
        depth: number of levels above this one, >= 0.

    Raises:
        FilterError: the filter is nested too deep.
    """
    if depth > DEEPEST:
        raise FilterError(f"the filter is nested more than {DEEPEST} deep")


def unchained(operands: Iterable[_T], inner: Callable[[_T], Sequence[_T] | None]) -> Iterator[_T]:
    """Flatten nested uses of one operator, ``or`` or ``and``: yield all operands in order.

    ``{"$or": [{"$or": [{"$or": [a, b]}, c]}, d]}``, as `functools.reduce` builds it, has the operands a, b, c and d.

    Args:
        operands: operands of the outermost operator.
        inner: returns the operands of an operand that is the same operator, otherwise None.

    Raises:
        FilterError: the chain is longer than the limit, or endless.
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
