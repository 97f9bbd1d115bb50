"""Numeric fields of the native engine's replica: the rows of each field, and their numbers.

Rows are only added. Readers ignore the rows of deleted documents until `NumericColumns.pack` removes them.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.native.matrix import Mask
from valkey_vector.filters.plan import Range

__all__ = ["NumericColumns", "all_parsed"]


class NumericColumns:
    """The numeric fields of one index. Not thread-safe."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[array[int], array[float]]] = {}

    def add(self, field: str, rows: NDArray[np.integer], values: Sequence[bytes]) -> None:
        """Add values of new rows; a value that is not a number counts as absent."""
        known_rows, known_numbers = self._columns.setdefault(field, (array("I"), array("d")))
        numbers = all_parsed(values, math.nan)
        there = ~np.isnan(numbers)
        known_rows.frombytes(rows[there].astype(np.uintc).tobytes())
        known_numbers.frombytes(numbers[there].tobytes())

    def values(self, field: str, used: int) -> NDArray[np.float64]:
        """The number of each of `used` rows; NaN for rows without one."""
        values = np.full(used, np.nan)
        if field in self._columns:
            rows, numbers = self._columns[field]
            values[np.frombuffer(rows, dtype=np.uintc)] = np.frombuffer(numbers)
        return values

    def mask(self, interval: Range, used: int) -> Mask:
        """A mask of `used` rows: True for a number in the interval."""
        mask = np.zeros(used, dtype=np.bool_)
        columns = self._columns.get(interval.field)
        if columns is None or not len(columns[0]):
            return mask
        rows, values = np.frombuffer(columns[0], dtype=np.uintc), np.frombuffer(columns[1])
        low, high = interval.low, interval.high
        inside = values > low if interval.low_open else values >= low
        inside &= values < high if interval.high_open else values <= high
        first, end = int(rows[0]), int(rows[-1]) + 1
        if end - first == len(rows):  # one number for each row: faster than a list of rows
            mask[first:end] = inside
        else:
            mask[rows[inside]] = True
        return mask

    def pack(self, moved: NDArray[np.int64]) -> None:
        """Renumber the rows, and remove those without a new number (-1)."""
        for field, (rows, numbers) in self._columns.items():
            new = moved[np.frombuffer(rows, dtype=np.uintc)]
            retained = new >= 0
            self._columns[field] = (
                array("I", new[retained].astype(np.uintc).tobytes()),
                array("d", np.frombuffer(numbers)[retained].tobytes()),
            )


def all_parsed(values: Sequence[bytes], default: float) -> NDArray[np.float64]:
    """Parse fields as numbers; `default` for an invalid or NaN value."""
    try:
        numbers = np.fromiter(map(float, values), np.float64, len(values))
    except ValueError:
        numbers = np.array([_parsed(value) for value in values])
    numbers[np.isnan(numbers)] = default
    return numbers


def _parsed(value: bytes) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan
