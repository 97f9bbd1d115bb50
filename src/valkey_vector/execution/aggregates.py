"""Aggregates: count on the server where its counts are exact, otherwise compute from the records.

A search module groups by index fields, not by metadata, and returns numbers with ten digits. So the records of each value
are counted by the token of the value (see `valkey_vector.execution.value_counts`). If these counts do not add up to all
records, every record is read instead, page by page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from valkey_vector.engines.base import Engine
from valkey_vector.errors import InvalidInputError
from valkey_vector.execution.aggregation.rows import Line, group_key, place, shown, simplest
from valkey_vector.execution.aggregation.stages import run
from valkey_vector.execution.grouping import Groups, groups_of
from valkey_vector.execution.selection import Selection, metadata_of, prepare_selection, select
from valkey_vector.execution.value_counts import count_values
from valkey_vector.filters.ast import And, Field, Filter
from valkey_vector.filters.plan import Plan
from valkey_vector.query.aggregate import AggregateQuery, Count, GroupBy, Step, Where, reads
from valkey_vector.records.metadata import MISSING, lookup
from valkey_vector.records.validation import check_limit
from valkey_vector.storage.layout import CONTENT, METADATA, PARENT
from valkey_vector.storage.rows import Row

__all__ = [
    "Facet",
    "FacetValue",
    "absent",
    "aggregate",
    "check_facets",
    "facets",
    "facets_of_rows",
]


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value of a metadata key, and the number of records that have it."""

    value: Any
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """The values of one metadata key among the matching records.

    Attributes:
        key: the metadata key.
        values: the most frequent first, ties in the order of groups. A list counts once for each distinct element.
        distinct: number of distinct values, including those beyond the limit of `values`.
        missing: number of records without the key, or with None there.
        partial: True if records may not be counted, as for `SearchResult`.
    """

    key: str
    values: tuple[FacetValue, ...]
    distinct: int
    missing: int
    partial: bool = False


@dataclass(slots=True)
class _Tally:
    """Counts of the values of one key."""

    values: dict[Any, tuple[Any, int]]
    missing: int

    def add(self, metadata: Mapping[str, Any], path: str) -> None:
        """Count one record."""
        value = lookup(metadata, path)
        if value is None or value is MISSING:
            self.missing += 1
            return
        elements = value if isinstance(value, list) else [value]
        for key, element in {
            group_key(item): item for item in elements if item is not None
        }.items():
            spelled = shown(element)
            known, count = self.values.get(key, (spelled, 0))
            self.values[key] = simplest(known, spelled), count + 1

    def facet(self, path: str, limit: int | None) -> Facet:
        counted = sorted(self.values.values(), key=lambda each: (-each[1], place(each[0])))
        values = tuple(FacetValue(value, count) for value, count in counted[:limit])
        return Facet(path, values, len(counted), self.missing)


def aggregate(engine: Engine, query: AggregateQuery) -> list[dict[str, Any]]:
    """Run an aggregate, and return its rows.

    Cost: two round trips for a count by at most one key if the server's counts are exact; otherwise reads the records
    in pages.
    """
    filter, steps = _pushed_down(query)
    selection = prepare_selection(engine, filter)
    rows = _grouped_by_server(engine, selection, steps)
    if rows is None:
        fields = _fields(steps)
        found = chain.from_iterable(select(engine, selection, fields))
        return _results(run(map(_line, found), steps))
    return _results(run(rows, steps[1:]))


def facets(
    engine: Engine,
    paths: Sequence[str],
    filter: Filter | None,
    limit: int | None,
) -> dict[str, Facet]:
    """Count the values of several metadata keys.

    Cost: two round trips if the server's counts are exact; otherwise reads the records in pages.
    """
    selection = prepare_selection(engine, filter)
    tallies: dict[str, _Tally | None] = dict.fromkeys(paths)
    if selection.exact:
        tallies.update(zip(paths, _tallied(engine, selection, paths), strict=True))
    uncounted = [path for path, tally in tallies.items() if tally is None]
    if uncounted:
        rows = chain.from_iterable(select(engine, selection, [METADATA]))
        tallies |= _tallied_rows(map(metadata_of, rows), uncounted)
    return {path: tally.facet(path, limit) for path, tally in tallies.items() if tally is not None}


def facets_of_rows(
    rows: Iterable[Mapping[str, Any]], paths: Sequence[str], limit: int | None
) -> dict[str, Facet]:
    """Count the values of several paths in rows."""
    tallies = _tallied_rows(rows, paths)
    return {path: tally.facet(path, limit) for path, tally in tallies.items()}


