"""Groups that an engine counts from its own structures, completed with the records whose values it does not know."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from valkey_vector.connection.pipelines import Pipelined, run, run_all
from valkey_vector.engines.base import Engine, Grouped
from valkey_vector.engines.paging import PAGE
from valkey_vector.errors import ValkeyVectorError
from valkey_vector.execution.aggregation.rows import group_key, shown, simplest
from valkey_vector.execution.selection import Selection, metadata_of
from valkey_vector.records.metadata import MISSING, lookup
from valkey_vector.storage.hashes import in_batches
from valkey_vector.storage.layout import METADATA
from valkey_vector.storage.rows import Row

__all__ = ["Groups", "groups_of"]

_Values = tuple[Any, ...]


@dataclass(slots=True)
class Groups:
    """Counts of records by the values of metadata keys.

    Attributes:
        counts: group → the values to show, None for a missing one, and the number of records.
    """

    counts: dict[tuple[Hashable, ...], tuple[_Values, int]] = field(default_factory=dict)

    def add(self, values: _Values, count: int) -> None:
        """Count records with these values."""
        key = tuple(map(group_key, values))
        counted = self.counts.get(key)
        if counted is not None:
            values, count = tuple(map(simplest, counted[0], values)), counted[1] + count
        self.counts[key] = values, count


def groups_of(
    engine: Engine, selection: Selection, keys: Sequence[Sequence[str]], *, elements: bool
) -> list[Groups] | None:
    """Count the matching records by the values of metadata keys; None if the engine has no such counts.

    Cost: one or two round trips, and one for each 500 records whose values the engine does not know.

    Args:
        engine: the engine of the index.
        selection: the compiled filter; its plan must be exact.
        keys: for each result, its metadata keys.
        elements: for results with a single key: count a list once for each distinct element that is not None.
    """
    operations: list[Pipelined[Grouped]] = []
    for each in keys:
        operation = engine.grouping(selection.plan, each, elements=elements)
        if operation is None:
            return None
        operations.append(operation)
    results: list[Groups] = []
    unread: dict[str, list[int]] = {}
    for position, outcome in enumerate(run_all(engine, operations)):
        if isinstance(outcome, ValkeyVectorError):
            raise outcome
        results.append(Groups())
        for values, count in outcome.groups:
            results[position].add(values, count)
        for id in outcome.unread:
            unread.setdefault(id, []).append(position)
    for row in _read(engine, selection, list(unread)):
        for position in unread[row.id]:
            for values in _values(row, keys[position], elements=elements):
                results[position].add(values, 1)
    return results


def _read(engine: Engine, selection: Selection, ids: Sequence[str]) -> Iterator[Row]:
    """Fetch records, and check each against the filter."""
    for batch in in_batches(ids, PAGE):
        found = run(engine, engine.fetching(batch, selection.with_own([METADATA])))
        yield from selection.kept([row for row in found if row is not None])


def _values(row: Row, keys: Sequence[str], *, elements: bool) -> Iterator[_Values]:
    """The groups that a record belongs to."""
    metadata = metadata_of(row)
    found = [lookup(metadata, key) for key in keys]
    values = [None if value is MISSING else value for value in found]
    if not elements or not isinstance(values[0], list):
        yield tuple(map(shown, values))
        return
    distinct = {group_key(item): item for item in values[0] if item is not None}
    for element in distinct.values():
        yield (shown(element),)
