"""Columns of a `CompositeIndex`: type, direction, and the encoding of their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.secondary import _encoding as code
from valkey_vector.secondary._members import shown, text_bytes

__all__ = ["Column", "ColumnType", "ColumnValue"]

ColumnValue: TypeAlias = int | float | Decimal | str | bytes | date | datetime | bool
"""Value of a column."""

ColumnType: TypeAlias = type[ColumnValue]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a `CompositeIndex`.

    A value must have the column's type: True is not an int, and a datetime is not a date. A `float` column also accepts
    integers that a double holds exactly, and a `Decimal` column accepts integers. A datetime without a time zone is UTC.
    Datetimes are returned in UTC.

    Attributes:
        name: any non-empty text.
        type: int (below 2^1008), float (no NaN), Decimal (finite), str, bytes, date, datetime or bool.
        descending: order from the largest value to the smallest.

    Raises:
        ConfigurationError: the name is empty, or the type is not one of these.
    """

    name: str
    type: ColumnType
    descending: bool = False

    def __post_init__(self) -> None:
        text_bytes(self.name, "column name")
        if not self.name:
            raise ConfigurationError("a column must have a name")
        if self.type not in _CODECS:
            names = ", ".join(sorted(kind.__name__ for kind in _CODECS))
            raise ConfigurationError(
                f"column {self.name!r}: the type must be one of {names}, not {self.type!r}"
            )

    def encode(self, value: Any) -> bytes:
        """Encode a value so that the order of the bytes is the column's order.

        Raises:
            InvalidInputError: the value does not have the column's type.
        """
        encoded = _CODECS[self.type].encode(self._checked(value))
        return code.complement(encoded) if self.descending else encoded

    def decode(self, data: bytes, at: int) -> tuple[ColumnValue, int]:
        """Decode the value at an offset. Returns the value and the offset after it.

        Raises:
            ValueError, IndexError, OverflowError, struct.error: there is no value at the offset.
        """
        codec = _CODECS[self.type]
        if not self.descending:
            return codec.decode(data, at)
        value, length = codec.decode(code.complement(data[at:]), 0)
        return value, at + length

    def _checked(self, value: Any) -> Any:
        if self.type is float and type(value) is int and _is_double(value):
            return float(value)
        if self.type is Decimal and type(value) is int:
            return Decimal(value)
        valid = isinstance(value, self.type)
        if self.type is int or self.type is float:
            valid = valid and not isinstance(value, bool)
        if self.type is date:
            valid = valid and not isinstance(value, datetime)
        if not valid:
            raise InvalidInputError(
                f"column {self.name!r} holds {self.type.__name__}, not {shown(value)}"
            )
        return value


@dataclass(frozen=True, slots=True)
class _Codec:
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes, int], tuple[Any, int]]


def _is_double(value: int) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False


def _encode_text(value: str) -> bytes:
    return code.encode_bytes(text_bytes(value))


def _decode_text(data: bytes, at: int) -> tuple[str, int]:
    raw, end = code.decode_bytes(data, at)
    return raw.decode(), end


def _encode_bool(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def _decode_bool(data: bytes, at: int) -> tuple[bool, int]:
    if data[at] > 1:
        raise ValueError("not a boolean")
    return data[at] == 1, at + 1


_CODECS: dict[Any, _Codec] = {
    int: _Codec(code.encode_int, code.decode_int),
    float: _Codec(code.encode_float, code.decode_float),
    Decimal: _Codec(code.encode_decimal, code.decode_decimal),
    str: _Codec(_encode_text, _decode_text),
    bytes: _Codec(code.encode_bytes, code.decode_bytes),
    date: _Codec(code.encode_date, code.decode_date),
    datetime: _Codec(code.encode_datetime, code.decode_datetime),
    bool: _Codec(_encode_bool, _decode_bool),
}
