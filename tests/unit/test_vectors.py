"""Vectors are checked and encoded alike, however a caller passes them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from valkey_vector.errors import InvalidInputError
from valkey_vector.records.vectors import check_vector, check_vectors, packed_vectors

floats = st.floats(allow_nan=True, allow_infinity=True, width=64)


def outcome(encode: Callable[[], bytes]) -> bytes | str:
    try:
        return encode()
    except InvalidInputError as error:
        return str(error)


@given(st.lists(floats, min_size=1, max_size=20))
def test_a_list_of_floats_is_encoded_as_the_array_of_it(numbers: list[float]) -> None:
    def of_array() -> bytes:
        encoded: bytes = check_vectors([np.array(numbers)], None, ["it"])[0].tobytes()
        return encoded

    def of_one() -> bytes:
        return check_vector(numbers, None, "it").tobytes()

    def of_list() -> bytes:
        return packed_vectors([numbers], None, ["it"])[0]

    assert len({outcome(encode) for encode in (of_array, of_one, of_list)}) == 1


@pytest.mark.parametrize(
    "vector",
    [
        [1, 2, 3],
        [True, 0.5, 2],
        [Decimal("0.5"), 1.0, 2.0],
        [Fraction(1, 2), 1.0, 2.0],
        [np.float32(0.5), np.float64(1.5), 2.0],
        (0.5, 1.5, 2.0),
        np.array([0.5, 1.5, 2.0]),
    ],
)
def test_any_numbers_are_accepted(vector: Any) -> None:
    expected = struct.pack("<3f", *map(float, vector))
    assert check_vector(vector, 3, "it").tobytes() == expected
    assert packed_vectors([vector], 3, ["it"]) == [expected]


@pytest.mark.parametrize(
    "vector",
    [
        [],
        ["a", "b", "c"],
        [None, 1.0, 2.0],
        [[1.0], [2.0], [3.0]],
        [np.ones(1), np.ones(1), np.ones(1)],
        [0.5, np.ones(1), 0.5],
        [float("nan"), 1.0, 2.0],
        [float("inf"), float("-inf"), 2.0],
        [1e39, 1.0, 2.0],
        [10**400, 1.0, 2.0],
        [1.0, 2.0],
        "abc",
        7,
    ],
)
def test_anything_else_is_refused_by_name(vector: Any) -> None:
    with pytest.raises(InvalidInputError, match="the vector of it"):
        check_vector(vector, 3, "it")
    with pytest.raises(InvalidInputError, match="the vector of it"):
        packed_vectors([[1.0, 2.0, 3.0], vector], 3, ["the first", "it"])


def test_vectors_of_one_call_have_the_length_of_the_first() -> None:
    with pytest.raises(InvalidInputError, match="the vector of b has 1 dimensions"):
        packed_vectors([[1.0, 2.0], [1.0]], None, ["a", "b"])


def test_sums_beyond_a_double_do_not_refuse_finite_numbers() -> None:
    large = [3e38] * 4
    assert check_vector(large, 4, "it").tobytes() == struct.pack("<4f", *large)
