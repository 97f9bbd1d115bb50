"""`AggregateQuery`: filter, group, compute and sort records, described as data.

These semantics hold on every engine. `valkey_vector.execution.aggregation` implements them:

* The input rows are the records that match `filter`, oldest first. A row is the metadata of its record. Steps run in
  order; each step receives the rows of the previous one.
* Values that filters treat as equal fall into one group: 1 and 1.0, two spellings of one point in time, lists with
  equal items. Text that looks like a date is text; booleans are not numbers. None counts as missing. Missing values
  form their own group, and so does NaN. A group is shown with its simplest spelling: 1 instead of 1.0, a date instead
  of its midnight. A list is one value; `Unwind` turns its elements into rows.
* Groups are ordered by their keys: booleans, numbers, points in time, text, other values; missing last.
* `Sum`, `Average` and `StandardDeviation` use numbers only and ignore booleans, NaN and text. They are exact: the
  result is rounded once, at the end, so the order of the rows does not matter. `Minimum` and `Maximum` use all values
  that have an order.
* A filter in `Where` has its usual meaning, applied to the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias, assert_never

from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.ast import Field, Filter, Source, fields_of, sources_of
from valkey_vector.query.expressions import Expression, as_expression, items_of
from valkey_vector.query.filter_like import FilterLike, as_filter
from valkey_vector.query.read_options import Consistency, check_read_options
from valkey_vector.records.validation import check_limit

__all__ = [
    "AggregateQuery",
    "Apply",
    "Average",
    "Count",
    "CountDistinct",
    "Distinct",
    "FirstValue",
    "GroupBy",
    "Limit",
    "Maximum",
    "Minimum",
    "Reducer",
    "SortBy",
    "StandardDeviation",
    "Step",
    "Sum",
    "Unwind",
    "Where",
]


@dataclass(frozen=True, slots=True)
class Count:
    """The number of rows in the group."""


@dataclass(frozen=True, slots=True)
class _OfPath:
    """Base of the reducers that read one item."""

    path: str

    def __post_init__(self) -> None:
        Field(self.path)  # checks the path


@dataclass(frozen=True, slots=True)
class CountDistinct(_OfPath):
    """The number of distinct values of the item in the group, with the equality of `GroupBy`; ignores missing values."""


@dataclass(frozen=True, slots=True)
class Distinct(_OfPath):
    """The distinct values of the item in the group, as a list in the order of groups; ignores missing values."""


@dataclass(frozen=True, slots=True)
class Sum(_OfPath):
    """The sum of the item's numbers: an int if all of them are ints, 0 if there are none."""


@dataclass(frozen=True, slots=True)
class Minimum(_OfPath):
    """The smallest of the item's values; None if there are none."""


@dataclass(frozen=True, slots=True)
class Maximum(_OfPath):
    """The largest of the item's values; None if there are none."""


@dataclass(frozen=True, slots=True)
class Average(_OfPath):
    """The mean of the item's numbers, a float; None if there are none."""


@dataclass(frozen=True, slots=True)
class StandardDeviation(_OfPath):
    """The standard deviation of the item's numbers, a float.

    Attributes:
        path: the item.
        ddof: delta degrees of freedom: 1 for a sample (the default of pandas), 0 for a population. The result is None
            if the group has no more numbers than `ddof`.
    """

    ddof: int = 1

    def __post_init__(self) -> None:
        Field(self.path)
        if self.ddof not in (0, 1) or isinstance(self.ddof, bool):
            raise InvalidInputError(f"ddof must be 0 or 1, not {self.ddof!r}")


@dataclass(frozen=True, slots=True)
class FirstValue(_OfPath):
    """The item of the group's first row; None if that row lacks the item.

    Attributes:
        path: the item.
        by: sort the group by this item first; rows without it come last. None keeps the order of the rows.
        descending: sort by `by` with the largest value first.
    """

    by: str | None = None
    descending: bool = False

    def __post_init__(self) -> None:
        Field(self.path)
        if self.by is not None:
            Field(self.by)


Reducer: TypeAlias = (
    Count
    | CountDistinct
    | Distinct
    | Sum
    | Minimum
    | Maximum
    | Average
    | StandardDeviation
    | FirstValue
)
"""A function that reduces a group to one value."""


@dataclass(frozen=True, slots=True)
class GroupBy:
    """One row per group, with the keys of the group and the results of its reducers.

    Attributes:
        keys: items to group by. Without keys all rows form one group, which exists even if there are no rows.
        reducers: pairs of (name of the result, reducer).
    """

    keys: tuple[str, ...]
    reducers: tuple[tuple[str, Reducer], ...]

    def __post_init__(self) -> None:
        pairs = isinstance(self.reducers, tuple) and all(
            isinstance(each, tuple) and len(each) == 2 for each in self.reducers
        )
        if not pairs:
            raise InvalidInputError(
                f"reducers must be pairs of a name and a reducer, not {self.reducers!r}"
            )
        names = [*self.keys, *(name for name, _ in self.reducers)]
        if not names:
            raise InvalidInputError(
                "group_by() has neither a key nor a reducer: pass at least one, such as n=Count()"
            )
        for name in names:
            Field(name)
            if names.count(name) > 1:
                raise InvalidInputError(f"group_by() has two results named {name!r}: rename one")
        for name, reducer in self.reducers:
            if not isinstance(reducer, Reducer):
                raise InvalidInputError(
                    f"{name!r} needs a reducer such as Count() or Sum('price'), not {reducer!r}"
                )


@dataclass(frozen=True, slots=True)
class Apply:
    """Set an item of every row to the value of an expression; a missing result removes the item."""

    name: str
    expression: Expression

    def __post_init__(self) -> None:
        Field(self.name)
        object.__setattr__(self, "expression", as_expression(self.expression))


