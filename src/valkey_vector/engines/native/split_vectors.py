"""Vectors of which their 8-bit codes are a part: codes and exact vectors in the memory of the vectors alone.

A code, times the step of its row, is close to the number that it stands for. So with the lower three bytes of a float32, the
code says what the upper byte is. Only for numbers that the code 0 stands for is the upper byte stored, too. Which these are
is found by decoding each number, so no number is ever changed.

Each block of rows is rearranged in its own memory: the codes of all its rows, then the third bytes of all their numbers,
then the lower two.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from valkey_vector.records.vectors import Float32Array

__all__ = ["Codes", "SplitVectors"]

Codes = NDArray[np.int8]
_Bytes = NDArray[np.uint8]
_Rows = NDArray[np.intp]

_NUMBERS = 1 << 22
"""Largest number of numbers that are rearranged together."""

_MOST_STORED = 0.04
"""Largest share of upper bytes that are stored. Each takes three bytes, and copies of all codes a quarter of the vectors."""

_LARGEST_DIMENSION = 1 << 16
"""Columns of stored bytes have two bytes."""

_TOGETHER = 128
"""Rows that are examined together, so that they stay in the cache of the processor."""

_LEAST_STEP = 1e-30
"""Products of codes with smaller steps can be too small for a normal float32."""

_UPPER, _LOWER = np.uint32(0xFF00_0000), np.uint32(0x00FF_FFFF)
_HALF = np.uint32(0x0080_0000)


@dataclass(frozen=True, slots=True)
class _Block:
    """A block that is ready to be rearranged.

    Attributes:
        first: its first row.
        content: its bytes in their new order.
        steps: for each row what one code stands for.
        sizes: for each row the number of stored bytes.
        columns: the column of each stored byte.
        uppers: the stored bytes.
    """

    first: int
    content: _Bytes
    steps: Float32Array
    sizes: NDArray[np.intp]
    columns: NDArray[np.uint16]
    uppers: _Bytes


class SplitVectors:
    """The first rows of an array of vectors, in whole blocks. Not thread-safe.

    The caller owns the array, passes it to each method, and may copy all its bytes to a larger one.

    Args:
        dimension: length of the vectors.

    Attributes:
        rows: number of rows that are split.
        block: number of rows of a block, a power of two.
        possible: False if no further block can be split.
    """

    def __init__(self, dimension: int) -> None:
        self.rows = 0
        self.block = 1 << max(1, _NUMBERS // dimension).bit_length() - 1
        self.possible = sys.byteorder == "little" and dimension <= _LARGEST_DIMENSION
        self._dimension = dimension
        self._steps = array("f")
        self._starts = array("q", (0,))
        self._columns, self._uppers = array("H"), array("B")
        self._ready: _Block | None = None

    def add(self, vectors: Float32Array, codes: Codes, steps: Float32Array) -> bool:
        """Split the next block; return False if that is not worth it.

        Args:
            vectors: the array with all rows.
            codes: the codes of the block.
            steps: for each row of the block what one code stands for.
        """
        self.finish(vectors)
        # Without a number whose product with a code may be rounded to 0, in which threads can differ.
        if not self.possible or ((steps > 0) & (steps < _LEAST_STEP)).any():
            self.possible = False
            return False
        block = vectors[self.rows : self.rows + self.block].view(np.uint32)
        content = np.empty((4, *block.shape), dtype=np.uint8)
        halves = content[2:].reshape(-1).view(np.uint16).reshape(block.shape)
        sizes = np.empty(self.block, dtype=np.intp)
        columns: list[NDArray[np.uint16]] = []
        uppers: list[_Bytes] = []
        for start in range(0, self.block, _TOGETHER):
            rows = slice(start, start + _TOGETHER)
            bits = block[rows]
            lower = bits & _LOWER
            unknown = _joined(codes[rows], steps[rows], lower) != bits
            content[0, rows] = codes[rows].view(np.uint8)
            content[1, rows] = lower >> np.uint32(16)
            halves[rows] = lower & np.uint32(0xFFFF)
            sizes[rows] = np.count_nonzero(unknown, axis=1)
            at = np.flatnonzero(unknown)
            columns.append((at % self._dimension).astype(np.uint16))
            uppers.append((bits.reshape(-1).take(at) >> np.uint32(24)).astype(np.uint8))
        if sizes.sum() > _MOST_STORED * block.size:
            self.possible = False
            return False
        stored = np.concatenate(columns), np.concatenate(uppers)
        self._ready = _Block(self.rows, content, steps.copy(), sizes, *stored)
        self.finish(vectors)
        return True

    def finish(self, vectors: Float32Array) -> None:
        """Rearrange the block that is ready, if there is one. After an interruption, the next call begins again."""
        block = self._ready
        if block is None:
            return
        first, stored = block.first, self._starts[block.first]
        del self._steps[first:], self._starts[first + 1 :]
        del self._columns[stored:], self._uppers[stored:]
        vectors[first : first + self.block].reshape(-1).view(np.uint8)[:] = block.content.reshape(
            -1
        )
        ends = np.cumsum(block.sizes, dtype=np.int64) + stored
        self._steps.frombytes(block.steps.tobytes())
        self._starts.frombytes(ends.tobytes())
        self._columns.frombytes(block.columns.tobytes())
        self._uppers.frombytes(block.uppers.tobytes())
        self.rows = first + self.block
        self._ready = None

    def parts(self, vectors: Float32Array, part: slice) -> Iterator[Codes]:
        """Return the codes of a range of split rows, as arrays that share the memory of the vectors."""
        lines = self._lines(vectors)
        start = part.start
        while start < part.stop:
            block = start - start % self.block
            stop = min(part.stop, block + self.block)
            yield lines[3 * block + start : 3 * block + stop].view(np.int8)
            start = stop

    def codes(self, vectors: Float32Array, rows: _Rows) -> Codes:
        """Return the codes of split rows."""
        return (
            self._lines(vectors).take(3 * (rows - rows % self.block) + rows, axis=0).view(np.int8)
        )

    def exact(self, vectors: Float32Array, rows: _Rows) -> Float32Array:
        """Return the vectors of split rows."""
        blocks = rows - rows % self.block
        lines = self._lines(vectors)
        lower = lines.take(3 * blocks + self.block + rows, axis=0).astype(np.uint32)
        lower <<= np.uint32(16)
        halves = vectors.reshape(-1).view(np.uint16).reshape(-1, self._dimension)
        lower |= halves.take(blocks + self.block + rows, axis=0)
        steps = np.frombuffer(self._steps, dtype=np.float32).take(rows)
        found = _joined(self.codes(vectors, rows), steps, lower)
        first = np.frombuffer(self._starts, dtype=np.int64).take(rows)
        sizes = np.frombuffer(self._starts, dtype=np.int64).take(rows + 1) - first
        # The positions of all stored bytes of these rows: their ranges one after the other.
        at = np.arange(sizes.sum()) + np.repeat(first - np.cumsum(sizes) + sizes, sizes)
        owners = np.repeat(np.arange(len(rows)), sizes)
        columns = np.frombuffer(self._columns, dtype=np.uint16).take(at)
        uppers = np.frombuffer(self._uppers, dtype=np.uint8).take(at).astype(np.uint32)
        found[owners, columns] = lower[owners, columns] | uppers << np.uint32(24)
        return found.view(np.float32)

    def _lines(self, vectors: Float32Array) -> _Bytes:
        """The memory of the vectors, as rows of as many bytes as a vector has numbers."""
        return vectors.reshape(-1).view(np.uint8).reshape(-1, self._dimension)


def _joined(codes: Codes, steps: Float32Array, lower: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the bits closest to those of `codes * steps` that have these lower three bytes."""
    near = codes.astype(np.float32)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        near *= steps[:, np.newaxis]
    bits = near.view(np.uint32)
    bits -= lower
    bits += _HALF
    bits &= _UPPER
    bits += lower
    return bits
