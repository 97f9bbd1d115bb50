"""Counts of records by the values of a metadata key, from counts of the tokens of these values on the server.

A search module cannot list the values of a key. So the values are taken from a sample of the records, and each is counted by
its token. These counts are exact. They are complete if they add up to the number of records that have a number, a text or
a boolean under the key: each of these records has exactly one such value. While they do not add up, records without any
of the known values are sampled. Lists, dicts and dates have no such sum: the records are needed.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valkey_vector.connection.pipelines import run_all
from valkey_vector.engines.base import Engine
from valkey_vector.errors import UnreadableRecordError, ValkeyVectorError
from valkey_vector.execution.aggregation.rows import group_key, shown
from valkey_vector.filters.plan import Everything, Plan, Tokens, all_of, complement
from valkey_vector.records.metadata import load, lookup
from valkey_vector.records.tokens import kind_token, value_token
from valkey_vector.schema.schema import TagField
from valkey_vector.storage.catalog import CatalogEntry, declared_name
from valkey_vector.storage.layout import METADATA

__all__ = ["ValueCounts", "count_values"]

_MAX_VALUES = 500
"""Largest number of distinct values to count on the server; beyond it, reading the records is as fast."""

_SAMPLE = 500
"""Number of records in a sample."""

_DIVERSE = 0.5
"""Share of distinct values in a sample from which the server is not expected to count them all."""

_ROUNDS = 3
"""Largest number of further samples."""

_SCALARS = "nsy"
"""Kinds of values of which a record has one token: numbers, texts, booleans."""

_OTHERS = "tqd"

_REMEMBERED = 200
"""Number of keys and plans whose values are remembered for each index."""

_Key = tuple[Plan, str]


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
class _Candidates:
    """Values that a key may have.

    Attributes:
        values: the values.
        everywhere: every record seen so far has one of them.
    """

    values: Sequence[Any]
    everywhere: bool = False


class _Remembered:
    """Values that keys had; a new count shows if there are others by now. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[_Key, _Candidates] = {}

    def get(self, key: _Key) -> _Candidates | None:
        with self._lock:
            return self._values.get(key)

    def set(self, key: _Key, values: _Candidates) -> None:
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = values
            while len(self._values) > _REMEMBERED:
                del self._values[next(iter(self._values))]


_remembered: weakref.WeakKeyDictionary[Engine, _Remembered] = weakref.WeakKeyDictionary()


