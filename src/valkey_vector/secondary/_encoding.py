"""Order-preserving encodings: the order of the bytes is the order of the values.

No encoding is a prefix of another value's encoding. So the encodings of several columns can be concatenated, and the
entries with a given value are exactly those that begin with its encoding.

========  ==========================================================================================
value     bytes
========  ==========================================================================================
bytes     the bytes, with NUL escaped as ``00 FF``, then ``00 01``
text      its UTF-8, as bytes
int       ``80`` + number of bytes, then the bytes, big endian; a negative number is the complement of its absolute value
float     8 bytes big endian, with the sign bit flipped; complemented if negative
decimal   ``80`` for zero; ``C0``, the exponent as int, the digits as ``01`` to ``0A``, then ``00``; if negative, ``3F``
          and the complement of the rest
========  ==========================================================================================
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from valkey_vector.errors import InvalidInputError
from valkey_vector.records.temporal import instant

__all__ = [
    "MAX_EXPONENT",
    "MAX_INT_BYTES",
    "complement",
    "decode_bytes",
    "decode_date",
    "decode_datetime",
    "decode_decimal",
    "decode_float",
    "decode_int",
    "encode_bytes",
    "encode_date",
    "encode_datetime",
    "encode_decimal",
    "encode_float",
    "encode_int",
]

Decoder = Callable[[bytes, int], tuple[Any, int]]
"""Takes bytes and an offset. Returns the value at the offset, and the offset after it.

Raises:
    ValueError, IndexError, struct.error: there is no value at the offset.
"""

MAX_INT_BYTES = 126
"""Maximum number of bytes of an integer."""

MAX_EXPONENT = 4000
"""Maximum number of digits before or after the decimal point."""

_END, _NUL = b"\x00\x01", b"\x00\xff"
_COMPLEMENT = bytes(255 - byte for byte in range(256))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def complement(encoded: bytes) -> bytes:
    """Return the encoding with the reverse order."""
    return encoded.translate(_COMPLEMENT)


def encode_bytes(value: bytes) -> bytes:
    """Encode bytes of any content and length."""
    return value.replace(b"\x00", _NUL) + _END


def decode_bytes(data: bytes, at: int = 0) -> tuple[bytes, int]:
    """Decode the result of `encode_bytes`."""
    end = at
    while True:
        end = data.index(b"\x00", end)
        follows = data[end + 1 : end + 2]
        if follows == b"\x01":
            return data[at:end].replace(_NUL, b"\x00"), end + 2
        if follows != b"\xff":
            raise ValueError("a NUL byte that is not escaped")
        end += 2


def encode_int(value: int) -> bytes:
    """Encode an integer of up to 126 bytes.

    Raises:
        InvalidInputError: the integer is larger.
    """
    size = (abs(value).bit_length() + 7) // 8
    if size > MAX_INT_BYTES:
        raise InvalidInputError(
            f"an integer must be below 2^{8 * MAX_INT_BYTES}; this one has {8 * size} bits"
        )
    if value < 0:
        return complement(encode_int(-value))
    return bytes([0x80 + size]) + value.to_bytes(size, "big")


def decode_int(data: bytes, at: int = 0) -> tuple[int, int]:
    """Decode the result of `encode_int`."""
    head = data[at]
    negative = head < 0x80
    size = 0x7F - head if negative else head - 0x80
    raw = data[at + 1 : at + 1 + size]
    if len(raw) < size:
        raise ValueError("truncated integer")
    value = int.from_bytes(complement(raw) if negative else raw, "big")
    return -value if negative else value, at + 1 + size


def encode_float(value: float) -> bytes:
    """Encode a float. The infinities are the first and last value.

    Raises:
        InvalidInputError: the value is NaN, which cannot be ordered.
    """
    if math.isnan(value):
        raise InvalidInputError("NaN cannot be ordered: omit the entry, or use infinity")
    raw = struct.pack(">d", value + 0.0)  # -0.0 becomes 0.0
    return complement(raw) if raw[0] & 0x80 else bytes([raw[0] | 0x80]) + raw[1:]


def decode_float(data: bytes, at: int = 0) -> tuple[float, int]:
    """Decode the result of `encode_float`."""
    raw = data[at : at + 8]
    raw = bytes([raw[0] & 0x7F]) + raw[1:] if raw[0] & 0x80 else complement(raw)
    value: float = struct.unpack(">d", raw)[0]
    return value, at + 8


def encode_decimal(value: Decimal) -> bytes:
    """Encode a decimal number. Equal numbers have the same encoding, with any number of trailing zeros.

    Raises:
        InvalidInputError: the number is not finite, or has more than 4,000 digits before or after the decimal point.
    """
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise InvalidInputError(f"a decimal number must be finite, not {value!r}")
    text = bytes(digits).strip(b"\x00") if any(digits) else b""
    if not text:
        return b"\x80"
    leading = len(digits) - len(bytes(digits).lstrip(b"\x00"))
    before = len(digits) - leading + exponent
    if before > MAX_EXPONENT or len(text) - before > MAX_EXPONENT:
        raise InvalidInputError(
            f"a number can have at most {MAX_EXPONENT} digits before and after the decimal point; this one is "
            f"10^{before} with {len(text)} digits"
        )
    rest = encode_int(before) + bytes(digit + 1 for digit in text) + b"\x00"
    return b"\x3f" + complement(rest) if sign else b"\xc0" + rest


def decode_decimal(data: bytes, at: int = 0) -> tuple[Decimal, int]:
    """Decode the result of `encode_decimal`."""
    head = data[at]
    if head == 0x80:
        return Decimal(0), at + 1
    if head not in (0x3F, 0xC0):
        raise ValueError("not a decimal number")
    negative = head == 0x3F
    body = complement(data[at + 1 :]) if negative else data[at + 1 :]
    before, begin = decode_int(body)
    end = body.index(b"\x00", begin)
    digits = tuple(byte - 1 for byte in body[begin:end])
    if abs(before) > MAX_EXPONENT or len(digits) - before > MAX_EXPONENT:
        raise ValueError("decimal number out of range")
    if not digits or max(digits) > 9:
        raise ValueError("not decimal digits")
    return Decimal((int(negative), digits, before - len(digits))), at + 1 + end + 1


def encode_date(value: date) -> bytes:
    """Encode a date."""
    return value.toordinal().to_bytes(4, "big")


def decode_date(data: bytes, at: int = 0) -> tuple[date, int]:
    """Decode the result of `encode_date`."""
    return date.fromordinal(int.from_bytes(data[at : at + 4], "big")), at + 4


def encode_datetime(value: datetime) -> bytes:
    """Encode a datetime, exact to the microsecond. Without a time zone, it is UTC."""
    return (instant(value) + (1 << 63)).to_bytes(8, "big")


def decode_datetime(data: bytes, at: int = 0) -> tuple[datetime, int]:
    """Decode the result of `encode_datetime`, in UTC."""
    raw = data[at : at + 8]
    if len(raw) < 8:
        raise ValueError("truncated datetime")
    return _EPOCH + timedelta(microseconds=int.from_bytes(raw, "big") - (1 << 63)), at + 8
