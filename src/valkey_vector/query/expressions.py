"""Expressions: what a row's items are computed to, as data. No text is ever read as syntax.

Semantics, stated once and held by `valkey_vector.execution.aggregation.expressions.value_of`:

* An operand that is missing, or of a kind its operation does not take, leaves the result missing. So do a division by
  zero, the logarithm of 0, and anything else without a result: no error hangs on one record among many.
* Numbers are Python's: integers of any size stay exact, ``/`` gives a float, ``%`` has the sign of the divisor. Booleans
  are not numbers, and text that looks like a number is text. A result beyond what a float holds is missing, too.
* Text counts in code points, from 0.
* A date, a datetime and an ISO-8601 text are points in time; what has no zone is UTC, and the parts are those in UTC.
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
    """What two numbers are combined by; ``+`` also joins two texts."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    FLOOR_DIVIDE = "//"
    MODULO = "%"
    POWER = "**"


class Function(StrEnum):
    """What can be made of values; each says how many it takes.

    Of numbers: ABS, FLOOR, CEIL, ROUND (half to even), SQRT, LOG (natural), LOG2, EXP. Of text: LOWER, UPPER, LENGTH
    (also of a list), SUBSTRING (text, first, count), STARTS_WITH and CONTAINS (text, part), TEXT (of a number, boolean
    or point in time).
    Of points in time: YEAR, MONTH, DAY, HOUR, WEEKDAY (Monday is 1).
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
"""How many values a function takes, where that is not one."""


class _Operators:
    """Arithmetic that builds expressions, and no truth value."""

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
    """An item of the row: of the record's metadata, or what an earlier step named so.

    Attributes:
        path: as of ``F``: ``"a.b"`` is the key ``a.b`` if there is one, else ``b`` in the dict under ``a``.
        source: where it is; see `id`, `content` and `parent`.
    """

    path: str
    source: Source = "metadata"

    def __post_init__(self) -> None:
        Field(self.path, self.source)  # checks the path

    @classmethod
    def id(cls) -> Self:
        """The record's own id; there is none after a `GroupBy`."""
        return cls("id", "id")

    @classmethod
    def content(cls) -> Self:
        """The record's own text; there is none after a `GroupBy`."""
        return cls("content", "content")

    @classmethod
    def parent(cls) -> Self:
        """The id of what the record is a part of; there is none after a `GroupBy`."""
        return cls("parent", "parent")


@dataclass(frozen=True, slots=True)
class Constant(_Operators):
    """A value that is the same for every row: text, a number, a boolean, a date or a datetime."""

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
    """Two expressions and what combines them; made by ``Item("price") * Item("pieces")``."""

    operator: ArithmeticOperator
    left: Expression
    right: Expression

    def __post_init__(self) -> None:
        _check_depth(self)


@dataclass(frozen=True, slots=True)
class Call(_Operators):
    """A function of expressions: ``Call.of("lower", Item("city"))``."""

    function: Function
    arguments: tuple[Expression, ...]

    def __post_init__(self) -> None:
        wanted = ARGUMENTS.get(self.function, 1)
        if len(self.arguments) != wanted:
            raise InvalidInputError(
                f"{self.function.value} takes {wanted} values, not {len(self.arguments)}"
            )
        _check_depth(self)

    @classmethod
    def of(cls, function: Function | str, *arguments: Operand) -> Self:
        """A call with plain values taken for constants.

        Raises:
            InvalidInputError: there is no such function, or it takes another number of values.
        """
        try:
            known = Function(function)
        except ValueError:
            names = ", ".join(Function)
            raise InvalidInputError(f"{function!r} is no function; known are {names}") from None
        return cls(known, tuple(as_expression(argument) for argument in arguments))


Expression: TypeAlias = Item | Constant | Arithmetic | Call
"""Any expression. Immutable."""

Operand: TypeAlias = "Expression | _Operators | str | float | bool | date"


def as_expression(value: Any) -> Expression:
    """The expression itself, or a plain value as a `Constant`; text is text, never the name of an item."""
    return value if isinstance(value, (Item, Constant, Arithmetic, Call)) else Constant(value)


def items_of(expression: Expression) -> list[Item]:
    """Every item that an expression reads."""
    found: list[Item] = []
    open_parts: list[Expression] = [expression]
    while open_parts:
        part = open_parts.pop()
        if isinstance(part, Item):
            found.append(part)
        open_parts.extend(_parts(part))
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
    """Refuse what would exhaust the stack of whoever walks it, and what is no expression."""
    level: list[Expression] = [expression]
    for _ in range(_DEEPEST):
        below = [part for item in level for part in _parts(item)]
        for part in below:
            if not isinstance(part, (Item, Constant, Arithmetic, Call)):
                raise InvalidInputError(f"{part!r} is no expression")
        if not below:
            return
        level = below
    raise InvalidInputError(f"the expression is nested more than {_DEEPEST} deep")
