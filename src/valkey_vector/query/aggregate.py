"""`AggregateQuery`: what is to be counted, summed and grouped, as data.

Semantics, stated once and held by `valkey_vector.execution.aggregation` on every engine:

* The rows that come in are the records that pass `filter`, oldest first; each row is its metadata. Steps are done in
  their order, each on the rows that the one before gave.
* Values fall into one group where filters have them equal: 1 and 1.0, one point in time however spelled, lists with
  equal items. Texts are just texts, booleans are not numbers. None is missing; missing is a group of its own, and so
  is NaN. A group is shown with its simplest spelling: 1 rather than 1.0, a date rather than its midnight. An item
  that is a list is one value; `Unwind` makes rows of its elements.
* Groups come ordered by their keys: booleans, numbers, points in time, texts, anything else; missing last.
* `Sum`, `Average` and `StandardDeviation` take numbers and nothing else (no booleans, no NaN, no text that looks like
  one) and are exact: rounded once, at the end, whatever the order of the rows. `Minimum` and `Maximum` take whatever
  has an order.
* A filter in `Where` means what it means everywhere, applied to the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias

from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.ast import Field, Filter, Source, sources_of
from valkey_vector.query.expressions import Expression, as_expression, items_of
from valkey_vector.records.validation import FilterLike, as_filter, check_limit

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
    """How many rows the group has."""


@dataclass(frozen=True, slots=True)
class _OfPath:
    """What a reducer of one item has in common."""

    path: str

    def __post_init__(self) -> None:
        Field(self.path)  # checks the path


@dataclass(frozen=True, slots=True)
class CountDistinct(_OfPath):
    """How many different values the item has in the group, as grouping tells them apart; missing is none."""


@dataclass(frozen=True, slots=True)
class Distinct(_OfPath):
    """The different values of the item in the group, as a list in the order of groups; missing is none."""


@dataclass(frozen=True, slots=True)
class Sum(_OfPath):
    """The sum of the item's numbers: an int if all of them are, 0 of none."""


@dataclass(frozen=True, slots=True)
class Minimum(_OfPath):
    """The least of the item's values; None of none."""


@dataclass(frozen=True, slots=True)
class Maximum(_OfPath):
    """The greatest of the item's values; None of none."""


@dataclass(frozen=True, slots=True)
class Average(_OfPath):
    """The mean of the item's numbers, a float; None of none."""


@dataclass(frozen=True, slots=True)
class StandardDeviation(_OfPath):
    """The standard deviation of the item's numbers, a float.

    Attributes:
        path: the item.
        ddof: 1 for that of a sample, as pandas has it, 0 for that of a population. None of no more numbers than
            that.
    """

    ddof: int = 1

    def __post_init__(self) -> None:
        Field(self.path)
        if self.ddof not in (0, 1) or isinstance(self.ddof, bool):
            raise InvalidInputError(f"ddof must be 0 or 1, not {self.ddof!r}")


@dataclass(frozen=True, slots=True)
class FirstValue(_OfPath):
    """The item of the group's first row, None if it is missing there.

    Attributes:
        path: the item.
        by: order the group by this item before, where given; rows without it come last.
        descending: by the greatest first.
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
"""What a group is reduced to."""


@dataclass(frozen=True, slots=True)
class GroupBy:
    """One row for each group, with its keys and what its reducers made of it.

    Attributes:
        keys: items whose values tell groups apart. Without keys all rows are one group, which is there even if there
            are no rows.
        reducers: (name of the result, reducer).
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
                "a group needs a key or a reducer: it would have nothing to say"
            )
        for name in names:
            Field(name)
            if names.count(name) > 1:
                raise InvalidInputError(f"the result {name!r} of a group is named more than once")
        for name, reducer in self.reducers:
            if not isinstance(reducer, Reducer):
                raise InvalidInputError(
                    f"{name!r} needs a reducer such as Count() or Sum('price'), not {reducer!r}"
                )


@dataclass(frozen=True, slots=True)
class Apply:
    """Every row gets an item, computed; in place of one so named. A result that is missing leaves the item out."""

    name: str
    expression: Expression

    def __post_init__(self) -> None:
        Field(self.name)
        object.__setattr__(self, "expression", as_expression(self.expression))


