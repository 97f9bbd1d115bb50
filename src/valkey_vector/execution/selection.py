"""Filter queries: compile a filter, check the selected records, count, page and delete.

This module contains the read logic that both engines share; an engine only implements what its server does well.

An engine selects records by its index. A record may change before its fields are read, so every record is checked
against the whole filter, with the same fields that are returned.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valkey_vector.connection.pipelines import Pipelined, run
from valkey_vector.engines.base import Engine
from valkey_vector.errors import FilterError, RequestTimeoutError, UnreadableRecordError
from valkey_vector.filters.ast import And, Equal, Filter, Not, OneOf, Or, sources_of
from valkey_vector.filters.compiler import SlotKind, compile_filter
from valkey_vector.filters.evaluate import matches
from valkey_vector.filters.plan import EVERYTHING, Everything, Plan
from valkey_vector.records.metadata import load
from valkey_vector.records.record import Record
from valkey_vector.records.temporal import is_temporal
from valkey_vector.storage.decoding import decode_record, decode_records, known_metadata
from valkey_vector.storage.layout import CONTENT, CREATED, METADATA, PARENT
from valkey_vector.storage.rows import FoundRow, Row

__all__ = [
    "ALL",
    "Selection",
    "counting",
    "delete",
    "metadata_of",
    "passes",
    "prepare_selection",
    "record_of",
    "records_of",
    "select",
    "selecting",
]

_CHANGING_SECONDS = 30.0
"""Time limit for retries of a removal whose records are changed by other clients."""

_MAX_NAMED = 5_000
"""Largest number of ids in a filter that are fetched directly."""

_MOST_CHECKS = 20_000_000
"""Largest number of checks (conditions times records) if the index cannot narrow a filter down: about 30 seconds."""

_MANY_CONDITIONS = 100
"""Number of conditions from which the records are counted before a filter is checked on each."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter compiled for one engine.

    Attributes:
        plan: the plan that the engine evaluates.
        filter: the filter that every record must match; None for all.
        exact: the plan selects exactly the records that match.
        ids: if not None, only these ids can match, and they are fetched instead of evaluating the plan.
        conditions: number of conditions to check on every record of the index if the plan selects all; otherwise 0.
        fields: the hash fields needed to check the filter.
    """

    plan: Plan
    filter: Filter | None
    exact: bool = True
    ids: tuple[str, ...] | None = None
    conditions: int = 0
    fields: Sequence[str] = ()

    def with_own(self, fields: Sequence[str]) -> list[str]:
        """These fields, and the fields needed to check the filter."""
        if self.filter is None:
            return list(fields)
        return list(dict.fromkeys([*fields, *self.fields]))

    def kept(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that match the filter, by their own fields."""
        if self.filter is None:
            return list(rows)
        reads_metadata_only = len(self.fields) == 1
        matching: list[Row] = []
        for row in rows:
            metadata = metadata_of(row)
            if reads_metadata_only:
                does_match = matches(self.filter, metadata, id=row.id)
            else:
                does_match = passes(self.filter, row, metadata)
            if does_match:
                matching.append(row.checked(metadata))
        return matching


ALL = Selection(EVERYTHING, None)
"""Selection of all records."""


def prepare_selection(engine: Engine, filter: Filter | None) -> Selection:
    """Compile a filter; read the slot bindings again if the filter uses one that this process does not know."""
    if filter is None:
        return ALL
    ids = _named_ids(filter)
    if ids is not None and len(ids) <= _MAX_NAMED:
        return Selection(Everything(), filter, exact=False, ids=ids, fields=_fields_of(filter))
    slots = _Watched(engine)
    compiled = compile_filter(filter, slots)
    if slots.missed and engine.slots.refresh():
        compiled = compile_filter(filter, engine.entry)
    plan = engine.fit(compiled.plan)
    exact = compiled.residual is None and plan is compiled.plan
    unnarrowed = not exact and isinstance(plan, Everything)
    conditions = _conditions(filter) if unnarrowed else 0
    return Selection(plan, filter, exact, conditions=conditions, fields=_fields_of(filter))


def _fields_of(filter: Filter) -> list[str]:
    """The hash fields that a filter reads, and the metadata."""
    read = sources_of(filter)
    own = [(CONTENT, "content"), (PARENT, "parent")]
    return [METADATA, *(name for name, source in own if source in read)]


def select(engine: Engine, selection: Selection, fields: Sequence[str]) -> Iterator[list[Row]]:
    """Iterate over all matching records in pages, oldest first.

    Raises:
        FilterError: the index cannot narrow the filter down, and it has too many conditions to check on every record.
        UnreadableRecordError: another program overwrote fields of a record.
    """
    _check_work(engine, selection)
    if selection.ids is not None:
        if rows := run(engine, _named(engine, selection, fields)):
            yield rows
        return
    for page in engine.select(selection.plan, selection.with_own(fields)):
        if matching := selection.kept(page):
            yield matching


def selecting(
    engine: Engine, selection: Selection, fields: Sequence[str], limit: int | None
) -> Pipelined[list[Row]]:
    """Retrieve the matching records, all or the first `limit`, oldest first; raises the same errors as `select`."""
    _check_work(engine, selection)
    if selection.ids is not None:
        return (yield from _named(engine, selection, fields))[:limit]
    if selection.filter is None:
        return (yield from engine.selecting(selection.plan, fields, limit, None))
    wanted = selection.with_own(fields)
    if selection.exact and limit is not None:
        rows = yield from engine.selecting(selection.plan, wanted, limit, None)
        matching = selection.kept(rows)
        if len(matching) == len(rows):
            return matching
    # Without a limit, or if records changed since they were selected: read on until enough records match.
    return (yield from engine.selecting(selection.plan, wanted, limit, selection.kept))[:limit]


