"""Answer filters on an engine: compile them, check what was found, count and page.

All that both engines have in common about reading is here, so that an engine need only do what its server is good at.

An engine selects by its index, and what it selected may have changed by the time its fields are read. So every record
is checked against the whole filter by the very fields that are returned.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from valkey_vector.connection.pipelines import Steps, alone
from valkey_vector.engines.base import Engine, Row
from valkey_vector.errors import FilterError, RequestTimeoutError, UnreadableRecordError
from valkey_vector.filters.ast import And, Equal, Filter, Not, OneOf, Or, sources_of
from valkey_vector.filters.compiler import SlotKind, compile_filter
from valkey_vector.filters.evaluate import matches
from valkey_vector.filters.plan import Everything, Plan
from valkey_vector.index.handle import Lifecycle
from valkey_vector.records.metadata import load
from valkey_vector.records.record import Record
from valkey_vector.records.temporal import is_temporal
from valkey_vector.storage.layout import CONTENT, CREATED, METADATA, PARENT, decode_record

__all__ = [
    "CheckedRow",
    "Selection",
    "counting",
    "delete",
    "metadata_of",
    "passes",
    "prepare_selection",
    "record_of",
    "select",
    "selecting",
]

_CHANGING_SECONDS = 30.0
"""How long a removal tries again with records that others change meanwhile."""

_FEW = 5_000
"""Ids that a filter may name to be fetched directly."""

_MOST_CHECKS = 20_000_000
"""Conditions, each checked on every record, of a filter that the index cannot narrow down: about half a minute."""

_MANY_CONDITIONS = 100
"""Conditions of a filter of which it is found out first on how many records they would be checked."""


@dataclass(frozen=True, slots=True)
class CheckedRow(Row):
    """A row with its metadata, which was read to check it.

    Attributes:
        metadata: of the record, decoded.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter made ready for one engine.

    Attributes:
        plan: what the engine selects.
        filter: what every record must match; None for all.
        exact: the plan selects just the records that match.
        ids: if not None, only these ids can match, so they are looked up instead.
        conditions: how many are checked on every record of the index, where the plan selects all.
    """

    plan: Plan
    filter: Filter | None
    exact: bool = True
    ids: tuple[str, ...] | None = None
    conditions: int = 0

    @property
    def fields(self) -> list[str]:
        """The hash fields needed to check the filter."""
        if self.filter is None:
            return []
        read = sources_of(self.filter)
        own = [(CONTENT, "content"), (PARENT, "parent")]
        return [METADATA, *(name for name, source in own if source in read)]

    def with_own(self, fields: Sequence[str]) -> list[str]:
        """These fields, and those needed to check the filter."""
        return list(dict.fromkeys([*fields, *self.fields]))

    def kept(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that match the filter, by their own fields."""
        if self.filter is None:
            return list(rows)
        kept: list[Row] = []
        for row in rows:
            metadata = metadata_of(row)
            if passes(self.filter, row, metadata):
                kept.append(CheckedRow(row.id, row.fields, row.distance, metadata))
        return kept


def prepare_selection(lifecycle: Lifecycle, engine: Engine, filter: Filter | None) -> Selection:
    """Compile a filter, with the slot bindings read again if it uses one that this process does not know."""
    if filter is None:
        return Selection(Everything(), None)
    ids = _named_ids(filter)
    if ids is not None and len(ids) <= _FEW:
        return Selection(Everything(), filter, exact=False, ids=ids)
    slots = _Watched(engine)
    compiled = compile_filter(filter, slots)
    if slots.missed and lifecycle.refresh(engine):
        compiled = compile_filter(filter, engine.entry)
    plan = engine.fit(compiled.plan)
    exact = compiled.residual is None and plan is compiled.plan
    unnarrowed = not exact and isinstance(plan, Everything)
    return Selection(plan, filter, exact, conditions=_conditions(filter) if unnarrowed else 0)


def select(engine: Engine, selection: Selection, fields: Sequence[str]) -> Iterator[list[Row]]:
    """All records that match, in pages, oldest first.

    Raises:
        FilterError: the index cannot narrow the filter down, and it has too many conditions to check on every record.
    """
    _check_work(engine, selection)
    if selection.ids is not None:
        if rows := alone(engine, _named(engine, selection, fields)):
            yield rows
        return
    for page in engine.select(selection.plan, selection.with_own(fields)):
        if kept := selection.kept(page):
            yield kept


