"""Writes and reads of the workers of a soak test, and the check that they agree.

Times are of the monotonic clock, which all processes of a machine share. An operation took effect at one
moment between its start and its end. A rule is broken only if no such moments explain what was seen, so a
reported fault is a wrong answer and never a coincidence.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import ChainMap, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate, chain

from soak_records import group_of, id_of

SLACK = 500_000_000
"""Nanoseconds after its expiration during which a read may still return a record."""


class Kind(StrEnum):
    """The effect of an operation on a record."""

    WRITE = "write"
    DELETE = "delete"
    PURGE = "delete_by_filter"
    MARK = "update_metadata"


class Outcome(StrEnum):
    """The outcome of an operation for its caller."""

    DONE = "done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One operation on one record (a purge: on every record of a group).

    Attributes:
        start, end: nanoseconds.
        worker: who did it.
        kind: what it does.
        id: of the record; empty for a purge, and for an update by filter.
        seed: of a write the record's, of an update the mark, of a purge the group.
        outcome: whether it is known to be done.
        ttl: nanoseconds that the written record lives; 0: without end.
        fresh: whether the write is known to have found no record (SKIP and FAIL).
    """

    start: int
    end: int
    worker: str
    kind: Kind
    id: str
    seed: int
    outcome: Outcome = Outcome.DONE
    ttl: int = 0
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One answer.

    Attributes:
        start, end: nanoseconds.
        worker: who read.
        how: the operation.
        states: seed and mark of each record returned, by id.
        missing: ids that were asked for and not there.
        complete: the group of which every record must be among the states; None: not all were wanted.
    """

    start: int
    end: int
    worker: str
    how: str
    states: dict[str, tuple[int, int]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    complete: int | None = None


class History:
    """Everything that happened, by record."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._by_id: dict[str, list[Change]] = defaultdict(list)
        self._purges: dict[int, list[Change]] = defaultdict(list)
        everywhere: dict[int, Change] = {}  # updates by filter, of unknown records
        for change in changes:
            if change.kind is Kind.PURGE:
                self._purges[change.seed].append(change)
            elif change.id:
                self._by_id[change.id].append(change)
            else:
                everywhere[change.seed] = change
        self._lives = {id: _Life(listed, everywhere) for id, listed in self._by_id.items()}
        self._swept = {group: _Done(listed) for group, listed in self._purges.items()}
        self._sweeps = defaultdict(
            _Timeline, {group: _Timeline(listed) for group, listed in self._purges.items()}
        )

    def faults(self, sights: Iterable[Sight]) -> Iterator[str]:
        """Describe every answer that no order of the operations explains."""
        for sight in sights:
            for id, (seed, mark) in sight.states.items():
                if seed >= 0 and (reason := self._wrong(id, seed, mark, sight)):
                    yield self._described(reason, id, sight)
            for id in sight.missing:
                if reason := self._lost(id, sight, group=None):
                    yield self._described(reason, id, sight)
            if sight.complete is not None:
                for id in self._lives.keys() - sight.states.keys():
                    if reason := self._lost(id, sight, group=sight.complete):
                        yield self._described(reason, id, sight)
        for id, life in self._lives.items():
            for write in life.fresh:
                sight = Sight(
                    start=write.start, end=write.end, worker=write.worker, how="policy SKIP or FAIL"
                )
                if reason := self._lost(id, sight, group=None, but=write):
                    yield self._described(reason, id, sight)

    def _wrong(self, id: str, seed: int, mark: int, sight: Sight) -> str:
        """Return the reason why a read cannot return the record; empty if it can."""
        life = self._lives.get(id)
        write = None if life is None else life.writes.get(seed)
        if life is None or write is None or write.start > sight.end or id_of(seed) != id:
            return f"seed {seed} was never written"
        if (
            write.ttl
            and write.outcome is Outcome.DONE
            and sight.start > write.end + write.ttl + SLACK
        ):
            return f"seed {seed} has expired"
        if gone := life.replaced.between(write.end, sight.start):
            return f"seed {seed} was gone since {_shown(gone)}"
        swept = self._swept.get(group_of(seed))
        if swept is not None and (gone := swept.between(write.end, sight.start)):
            return f"seed {seed} was gone since {_shown(gone)}"
        return life.wrong_mark(write, mark, sight)

    def _lost(self, id: str, sight: Sight, group: int | None, but: Change | None = None) -> str:
        """Why a record cannot have been absent (or out of its group); empty if it can."""
        life = self._lives.get(id)
        if life is None:
            return ""
        for write in life.lasting_before(sight.start):
            if group is not None and group_of(write.seed) != group:
                continue
            others = [one for one in life.timeline.since(write, sight) if one is not but]
            rewritten = [one for one in others if one.kind is Kind.WRITE]
            if len(rewritten) < len(others) or any(map(_may_vanish, rewritten)):
                continue
            if group is not None and rewritten:
                continue
            groups = {group_of(one.seed) for one in (write, *rewritten)}
            if not any(self._sweeps[one].since(write, sight) for one in groups):
                return f"the record of {_shown(write)} is missing"
        return ""

    def _described(self, reason: str, id: str, sight: Sight) -> str:
        seen = sight.states.get(id)
        window = 2_000_000_000
        near = [
            one
            for one in chain(self._by_id[id], *self._purges.values())
            if one.end > sight.start - window and one.start < sight.end
        ]
        lines = [f"    {_shown(one)}" for one in sorted(near, key=lambda one: one.start)[-12:]]
        return (
            f"{sight.how} by {sight.worker} [{sight.start}, {sight.end}] saw {id!r} as {seen}: {reason}\n"
            + "\n".join(lines)
        )


