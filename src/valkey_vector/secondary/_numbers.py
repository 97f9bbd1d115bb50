"""Numbers of a `NumericIndex`: exact as scores of a sorted set if possible, otherwise encoded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from valkey_vector.errors import InvalidInputError
from valkey_vector.secondary._bounds import Bounds, after_prefix, lex_bounds
from valkey_vector.secondary._encoding import (
    MAX_EXPONENT,
    decode_decimal,
    encode_decimal,
)

__all__ = [
    "Number",
    "RangeArguments",
    "as_score",
    "check_number",
    "decode_number",
    "encode_number",
    "score_text",
    "to_int_if_integral",
]

Number: TypeAlias = int | float | Decimal

_LOWEST, _HIGHEST = b"\x00", b"\xff"
_LARGEST = math.ldexp(1.0, 1023) * (2 - 2**-52)


def check_number(value: Any, what: str = "value") -> Number:
    """Return the number if it can be ordered.

    Raises:
        InvalidInputError: the value is not an int, float or Decimal, is NaN, or has more than 4,000 digits.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise InvalidInputError(f"a {what} must be an int, float or Decimal, not {value!r}")
    if (isinstance(value, Decimal) and value.is_nan()) or value != value:
        raise InvalidInputError(f"a {what} must not be NaN, which cannot be ordered")
    if isinstance(value, int) and value.bit_length() > MAX_EXPONENT * 3.32:
        raise InvalidInputError(
            f"a {what} can have at most {MAX_EXPONENT} digits; this one has more"
        )
    encode_number(value)
    return value


def as_score(value: Number) -> float | None:
    """Return the score that equals a number, or None if there is none."""
    score = _nearest(value)
    return score if score == value else None


def encode_number(value: Number) -> bytes:
    """Encode a number so that the order of the bytes is the order of the numbers."""
    if value in (math.inf, -math.inf):
        return _HIGHEST if value > 0 else _LOWEST
    return encode_decimal(Decimal(value))


def decode_number(data: bytes, at: int = 0) -> tuple[Number, int]:
    """Decode the result of `encode_number`. Integral numbers are returned as int."""
    if data[at : at + 1] in (_LOWEST, _HIGHEST):
        return math.inf if data[at] else -math.inf, at + 1
    exact, end = decode_decimal(data, at)
    return to_int_if_integral(exact), end


def to_int_if_integral(value: float | Decimal) -> Number:
    """Convert a number into an int if it is integral."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    return int(value) if value == value.to_integral_value() else value


@dataclass(frozen=True, slots=True)
class RangeArguments:
    """Range of numbers as arguments of the scripts: bounds of the scores and of the lexicographic entries.

    Attributes:
        below: upper bound, for ZCOUNT, of the scores below the range.
        low: lower bound of the scores.
        high: upper bound of the scores.
        lex: bounds of the entries.
    """

    below: bytes
    low: bytes
    high: bytes
    lex: tuple[bytes, bytes]

    @classmethod
    def of(cls, bounds: Bounds[Number]) -> RangeArguments:
        """Create the arguments of a range."""
        low, high = bounds.low, bounds.high
        start = b"-inf" if low is None else _low_score(low, bounds.with_low)
        end = b"+inf" if high is None else _high_score(high, bounds.with_high)
        lex_low = None if low is None else _edge(low, above=not bounds.with_low)
        lex_high = None if high is None else _edge(high, above=bounds.with_high)
        below = start[1:] if start.startswith(b"(") else b"(" + start
        return cls(below, start, end, lex_bounds(lex_low, lex_high))


def _edge(value: Number, *, above: bool) -> bytes | None:
    """Bound below, or above, the entries of a value."""
    encoded = encode_number(value)
    # Only +inf has no bound above it. No entry has this value, so one more byte is a bound.
    return (after_prefix(encoded) or encoded + b"\xff") if above else encoded


def _nearest(value: Number) -> float:
    """Return a score next to a number; the largest finite score if the number is beyond all of them."""
    try:
        score = float(value)
    except OverflowError:
        score = math.inf if value > 0 else -math.inf
    if math.isinf(score) and value not in (math.inf, -math.inf):
        return math.copysign(_LARGEST, score)
    return score + 0.0  # -0.0 becomes 0.0


def _low_score(value: Number, inclusive: bool) -> bytes:
    score = _nearest(value)
    open_end = score < value or (score == value and not inclusive)
    return (b"(" if open_end else b"") + score_text(score)


def _high_score(value: Number, inclusive: bool) -> bytes:
    score = _nearest(value)
    open_end = score > value or (score == value and not inclusive)
    return (b"(" if open_end else b"") + score_text(score)


def score_text(score: float) -> bytes:
    """Format a score so that the server parses it exactly."""
    return repr(score).encode()