def count_values(engine: Engine, plan: Plan, paths: Sequence[str]) -> Iterator[ValueCounts | None]:
    """Count the selected records by the values of each path; None if the records are needed.

    Cost: one round trip if the values are known from the last call, otherwise two; two more for each further sample, and
    one more if a key that every record had is now missing in some. Each round trip has at most 100 counts.
    """
    remembered = _remembered.setdefault(engine, _Remembered())
    candidates = {path: remembered.get((plan, path)) for path in dict.fromkeys(paths)}
    unknown = [path for path, values in candidates.items() if values is None]
    candidates |= _sampled(engine, plan, unknown)
    counts = _counts(engine, plan, candidates)
    for path in paths:
        known = candidates[path]
        found = _completed(engine, plan, path, known.values if known else (), counts.get(path))
        if found is not None:
            values = [value for value, _ in found.values.values()]
            remembered.set((plan, path), _Candidates(values, everywhere=not found.missing))
        yield found


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts of some values of one key.

    Attributes:
        values: group key → value and number of records, at least 1.
        missing: number of records without the key, or with None there.
        uncounted: number of records with another value.
    """

    values: dict[Any, tuple[Any, int]]
    missing: int
    uncounted: int


def _completed(
    engine: Engine, plan: Plan, path: str, values: Sequence[Any], counts: _Counts | None
) -> ValueCounts | None:
    """Add the values that were not in the first sample; None if the records are needed."""
    known = list(values)
    for _ in range(_ROUNDS):
        if counts is None or counts.uncounted <= 0 or len(known) > _MAX_VALUES:
            break
        present = Tokens(tuple(kind_token(path, kind) for kind in _SCALARS))
        tokens = tuple(str(value_token(path, value)) for value in known)
        others = [plan, present, *([complement(Tokens(tokens))] if tokens else [])]
        (rows,) = engine.values(all_of(others), [METADATA], _SAMPLE)
        further = _values_in(rows or (), path)
        if not further or _is_diverse(further, rows or ()):
            return None
        known += further
        counts = _counts(engine, plan, {path: _Candidates(known)}).get(path)
    if counts is None or counts.uncounted or counts.missing < 0:
        return None
    return ValueCounts(counts.values, counts.missing)


def _sampled(engine: Engine, plan: Plan, paths: Sequence[str]) -> dict[str, _Candidates | None]:
    """Values of each path in a sample of the selected records; None if the records are needed."""
    if not paths:
        return {}
    fields = {path: _field(engine.entry, path) or METADATA for path in paths}
    requested = list(dict.fromkeys(fields.values()))
    held = dict(zip(requested, engine.values(plan, requested, _SAMPLE), strict=True))
    found: dict[str, _Candidates | None] = {}
    for path, field in fields.items():
        values = held[field]
        if values is None:
            found[path] = None
        elif field == METADATA:
            several = _values_in(values, path)
            everywhere = all(_scalar(row, path) is not None for row in values)
            diverse = _is_diverse(several, values)
            found[path] = None if diverse else _Candidates(several, everywhere)
        else:
            found[path] = _Candidates(_values_of_field(engine.entry, path, values))
    return found


def _is_diverse(values: Sequence[Any], rows: Sequence[str]) -> bool:
    """Return True if a full sample has too many distinct values to expect them all in further ones."""
    return len(rows) >= _SAMPLE and len(values) > _DIVERSE * len(rows)


def _values_in(rows: Iterable[str], path: str) -> list[Any]:
    """The distinct numbers, texts and booleans of a path in some JSON texts of metadata."""
    found: dict[Any, Any] = {}
    for row in rows:
        value = _scalar(row, path)
        if value is not None:
            found.setdefault(group_key(value), shown(value))
    return list(found.values())


def _scalar(row: str, path: str) -> Any:
    """The number, text or boolean of a path in the JSON text of metadata; None for any other."""
    try:
        value = lookup(load(row.encode()), path)
    except (ValueError, UnreadableRecordError):
        return None  # another program overwrote the record; the counts show if its value is missing
    return value if isinstance(value, (int, float, str)) and value == value else None


def _values_of_field(entry: CatalogEntry, path: str, values: Iterable[str]) -> list[Any]:
    """Possible values of a path, from those of its field; booleans are in no field, so both are added."""
    if _is_tag(entry, path):
        return list(dict.fromkeys(values))
    numbers = dict.fromkeys(map(float, values))
    return [False, True, *(shown(number) for number in numbers if number == number)]


def _counts(
    engine: Engine, plan: Plan, candidates: Mapping[str, _Candidates | None]
) -> dict[str, _Counts]:
    """The counts of each path with candidates, unless the records are needed."""
    known = {path: each for path, each in candidates.items() if each is not None}
    divided = _divided(engine, plan, known)
    several = {path: each.values for path, each in known.items() if path not in divided}
    if not several:
        return divided
    plans = [plan]
    for path, values in several.items():
        tokens = [kind_token(path, kind) for kind in _SCALARS + _OTHERS]
        tokens += [str(value_token(path, value)) for value in values]
        plans += [all_of([plan, Tokens((token,))]) for token in tokens]
    numbers = iter(_numbers(engine, plans))
    everything = next(numbers)
    found = dict(divided)
    for path, values in several.items():
        scalars = sum(next(numbers) for _ in _SCALARS)
        others = sum(next(numbers) for _ in _OTHERS)
        counted = [(value, next(numbers)) for value in values]
        if others:
            continue
        found[path] = _Counts(
            {group_key(value): (value, number) for value, number in counted if number},
            everything - scalars,
            scalars - sum(number for _, number in counted),
        )
    return found


def _divided(
    engine: Engine, plan: Plan, candidates: Mapping[str, _Candidates]
) -> dict[str, _Counts]:
    """The counts of the paths under which every record has one of the candidates, in one round trip.

    A text that is a date equals dates, so no record may have one.
    """
    paths = [path for path, each in candidates.items() if each.everywhere]
    if not isinstance(plan, Everything) or not paths:
        return {}
    operations = []
    for path in paths:
        tokens = [str(value_token(path, value)) for value in candidates[path].values]
        parts = [Tokens((token,)) for token in tokens]
        operations.append(engine.dividing(parts, Tokens((kind_token(path, "t"),))))
    found: dict[str, _Counts] = {}
    for path, numbers in zip(paths, run_all(engine, operations), strict=True):
        if isinstance(numbers, ValkeyVectorError):
            raise numbers
        if numbers is not None:
            counted = zip(candidates[path].values, numbers, strict=True)
            values = {group_key(value): (value, number) for value, number in counted if number}
            found[path] = _Counts(values, missing=0, uncounted=0)
    return found


def _numbers(engine: Engine, plans: Sequence[Plan]) -> list[int]:
    """The number of records that each plan selects; equal plans are counted once."""
    different = list(dict.fromkeys(plans))
    counted: dict[Plan, int] = {}
    outcomes = run_all(engine, [engine.counting(plan) for plan in different])
    for plan, outcome in zip(different, outcomes, strict=True):
        if isinstance(outcome, ValkeyVectorError):
            raise outcome
        counted[plan] = outcome
    return [counted[plan] for plan in plans]


def _field(entry: CatalogEntry, path: str) -> str | None:
    """The index field that holds a path's values, or None."""
    return declared_name(path) if _is_tag(entry, path) else entry.slot(path, "number")


def _is_tag(entry: CatalogEntry, path: str) -> bool:
    return any(isinstance(field, TagField) and field.path == path for field in entry.schema.fields)
