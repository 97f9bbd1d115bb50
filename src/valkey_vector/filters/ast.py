"""The filter language: a small closed set of nodes, and what each of them means.

Semantics, stated once and held by `valkey_vector.filters.evaluate.matches`:

* A path names a metadata item (`valkey_vector.records.metadata.lookup`); ``None`` is the same as missing.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeAlias

from valkey_vector.errors import FilterError
from valkey_vector.filters.nesting import DEEPEST
from valkey_vector.filters.operands import check_text, checked, plain_key
from valkey_vector.records.plain_values import plain_text

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
    "combined",
    "sources_of",
]

Source: TypeAlias = Literal["metadata", "id", "content", "parent"]
"""Where a field is: an item of the metadata, or the record's own id, content or parent."""

ITEM_TYPES: tuple[type, ...] = (str, bool, int, float, date, list, dict)
"""What `Satisfies` can tell apart."""

_MOST = 1_000_000
"""Conditions of a filter. Only one that combines a filter with itself over and over has more."""


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
        check_text(self.path)
        object.__setattr__(self, "path", plain_text(self.path))


class _Expression:
    """What all nodes share: ``&``, ``|``, ``~``, and no truth value."""

    __slots__ = ()

    def __and__(self, other: Filter) -> Filter:
        return combined(And, (_expression(self), other))

    def __or__(self, other: Filter) -> Filter:
        return combined(Or, (_expression(self), other))

    def __invert__(self) -> Filter:
        return self.part if isinstance(self, Not) else Not(_expression(self))

    # Filters never change, so a copy is the filter itself.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

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
        object.__setattr__(self, "value", checked(self.value, "=="))


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
        values = tuple(checked(value, "in") for value in self.values)
        for value in values:
            (plain if isinstance(value, (str, int, float)) else others).append(value)
        object.__setattr__(self, "values", values)
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
        object.__setattr__(self, "value", checked(self.value, self.operator.value))


@dataclass(frozen=True, slots=True)
class Contains(_Expression):
    """The item is a list that holds the value."""

    field: Field
    value: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", checked(self.value, "contains"))


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
        check_text(self.pattern)
        object.__setattr__(self, "pattern", plain_text(self.pattern))


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


class _Nested(_Expression):
    """A filter made of others: knows how deep and how large it is, so that none of them is walked to find out."""

    __slots__ = ("_depth", "_size")

    _depth: int
    _size: int

    def _measure(self, parts: Iterable[Filter], *, flattened: bool = False) -> None:
        """Check the parts, and note their depth and number.

        Args:
            parts: filters that this one is made of.
            flattened: parts of the same kind become part of this one.
        """
        depth, size = 1, 1
        for each in parts:
            part = _expression(each)
            if not isinstance(part, (And, Or, Not)):
                depth = max(depth, 2)
                size += 1
                continue
            inside = part._depth - 1 if flattened and type(part) is type(self) else part._depth
            depth = max(depth, inside + 1)
            size += part._size
        if depth > DEEPEST:
            raise FilterError(f"the filter is nested more than {DEEPEST} deep")
        if size > _MOST:
            raise FilterError(f"the filter has more than {_MOST:,} conditions")
        object.__setattr__(self, "_depth", depth)
        object.__setattr__(self, "_size", size)


class _Combined(_Nested):
    """What `And` and `Or` share: a chain is one filter with many parts, however long and however it was built.

    ``a | b | c`` keeps its operands as they are, and makes one tuple of them when the parts are first needed: so a chain
    of n operands takes time in proportion to n, and is two levels deep.
    """

    __slots__ = ("_operands",)

    _operands: tuple[Filter, ...] | None
    if TYPE_CHECKING:
        parts: tuple[Filter, ...]
    else:

        def __getattr__(self, name: str) -> Any:
            """The parts, which have no value yet in a chain that nobody looked into."""
            if name != "parts":
                raise AttributeError(name)
            parts = tuple(_flat(self))
            object.__setattr__(self, "parts", parts)
            object.__setattr__(self, "_operands", None)
            return parts

    def __post_init__(self) -> None:
        object.__setattr__(self, "_operands", None)
        self._measure(self.parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.parts,)


@dataclass(frozen=True, slots=True)
class And(_Combined):
    """Every part matches. No parts match every record."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or(_Combined):
    """Some part matches. No parts match nothing."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not(_Nested):
    """The part does not match: the exact complement."""

    part: Filter

    def __post_init__(self) -> None:
        self._measure((self.part,))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.part,)


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


def combined(kind: type[And | Or], operands: Iterable[Filter]) -> Filter:
    """The filter `kind` of the operands, where the parts of operands of the same kind are parts of its own.

    Args:
        kind: `And` or `Or`.
        operands: any number of filters.

    Raises:
        FilterError: one is no filter, or together they are too deep or too many.
    """
    chain = object.__new__(kind)
    listed = tuple(operands)
    chain._measure(listed, flattened=True)
    object.__setattr__(chain, "_operands", listed)
    return chain


def _flat(chain: _Combined) -> Iterator[Filter]:
    """The parts of a chain in order. Without recursion: a chain may hold a chain, a hundred thousand times."""
    rest: list[Any] = [chain]
    while rest:
        item = rest.pop()
        if type(item) is not type(chain):
            yield item
        elif (operands := item._operands) is None:
            yield from item.parts
        else:
            rest.extend(reversed(operands))


def _expression(value: Any) -> Filter:
    if isinstance(value, _Expression):
        return value  # type: ignore[return-value]
    raise FilterError(f"a filter combines with filters only, not with {type(value).__name__}")
