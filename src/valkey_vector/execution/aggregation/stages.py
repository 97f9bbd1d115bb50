"""The steps of an aggregate: each turns a stream of rows into another one.

Only `GroupBy` and `SortBy` hold more than one row: a group its reducers, a sort all its rows, or the number of rows that
a `Limit` right after it needs.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, assert_never

from valkey_vector.execution.aggregation.expressions import value_of
from valkey_vector.execution.aggregation.reducers import Accumulator, accumulator
from valkey_vector.execution.aggregation.rows import Line, group_key, place, shown, simplest
from valkey_vector.filters.ast import Filter
from valkey_vector.filters.evaluate import matches
from valkey_vector.query.aggregate import Apply, GroupBy, Limit, SortBy, Step, Unwind, Where
from valkey_vector.records.ordering import sort_key

__all__ = ["run"]


def run(rows: Iterable[Line], steps: Sequence[Step]) -> Iterator[Line]:
    """Run the steps, and iterate over the resulting rows."""
    stream = iter(rows)
    position = 0
    while position < len(steps):
        step = steps[position]
        following = steps[position + 1] if position + 1 < len(steps) else None
        if isinstance(step, SortBy) and isinstance(following, Limit):
            needed = following.offset + following.count
            stream = iter(heapq.nsmallest(needed, stream, key=_order(step)))
        else:
            stream = _done(stream, step)
        position += 1
    return stream


def _done(rows: Iterator[Line], step: Step) -> Iterator[Line]:
    match step:
        case Apply(name, expression):
            return (
                replace(row, items={**row.items, name: value_of(expression, row)}) for row in rows
            )
        case Unwind(path):
            return (one for row in rows for one in _unwound(row, path))
        case Where(filter):
            return (row for row in rows if _passes(filter, row))
        case SortBy():
            return iter(sorted(rows, key=_order(step)))
        case Limit(count, offset):
            return islice(rows, min(offset, sys.maxsize), min(offset + count, sys.maxsize))
        case GroupBy():
            return _grouped(rows, step)
        case _:
            assert_never(step)


def _unwound(row: Line, path: str) -> Iterator[Line]:
    value = row.present(path)
    if not isinstance(value, list):
        yield row
        return
    for element in value:
        yield replace(row, items={**row.items, path: element})


class _Group:
    __slots__ = ("accumulators", "keys")

    def __init__(self, keys: list[Any], step: GroupBy) -> None:
        self.keys = keys
        self.accumulators: list[Accumulator] = [
            accumulator(reducer) for _, reducer in step.reducers
        ]

    def line(self, step: GroupBy) -> Line:
        items = dict(zip(step.keys, self.keys, strict=True))
        for (name, _), each in zip(step.reducers, self.accumulators, strict=True):
            items[name] = each.result()
        return Line(items)


def _grouped(rows: Iterator[Line], step: GroupBy) -> Iterator[Line]:
    groups: dict[tuple[Any, ...], _Group] = {}
    if not step.keys:
        groups[()] = _Group([], step)
    for row in rows:
        values = [row.present(path) for path in step.keys]
        key = tuple(map(group_key, values))
        spelled = list(map(shown, values))
        group = groups.get(key)
        if group is None:
            group = groups[key] = _Group(spelled, step)
        else:
            group.keys = list(map(simplest, group.keys, spelled))
        for each in group.accumulators:
            each.add(row)
    for group in sorted(groups.values(), key=lambda group: tuple(map(place, group.keys))):
        yield group.line(step)


class _Reversed:
    """A value in descending order."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self._value == other._value)

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other._value < self._value)

    __hash__ = None  # type: ignore[assignment]  # compared only


def _order(step: SortBy) -> Any:
    def key(row: Line) -> list[tuple[Any, ...]]:
        keys: list[tuple[Any, ...]] = []
        for path, descending in step.keys:
            value = row.present(path)
            if value is None:
                keys.append((1,))
            else:
                place_of = sort_key(value)
                keys.append((0, _Reversed(place_of) if descending else place_of))
        return keys

    return key


def _passes(filter: Filter, row: Line) -> bool:
    return matches(filter, row.items, id=row.id, content=row.content, parent=row.parent)
