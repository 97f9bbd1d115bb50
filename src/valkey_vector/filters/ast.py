"""The filter language: a closed set of nodes and their semantics.

These semantics hold on every engine. `valkey_vector.filters.evaluate.matches` implements them:

* A path names a metadata item (`valkey_vector.records.metadata.lookup`). ``None`` is the same as missing.
* A missing item fails every positive predicate. `Not` is the exact complement: ``Not(Equal(…))``
  matches records without the item.
* Numbers compare by value (1 == 1.0), exactly and at any size. Booleans are not numbers. NaN equals no value, and no
  comparison with NaN is true.
* Dates, datetimes and ISO-8601 texts with dashes are points in time if one operand is a date or datetime,
  and in ordered comparisons with an ISO-8601 text. A date is its midnight; values without a time zone are UTC.
  Two texts are compared for equality as text. Inside lists and dicts a text never equals a date.
* Other texts are ordered by code point; False comes before True.
* Equality with a list or dict compares the whole value. `Contains` tests membership in a list. `OneOf` tests
  equality, and with `members` also membership.
* Values of different types are never equal and never ordered.
* For any other condition, `Satisfies` calls a Python function with the item.
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
from valkey_vector.filters.operands import check_text, checked, plain_key
from valkey_vector.records.nesting import DEEPEST
from valkey_vector.records.plain_values import plain_text
from valkey_vector.records.temporal import instant, parse_iso

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
    "fields_of",
    "sources_of",
]

Source: TypeAlias = Literal["metadata", "id", "content", "parent"]
"""The part of a record that a field belongs to: its metadata, id, content or parent."""

ITEM_TYPES: tuple[type, ...] = (str, bool, int, float, date, list, dict)
"""The types that `Satisfies` accepts."""

_MAX_CONDITIONS = 1_000_000
"""Largest number of conditions in a filter. Only a filter that is combined with itself again and again exceeds it."""


class Operator(StrEnum):
    """Comparison operators."""

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
"""The comparison of two values of the same type, by operator."""


@dataclass(frozen=True, slots=True)
class Field:
    """The operand of a predicate: a metadata path, or the record's id, content or parent."""

    path: str
    source: Source = "metadata"

    def __post_init__(self) -> None:
        if not isinstance(self.path, str):
            raise FilterError(f"a field's name must be text, not {type(self.path).__name__}")
        check_text(self.path)
        object.__setattr__(self, "path", plain_text(self.path))


class _Expression:
    """Base of all nodes: ``&``, ``|`` and ``~`` combine filters; there is no truth value."""

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
    """The item equals one of the values. Without values, no record matches.

    Attributes:
        field: the field to compare.
        values: the values; None is not allowed.
        members: a list that contains one of the values matches, too.
        plain: lookup keys of the texts, numbers and booleans in `values`, without NaN. A set, so that a lookup among
            thousands of values takes constant time.
        others: the other values.
        instants: the points in time of the texts in `values` that are ISO-8601.
    """

    field: Field
    values: tuple[Any, ...]
    members: bool = False
    plain: frozenset[tuple[bool, bool, Any]] = dataclasses.field(
        init=False, repr=False, compare=False
    )
    others: tuple[Any, ...] = dataclasses.field(init=False, repr=False, compare=False)
    instants: frozenset[int] = dataclasses.field(init=False, repr=False, compare=False)

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
        moments = (parse_iso(value) for value in plain if isinstance(value, str))
        object.__setattr__(self, "instants", frozenset(instant(one) for one in moments if one))


@dataclass(frozen=True, slots=True)
class Compare(_Expression):
    """The item is less or greater than a number, text, boolean or point in time."""

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
    """The item is a list that contains the value."""

    field: Field
    value: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", checked(self.value, "contains"))


@dataclass(frozen=True, slots=True)
class Exists(_Expression):
    """The item exists and is not None."""

    field: Field


@dataclass(frozen=True, slots=True)
class Like(_Expression):
    """The item is text that matches a pattern: ``%`` is any text, ``_`` any one character.

    A backslash escapes the next character.
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
    """The item has one of the types, and a function returns True for it.

    Attributes:
        field: the field to test.
        types: any of `str`, `bool`, `int`, `float`, `date`, `list` and `dict`. `int` does not include booleans.
        test: function of the item. It must depend on nothing else, and never raise.

    Cost: the client calls the function for every record that the rest of the filter selects.
    """

    field: Field
    types: tuple[type, ...]
    test: Callable[[Any], bool]

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.types if kind not in ITEM_TYPES]
        if unknown or not callable(self.test):
            raise FilterError(
                f"satisfies() on {self.field.path!r} takes types of metadata (str, bool, int, float, date, list, dict) and "
                f"a function, not {self.types!r} and {self.test!r}"
            )


class _Nested(_Expression):
    """Base of filters with parts. Stores depth and size, so that checking a limit does not traverse the parts."""

    __slots__ = ("_depth", "_size")

    _depth: int
    _size: int

    def _measure(self, parts: Iterable[Filter], *, flattened: bool = False) -> None:
        """Validate the parts, and store depth and size.

        Args:
            parts: the combined filters.
            flattened: parts of the same class as this filter are merged into it.

        Raises:
            FilterError: a part is not a filter, or the filter is too deep or too large.
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
        if size > _MAX_CONDITIONS:
            raise FilterError(f"the filter has more than {_MAX_CONDITIONS:,} conditions")
        object.__setattr__(self, "_depth", depth)
        object.__setattr__(self, "_size", size)


class _Combined(_Nested):
    """Base of `And` and `Or`: a chain of any length is one filter with many parts.

    ``a | b | c`` stores its operands, and flattens them into one tuple when the parts are first read. So building a
    chain of n operands takes O(n) time, and the result is two levels deep.
    """

    __slots__ = ("_operands",)

    _operands: tuple[Filter, ...] | None
    if TYPE_CHECKING:
        parts: tuple[Filter, ...]
    else:

        def __getattr__(self, name: str) -> Any:
            """Flatten the operands into `parts` on first access."""
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
    """Every part matches. Without parts, every record matches."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or(_Combined):
    """At least one part matches. Without parts, no record matches."""

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
"""A node that tests one field."""

Filter: TypeAlias = Always | Never | Predicate | And | Or | Not
"""Any node. Immutable. Build filters with `F`, or from the dialect of a framework."""


def fields_of(filter: Filter) -> set[Field]:
    """The fields that a filter reads."""
    match filter:
        case Always() | Never():
            return set()
        case And(parts) | Or(parts):
            return {field for part in parts for field in fields_of(part)}
        case Not(part):
            return fields_of(part)
        case _:
            return {filter.field}


def sources_of(filter: Filter) -> set[Source]:
    """The parts of a record that a filter reads."""
    return {field.source for field in fields_of(filter)}


def combined(kind: type[And | Or], operands: Iterable[Filter]) -> Filter:
    """Combine filters; operands of the same `kind` are merged into the result.

    Args:
        kind: `And` or `Or`.
        operands: any number of filters.

    Raises:
        FilterError: an operand is not a filter, or the result is too deep or too large.
    """
    chain = object.__new__(kind)
    listed = tuple(operands)
    chain._measure(listed, flattened=True)
    object.__setattr__(chain, "_operands", listed)
    return chain


def _flat(chain: _Combined) -> Iterator[Filter]:
    """The parts of a chain in order. Iterative, because chains may be nested a hundred thousand levels deep."""
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
        return value  # type: ignore[return-value]  # `Filter` is the union of the subclasses
    raise FilterError(
        f"cannot combine a filter with {type(value).__name__}: both operands must be filters"
    )
