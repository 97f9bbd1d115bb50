"""Z-order curve: positions of points on a line by interleaved bits, and the ranges of the line that cover a box."""

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

MAX_BITS = 64
"""Maximum number of bits of a cell number in one dimension."""

_MAX_FLOAT = 1e300


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension of a `SpatialIndex`.

    If minimum, maximum and precision are integers, the coordinates are integers, otherwise floats. Coordinates are stored
    exactly. `precision` only sets how finely the index separates them. Choose it near the size of the smallest boxes.

    Attributes:
        name: any non-empty text.
        minimum: smallest coordinate.
        maximum: largest coordinate.
        precision: width of a cell, > 0; at most 2^64 cells are possible.

    Raises:
        ConfigurationError: the numbers are not finite or not in order, or there are too many cells.
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
        if not self.whole and any(abs(number) > _MAX_FLOAT for number in numbers[:2]):
            raise ConfigurationError(
                f"dimension {self.name!r}: float coordinates must be from -{_MAX_FLOAT} to {_MAX_FLOAT}"
            )
        if not self.whole and self.maximum - self.minimum > self.precision * 2.0**MAX_BITS:
            cells = MAX_BITS + 1
        else:
            cells = self.bits
        if cells > MAX_BITS:
            raise ConfigurationError(
                f"dimension {self.name!r} has more than 2^{MAX_BITS} cells; choose a larger precision"
            )

    @property
    def whole(self) -> bool:
        """True if the coordinates are integers."""
        return all(isinstance(x, int) for x in (self.minimum, self.maximum, self.precision))

    @property
    def bits(self) -> int:
        """Number of bits of the last cell's number, >= 1."""
        return max(1, self._cell(self.maximum).bit_length())

    def check(self, value: Any) -> Coordinate:
        """Return a coordinate in its stored form.

        Raises:
            InvalidInputError: the value is not a number of this dimension, or is outside its range.
        """
        if not _is_number(value) or (self.whole and not isinstance(value, int)):
            kind = "an integer" if self.whole else "a finite number"
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
                f"dimension {self.name!r}: no float equals {shown(value)}; declare minimum, maximum and precision as integers"
            )
        return float(value) + 0.0

    def cell(self, value: Coordinate) -> int:
        """Return the number of a coordinate's cell. It increases with the coordinate."""
        if value <= self.minimum:
            return 0
        return self._cell(min(value, self.maximum))

    def _cell(self, value: Coordinate) -> int:
        if self.whole:
            return int((value - self.minimum) // self.precision)
        return math.floor((value - self.minimum) / self.precision)


@dataclass(frozen=True, slots=True)
class _Block:
    """Section of the line whose points share their first bits. Its cells form a box."""

    z: int
    depth: int
    low: tuple[int, ...]
    high: tuple[int, ...]


class Grid:
    """Cells of several dimensions, in z-order.

    Args:
        dimensions: 2 to 8 dimensions.
    """

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self.dimensions = tuple(dimensions)
        self._bits = max(dimension.bits for dimension in self.dimensions)
        # Dimensions with fewer cells are stretched, so that a block has the same relative width in each.
        self._shifts = [self._bits - dimension.bits for dimension in self.dimensions]
        self._depth = self._bits * len(self.dimensions)
        self.size = (self._depth + 7) // 8
        """Number of bytes of a position."""

    def cells(self, point: Sequence[Coordinate]) -> tuple[int, ...]:
        """Return the stretched cells of a point."""
        return tuple(
            dimension.cell(value) << shift
            for dimension, value, shift in zip(self.dimensions, point, self._shifts, strict=True)
        )

    def position(self, point: Sequence[Coordinate]) -> bytes:
        """Return the position of a point: the interleaved bits of its cells."""
        rows = [format(cell, f"0{self._bits}b") for cell in self.cells(point)]
        interleaved = "".join(bit for column in zip(*rows, strict=True) for bit in column)
        return int(interleaved, 2).to_bytes(self.size, "big")

    def ranges(
        self, low: Sequence[Coordinate], high: Sequence[Coordinate], limit: int
    ) -> list[tuple[bytes, bytes]]:
        """Return the ranges that cover a box, in order, as first and last positions. No two ranges are adjacent.

        Splits the largest block that is partly outside the box, until the limit is reached. With a low limit the ranges
        cover more than the box; with a high limit they cover only its cells.

        Args:
            low: smallest coordinates.
            high: largest coordinates.
            limit: maximum number of ranges.
        """
        first = self.cells(low)
        # A stretched cell is several cells: the box ends with the last of them.
        last = tuple(
            cell + (1 << shift) - 1
            for cell, shift in zip(self.cells(high), self._shifts, strict=True)
        )
        top = (1 << self._bits) - 1
        root = _Block(0, 0, (0,) * len(first), (top,) * len(first))
        done: list[_Block] = []
        waiting: list[tuple[int, int, _Block]] = [(0, 0, root)]
        while waiting and len(done) + len(waiting) < max(2, limit):
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
            for start, end in _joined(self._spans(blocks), limit)
        ]

    def _halves(self, block: _Block) -> Iterator[_Block]:
        """Split a block into two halves, in the next dimension."""
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
        """Encode a point as the beginning of an entry: its position, and its exact coordinates."""
        coordinates = [
            code.encode_int(int(value)) if dimension.whole else code.encode_float(value)
            for dimension, value in zip(self.dimensions, point, strict=True)
        ]
        return self.position(point) + b"".join(coordinates)

    def decode(self, entry: bytes) -> tuple[tuple[Coordinate, ...], int]:
        """Decode the point at the beginning of an entry. Returns the point and the offset of the member.

        Raises:
            ValueError, IndexError, struct.error: the bytes do not begin with a point.
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


def _joined(spans: Iterator[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    """Merge adjacent spans; then merge the closest spans until the limit is reached."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and joined[-1][1] + 1 == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    while len(joined) > limit:
        at = min(range(1, len(joined)), key=lambda i: joined[i][0] - joined[i - 1][1])
        joined[at - 1 : at + 1] = [(joined[at - 1][0], joined[at][1])]
    return joined
