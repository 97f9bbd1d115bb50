"""Values of subclasses, as in applications and other libraries: equal to plain values, but formatted differently."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum, IntEnum
from typing import Any

__all__ = ["Kind", "Level", "Tenant", "dressed"]


class Kind(str, Enum):  # noqa: UP042 - what many applications have
    """The enumeration that Python 3.11 formats by its name."""

    NEWS = "news"
    BLOG = "blog"


class Tenant(str, Enum):  # noqa: UP042 - what many applications have
    ACME = "acme"
    OTHER = "other"


class Level(IntEnum):
    LOW = 1
    HIGH = 7


class Text(str):
    """Text that spells itself in another way wherever it can."""

    __slots__ = ()

    def __str__(self) -> str:
        return "spelt otherwise"

    def __format__(self, spec: str) -> str:
        return "formatted otherwise"

    def __repr__(self) -> str:
        return "shown otherwise"


class Whole(int):
    def __str__(self) -> str:
        return "spelt otherwise"

    __repr__ = __str__


class Real(float):
    def __str__(self) -> str:
        return "spelt otherwise"

    __repr__ = __str__


class Moment(datetime):
    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return "spelt otherwise"


class Day(date):
    def isoformat(self) -> str:
        return "spelt otherwise"


def dressed(value: Any) -> Any:
    """An equal value, every part of which is of a subclass."""
    match value:
        case bool() | None:
            return value
        case str():
            return Text(value)
        case int():
            return Whole(value)
        case float():
            return Real(value)
        case datetime():
            return Moment.combine(value.date(), value.timetz())
        case date():
            return Day(value.year, value.month, value.day)
        case list():
            return [dressed(item) for item in value]
        case dict():
            return {Text(key): dressed(item) for key, item in value.items()}
    raise TypeError(type(value))
