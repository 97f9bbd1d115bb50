"""Reducers: accumulate the rows of a group one at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol, assert_never

from valkey_vector.execution.aggregation.rows import Line, group_key, place, shown, simplest
from valkey_vector.query.aggregate import (
    Average,
    Count,
    CountDistinct,
    Distinct,
    FirstValue,
    Maximum,
    Minimum,
    Reducer,
    StandardDeviation,
    Sum,
)
from valkey_vector.records.ordering import is_orderable, sort_key

__all__ = ["Accumulator", "accumulator"]

_BITS = 200
"""Precision of a square root in bits, before it is rounded to the 53 bits of a float."""


class Accumulator(Protocol):
    """Accumulates the rows of a group."""

    def add(self, row: Line) -> None:
        """Add a row."""
        ...

    def result(self) -> Any:
        """The result for the rows added so far."""
        ...


def accumulator(reducer: Reducer) -> Accumulator:
    """Create an accumulator for a group."""
    match reducer:
        case Count():
            return _Counter()
        case CountDistinct(path):
            return _Different(path, len)
        case Distinct(path):
            return _Different(path, lambda values: sorted(values, key=place))
        case Sum(path):
            return _Numbers(path, _Numbers.total)
        case Average(path):
            return _Numbers(path, _Numbers.mean)
        case StandardDeviation(path, ddof):
            return _Numbers(path, lambda numbers: numbers.deviation(ddof))
        case Minimum(path):
            return _First(path, path, lambda new, best: new < best)
        case Maximum(path):
            return _First(path, path, lambda new, best: new > best)
        case FirstValue(path, None):
            return _First(path, None, lambda _new, _best: False)
        case FirstValue(path, by, descending):
            return _First(path, by, _after if descending else _before, every=True)
        case _:
            assert_never(reducer)


class _Counter:
    def __init__(self) -> None:
        self._count = 0

    def add(self, row: Line) -> None:  # noqa: ARG002 - part of the protocol
        self._count += 1

    def result(self) -> int:
        return self._count


class _Different:
    """The distinct values of an item."""

    def __init__(self, path: str, result: Callable[[list[Any]], Any]) -> None:
        self._path = path
        self._values: dict[Any, Any] = {}
        self._result = result

    def add(self, row: Line) -> None:
        value = row.present(self._path)
        if value is not None:
            key, spelled = group_key(value), shown(value)
            self._values[key] = simplest(self._values.get(key, spelled), spelled)

    def result(self) -> Any:
        return self._result(list(self._values.values()))


class _First:
    """The item of the row that is first in the order of another item, or the first row.

    Args:
        path: the item to return.
        by: the item to order by; None for the order of the rows.
        wins: returns True if the key of a new row comes before the best key so far.
        every: include rows without an orderable `by`, after all others.
    """

    def __init__(
        self, path: str, by: str | None, wins: Callable[[Any, Any], bool], *, every: bool = False
    ) -> None:
        self._path, self._by, self._wins, self._every = path, by, wins, every
        self._best: Any = None
        self._value: Any = None

    def add(self, row: Line) -> None:
        if self._by is None:
            key: Any = ()
        else:
            value = row.present(self._by)
            if not self._every and not is_orderable(value):
                return
            key = None if value is None else sort_key(value)
            if self._every:
                key = (key is None, key)
        if self._best is None or self._wins(key, self._best):
            self._best, self._value = key, row.present(self._path)

    def result(self) -> Any:
        return self._value


def _before(new: tuple[bool, Any], best: tuple[bool, Any]) -> bool:
    return not new[0] and (best[0] or new[1] < best[1])


def _after(new: tuple[bool, Any], best: tuple[bool, Any]) -> bool:
    return not new[0] and (best[0] or new[1] > best[1])


class _Numbers:
    """Exact sums of numbers and of their squares, as integers over powers of two like in `statistics`."""

    def __init__(self, path: str, result: Callable[[_Numbers], Any]) -> None:
        self._path = path
        self._result = result
        self._count = 0
        self._whole = True
        self._infinite = 0.0
        self._sums: dict[int, int] = {}
        self._squares: dict[int, int] = {}

    def add(self, row: Line) -> None:
        value = row.present(self._path)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value != value:
            return
        self._count += 1
        if isinstance(value, float):
            self._whole = False
            if math.isinf(value):
                self._infinite += value
                return
        numerator, denominator = value.as_integer_ratio()
        self._sums[denominator] = self._sums.get(denominator, 0) + numerator
        square = denominator * denominator
        self._squares[square] = self._squares.get(square, 0) + numerator * numerator

    def result(self) -> Any:
        return self._result(self)

    def total(self) -> float:
        if self._infinite:
            return self._infinite
        exact = _added(self._sums)
        return exact.numerator if self._whole else _rounded(exact)

    def mean(self) -> float | None:
        if not self._count or self._infinite:
            return self._infinite or None
        return _rounded(_added(self._sums) / self._count)

    def deviation(self, ddof: int) -> float | None:
        if self._count <= ddof:
            return None
        if self._infinite:
            return math.nan
        total = _added(self._sums)
        squares = _added(self._squares) - total * total / self._count
        return _root(squares / (self._count - ddof))


def _added(parts: dict[int, int]) -> Fraction:
    return sum((Fraction(part, denominator) for denominator, part in parts.items()), Fraction())


def _rounded(exact: Fraction) -> float:
    """The nearest float; infinity if the value is too large."""
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _root(exact: Fraction) -> float:
    numerator, denominator = exact.numerator, exact.denominator
    shift = max(0, 2 * _BITS - (numerator.bit_length() - denominator.bit_length()))
    shift += shift & 1
    return _rounded(Fraction(math.isqrt((numerator << shift) // denominator), 1 << shift // 2))
