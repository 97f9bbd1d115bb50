"""Answer filters on an engine: compile them, check the residual, count and page.

All that both engines have in common about reading is here, so that an engine need only do what its server is good at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from valkey_vector.document import CONTENT, CREATED, METADATA, PARENT
from valkey_vector.engines.base import Engine, Row
from valkey_vector.engines.steps import Steps, alone
from valkey_vector.filters.ast import And, Equal, Filter, OneOf, sources_of
from valkey_vector.filters.compilation import SlotKind, compile_filter
from valkey_vector.filters.evaluate import matches
from valkey_vector.filters.plan import Everything, Plan
from valkey_vector.lifecycle import Lifecycle
from valkey_vector.metadata import load
from valkey_vector.temporal import is_temporal

__all__ = ["Selection", "counting", "delete", "passes", "prepare_selection", "select", "selecting"]

_FEW = 5_000
"""Ids that a filter may name to be fetched directly."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter made ready for one engine.

    Attributes:
        plan: what the engine selects.
        residual: what is to be checked on what it selected.
        ids: if not None, only these ids can match, so they are looked up instead.
    """

    plan: Plan
    residual: Filter | None
    ids: tuple[str, ...] | None = None

    @property
    def fields(self) -> list[str]:
        """The hash fields needed to check the residual."""
        if self.residual is None:
            return []
        read = sources_of(self.residual)
        own = [(CONTENT, "content"), (PARENT, "parent")]
        return [METADATA, *(field for field, source in own if source in read)]

    def with_own(self, fields: Sequence[str]) -> list[str]:
        """These fields, and those needed to check the residual."""
        return list(dict.fromkeys([*fields, *self.fields]))

    def kept(self, rows: list[Row]) -> list[Row]:
        """The rows that pass the residual."""
        if self.residual is None:
            return rows
        return [row for row in rows if passes(self.residual, row)]


def prepare_selection(lifecycle: Lifecycle, engine: Engine, filter: Filter | None) -> Selection:
    """Compile a filter, with the slot bindings read anew if it asks for one this process does not know."""
    if filter is None:
        return Selection(Everything(), None)
    named = _named_ids(filter)
    if named is not None and len(named.ids) <= _FEW:
        return Selection(Everything(), named.rest, named.ids)
    slots = _Watched(engine)
    compiled = compile_filter(filter, slots)
    if slots.missed and lifecycle.refresh(engine):
        compiled = compile_filter(filter, engine.entry)
    plan = engine.fit(compiled.plan)
    residual = compiled.residual if plan is compiled.plan else filter
    return Selection(plan, residual)


def select(engine: Engine, selection: Selection, fields: Sequence[str]) -> Iterator[list[Row]]:
    """All records that match, in pages, oldest first."""
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
    """The records that match, all or the first `limit`, oldest first."""
    if selection.ids is not None:
        return (yield from _named(engine, selection, fields))[:limit]
    keep = None if selection.residual is None else selection.kept
    wanted = selection.with_own(fields)
    return (yield from engine.selecting(selection.plan, wanted, limit, keep))


def delete(engine: Engine, selection: Selection) -> int:
    """Remove the records that match; returns how many that were."""
    return sum(engine.delete([row.id for row in page]) for page in select(engine, selection, []))


def counting(engine: Engine, selection: Selection) -> Steps[int]:
    """How many records match."""
    if selection.ids is not None:
        return len((yield from selecting(engine, selection, [], None)))
    if selection.residual is None:
        return (yield from engine.counting(selection.plan))
    number = 0

    def tally(rows: list[Row]) -> list[Row]:
        nonlocal number
        number += len(selection.kept(rows))
        return []

    yield from engine.selecting(selection.plan, selection.fields, None, tally)
    return number


def passes(filter: Filter, row: Row) -> bool:
    """Whether a row, with the fields to tell, matches."""
    content = row.fields.get(CONTENT, b"").decode("utf-8")
    parent = row.fields[PARENT].decode("utf-8") if PARENT in row.fields else None
    metadata = load(row.fields[METADATA])
    return matches(filter, metadata, id=row.id, content=content, parent=parent)


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


@dataclass(frozen=True, slots=True)
class _Named:
    """The only ids a filter can match, and what else it asks of them."""

    ids: tuple[str, ...]
    rest: Filter | None


def _named_ids(filter: Filter) -> _Named | None:
    """The ids that a filter names as the only ones possible, or None."""
    match filter:
        case Equal(field, value) if field.source == "id":
            return _named_ids(OneOf(field, (value,)))
        case OneOf(field, values) if field.source == "id":
            if any(is_temporal(item) for item in values):
                return None  # equal to several texts
            texts = (item for item in values if isinstance(item, str) and item)
            return _Named(tuple(dict.fromkeys(texts)), None)
        case And(parts):
            for position, part in enumerate(parts):
                named = _named_ids(part)
                if named is not None:
                    others = (*parts[:position], *parts[position + 1 :])
                    rest = others if named.rest is None else (named.rest, *others)
                    return _Named(named.ids, And(rest) if rest else None)
            return None
        case _:
            return None
