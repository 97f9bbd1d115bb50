"""Evaluation of expressions on a row: the meaning of `valkey_vector.query.expressions`."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, assert_never

from valkey_vector.execution.aggregation.rows import Line
from valkey_vector.query.expressions import (
    Arithmetic,
    ArithmeticOperator,
    Call,
    Constant,
    Expression,
    Function,
    Item,
)
from valkey_vector.records.metadata import MISSING
from valkey_vector.records.temporal import is_temporal, parse_iso

__all__ = ["value_of"]

_LARGEST_INTEGER = 10**1000
"""Integers of this size and above cannot be stored as metadata."""

_OPERATIONS: dict[ArithmeticOperator, Callable[[Any, Any], Any]] = {
    ArithmeticOperator.ADD: operator.add,
    ArithmeticOperator.SUBTRACT: operator.sub,
    ArithmeticOperator.MULTIPLY: operator.mul,
    ArithmeticOperator.DIVIDE: operator.truediv,
    ArithmeticOperator.FLOOR_DIVIDE: operator.floordiv,
    ArithmeticOperator.MODULO: operator.mod,
    ArithmeticOperator.POWER: operator.pow,
}
_OF_NUMBERS: dict[Function, Callable[[Any], Any]] = {
    Function.ABS: abs,
    Function.FLOOR: math.floor,
    Function.CEIL: math.ceil,
    Function.ROUND: round,
    Function.SQRT: math.sqrt,
    Function.LOG: math.log,
    Function.LOG2: math.log2,
    Function.EXP: math.exp,
}
_OF_MOMENTS: dict[Function, Callable[[datetime], int]] = {
    Function.YEAR: lambda moment: moment.year,
    Function.MONTH: lambda moment: moment.month,
    Function.DAY: lambda moment: moment.day,
    Function.HOUR: lambda moment: moment.hour,
    Function.WEEKDAY: datetime.isoweekday,
}


def value_of(expression: Expression, row: Line) -> Any:
    """Evaluate an expression; None if it has no result for the row."""
    match expression:
        case Item(path, source):
            found = row.item(path, source)
            return None if found is MISSING else found
        case Constant(value):
            return value
        case Arithmetic(operation, left, right):
            return _calculated(operation, value_of(left, row), value_of(right, row))
        case Call(function, arguments):
            return _called(function, [value_of(argument, row) for argument in arguments])
        case _:
            assert_never(expression)


def is_number(value: Any) -> bool:
    """Return True for an int or a float, False for a boolean."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _calculated(operation: ArithmeticOperator, left: Any, right: Any) -> Any:
    if operation is ArithmeticOperator.ADD and isinstance(left, str) and isinstance(right, str):
        return left + right
    if not (is_number(left) and is_number(right)):
        return None
    if operation is ArithmeticOperator.POWER and _too_large(left, right):
        return None
    try:
        return _storable(_OPERATIONS[operation](left, right))
    except (ZeroDivisionError, OverflowError):
        return None


def _too_large(base: float, exponent: float) -> bool:
    """Return True if the power of two integers is too large to calculate."""
    if not (isinstance(base, int) and isinstance(exponent, int)):
        return False
    return exponent > 0 and base.bit_length() * exponent > 2 * _LARGEST_INTEGER.bit_length()


def _storable(result: Any) -> Any:
    """The result if it can be stored as metadata, otherwise None; a power may be a complex number."""
    if not is_number(result) or (isinstance(result, int) and abs(result) >= _LARGEST_INTEGER):
        return None
    return result


def _called(function: Function, values: list[Any]) -> Any:
    match function:
        case (
            Function.ABS
            | Function.FLOOR
            | Function.CEIL
            | Function.ROUND
            | Function.SQRT
            | Function.LOG
            | Function.LOG2
            | Function.EXP
        ):
            return _of_number(function, values[0])
        case Function.YEAR | Function.MONTH | Function.DAY | Function.HOUR | Function.WEEKDAY:
            return _of_moment(function, values[0])
        case Function.LOWER:
            return values[0].lower() if isinstance(values[0], str) else None
        case Function.UPPER:
            return values[0].upper() if isinstance(values[0], str) else None
        case Function.LENGTH:
            return len(values[0]) if isinstance(values[0], (str, list)) else None
        case Function.SUBSTRING:
            return _part(*values)
        case Function.STARTS_WITH:
            return values[0].startswith(values[1]) if _are_texts(values) else None
        case Function.CONTAINS:
            return values[1] in values[0] if _are_texts(values) else None
        case Function.TEXT:
            return _text(values[0])
        case _:
            assert_never(function)


def _of_number(function: Function, value: Any) -> Any:
    if not is_number(value):
        return None
    try:
        return _storable(_OF_NUMBERS[function](value))
    except (
        ValueError,
        OverflowError,
    ):  # the root of -1, the logarithm of 0, the whole of an infinity
        return None


def _of_moment(function: Function, value: Any) -> Any:
    moment = parse_iso(value) if isinstance(value, str) else value
    if not is_temporal(moment):
        return None
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    try:
        return _OF_MOMENTS[function](moment if moment.tzinfo is None else moment.astimezone(UTC))
    except OverflowError:  # before year 1 or after year 9999 in UTC
        return None


def _part(text: Any, first: Any, count: Any) -> Any:
    if not (isinstance(text, str) and all(type(number) is int for number in (first, count))):
        return None
    return text[first : first + count] if first >= 0 <= count else None


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _text(value: Any) -> Any:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _ if is_temporal(value):
            return value.isoformat()
        case _:
            return None
