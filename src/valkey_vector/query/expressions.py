"""Expressions that compute items of a row, described as data. Text is never parsed as syntax.

These semantics hold on every engine. `valkey_vector.execution.aggregation.expressions.value_of` implements them:

* If an operand is missing or has the wrong type, the result is missing. Division by zero, the logarithm of 0 and other
  undefined results are missing, too. One odd record among many never raises.
* Numbers follow Python: integers of any size stay exact, ``/`` returns a float, ``%`` has the sign of the divisor.
  Booleans are not numbers, and text that looks like a number is text. A result too large for a float is missing.
* Positions in text count code points, from 0.
* Dates, datetimes and ISO-8601 texts are points in time. Without a time zone they are UTC. ``YEAR``, ``HOUR`` and the
  other parts are those in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, NoReturn, Self, TypeAlias

from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.ast import Field, Source
from valkey_vector.records.tokens import is_unicode

__all__ = [
    "Arithmetic",
    "ArithmeticOperator",
    "Call",
    "Constant",
    "Expression",
    "Function",
    "Item",
    "as_expression",
    "items_of",
]

_DEEPEST = 100


class ArithmeticOperator(StrEnum):
    """Arithmetic on two numbers; ``+`` also concatenates two texts."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    FLOOR_DIVIDE = "//"
    MODULO = "%"
    POWER = "**"


class Function(StrEnum):
    """Functions of one value, or of as many as listed in parentheses.

    For numbers: ABS, FLOOR, CEIL, ROUND (half to even), SQRT, LOG (natural), LOG2, EXP. For text: LOWER, UPPER, LENGTH
    (also of a list), SUBSTRING (text, start, count), STARTS_WITH and CONTAINS (text, part). TEXT converts a number,
    boolean or point in time to text.
    For points in time: YEAR, MONTH, DAY, HOUR, WEEKDAY (Monday is 1).
    """

    ABS = "abs"
    FLOOR = "floor"
    CEIL = "ceil"
    ROUND = "round"
    SQRT = "sqrt"
    LOG = "log"
    LOG2 = "log2"
    EXP = "exp"
    LOWER = "lower"
    UPPER = "upper"
    LENGTH = "length"
    SUBSTRING = "substring"
    STARTS_WITH = "starts_with"
    CONTAINS = "contains"
    TEXT = "text"
    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    HOUR = "hour"
    WEEKDAY = "weekday"


ARGUMENTS = {Function.SUBSTRING: 3, Function.STARTS_WITH: 2, Function.CONTAINS: 2}
"""The number of arguments of a function, where it is not one."""


class _Operators:
    """Operators that build expressions; there is no truth value."""

    __slots__ = ()

    def __add__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.ADD, self, other)

    def __radd__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.ADD, other, self)

    def __sub__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.SUBTRACT, self, other)

    def __rsub__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.SUBTRACT, other, self)

    def __mul__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.MULTIPLY, self, other)

    def __rmul__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.MULTIPLY, other, self)

    def __truediv__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.DIVIDE, self, other)

    def __rtruediv__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.DIVIDE, other, self)

    def __floordiv__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.FLOOR_DIVIDE, self, other)

    def __rfloordiv__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.FLOOR_DIVIDE, other, self)

    def __mod__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.MODULO, self, other)

    def __rmod__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.MODULO, other, self)

    def __pow__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.POWER, self, other)

    def __rpow__(self, other: Operand) -> Arithmetic:
        return _arithmetic(ArithmeticOperator.POWER, other, self)

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "an expression has no truth value; filter rows with where(F(…) …) on an item that apply() made of it"
        )


