"""Rounding to FLOAT16 and BFLOAT16 and searches of such vectors, compared with an oracle that knows every number of the types."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Literal
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from servers import start_server
from valkey_vector import Connection, Flat, Index, InvalidInputError, Metric, Record, Schema
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


def near_zero_or_large(data_type: DataType) -> st.SearchStrategy[float]:
    """Subnormal, ordinary and large numbers; not so large that the distances of a server overflow."""
    large = 60_000.0 if data_type == "FLOAT16" else 2.0**50
    return st.one_of(
        st.sampled_from([0.0, 2.0**-24, -(2.0**-24), 2.0**-14, 1.0, -1.0, large, -large]),
        st.floats(-large, large, width=32),
        st.floats(-1, 1, width=32),
    )


@pytest.fixture(scope="module")
def connections() -> Iterator[dict[str, Connection]]:
    """A server for each engine; that of the search engine has all types."""
    with (
        start_server() as plain,
        start_server(search=True) as searching,
        Connection.open(plain.url) as native,
        Connection.open(searching.url) as search,
    ):
        yield {"native": native, "search": search}


@pytest.mark.wrong_dialect  # Valkey-Search 1.2.1 has FLOAT32 only
@pytest.mark.parametrize("engine", ["native", "search"])
@pytest.mark.parametrize("data_type", TYPES)
@pytest.mark.parametrize("metric", [Metric.L2, Metric.IP])
@given(data=st.data())
@settings(max_examples=10)
def test_both_engines_find_the_nearest_of_the_rounded_vectors(
    connections: dict[str, Connection],
    engine: Literal["native", "search"],
    data_type: DataType,
    metric: Metric,
    data: st.DataObject,
) -> None:
    numbers_of = st.lists(near_zero_or_large(data_type), min_size=3, max_size=3)
    vectors = data.draw(st.lists(numbers_of, min_size=1, max_size=25))
    query = data.draw(numbers_of)
    schema = Schema(dimension=3, metric=metric, data_type=data_type, algorithm=Flat())
    name = f"t{uuid4().hex}"
    index = Index.open(name, connection=connections[engine], engine=engine, schema=schema)
    try:
        index.upsert([Record(id=f"{n:02}", vector=each) for n, each in enumerate(vectors)])
        hits = index.search(query, k=5, with_vectors=True)
        exact = [
            exact_distance(as_read(each, data_type), as_read(query, data_type), metric)
            for each in vectors
        ]
        scale = max(map(abs, exact)) + 1
        assert [hit.distance for hit in hits] == pytest.approx(
            [float(each) for each in sorted(exact)[:5]], rel=1e-9, abs=float(scale) * 1e-12
        )
        for hit in hits:
            assert np.asarray(hit.record.vector).tolist() == [
                float(each) for each in as_read(vectors[int(hit.record.id)], data_type)
            ]
    finally:
        index.drop()


def as_read(vector: list[float], data_type: DataType) -> list[Fraction]:
    """The vector as it is stored, by the oracle."""
    found = [nearest_bits(number, data_type) for number in vector]
    return [numbers(data_type)[bits & 0x7FFF] * (-1 if bits & 0x8000 else 1) for bits in found]


def exact_distance(a: list[Fraction], b: list[Fraction], metric: Metric) -> Fraction:
    pairs = list(zip(a, b, strict=True))
    if metric is Metric.L2:
        return sum(((x - y) ** 2 for x, y in pairs), Fraction(0))
    return 1 - sum((x * y for x, y in pairs), Fraction(0))