@dataclass(frozen=True, slots=True)
class Unwind:
    """One row for each element of the item if it is a list, none of an empty one; other rows stay as they are."""

    path: str

    def __post_init__(self) -> None:
        Field(self.path)


@dataclass(frozen=True, slots=True)
class Where:
    """Only the rows that pass the filter."""

    filter: Filter


@dataclass(frozen=True, slots=True)
class SortBy:
    """Rows by an item, then by the next; missing comes last in either direction, equal rows stay as they were.

    Attributes:
        keys: (item, whether the greatest comes first).
    """

    keys: tuple[tuple[str, bool], ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise InvalidInputError("rows are sorted by at least one item")
        for path, descending in self.keys:
            Field(path)
            if not isinstance(descending, bool):
                raise InvalidInputError(f"descending must be True or False, not {descending!r}")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` rows, after leaving out `offset`."""

    count: int
    offset: int = 0

    def __post_init__(self) -> None:
        check_limit(self.offset, "offset")
        check_limit(self.count, "limit")


Step: TypeAlias = GroupBy | Apply | Unwind | Where | SortBy | Limit
"""What is done with rows."""


@dataclass(frozen=True, slots=True)
class AggregateQuery:
    """Which records, and what is made of them. Immutable: each method gives a new query with one more step.

    ::

        AggregateQuery(filter=F("year") >= 2020)
            .apply(total=Item("price") * Item("pieces"))
            .group_by("category", n=Count(), turnover=Sum("total"))
            .where(F("n") > 1)
            .sort_by("turnover", descending=True)
            .limit(10)

    Attributes:
        filter: which records; None for all.
        steps: what is done with them, in order.
    """

    filter: Filter | None = None
    steps: tuple[Step, ...] = field(default=())

    def __init__(self, filter: FilterLike | None = None, steps: tuple[Step, ...] = ()) -> None:
        object.__setattr__(self, "filter", None if filter is None else as_filter(filter))
        object.__setattr__(self, "steps", tuple(steps))
        grouped = False
        for step in self.steps:
            if not isinstance(step, Step):
                raise InvalidInputError(f"{step!r} is no step of an aggregate")
            if grouped and _reads_record(step):
                raise InvalidInputError(
                    "after a group there is no record any more whose id, content or parent could be read"
                )
            grouped = grouped or isinstance(step, GroupBy)

    def group_by(
        self, *keys: str, reducers: Mapping[str, Reducer] | None = None, **named: Reducer
    ) -> Self:
        """Group rows by items.

        Args:
            keys: the items; none for one group of all rows.
            reducers: name of the result to reducer, for names that are no Python names.
            named: likewise: ``n=Count(), turnover=Sum("price")``.
        """
        return self._with(GroupBy(keys, (*(reducers or {}).items(), *named.items())))

    def apply(self, expressions: Mapping[str, Any] | None = None, **named: Any) -> Self:
        """Give every row items computed from others, one after the other: ``total=Item("price") * 2``."""
        steps = [
            Apply(name, as_expression(made))
            for name, made in {**(expressions or {}), **named}.items()
        ]
        return replace(self, steps=(*self.steps, *steps))

    def unwind(self, path: str) -> Self:
        """Make a row of each element of a list."""
        return self._with(Unwind(path))

    def where(self, filter: FilterLike) -> Self:
        """Keep only the rows that pass."""
        return self._with(Where(as_filter(filter)))

    def sort_by(self, *paths: str, descending: bool = False) -> Self:
        """Sort rows; for different directions sort by the least important item first."""
        return self._with(SortBy(tuple((path, descending) for path in paths)))

    def limit(self, count: int, offset: int = 0) -> Self:
        """Keep at most so many rows."""
        return self._with(Limit(count, offset))

    def _with(self, step: Step) -> Self:
        return replace(self, steps=(*self.steps, step))


def reads(step: Step) -> set[Source]:
    """What of a record a step reads besides its metadata: ``id``, ``content``, ``parent``."""
    match step:
        case Apply(_, expression):
            return {item.source for item in items_of(expression)} - {"metadata"}
        case Where(filter):
            return sources_of(filter) - {"metadata"}
        case _:
            return set()


def _reads_record(step: Step) -> bool:
    return bool(reads(step))
