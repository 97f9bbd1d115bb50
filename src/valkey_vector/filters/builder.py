"""`F`: write filters as Python expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from valkey_vector.errors import FilterError
from valkey_vector.filters.ast import (
    ORDERINGS,
    And,
    Compare,
    Contains,
    Equal,
    Exists,
    Field,
    Filter,
    Like,
    Not,
    OneOf,
    Operator,
    Or,
    Satisfies,
    combined,
)

__all__ = ["F", "FieldExpression", "all_of", "any_of", "one_of"]


class FieldExpression:
    """A field to compare: ``F("price") < 10``.

    ``== None`` matches records without the item. ``!=`` is the exact complement of ``==``.
    """

    __slots__ = ("_field",)
    __hash__ = None  # type: ignore[assignment]  # == builds a filter

    def __init__(self, field: Field) -> None:
        self._field = field

    def __repr__(self) -> str:
        source, path = self._field.source, self._field.path
        return f"F({path!r})" if source == "metadata" else f"F.{source}"

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]  # a filter, not a bool
        return Not(Exists(self._field)) if value is None else Equal(self._field, value)

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]  # a filter, not a bool
        return Exists(self._field) if value is None else Not(Equal(self._field, value))

    def __lt__(self, value: Any) -> Filter:
        return Compare(self._field, Operator.LESS, value)

    def __le__(self, value: Any) -> Filter:
        return Compare(self._field, Operator.LESS_EQUAL, value)

    def __gt__(self, value: Any) -> Filter:
        return Compare(self._field, Operator.GREATER, value)

    def __ge__(self, value: Any) -> Filter:
        return Compare(self._field, Operator.GREATER_EQUAL, value)

    @property
    def field(self) -> Field:
        """The wrapped `Field`."""
        return self._field

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} has no truth value; compare it, or use {self!r}.exists()")

    def between(self, low: Any, high: Any) -> Filter:
        """Match items from `low` to `high`, both included."""
        return And((self >= low, self <= high))

    def in_(self, values: Iterable[Any]) -> Filter:
        """Match items that equal one of the values, and lists that contain one.

        None among the values matches a missing item. Without values, no record matches.
        """
        return one_of(self._field, values, members=True)

    def equals_one_of(self, values: Iterable[Any]) -> Filter:
        """Match items that equal one of the values; a list must be equal as a whole.

        None among the values matches a missing item. Without values, no record matches.
        """
        return one_of(self._field, values)

    def not_in(self, values: Iterable[Any]) -> Filter:
        """Match exactly the records that `in_` does not match."""
        return Not(self.in_(values))

    def contains(self, value: Any) -> Filter:
        """Match lists that contain the value."""
        return Contains(self._field, value)

    def contains_any(self, values: Iterable[Any]) -> Filter:
        """Match lists that contain at least one of the values."""
        listed = _listed(self._field, values)
        return Or(tuple(Contains(self._field, value) for value in listed))

    def contains_all(self, values: Iterable[Any]) -> Filter:
        """Match lists that contain all of the values."""
        listed = _listed(self._field, values)
        parts = tuple(Contains(self._field, value) for value in listed)
        return And((Exists(self._field), *parts))

    def exists(self) -> Filter:
        """Match records that have the item, with a value other than None."""
        return Exists(self._field)

    def like(self, pattern: str) -> Filter:
        r"""Match text by a pattern: ``%`` is any text, ``_`` any character; ``\`` escapes the next character."""
        return Like(self._field, pattern)

    def ilike(self, pattern: str) -> Filter:
        """Match text by a pattern, as `like`, ignoring case."""
        return Like(self._field, pattern, ignore_case=True)

    def has_text(self, text: str, *, ignore_case: bool = False) -> Filter:
        """Match text that contains `text` literally."""
        literal = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return Like(self._field, f"%{literal}%", ignore_case)

    def equals_number(self, number: float) -> Filter:
        """Match a number; unlike ``==``, treats True as 1 and False as 0, as Python does."""
        if number not in (0, 1):
            return Equal(self._field, number)
        return OneOf(self._field, (bool(number), int(number)))

    def orders_number(self, operator: Operator | str, number: float) -> Filter:
        """Compare with a number; unlike ``<`` and ``>``, treats True as 1 and False as 0, as Python does.

        Args:
            operator: ``<``, ``<=``, ``>`` or ``>=``.
            number: the limit.
        """
        ordering = Operator(operator)
        passes = ORDERINGS[ordering]
        limit = int(number) if isinstance(number, bool) else number
        flags = tuple(flag for flag in (False, True) if passes(int(flag), limit))
        return Or((Compare(self._field, ordering, limit), OneOf(self._field, flags)))

    def satisfies(self, types: tuple[type, ...], test: Callable[[Any], bool]) -> Filter:
        """Match items of the given types for which a function returns True; see `Satisfies`.

        Use it only for conditions that no other method covers: the client checks every candidate.
        """
        return Satisfies(self._field, types, test)


class _Builder:
    """``F("key")`` and ``F("a.b")`` are metadata; ``F.id``, ``F.content`` and ``F.parent`` are fields of the record."""

    __slots__ = ()

    def __call__(self, path: str) -> FieldExpression:
        return FieldExpression(Field(path))

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"F has no attribute {name!r}: a key of the metadata is F({name!r}); F.id, F.content and F.parent are the "
            "record's own"
        )

    def __getitem__(self, key: object) -> NoReturn:
        raise TypeError(f"F is called, not indexed: write F({key!r})")

    @property
    def id(self) -> FieldExpression:
        """The record's id."""
        return FieldExpression(Field("id", "id"))

    @property
    def content(self) -> FieldExpression:
        """The record's text."""
        return FieldExpression(Field("content", "content"))

    @property
    def parent(self) -> FieldExpression:
        """The id of the record's parent."""
        return FieldExpression(Field("parent", "parent"))


F = _Builder()
"""Start of a filter expression: ``(F("year") >= 2020) & (F("lang") == "en")``."""


def all_of(parts: Iterable[Filter]) -> Filter:
    """Combine filters with AND; without parts, every record matches."""
    return combined(And, parts)


def any_of(parts: Iterable[Filter]) -> Filter:
    """Combine filters with OR; without parts, no record matches."""
    return combined(Or, parts)


def one_of(field: Field, values: Iterable[Any], *, members: bool = False) -> Filter:
    """Build a `OneOf`; None among the values matches a missing item."""
    listed = _listed(field, values)
    present = OneOf(field, tuple(value for value in listed if value is not None), members)
    return present if len(present.values) == len(listed) else Or((Not(Exists(field)), present))


def _listed(field: Field, values: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise FilterError(
            f"a list of values is needed for {field.path!r}, not {values!r}: write [{values!r}]"
        )
    return tuple(values)
