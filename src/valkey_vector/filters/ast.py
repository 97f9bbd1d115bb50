"""The filter language: a small closed set of nodes, and what each of them means.

Semantics, stated once and held by `valkey_vector.filters.evaluate.matches`:

* A path names a metadata item (`valkey_vector.metadata.lookup`); ``None`` is the same as missing.
* A missing item fails every positive predicate. `Not` is the exact complement: ``Not(Equal(…))``
  matches records without the item.
* Numbers compare as numbers (1 == 1.0) and exactly, however large. Booleans are not numbers. NaN equals and orders
  with nothing.
* Dates, datetimes and ISO-8601 texts with dashes are points in time when compared with a date or datetime,
  and when ordered against an ISO-8601 text. A date is its midnight, what has no zone is UTC.
  Equality with a text is equality of texts.
* Other texts order by code point, booleans False before True.
* Equality with a list or dict is equality of the whole; `Contains` is membership in a list.
* Values of different kinds are never equal and never ordered.
* What none of the nodes says, a function in Python can decide on the item itself: `Satisfies`.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Literal, NoReturn, TypeAlias

from valkey_vector.errors import FilterError
from valkey_vector.tokens import is_unicode

__all__ = [
    "ITEM_TYPES",
    "ORDERINGS",
    "Always",
    "And",
    "Compare",
    "Contains",
    "Equal",
    "Exists",
    "Field",
    "Filter",
    "Like",
    "Never",
    "Not",
    "OneOf",
    "Operator",
    "Or",
    "Predicate",
    "Satisfies",
    "Source",
    "plain_key",
    "sources_of",
]

Source: TypeAlias = Literal["metadata", "id", "content", "parent"]
"""Where a field is: an item of the metadata, or the record's own id, content or parent."""

ITEM_TYPES: tuple[type, ...] = (str, bool, int, float, date, list, dict)
"""What `Satisfies` can tell apart."""

_DEEPEST = 100


class Operator(StrEnum):
    """An ordering."""

    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="


ORDERINGS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.LESS: operator.lt,
    Operator.LESS_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_EQUAL: operator.ge,
}
"""What each ordering says of two values of a kind."""


@dataclass(frozen=True, slots=True)
class Field:
    """What a predicate looks at: a metadata path, or the record's id, content or parent."""

    path: str
    source: Source = "metadata"

    def __post_init__(self) -> None:
        if not isinstance(self.path, str):
            raise FilterError(f"a field's name must be text, not {type(self.path).__name__}")
        _check_text(self.path)


class _Expression:
    """What all nodes share: ``&``, ``|``, ``~``, and no truth value."""

    __slots__ = ()

    def __and__(self, other: Filter) -> Filter:
        return And((_expression(self), _expression(other)))

    def __or__(self, other: Filter) -> Filter:
        return Or((_expression(self), _expression(other)))

    def __invert__(self) -> Filter:
        return Not(_expression(self))

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "a filter has no truth value: `and`, `or`, `not` and `a < x < b` would silently drop a part "
            "of it. Use &, |, ~ with parentheses around each comparison, or .between(a, b)"
        )


@dataclass(frozen=True, slots=True)
class Always(_Expression):
    """Matches every record."""


@dataclass(frozen=True, slots=True)
class Never(_Expression):
    """Matches no record."""


@dataclass(frozen=True, slots=True)
class Equal(_Expression):
    """The item equals the value, which is not None."""

    field: Field
    value: Any

    def __post_init__(self) -> None:
        _check_value(self.value, "==")


@dataclass(frozen=True, slots=True)
class OneOf(_Expression):
    """The item equals one of the values. No values match nothing.

    Attributes:
        field: what is looked at.
        values: none of them is None.
        plain: the texts, numbers and booleans among them, each with whether it is text or a boolean: so
            that one of thousands is found at once. NaN, which equals nothing, is left out.
        others: the rest.
    """

    field: Field
    values: tuple[Any, ...]
    plain: frozenset[tuple[bool, bool, Any]] = dataclasses.field(
        init=False, repr=False, compare=False
    )
    others: tuple[Any, ...] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        plain: list[Any] = []
        others: list[Any] = []
        for value in self.values:
            _check_value(value, "in")
            (plain if isinstance(value, (str, int, float)) else others).append(value)
        keys = frozenset(plain_key(value) for value in plain if value == value)
        object.__setattr__(self, "plain", keys)
        object.__setattr__(self, "others", tuple(others))


