"""Counts of records by the values of a metadata key, from counts of the tokens of these values on the server.

A search module cannot list the values of a key. So the values are taken from a sample of the records, and each is counted by
its token. These counts are exact. They are complete if they add up to the number of records that have a number, a text or
a boolean under the key: each of these records has exactly one such value. While they do not add up, records without any
of the known values are sampled. Lists, dicts and dates have no such sum: the records are needed.

If every record has the key, its values alone add up to the selected records. Results are kept while the engine reports
the same state of the index.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valkey_vector.connection.pipelines import Pipelined, Request, noting_requests, run_all
from valkey_vector.engines.base import Engine
from valkey_vector.errors import UnreadableRecordError, ValkeyVectorError
from valkey_vector.execution.aggregation.rows import group_key, shown
from valkey_vector.execution.kept_counts import (
    OTHERS,
    SCALARS,
    Candidates,
    Kept,
    Key,
    Remembered,
    ValueCounts,
    carried,
)
from valkey_vector.filters.plan import EVERYTHING, Plan, Tokens, all_of, complement
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

_ROUNDS = 8
"""Largest number of further samples. Reading all records takes longer."""

_DATES = "t"
"""Kind of a point in time. A text may be one, too."""


_remembered: weakref.WeakKeyDictionary[Engine, Remembered] = weakref.WeakKeyDictionary()


def count_values(engine: Engine, plan: Plan, paths: Sequence[str]) -> dict[str, ValueCounts | None]:
    """Count the selected records by the values of each path; None if the records are needed.

    Cost: one round trip if the index did not change since the last call; another one for the changes of small writes, or to
        count, if the values are known, or for a sample and to count. Two more for each further sample, and one more if a key
        that every record had is missing in some.
    """
    remembered = _remembered.setdefault(engine, Remembered())
    candidates = {path: remembered.get((plan, path)) for path in dict.fromkeys(paths)}
    unknown = [path for path, values in candidates.items() if values is None]
    # The state before the counts: a write in between makes them outdated, not up to date.
    state, samples = _state_and_samples(engine, plan, unknown)
    known = carried(engine, remembered, [(plan, path) for path in candidates], state)
    found: dict[str, ValueCounts | None] = {path: known.get((plan, path)) for path in candidates}
    candidates |= {
        path: _united(sample, remembered.get((EVERYTHING, path)))
        for path, sample in samples.items()
    }
    needed = {path: candidates[path] for path, counts in found.items() if counts is None}
    counting = _Counting(engine, state)
    counted = _counts(counting, plan, needed)
    for path, each in needed.items():
        others = remembered.get((EVERYTHING, path))
        completed = _completed(counting, (plan, path), each, others, counted.get(path))
        if completed is not None:
            remembered.set((plan, path), Kept(state, completed, counting.began))
        found[path] = completed
    return found


def _united(sample: Candidates | None, others: Candidates | None) -> Candidates | None:
    """Candidates of a sample, with the values that the key has in the whole index unless the sample has all records."""
    if sample is None or sample.complete or others is None:
        return sample
    everywhere = sample.everywhere or others.everywhere
    return Candidates(_distinct([*sample.values, *others.values]), everywhere)


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


class _Counting:
    """Counts of plans for one query.

    Args:
        engine: the engine of the index.
        state: the state of the index before the counts.

    Attributes:
        began: time on the monotonic clock before the counts; None if a write may have been in progress since.
    """

    def __init__(self, engine: Engine, state: object) -> None:
        self.engine = engine
        self.began: float | None = time.monotonic()
        self._state = state

    def totals(self, plans: Sequence[Plan]) -> list[int] | None:
        """Count plans (see `valkey_vector.engines.base.Engine.totals`)."""
        engine = self.engine
        totals: list[int] | None
        totals, is_settled = _outcomes(
            engine, [engine.totals(plans), engine.is_settled(self._state)]
        )
        if totals is None or not is_settled:
            self.began = None
        return totals

    def totals_and(self, plans: Sequence[Plan], plan: Plan) -> tuple[list[int] | None, int]:
        """Count plans, and the records that another plan selects, which may take several round trips."""
        engine, requests = self.engine, list[Request]()
        totals, number, is_settled = _outcomes(
            engine,
            [
                engine.totals(plans),
                noting_requests(engine.counting(plan), requests),
                engine.is_settled(self._state),
            ],
        )
        # Requests after the first one were sent after the check.
        if totals is None or not is_settled or len(requests) > 1:
            self.began = None
        return totals, number


def _completed(
    counting: _Counting,
    key: Key,
    candidates: Candidates | None,
    whole: Candidates | None,
    counts: _Counts | None,
) -> ValueCounts | None:
    """Add the values that were not in the first sample; None if the records are needed.

    Args:
        counting: counts the records.
        key: the plan of the records, and the path.
        candidates: values that were counted.
        whole: values that the key has in the whole index, if known.
        counts: their counts.
    """
    plan, path = key
    known = list(candidates.values) if candidates is not None else []
    for turn in range(_ROUNDS):
        if counts is None or counts.uncounted <= 0 or len(known) > _MAX_VALUES:
            break
        present = Tokens(tuple(kind_token(path, kind) for kind in SCALARS))
        tokens = tuple(str(value_token(path, value)) for value in known)
        others = [plan, present, *([complement(Tokens(tokens))] if tokens else [])]
        sampled = [all_of(others)]
        if not turn and plan != EVERYTHING and whole is None:
            # A filter may select records by an order in which one value follows the other.
            sampled.append(EVERYTHING)
        engine = counting.engine
        samples = _outcomes(engine, [engine.values(each, [METADATA], _SAMPLE) for each in sampled])
        rows = [row for (found,) in samples for row in found or ()]
        further = _values_in(samples[0][0] or (), path)
        if not further or _is_diverse(further, samples[0][0] or ()):
            return None
        known = _distinct([*known, *_values_in(rows, path)])
        counts = _counts(counting, plan, {path: Candidates(known)}).get(path)
    if counts is None or counts.uncounted or counts.missing < 0:
        return None
    return ValueCounts(counts.values, counts.missing)


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({group_key(value): value for value in values}.values())


def _state_and_samples(
    engine: Engine, plan: Plan, paths: Sequence[str]
) -> tuple[object | None, dict[str, Candidates | None]]:
    """The state of the index, and candidates of each path from a sample of the selected records; None for no sample."""
    fields = {path: _field(engine.entry, path) or METADATA for path in paths}
    requested = list(dict.fromkeys(fields.values()))
    operations: list[Pipelined[Any]] = [engine.state()]
    if requested:
        operations.append(engine.values(plan, requested, _SAMPLE))
    state, *sampled = _outcomes(engine, operations)
    held = dict(zip(requested, sampled[0], strict=True)) if sampled else {}
    found: dict[str, Candidates | None] = {}
    for path, field in fields.items():
        values = held[field]
        if values is None:
            found[path] = None
        elif field == METADATA:
            several = _values_in(values, path)
            everywhere = all(_scalar(row, path) is not None for row in values)
            complete = len(values) < _SAMPLE
            diverse = _is_diverse(several, values)
            found[path] = None if diverse else Candidates(several, everywhere, complete)
        else:
            found[path] = Candidates(_values_of_field(engine.entry, path, values))
    return state, found


def _outcomes(engine: Engine, operations: Sequence[Pipelined[Any]]) -> list[Any]:
    """Run operations that share their round trips. Raises the first error."""
    outcomes = run_all(engine, operations)
    for outcome in outcomes:
        if isinstance(outcome, ValkeyVectorError):
            raise outcome
    return outcomes


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
    counting: _Counting, plan: Plan, candidates: Mapping[str, Candidates | None]
) -> dict[str, _Counts]:
    """The counts of each path with candidates, unless the records are needed."""
    known = {path: each for path, each in candidates.items() if each is not None}
    if not known:
        return {}
    found: dict[str, _Counts] = {}
    everywhere = {path: each for path, each in known.items() if each.everywhere}
    if everywhere:
        known = {path: each for path, each in known.items() if path not in everywhere}
        found = _summing_up(
            counting, plan, {path: each.values for path, each in everywhere.items()}
        )
        known |= {path: each for path, each in everywhere.items() if path not in found}
    return found | _by_kinds(counting, plan, {path: each.values for path, each in known.items()})


def _summing_up(
    counting: _Counting, plan: Plan, candidates: Mapping[str, Sequence[Any]]
) -> dict[str, _Counts]:
    """The counts of the paths under which every record has one of the candidates, in one round trip.

    A text that is a date equals dates, so no record may have one.
    """
    plans = [plan]
    for path, values in candidates.items():
        plans += _selected(plan, path, _DATES, values)
    totals = counting.totals(plans)
    if totals is None:
        return {}
    numbers = iter(totals)
    everything = next(numbers)
    found: dict[str, _Counts] = {}
    for path, values in candidates.items():
        dates = next(numbers)
        counted = [(value, next(numbers)) for value in values]
        if not dates and sum(number for _, number in counted) == everything:
            found[path] = _Counts(_above_zero(counted), missing=0, uncounted=0)
    return found


def _by_kinds(
    counting: _Counting, plan: Plan, candidates: Mapping[str, Sequence[Any]]
) -> dict[str, _Counts]:
    """The counts of paths that some records may lack, compared with the number of values of each kind."""
    if not candidates:
        return {}
    plans: list[Plan] = []
    for path, values in candidates.items():
        plans += _selected(plan, path, SCALARS + OTHERS, values)
    engine = counting.engine
    totals, everything = counting.totals_and(plans, plan)
    numbers = iter(_numbers(engine, plans) if totals is None else totals)
    found: dict[str, _Counts] = {}
    for path, values in candidates.items():
        scalars = sum(next(numbers) for _ in SCALARS)
        others = sum(next(numbers) for _ in OTHERS)
        counted = [(value, next(numbers)) for value in values]
        if others:
            continue
        uncounted = scalars - sum(number for _, number in counted)
        found[path] = _Counts(_above_zero(counted), everything - scalars, uncounted)
    return found


def _selected(plan: Plan, path: str, kinds: str, values: Sequence[Any]) -> list[Plan]:
    """The plans of the selected records with a value of each kind, and with each value."""
    tokens = [kind_token(path, kind) for kind in kinds]
    tokens += [str(value_token(path, value)) for value in values]
    return [all_of([plan, Tokens((token,))]) for token in tokens]


def _above_zero(counted: Iterable[tuple[Any, int]]) -> dict[Any, tuple[Any, int]]:
    return {group_key(value): (value, number) for value, number in counted if number}


def _numbers(engine: Engine, plans: Sequence[Plan]) -> list[int]:
    """The number of records that each plan selects; equal plans are counted once."""
    different = list(dict.fromkeys(plans))
    counts = _outcomes(engine, [engine.counting(plan) for plan in different])
    counted = dict(zip(different, counts, strict=True))
    return [counted[plan] for plan in plans]


def _field(entry: CatalogEntry, path: str) -> str | None:
    """The index field that holds a path's values, or None."""
    return declared_name(path) if _is_tag(entry, path) else entry.slot(path, "number")


def _is_tag(entry: CatalogEntry, path: str) -> bool:
    return any(isinstance(field, TagField) and field.path == path for field in entry.schema.fields)