def selecting(
    engine: Engine, selection: Selection, fields: Sequence[str], limit: int | None
) -> Steps[list[Row]]:
    """The records that match, all or the first `limit`, oldest first; raises as `select`."""
    _check_work(engine, selection)
    if selection.ids is not None:
        return (yield from _named(engine, selection, fields))[:limit]
    if selection.filter is None:
        return (yield from engine.selecting(selection.plan, fields, limit, None))
    wanted = selection.with_own(fields)
    if selection.exact and limit is not None:
        rows = yield from engine.selecting(selection.plan, wanted, limit, None)
        kept = selection.kept(rows)
        if len(kept) == len(rows):
            return kept
    # All, or some changed since they were selected: others take their places.
    return (yield from engine.selecting(selection.plan, wanted, limit, selection.kept))[:limit]


def delete(engine: Engine, selection: Selection) -> int:
    """Remove the records that match; returns how many that were.

    A record that was changed since it was found is not removed unless it still matches when it is looked at again.

    Raises:
        RequestTimeoutError: some were changed again and again; names them.
    """
    return sum(_delete(engine, selection, page) for page in select(engine, selection, []))


def _delete(engine: Engine, selection: Selection, rows: list[Row]) -> int:
    """Remove records that matched when they were read, as long as they still do."""
    deadline = time.monotonic() + _CHANGING_SECONDS
    removed = 0
    while rows:
        gone = engine.delete([row.id for row in rows], [row.version for row in rows])
        removed += gone
        if gone == len(rows):
            break
        found = alone(engine, engine.fetching([row.id for row in rows], selection.with_own([])))
        rows = selection.kept([row for row in found if row is not None])
        if rows and time.monotonic() > deadline:
            raise RequestTimeoutError(
                f"{len(rows)} records that match are being changed by others all the time, {rows[0].id!r} among them, and "
                f"were not removed; {removed} of their page were"
            )
    return removed


def counting(engine: Engine, selection: Selection) -> Steps[int]:
    """How many records match; raises as `select`."""
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
    """Whether a row, with the fields to decide it, matches.

    Raises:
        UnreadableRecordError: another program overwrote one of them; names the record.
    """
    try:
        content = row.fields.get(CONTENT, b"").decode("utf-8")
        parent = row.fields[PARENT].decode("utf-8") if PARENT in row.fields else None
    except UnicodeDecodeError as error:
        raise _unreadable(row) from error
    return matches(filter, metadata, id=row.id, content=content, parent=parent)


def metadata_of(row: Row) -> Mapping[str, Any]:
    """The metadata of a row that has it, decoded once.

    Raises:
        UnreadableRecordError: another program overwrote it; names the record.
    """
    if isinstance(row, CheckedRow):
        return row.metadata
    try:
        return load(row.fields.get(METADATA) or b"{}")
    except (ValueError, UnreadableRecordError) as error:
        raise _unreadable(row) from error


def record_of(row: Row, only: Collection[str]) -> Record:
    """The record of a row, with `only` these of its fields.

    Raises:
        UnreadableRecordError: another program overwrote a field of it; names the record.
    """
    try:
        if isinstance(row, CheckedRow) and METADATA in only:
            others = {name: value for name, value in row.fields.items() if name != METADATA}
            return replace(decode_record(row.id, others, only), metadata=row.metadata)
        return decode_record(row.id, row.fields, only)
    except ValueError as error:
        raise _unreadable(row) from error


def _unreadable(row: Row) -> UnreadableRecordError:
    return UnreadableRecordError(
        f"record {row.id!r} cannot be read: another program overwrote fields of it; write it again, or delete it"
    )


class _Watched:
    """Slot bindings that note whether one was asked for that is not there."""

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


def _named(engine: Engine, selection: Selection, fields: Sequence[str]) -> Steps[list[Row]]:
    """The records that match out of those whose ids the filter names, oldest first."""
    wanted = selection.with_own([CREATED, *fields])
    found = yield from engine.fetching(selection.ids or (), wanted)
    rows = selection.kept([row for row in found if row is not None])
    return sorted(rows, key=lambda row: (float(row.fields[CREATED]), row.id))


def _named_ids(filter: Filter) -> tuple[str, ...] | None:
    """The ids that a filter names as the only ones possible, or None."""
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
    """How many predicates a filter has."""
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
