"""Points on a line: the bits of their cells interleaved (z-order), and the ranges of that line which cover a box."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.secondary import _encoding as code
from valkey_vector.secondary._members import shown, text_bytes

__all__ = ["Coordinate", "Dimension", "Grid"]

Coordinate: TypeAlias = int | float

MOST_BITS = 64
"""Bits of the cells of one dimension."""

_LARGEST_FLOAT = 1e300


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension of a `SpatialIndex`.

    If all three numbers are whole the coordinates are whole numbers, otherwise floats. Coordinates are stored exactly;
    `precision` decides only how finely the index separates them. Choose it near the size of the smallest boxes.

    Attributes:
        name: any non-empty text.
        minimum: smallest coordinate.
        maximum: largest coordinate.
        precision: width of a cell, above 0; there may be up to 2^64 cells.

    Raises:
        ConfigurationError: the numbers are not finite, not in order, or make too many cells.
    """

    name: str
    minimum: Coordinate
    maximum: Coordinate
    precision: Coordinate = 1

    def __post_init__(self) -> None:
        text_bytes(self.name, "dimension name")
        numbers = (self.minimum, self.maximum, self.precision)
        if not all(map(_is_number, numbers)):
            raise ConfigurationError(
                f"dimension {self.name!r}: minimum, maximum and precision must be finite numbers, not {numbers!r}"
            )
        if self.minimum >= self.maximum or self.precision <= 0:
            raise ConfigurationError(
                f"dimension {self.name!r}: the maximum must be above the minimum, and precision above 0, not {numbers!r}"
            )
        if not self.whole and any(abs(number) > _LARGEST_FLOAT for number in numbers[:2]):
            raise ConfigurationError(
                f"dimension {self.name!r}: coordinates of floats must be within {_LARGEST_FLOAT}"
            )
        if not self.whole and self.maximum - self.minimum > self.precision * 2.0**MOST_BITS:
            cells = MOST_BITS + 1
        else:
            cells = self.bits
        if cells > MOST_BITS:
            raise ConfigurationError(
                f"dimension {self.name!r} has more than 2^{MOST_BITS} cells; choose a larger precision"
            )

    @property
    def whole(self) -> bool:
        """Whether its coordinates are whole numbers."""
        return all(isinstance(x, int) for x in (self.minimum, self.maximum, self.precision))

    @property
    def bits(self) -> int:
        """Bits of the number of its last cell, at least one."""
        return max(1, self._cell(self.maximum).bit_length())

    def check(self, value: Any) -> Coordinate:
        """A coordinate as it is stored.

        Raises:
            InvalidInputError: it is not a number of this dimension, or outside its range.
        """
        if not _is_number(value) or (self.whole and not isinstance(value, int)):
            kind = "a whole number" if self.whole else "a finite number"
            raise InvalidInputError(f"dimension {self.name!r}: {shown(value)} is not {kind}")
        if not self.minimum <= value <= self.maximum:
            raise InvalidInputError(
                f"dimension {self.name!r}: {shown(value)} is not between {self.minimum!r} and {self.maximum!r}; "
                "declare a wider range"
            )
        if self.whole:
            return int(value)
        if float(value) != value:
            raise InvalidInputError(
                f"dimension {self.name!r}: no float is exactly {shown(value)}; declare whole numbers"
            )
        return float(value) + 0.0

    def cell(self, value: Coordinate) -> int:
        """The number of the cell that a coordinate is in; never smaller for a larger coordinate."""
        if value <= self.minimum:
            return 0
        return self._cell(min(value, self.maximum))

    def _cell(self, value: Coordinate) -> int:
        if self.whole:
            return int((value - self.minimum) // self.precision)
        return math.floor((value - self.minimum) / self.precision)


@dataclass(frozen=True, slots=True)
class _Block:
    """A part of the line whose points are a box of cells: those that share the first bits."""

    z: int
    depth: int
    low: tuple[int, ...]
    high: tuple[int, ...]


class Grid:
    """The cells of several dimensions, on one line.

    Args:
        dimensions: 2 to 8.
    """

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self.dimensions = tuple(dimensions)
        self._bits = max(dimension.bits for dimension in self.dimensions)
        # Dimensions with fewer cells are stretched, so that a block is as wide in each, relative to its range.
        self._shifts = [self._bits - dimension.bits for dimension in self.dimensions]
        self._depth = self._bits * len(self.dimensions)
        self.size = (self._depth + 7) // 8
        """Bytes of a position."""

    def cells(self, point: Sequence[Coordinate]) -> tuple[int, ...]:
        """The cells of a point, stretched."""
        return tuple(
            dimension.cell(value) << shift
            for dimension, value, shift in zip(self.dimensions, point, self._shifts, strict=True)
        )

    def position(self, point: Sequence[Coordinate]) -> bytes:
        """Where a point lies on the line: the bits of its cells, interleaved."""
        rows = [format(cell, f"0{self._bits}b") for cell in self.cells(point)]
        interleaved = "".join(bit for column in zip(*rows, strict=True) for bit in column)
        return int(interleaved, 2).to_bytes(self.size, "big")

    def ranges(
        self, low: Sequence[Coordinate], high: Sequence[Coordinate], most: int
    ) -> list[tuple[bytes, bytes]]:
        """First and last positions of ranges that cover a box, in order, none touching the next.

        Splits the largest block that is partly outside, until the number of blocks reaches the bound. So few ranges
        cover more than the box, and many only its cells.

        Args:
            low: smallest coordinates.
            high: largest coordinates.
            most: ranges, at the most.
        """
        first = self.cells(low)
        # A stretched cell is several: the box ends with the last of them.
        last = tuple(
            cell + (1 << shift) - 1
            for cell, shift in zip(self.cells(high), self._shifts, strict=True)
        )
        top = (1 << self._bits) - 1
        root = _Block(0, 0, (0,) * len(first), (top,) * len(first))
        done: list[_Block] = []
        waiting: list[tuple[int, int, _Block]] = [(0, 0, root)]
        while waiting and len(done) + len(waiting) < max(2, most):
            _, _, block = heapq.heappop(waiting)
            for half in self._halves(block):
                if _apart(half, first, last):
                    continue
                if half.depth == self._depth or _inside(half, first, last):
                    done.append(half)
                else:
                    heapq.heappush(waiting, (half.depth, half.z, half))
        blocks = sorted(
            [*done, *(block for _, _, block in waiting)], key=lambda b: b.z << self._depth - b.depth
        )
        return [
            (start.to_bytes(self.size, "big"), end.to_bytes(self.size, "big"))
            for start, end in _joined(self._spans(blocks), most)
        ]

    def _halves(self, block: _Block) -> Iterator[_Block]:
        """The two halves of a block, cut in the dimension whose turn it is."""
        at = block.depth % len(self.dimensions)
        low, high = block.low[at], block.high[at]
        middle = (low + high) // 2
        yield _Block(
            block.z << 1,
            block.depth + 1,
            block.low,
            (*block.high[:at], middle, *block.high[at + 1 :]),
        )
        yield _Block(
            block.z << 1 | 1,
            block.depth + 1,
            (*block.low[:at], middle + 1, *block.low[at + 1 :]),
            block.high,
        )

    def _spans(self, blocks: Sequence[_Block]) -> Iterator[tuple[int, int]]:
        for block in blocks:
            rest = self._depth - block.depth
            yield block.z << rest, ((block.z + 1) << rest) - 1

    def encode(self, point: Sequence[Coordinate]) -> bytes:
        """A point as an entry begins with it: its position, and its exact coordinates."""
        coordinates = [
            code.encode_int(int(value)) if dimension.whole else code.encode_float(value)
            for dimension, value in zip(self.dimensions, point, strict=True)
        ]
        return self.position(point) + b"".join(coordinates)

    def decode(self, entry: bytes) -> tuple[tuple[Coordinate, ...], int]:
        """The point that an entry begins with, and where the member begins.

        Raises:
            ValueError, IndexError, struct.error: it begins with no point.
        """
        at, point = self.size, []
        for dimension in self.dimensions:
            value, at = (code.decode_int if dimension.whole else code.decode_float)(entry, at)
            point.append(value)
        return tuple(point), at


def _apart(block: _Block, first: Sequence[int], last: Sequence[int]) -> bool:
    return any(
        high < start or low > end
        for low, high, start, end in zip(block.low, block.high, first, last, strict=True)
    )


def _inside(block: _Block, first: Sequence[int], last: Sequence[int]) -> bool:
    return all(
        start <= low and high <= end
        for low, high, start, end in zip(block.low, block.high, first, last, strict=True)
    )


def _joined(spans: Iterator[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """Spans with those that touch made one; then the nearest made one, until there are no more than allowed."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and joined[-1][1] + 1 == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    while len(joined) > most:
        at = min(range(1, len(joined)), key=lambda i: joined[i][0] - joined[i - 1][1])
        joined[at - 1 : at + 1] = [(joined[at - 1][0], joined[at][1])]
    return joined