@dataclass(frozen=True, slots=True)
class Unwind:
    """One row per element of a list; an empty list yields no row, and rows without a list stay unchanged."""

    path: str

    def __post_init__(self) -> None:
        Field(self.path)


@dataclass(frozen=True, slots=True)
class Where:
    """Only the rows that match the filter."""

    filter: Filter


@dataclass(frozen=True, slots=True)
class SortBy:
    """Sort rows by one item or several, the most important first; missing values come last, and the sort is stable.

    Attributes:
        keys: pairs of (item, descending).
    """

    keys: tuple[tuple[str, bool], ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise InvalidInputError(
                "sort_by() has no item: pass at least one, such as sort_by('price')"
            )
        for path, descending in self.keys:
            Field(path)
            if not isinstance(descending, bool):
                raise InvalidInputError(f"descending must be True or False, not {descending!r}")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` rows, after skipping `offset` rows."""

    count: int
    offset: int = 0

    def __post_init__(self) -> None:
        check_limit(self.offset, "offset")
        check_limit(self.count, "limit")


Step: TypeAlias = GroupBy | Apply | Unwind | Where | SortBy | Limit
"""One operation on rows."""


@dataclass(frozen=True, slots=True)
class AggregateQuery:
    """Filter, group, compute and sort records. Immutable: each method returns a new query with one more step.

    ::

        AggregateQuery(filter=F("year") >= 2020)
            .apply(total=Item("price") * Item("pieces"))
            .group_by("category", n=Count(), turnover=Sum("total"))
            .where(F("n") > 1)
            .sort_by("turnover", descending=True)
            .limit(10)

    Attributes:
        filter: use only the records that match; None for all.
        steps: the operations, in order.
        consistency, timeout: see `ReadOptions`.
    """

    filter: Filter | None = None
    steps: tuple[Step, ...] = field(default=())
    consistency: Consistency = "strict"
    timeout: float | None = None

    def __init__(
        self,
        filter: FilterLike | None = None,
        steps: tuple[Step, ...] = (),
        *,
        consistency: Consistency = "strict",
        timeout: float | None = None,
    ) -> None:
        object.__setattr__(self, "filter", None if filter is None else as_filter(filter))
        object.__setattr__(self, "steps", tuple(steps))
        check_read_options(consistency, timeout)
        object.__setattr__(self, "consistency", consistency)
        object.__setattr__(self, "timeout", timeout)
        grouped = False
        for step in self.steps:
            if not isinstance(step, Step):
                raise InvalidInputError(
                    f"{step!r} is not a step of an aggregate: use GroupBy, Apply, Unwind, Where, SortBy or Limit"
                )
            if grouped and _reads_record(step):
                raise InvalidInputError(
                    f"{step!r} reads the id, content or parent of a record after group_by(), where rows are groups: "
                    "move it before group_by()"
                )
            grouped = grouped or isinstance(step, GroupBy)

    def group_by(
        self, *keys: str, reducers: Mapping[str, Reducer] | None = None, **named: Reducer
    ) -> Self:
        """Group rows by items.

        Args:
            keys: items to group by; none for one group of all rows.
            reducers: name of the result → reducer, for names that are not Python identifiers.
            named: the same as keyword arguments: ``n=Count(), turnover=Sum("price")``.
        """
        return self._with(GroupBy(keys, (*(reducers or {}).items(), *named.items())))

    def apply(self, expressions: Mapping[str, Any] | None = None, **named: Any) -> Self:
        """Set items of every row to the values of expressions, in order: ``total=Item("price") * 2``."""
        steps = [
            Apply(name, as_expression(expression))
            for name, expression in {**(expressions or {}), **named}.items()
        ]
        return replace(self, steps=(*self.steps, *steps))

    def unwind(self, path: str) -> Self:
        """Turn each element of a list into a row."""
        return self._with(Unwind(path))

    def where(self, filter: FilterLike) -> Self:
        """Keep only the rows that match a filter."""
        return self._with(Where(as_filter(filter)))

    def sort_by(self, *paths: str, descending: bool = False) -> Self:
        """Sort rows by items; to mix directions, call it once per item, the least important item first."""
        return self._with(SortBy(tuple((path, descending) for path in paths)))

    def limit(self, count: int, offset: int = 0) -> Self:
        """Keep at most `count` rows, after skipping `offset` rows."""
        return self._with(Limit(count, offset))

    def _with(self, step: Step) -> Self:
        return replace(self, steps=(*self.steps, step))


def reads(step: Step) -> set[Source]:
    """The parts of a record that a step reads besides the metadata: ``id``, ``content``, ``parent``."""
    match step:
        case Apply(_, expression):
            return {item.source for item in items_of(expression)} - {"metadata"}
        case Where(filter):
            return sources_of(filter) - {"metadata"}
        case _:
            return set()


def paths_of(step: Step) -> set[str]:
    """The items of a row that a step reads, by path."""
    match step:
        case GroupBy(keys, reducers):
            return {*keys, *(path for _, reducer in reducers for path in _reduced(reducer))}
        case Apply(_, expression):
            return {item.path for item in items_of(expression) if item.source == "metadata"}
        case Unwind(path):
            return {path}
        case Where(filter):
            return {field.path for field in fields_of(filter) if field.source == "metadata"}
        case SortBy(keys):
            return {path for path, _ in keys}
        case Limit():
            return set()
        case _:
            assert_never(step)


def _reduced(reducer: Reducer) -> set[str]:
    match reducer:
        case Count():
            return set()
        case FirstValue(path, by) if by is not None:
            return {path, by}
        case _:
            return {reducer.path}


def _reads_record(step: Step) -> bool:
    return bool(reads(step))