@dataclass(frozen=True, slots=True)
class Compare(_Expression):
    """The item lies on the given side of a number, text, boolean or point in time."""

    field: Field
    operator: Operator
    value: Any

    def __post_init__(self) -> None:
        if not isinstance(self.value, (str, int, float, date)):
            raise FilterError(
                f"{self.operator.value} takes a number, text, boolean, date or datetime, "
                f"not {type(self.value).__name__} (field {self.field.path!r})"
            )
        if isinstance(self.value, str):
            _check_text(self.value)


@dataclass(frozen=True, slots=True)
class Contains(_Expression):
    """The item is a list that holds the value."""

    field: Field
    value: Any

    def __post_init__(self) -> None:
        _check_value(self.value, "contains")


@dataclass(frozen=True, slots=True)
class Exists(_Expression):
    """The item is there and not None."""

    field: Field


@dataclass(frozen=True, slots=True)
class Like(_Expression):
    """The item is text that fits a pattern: ``%`` is any text, ``_`` any one character.

    A backslash takes the character after it literally.
    """

    field: Field
    pattern: str
    ignore_case: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str):
            raise FilterError(f"a pattern must be text, not {type(self.pattern).__name__}")
        _check_text(self.pattern)


@dataclass(frozen=True, slots=True)
class Satisfies(_Expression):
    """The item is of one of the types, and a function says yes to it. Checked on candidates, one by one.

    Attributes:
        field: what is looked at.
        types: of `str`, `bool`, `int`, `float`, `date`, `list` and `dict`; with `int` alone no boolean passes.
        test: given the item; must depend on nothing else, and never raise.
    """

    field: Field
    types: tuple[type, ...]
    test: Callable[[Any], bool]

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.types if kind not in ITEM_TYPES]
        if unknown or not callable(self.test):
            raise FilterError(f"satisfies takes types of metadata and a function, not {self.types}")


@dataclass(frozen=True, slots=True)
class And(_Expression):
    """Every part matches. No parts match every record."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        _check_depth(self)


@dataclass(frozen=True, slots=True)
class Or(_Expression):
    """Some part matches. No parts match nothing."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        _check_depth(self)


@dataclass(frozen=True, slots=True)
class Not(_Expression):
    """The part does not match: the exact complement."""

    part: Filter

    def __post_init__(self) -> None:
        _check_depth(self)


Predicate: TypeAlias = Equal | OneOf | Compare | Contains | Exists | Like | Satisfies
"""A node that looks at one field."""

Filter: TypeAlias = Always | Never | Predicate | And | Or | Not
"""Any node. Immutable; build it with `F` or from a framework's own dialect."""


def sources_of(filter: Filter) -> set[Source]:
    """Where the fields are that a filter looks at."""
    match filter:
        case Always() | Never():
            return set()
        case And(parts) | Or(parts):
            return {source for part in parts for source in sources_of(part)}
        case Not(part):
            return sources_of(part)
        case _:
            return {filter.field.source}


def plain_key(value: str | float) -> tuple[bool, bool, str | float]:
    """Equal for texts, numbers and booleans that filters take for equal: 1 and 1.0, but not 1 and True."""
    return isinstance(value, str), isinstance(value, bool), value


def _expression(value: Any) -> Filter:
    if isinstance(value, _Expression):
        return value  # type: ignore[return-value]
    raise FilterError(f"a filter combines with filters only, not with {type(value).__name__}")


def _check_text(text: str) -> None:
    if not is_unicode(text):
        raise FilterError(f"{text!r} holds a lone surrogate, which no stored text can hold")


def _check_value(value: Any, operator: str) -> None:
    if value is None:
        raise FilterError(f"{operator} cannot take None: ask whether the item exists instead")
    if isinstance(value, (list, dict)):
        for item in value if isinstance(value, list) else value.values():
            if item is not None:
                _check_value(item, operator)
        return
    if not isinstance(value, (str, int, float, date)):
        raise FilterError(
            f"{operator} cannot take a {type(value).__name__}: metadata holds text, numbers, booleans, "
            "dates, datetimes, and lists and dicts of them"
        )
    if isinstance(value, str):
        _check_text(value)


def _check_depth(node: Filter) -> None:
    """Refuse a filter that would exhaust the stack of whoever walks it."""
    depth = 0
    level: list[Filter] = [node]
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise FilterError(f"the filter is nested more than {_DEEPEST} deep")
        below: list[Filter] = []
        for item in level:
            if isinstance(item, (And, Or)):
                below.extend(_expression(part) for part in item.parts)
            elif isinstance(item, Not):
                below.append(_expression(item.part))
        level = below
