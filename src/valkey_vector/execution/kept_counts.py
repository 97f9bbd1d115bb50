"""Counts of values that are kept from earlier queries, and what small writes change in them.

A count is kept while the engine reports the same state of the index. After a small write, the engine knows the tokens of the
changed records, before and after. If they spell one of the counted values, or none, the counts change by them. Otherwise the
values are counted again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valkey_vector.connection.pipelines import run
from valkey_vector.engines.base import Engine
from valkey_vector.filters.plan import TAGS, Plan, selects
from valkey_vector.records.tokens import kind_token, value_token
from valkey_vector.storage.changes import LONGEST, Change, are_counted

__all__ = ["OTHERS", "SCALARS", "Candidates", "Kept", "Key", "Remembered", "ValueCounts", "carried"]

SCALARS = "nsy"
"""Kinds of values of which a record has one token: numbers, texts, booleans."""

OTHERS = "tqd"
"""Kinds of values that are not counted by tokens: points in time, lists, dicts."""

_REMEMBERED = 200
"""Number of keys and plans whose values are remembered for each index."""

Key = tuple[Plan, str]
"""Plan of the records, and path of their values."""


@dataclass(frozen=True, slots=True)
class ValueCounts:
    """Counts of the values of one metadata key.

    Attributes:
        values: group key → value and number of records, at least 1.
        missing: number of records without the key, or with None there.
    """

    values: Mapping[Any, tuple[Any, int]]
    missing: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """Values that a key may have.

    Attributes:
        values: the values.
        everywhere: every record seen so far has one of them.
        complete: no other record was selected.
    """

    values: Sequence[Any]
    everywhere: bool = False
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """Counts as of a state of the index.

    Attributes:
        state: the state.
        counts: the counts.
        counted: time of the count on the monotonic clock; None if a write may have been in progress.
    """

    state: object
    counts: ValueCounts
    counted: float | None = None


class Remembered:
    """Values that keys had, and counts as of a state of the index. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[Key, Candidates] = {}
        self._kept: dict[Key, Kept] = {}

    def get(self, key: Key) -> Candidates | None:
        """The values that a key had."""
        with self._lock:
            return self._values.get(key)

    def kept(self, key: Key) -> Kept | None:
        """The latest counts of a key."""
        with self._lock:
            return self._kept.get(key)

    def set(self, key: Key, kept: Kept) -> None:
        """Remember the counts of a key, and its values."""
        values = [value for value, _ in kept.counts.values.values()]
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = Candidates(values, everywhere=not kept.counts.missing)
            self._kept[key] = kept
            while len(self._values) > _REMEMBERED:
                oldest = next(iter(self._values))
                del self._values[oldest]
                del self._kept[oldest]


def carried(
    engine: Engine, remembered: Remembered, keys: Sequence[Key], state: object
) -> dict[Key, ValueCounts]:
    """Return the counts of those keys that are known as of a state, or from an earlier one and its changes.

    Cost: no round trip if the index did not change; otherwise one for the changes.
    """
    found: dict[Key, ValueCounts] = {}
    changes: list[tuple[object, Sequence[Change] | None]] = []
    for key in keys:
        kept = remembered.kept(key)
        if kept is None or state is None:
            continue
        if kept.state == state:
            found[key] = kept.counts
            continue
        if kept.counted is None or time.monotonic() - kept.counted > LONGEST:
            continue
        if not are_counted(engine.entry, [key[0]]):
            continue
        known = [each for before, each in changes if before == kept.state]
        if not known:
            known = [run(engine, engine.changes(kept.state, state))]
            changes.append((kept.state, known[0]))
        counts = None if known[0] is None else _changed(key, kept.counts, known[0])
        if counts is not None:
            remembered.set(key, Kept(state, counts, kept.counted))
            found[key] = counts
    return found


def _changed(key: Key, counts: ValueCounts, changes: Sequence[Change]) -> ValueCounts | None:
    """Return counts after changes; None if a record has a value that was not counted."""
    plan, path = key
    values = dict(counts.values)
    missing = counts.missing
    tokens = {str(value_token(path, value)): group for group, (value, _) in values.items()}
    scalars = {kind_token(path, kind) for kind in SCALARS}
    others = {kind_token(path, kind) for kind in OTHERS}
    for change in changes:
        for fields, step in ((change.old, -1), (change.new, 1)):
            if fields is None or not selects(plan, fields):
                continue
            held = set(fields.get(TAGS, b"").decode().split(","))
            if not others.isdisjoint(held):
                return None
            if scalars.isdisjoint(held):
                missing += step
                continue
            groups = [tokens[token] for token in held if token in tokens]
            if len(groups) != 1:
                return None
            value, number = values[groups[0]]
            values[groups[0]] = value, number + step
    if missing < 0 or any(number < 0 for _, number in values.values()):
        return None
    return ValueCounts({group: each for group, each in values.items() if each[1]}, missing)