class _Done:
    """Finished operations, searchable for one between two moments."""

    def __init__(self, changes: Iterable[Change]) -> None:
        done = (one for one in changes if one.outcome is Outcome.DONE)
        self._changes = sorted(done, key=lambda one: one.start)
        self._starts = [one.start for one in self._changes]
        # From each on, the one that ends first.
        first = accumulate(reversed(self._changes), _earlier)
        self._first = list(first)[::-1]

    def between(self, after: int, before: int) -> Change | None:
        """One that started after a moment and ended before another."""
        position = bisect_right(self._starts, after)
        if position == len(self._first):
            return None
        found = self._first[position]
        return found if found.end < before else None


def _earlier(one: Change, other: Change) -> Change:
    return one if one.end <= other.end else other


class _Life:
    """The history of one record."""

    def __init__(self, changes: Sequence[Change], everywhere: Mapping[int, Change]) -> None:
        mutations = [one for one in changes if one.kind is not Kind.MARK]
        self.timeline = _Timeline(mutations)
        self.writes = {one.seed: one for one in changes if one.kind is Kind.WRITE}
        self.fresh = [one for one in self.writes.values() if one.fresh]
        self.replaced = _Done(mutations)
        marks = {one.seed: one for one in changes if one.kind is Kind.MARK}
        self._marks: Mapping[int, Change] = ChainMap(marks, dict(everywhere))
        self._marked = _Done(marks.values())
        lasting = [
            one for one in self.writes.values() if not one.ttl and one.outcome is Outcome.DONE
        ]
        self._lasting = sorted(lasting, key=lambda one: one.end)
        self._ends = [one.end for one in self._lasting]

    def lasting_before(self, moment: int) -> list[Change]:
        """The last few writes without a time to live that had ended before a moment."""
        position = bisect_left(self._ends, moment)
        return self._lasting[max(0, position - 3) : position]

    def wrong_mark(self, write: Change, mark: int, sight: Sight) -> str:
        """Why a version cannot have had this mark; empty if it can."""
        made = self._marks.get(mark)
        if mark and (made is None or made.start > sight.end):
            return f"mark {mark} was never made"
        if made is not None and made.outcome is Outcome.DONE and made.end < write.start:
            return f"mark {mark} is of a record before seed {write.seed}"
        since = write.end if made is None else max(write.end, made.end)
        if made is not None and made.outcome is Outcome.UNKNOWN:
            return ""
        if lost := self._marked.between(since, sight.start):
            return f"mark {mark} was replaced by {_shown(lost)}"
        return ""


class _Timeline:
    """Operations by their start."""

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        ordered = sorted(changes, key=lambda one: one.start)
        self._endless = [one for one in ordered if one.outcome is Outcome.UNKNOWN]
        self._changes = [one for one in ordered if one.outcome is Outcome.DONE]
        self._starts = [one.start for one in self._changes]
        self._longest = max((_over(one) - one.start for one in self._changes), default=0)

    def since(self, write: Change, sight: Sight) -> list[Change]:
        """The other operations that may have had an effect after a write and before the end of a sight."""
        first = bisect_left(self._starts, write.start - self._longest)
        last = bisect_right(self._starts, sight.end)
        finished = (one for one in self._changes[first:last] if _over(one) > write.start)
        endless = (one for one in self._endless if one.start <= sight.end)
        return [one for one in chain(finished, endless) if one is not write]


def _over(change: Change) -> int:
    """When an operation has had all of its effects, the end of a record's life among them."""
    return change.end + change.ttl + SLACK if change.ttl else change.end


def _may_vanish(change: Change) -> bool:
    """Return True if an operation may take effect, or end, after its caller continued."""
    return change.ttl > 0 or change.outcome is Outcome.UNKNOWN


def _shown(change: Change) -> str:
    state = "" if change.outcome is Outcome.DONE else f" ({change.outcome})"
    life = f" ttl {change.ttl / 1e9:g}" if change.ttl else ""
    what = f"{change.kind} {change.seed}{life}{state} by {change.worker}"
    return f"[{change.start}, {change.end}] {what}"