def check_facets(keys: Sequence[str], limit: int | None) -> list[str]:
    """Return the paths of facets, each once.

    Raises:
        InvalidInputError: `keys` is not a list, or `limit` is not an integer ≥ 0.
    """
    if isinstance(keys, str):
        raise InvalidInputError(
            f"keys must be a list of metadata keys, not the text {keys!r}: pass [{keys!r}]"
        )
    if not isinstance(keys, Iterable):
        raise InvalidInputError(f"keys must be a list of metadata keys, not {keys!r}")
    paths = list(dict.fromkeys(keys))
    for path in paths:
        Field(path)
    if limit is not None:
        check_limit(limit, "limit")
    return paths


def absent(query: AggregateQuery) -> list[dict[str, Any]]:
    """The rows of an aggregate if the index does not exist."""
    return _results(run((), query.steps))


def _pushed_down(query: AggregateQuery) -> tuple[Filter | None, tuple[Step, ...]]:
    """The filter combined with the leading `Where` steps, and the remaining steps."""
    parts = [] if query.filter is None else [query.filter]
    steps = list(query.steps)
    while steps and isinstance(steps[0], Where):
        parts.append(steps[0].filter)
        del steps[0]
    filter = And(tuple(parts)) if len(parts) > 1 else next(iter(parts), None)
    return filter, tuple(steps)


def _fields(steps: Iterable[Step]) -> list[str]:
    read = {source for step in steps for source in reads(step)}
    own = [(CONTENT, "content"), (PARENT, "parent")]
    return [METADATA, *(field for field, source in own if source in read)]


def _line(row: Row) -> Line:
    parent = row.fields[PARENT].decode("utf-8") if PARENT in row.fields else None
    content = row.fields.get(CONTENT, b"").decode("utf-8")
    return Line(metadata_of(row), row.id, content, parent)


def _results(rows: Iterable[Line]) -> list[dict[str, Any]]:
    return [dict(row.items) for row in rows]


def _grouped_by_server(
    engine: Engine, selection: Selection, steps: Sequence[Step]
) -> Iterator[Line] | None:
    """The rows of a first step that only counts; None if the records are needed."""
    if not steps or not isinstance(steps[0], GroupBy) or not selection.exact:
        return None
    step = steps[0]
    if not all(isinstance(each, Count) for _, each in step.reducers):
        return None
    if not step.keys:
        return iter([_counted(step, (), engine.count(selection.plan))])
    known = groups_of(engine, selection, [step.keys], elements=False)
    if known is not None:
        found = sorted(known[0].counts.values(), key=lambda group: tuple(map(place, group[0])))
        return iter([_counted(step, values, count) for values, count in found])
    if len(step.keys) > 1:
        return None
    (tally,) = _tallied_by_server(engine, selection.plan, step.keys)
    if tally is None:
        return None
    groups = [*tally.values.values(), *([(None, tally.missing)] if tally.missing else [])]
    groups.sort(key=lambda group: place(group[0]))
    return iter([_counted(step, (value,), count) for value, count in groups])


def _tallied(engine: Engine, selection: Selection, paths: Sequence[str]) -> Iterable[_Tally | None]:
    """For each path the counts of its values, from the engine or the server; None if the records are needed."""
    known = groups_of(engine, selection, [[path] for path in paths], elements=True)
    if known is None:
        return _tallied_by_server(engine, selection.plan, paths)
    return map(_tally, known)


def _tallied_rows(rows: Iterable[Mapping[str, Any]], paths: Sequence[str]) -> dict[str, _Tally]:
    tallies = {path: _Tally({}, 0) for path in paths}
    for row in rows:
        for path, tally in tallies.items():
            tally.add(row, path)
    return tallies


def _tally(groups: Groups) -> _Tally:
    """The counts of one key."""
    counts = {key: (value, count) for (key,), ((value,), count) in groups.counts.items()}
    _, missing = counts.pop(group_key(None), (None, 0))
    return _Tally(counts, missing)


def _counted(step: GroupBy, keys: Sequence[Any], count: int) -> Line:
    counts = ((name, count) for name, _ in step.reducers)
    return Line({**dict(zip(step.keys, keys, strict=True)), **dict(counts)})


def _tallied_by_server(engine: Engine, plan: Plan, paths: Sequence[str]) -> Iterator[_Tally | None]:
    """For each path the counts of its values; None if the records are needed."""
    found = count_values(engine, plan, paths)
    for counts in map(found.__getitem__, paths):
        yield None if counts is None else _Tally(dict(counts.values), counts.missing)
