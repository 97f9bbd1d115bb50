"""Rounding to FLOAT16 and BFLOAT16, compared with an oracle that knows every number of the types."""

from __future__ import annotations

import math
from bisect import bisect_left
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from valkey_vector import InvalidInputError
from valkey_vector.records.vectors import (
    DataType,
    element_size,
    pack_vector,
    packed_vectors,
    rounded,
    unpack_vector,
    widened,
)

SHAPES: dict[DataType, tuple[int, int]] = {"FLOAT16": (5, 10), "BFLOAT16": (8, 7)}
"""Bits of exponent and fraction."""

TYPES = list(SHAPES)

singles = st.floats(width=32, allow_nan=False, allow_infinity=False)


def power_of_two(exponent: int) -> Fraction:
    return Fraction(2**exponent) if exponent >= 0 else Fraction(1, 2**-exponent)


def value_of(bits: int, data_type: DataType) -> Fraction:
    """The number of 16 bits without their sign; its successor for the first bits of infinity."""
    exponent_bits, fraction_bits = SHAPES[data_type]
    bias = 2 ** (exponent_bits - 1) - 1
    exponent, fraction = bits >> fraction_bits, bits & (2**fraction_bits - 1)
    if exponent == 0:
        return Fraction(fraction, 2**fraction_bits) * power_of_two(1 - bias)
    return (1 + Fraction(fraction, 2**fraction_bits)) * power_of_two(exponent - bias)


@cache
def numbers(data_type: DataType) -> list[Fraction]:
    """All numbers of a type that are not negative, by their bits; the last one stands for infinity."""
    exponent_bits, fraction_bits = SHAPES[data_type]
    infinity = (2**exponent_bits - 1) << fraction_bits
    return [value_of(bits, data_type) for bits in range(infinity + 1)]


def nearest_bits(number: float, data_type: DataType) -> int:
    """The bits of the nearest number, of two equally near ones the even one."""
    known, size = numbers(data_type), abs(Fraction(number))
    above = min(bisect_left(known, size), len(known) - 1)
    around = (max(above - 1, 0), above)
    bits = min(around, key=lambda each: (abs(known[each] - size), each & 1))
    return bits | (0x8000 if math.copysign(1, number) < 0 else 0)


@pytest.mark.parametrize("data_type", TYPES)
@given(number=singles)
@example(number=0.0)
@example(number=-0.0)
@example(number=1.0009765625 - 2**-12)  # between two numbers of FLOAT16
@example(number=1 + 2**-8)  # halfway between two numbers of BFLOAT16: the even one is 1
@example(number=1 + 3 * 2**-8)  # halfway: the even one is 1 + 2**-6
@example(number=1 + 2**-11)  # halfway in FLOAT16
@example(number=1 + 3 * 2**-11)
@example(number=2.0**-24)  # the smallest number of FLOAT16
@example(number=2.0**-25)  # halfway to zero
@example(number=2.0**-133)  # the smallest number of BFLOAT16
@example(number=2.0**-134)
@example(number=3 * 2.0**-135)
@example(number=65504.0)
@example(number=65519.99609375)
@example(number=65520.0)  # halfway to infinity
@example(number=3.3895313892515355e38)
@example(number=3.4028234663852886e38)
def test_a_number_is_rounded_to_the_nearest_one_ties_to_even(
    data_type: DataType, number: float
) -> None:
    bits = nearest_bits(number, data_type)
    infinite = (bits & 0x7FFF) == len(numbers(data_type)) - 1
    result = rounded([number], data_type)
    assert result.dtype == np.float32
    if infinite:
        assert math.isinf(result[0])
        with pytest.raises(
            InvalidInputError, match=rf"record 'a' holds a value beyond {data_type}"
        ):
            packed_vectors([[0.0], [number]], 1, ["record 'b'", "record 'a'"], data_type=data_type)
        return
    expected = bits.to_bytes(2, "little")
    assert packed_vectors([[number]], 1, ["record 'a'"], data_type=data_type) == [expected]
    assert pack_vector(result, data_type) == expected
    exact = float(numbers(data_type)[bits & 0x7FFF])
    assert abs(float(result[0])) == exact
    assert np.signbit(result[0]) == bool(bits & 0x8000)


@pytest.mark.parametrize("data_type", TYPES)
@given(bits=st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=20))
def test_stored_numbers_are_read_exactly_and_stay_when_they_are_written_again(
    data_type: DataType, bits: list[int]
) -> None:
    infinity = len(numbers(data_type)) - 1
    bits = [each if each & 0x7FFF < infinity else 0 for each in bits]
    stored = np.array(bits, dtype="<u2").tobytes()
    read = unpack_vector(stored, data_type)
    expected = [
        float(numbers(data_type)[each & 0x7FFF]) * (-1 if each & 0x8000 else 1) for each in bits
    ]
    assert read.tolist() == expected
    assert widened(stored, data_type) == read.astype("<f4").tobytes()
    assert packed_vectors([read], None, ["record 'a'"], data_type=data_type) == [stored]
    assert packed_vectors([read.tolist()], None, ["record 'a'"], data_type=data_type) == [stored]


@given(vectors=st.lists(st.lists(singles, min_size=3, max_size=3), max_size=5))
def test_float32_is_stored_as_before(vectors: list[list[float]]) -> None:
    owners = [f"record {n}" for n in range(len(vectors))]
    expected = [np.array(each, dtype="<f4").tobytes() for each in vectors]
    assert packed_vectors(vectors, 3, owners) == expected
    assert packed_vectors([np.array(v) for v in vectors], 3, owners, "i", "FLOAT32") == expected


@pytest.mark.parametrize("data_type", TYPES)
@given(data=st.binary(max_size=9))
def test_bytes_that_are_no_vector_of_the_type_stay(data_type: DataType, data: bytes) -> None:
    found = widened(data, data_type)
    assert found == data if len(data) % 2 else len(found) == 2 * len(data)
    assert widened(data, "FLOAT32") is data
    assert element_size(data_type) == 2
