"""Text statistics that are kept from earlier queries, and what small writes change in them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from valkey_vector.engines.search.signs import Signs, State
from valkey_vector.engines.search.text_lengths import LengthCounts
from valkey_vector.filters.plan import Plan, Range, Words
from valkey_vector.storage.changes import LONGEST, Change
from valkey_vector.text.bm25 import Position
from valkey_vector.text.fields import IndexedText

__all__ = ["Counted", "Known", "KnownCounts", "plan_of"]

_MAX_KNOWN = 10_000
"""Counts that are kept for each text field."""

Counted: TypeAlias = IndexedText | Position
"""Object of a count: the documents that have a text field, or any of the terms of a position."""


@dataclass(slots=True)
class Known:
    """Statistics of one text field as of one state of the index.

    Attributes:
        stamp: the state.
        lengths: number of texts of each length; None if not counted yet.
        length: total number of terms; None if not summed yet.
        counts: numbers of documents, above 0.
        counted: time of the first count on the monotonic clock; None if a write may have been in progress during a count.
    """

    stamp: object
    lengths: LengthCounts | None = None
    length: float | None = None
    counts: dict[Counted, int] = field(default_factory=dict)
    counted: float | None = field(default_factory=time.monotonic)


class KnownCounts:
    """Statistics of an index from earlier queries. Threads may share it.

    Attributes:
        documents: number of documents of the latest query; None before the first query.
        pure: state of the index in which all hashes were records; None if it is not known.
        signs: signs of the latest query.
    """

    def __init__(self) -> None:
        self.documents: int | None = None
        self.pure: Signs | None = None
        self.signs = Signs()
        self._known: dict[str, Known] = {}

    def holds(self, text: IndexedText, counted: Counted) -> bool:
        """Return whether an earlier query counted this."""
        known = self._known.get(text.length)
        return known is not None and counted in known.counts

    def at(self, text: IndexedText, stamp: object) -> Known:
        """Return what is known of a text field at a state of the index. Without a stamp, nothing is."""
        known = self._known.get(text.length)
        if stamp is None or known is None or known.stamp != stamp:
            # Lengths change little, so the earlier ones are counted first.
            known = Known(stamp, None if known is None else known.lengths)
            self._known[text.length] = known
        if len(known.counts) > _MAX_KNOWN:
            known.counts = {}
        return known

    def earlier(self, text: IndexedText) -> State | None:
        """Return the state of what is known of a text field, if changes since then may be added."""
        known = self._known.get(text.length)
        if known is None or known.counted is None or not text.is_marked:
            return None
        state = known.stamp
        recent = time.monotonic() - known.counted <= LONGEST
        pure = self.pure
        if not recent or not isinstance(state, State) or pure is None:
            return None
        return state if (pure.run, pure.writes) == (state.run, state.writes) else None

    def add(self, text: IndexedText, before: State, now: State, changes: Sequence[Change]) -> None:
        """Add the changes between two states to what is known of a text field as of the first one."""
        known = self._known.get(text.length)
        if known is None or known.stamp != before:
            return
        changed = _changed(known, text, changes)
        if changed is not None:
            # A new object, because other threads may add the same changes to the known one.
            self._known[text.length] = replace(changed, stamp=now)


def plan_of(counted: Counted | Plan) -> Plan:
    """Return the plan of the documents to count."""
    match counted:
        case IndexedText():
            return Range(counted.length, low=1.0)
        case Position(field, words, as_tags):
            return Words(field, words, as_tags)
        case _:
            return counted


def _changed(known: Known, text: IndexedText, changes: Sequence[Change]) -> Known | None:
    """Return the statistics after changes; None if they cannot be."""
    old = [_terms(each.old, text) for each in changes]
    new = [_terms(each.new, text) for each in changes]
    pairs = list(zip(old, new, strict=True))
    touched = frozenset[str]().union(*(before ^ after for before, after in pairs))
    counts: dict[Counted, int] = {}
    for counted, number in known.counts.items():
        match counted:
            case Position(_, words) if touched.isdisjoint(words):
                changed = number
            case Position(_, words):
                changed = number + sum(
                    before.isdisjoint(words) - after.isdisjoint(words) for before, after in pairs
                )
            case _:
                changed = number + sum(each.of(plan_of(counted)) for each in changes)
        if changed < 0:
            return None
        if changed:
            counts[counted] = changed
    lengths = Counter(known.lengths or {})
    lengths.subtract(filter(None, (_length(each.old, text) for each in changes)))
    lengths.update(filter(None, (_length(each.new, text) for each in changes)))
    if known.lengths is not None and min(lengths.values(), default=0) < 0:
        return None
    added = sum(_length(each.new, text) - _length(each.old, text) for each in changes)
    return replace(
        known,
        lengths=None if known.lengths is None else {at: n for at, n in lengths.items() if n},
        length=None if known.length is None else known.length + added,
        counts=counts,
    )


def _terms(fields: Mapping[str, bytes] | None, text: IndexedText) -> frozenset[str]:
    return (
        frozenset() if fields is None else frozenset(fields.get(text.words, b"").decode().split())
    )


def _length(fields: Mapping[str, bytes] | None, text: IndexedText) -> int:
    return 0 if fields is None else int(fields.get(text.length, b"0"))