def delete(engine: Engine, selection: Selection) -> int:
    """Delete the matching records, and return their number.

    Atomicity: each record is deleted only in the version that was checked. A record that changed in between is checked
    again.

    Raises:
        RequestTimeoutError: other clients kept changing some records for 30 seconds; the message names one.
    """
    return sum(_delete(engine, selection, page) for page in select(engine, selection, []))


def _delete(engine: Engine, selection: Selection, rows: list[Row]) -> int:
    """Delete records that matched when they were read, if they still match."""
    deadline = time.monotonic() + _CHANGING_SECONDS
    removed = 0
    while rows:
        deleted = engine.delete([row.id for row in rows], [row.version for row in rows])
        removed += deleted
        if deleted == len(rows):
            break
        found = run(engine, engine.fetching([row.id for row in rows], selection.with_own([])))
        rows = selection.kept([row for row in found if row is not None])
        if rows and time.monotonic() > deadline:
            raise RequestTimeoutError(
                f"{len(rows)} matching records were not removed, among them {rows[0].id!r}: other clients kept changing "
                f"them for {_CHANGING_SECONDS:.0f} seconds. {removed} of their page were removed; delete again"
            )
    return removed


def counting(engine: Engine, selection: Selection) -> Pipelined[int]:
    """Count the matching records; raises the same errors as `select`."""
    _check_work(engine, selection)
    if selection.ids is not None:
        return len((yield from selecting(engine, selection, [], None)))
    if selection.exact:
        return (yield from engine.counting(selection.plan))
    number = 0

    def tally(rows: list[Row]) -> list[Row]:
        nonlocal number
        number += len(selection.kept(rows))
        return []

    yield from engine.selecting(selection.plan, selection.fields, None, tally)
    return number


def passes(filter: Filter, row: Row, metadata: Mapping[str, Any]) -> bool:
    """Return True if a row matches; it must have the fields that the filter reads.

    Raises:
        UnreadableRecordError: another program overwrote one of the fields; the message names the record.
    """
    try:
        content = (row.get(CONTENT) or b"").decode()
        above = row.get(PARENT)
        parent = None if above is None else above.decode()
    except UnicodeDecodeError as error:
        raise _unreadable(row) from error
    return matches(filter, metadata, id=row.id, content=content, parent=parent)


def metadata_of(row: Row) -> Mapping[str, Any]:
    """The decoded metadata of a row; that of a checked row is not decoded again.

    Raises:
        UnreadableRecordError: another program overwrote the metadata; the message names the record.
    """
    known = row.metadata if type(row) is FoundRow else known_metadata(row)
    if known is not None:
        return known
    try:
        return load(row.get(METADATA) or b"{}")
    except (ValueError, UnreadableRecordError) as error:
        raise _unreadable(row) from error


def record_of(row: Row, only: Collection[str]) -> Record:
    """Convert a row to a record, with `only` the given hash fields.

    Raises:
        UnreadableRecordError: another program overwrote one of the fields; the message names the record.
    """
    known = known_metadata(row) if METADATA in only else None
    return decode_record(row.id, row.fields, only, known)


def records_of(rows: Iterable[Row], only: Collection[str]) -> list[Record]:
    """Convert rows to records, as `record_of` does."""
    return decode_records(rows, only)


def _unreadable(row: Row) -> UnreadableRecordError:
    return UnreadableRecordError(
        f"record {row.id!r} cannot be read: another program overwrote fields of it; write it again, or delete it"
    )


class _Watched:
    """Slot bindings that remember if a requested binding was missing."""

    def __init__(self, engine: Engine) -> None:
        self._entry = engine.entry
        self.missed = False

    def slot(self, path: str, kind: SlotKind) -> str | None:
        found = self._entry.slot(path, kind)
        if found is None and self._entry.complete(path, kind):
            self.missed = True
        return found

    def complete(self, path: str, kind: SlotKind) -> bool:
        return self._entry.complete(path, kind)


def _named(engine: Engine, selection: Selection, fields: Sequence[str]) -> Pipelined[list[Row]]:
    """The matching records among the ids that the filter names, oldest first."""
    wanted = selection.with_own([CREATED, *fields])
    found = yield from engine.fetching(selection.ids or (), wanted)
    rows = selection.kept([row for row in found if row is not None])
    return sorted(rows, key=lambda row: (float(row.fields[CREATED]), row.id))


def _named_ids(filter: Filter) -> tuple[str, ...] | None:
    """The only ids that can match a filter, or None if it does not name ids."""
    match filter:
        case Equal(field, value) if field.source == "id":
            return _named_ids(OneOf(field, (value,)))
        case OneOf(field, values) if field.source == "id":
            if any(is_temporal(item) for item in values):
                return None  # equal to several texts
            return tuple(dict.fromkeys(item for item in values if isinstance(item, str) and item))
        case And(parts):
            return next((ids for part in parts if (ids := _named_ids(part)) is not None), None)
        case _:
            return None


def _check_work(engine: Engine, selection: Selection) -> None:
    if selection.conditions <= _MANY_CONDITIONS:
        return
    documents = engine.count(Everything())
    if selection.conditions * documents > _MOST_CHECKS:
        raise FilterError(
            f"the filter has {selection.conditions:,} conditions that the index cannot evaluate together, and they would "
            f"be checked on each of {documents:,} records of {engine.entry.name!r}: use in_() with a list, merge ranges, "
            "or split the query"
        )


def _conditions(filter: Filter) -> int:
    """The number of predicates in a filter."""
    number, left = 0, [filter]
    while left:
        match left.pop():
            case And(parts) | Or(parts):
                left.extend(parts)
            case Not(part):
                left.append(part)
            case _:
                number += 1
    return number