@dataclass(frozen=True, slots=True)
class Item(_Operators):
    """An item of the row: a metadata item of the record, or the result of an earlier step.

    Attributes:
        path: as for ``F``: ``"a.b"`` is the key ``a.b`` if it exists, otherwise ``b`` in the dict under ``a``.
        source: the part of the record it is read from; see `id`, `content` and `parent`.
    """

    path: str
    source: Source = "metadata"

    def __post_init__(self) -> None:
        Field(self.path, self.source)  # checks the path

    @classmethod
    def id(cls) -> Self:
        """The id of the record; not available after a `GroupBy`."""
        return cls("id", "id")

    @classmethod
    def content(cls) -> Self:
        """The text of the record; not available after a `GroupBy`."""
        return cls("content", "content")

    @classmethod
    def parent(cls) -> Self:
        """The id of the record's parent; not available after a `GroupBy`."""
        return cls("parent", "parent")


@dataclass(frozen=True, slots=True)
class Constant(_Operators):
    """A value that is the same in every row: text, a number, a boolean, a date or a datetime."""

    value: str | float | bool | date

    def __post_init__(self) -> None:
        if not isinstance(self.value, (str, int, float, date)):
            raise InvalidInputError(
                f"an expression takes text, numbers, booleans, dates and datetimes, not {type(self.value).__name__}"
            )
        if isinstance(self.value, str) and not is_unicode(self.value):
            raise InvalidInputError(f"{self.value!r} holds a lone surrogate")


@dataclass(frozen=True, slots=True)
class Arithmetic(_Operators):
    """An operator with its two operands, as created by ``Item("price") * Item("pieces")``."""

    operator: ArithmeticOperator
    left: Expression
    right: Expression

    def __post_init__(self) -> None:
        _check_depth(self)


@dataclass(frozen=True, slots=True)
class Call(_Operators):
    """A function call: ``Call.of("lower", Item("city"))``."""

    function: Function
    arguments: tuple[Expression, ...]

    def __post_init__(self) -> None:
        expected = ARGUMENTS.get(self.function, 1)
        if len(self.arguments) != expected:
            raise InvalidInputError(
                f"{self.function.value} takes {expected} values, not {len(self.arguments)}"
            )
        _check_depth(self)

    @classmethod
    def of(cls, function: Function | str, *arguments: Operand) -> Self:
        """Create a call; plain values become constants.

        Raises:
            InvalidInputError: the function is unknown, or the number of arguments is wrong.
        """
        try:
            known = Function(function)
        except ValueError:
            names = ", ".join(Function)
            raise InvalidInputError(f"unknown function {function!r}; use one of {names}") from None
        return cls(known, tuple(as_expression(argument) for argument in arguments))


Expression: TypeAlias = Item | Constant | Arithmetic | Call
"""Any expression. Immutable."""

Operand: TypeAlias = "Expression | _Operators | str | float | bool | date"


def as_expression(value: Any) -> Expression:
    """Return an expression unchanged, a plain value as a `Constant`; text is never the name of an item."""
    return value if isinstance(value, (Item, Constant, Arithmetic, Call)) else Constant(value)


def items_of(expression: Expression) -> list[Item]:
    """All items that an expression reads."""
    found: list[Item] = []
    pending: list[Expression] = [expression]
    while pending:
        part = pending.pop()
        if isinstance(part, Item):
            found.append(part)
        pending.extend(_parts(part))
    return found


def _arithmetic(operator: ArithmeticOperator, left: Any, right: Any) -> Arithmetic:
    return Arithmetic(operator, as_expression(left), as_expression(right))


def _parts(expression: Expression) -> tuple[Expression, ...]:
    match expression:
        case Arithmetic(_, left, right):
            return left, right
        case Call(_, arguments):
            return arguments
        case _:
            return ()


def _check_depth(expression: Expression) -> None:
    """Raise if an expression is nested too deeply for recursion, or has an operand that is not an expression."""
    level: list[Expression] = [expression]
    for _ in range(_DEEPEST):
        below = [part for item in level for part in _parts(item)]
        for part in below:
            if not isinstance(part, (Item, Constant, Arithmetic, Call)):
                raise InvalidInputError(
                    f"{part!r} is not an expression: use Item, Constant, arithmetic or Call"
                )
        if not below:
            return
        level = below
    raise InvalidInputError(
        f"the expression is nested more than {_DEEPEST} levels deep: split it over several apply()"
    )
