"""The processes of the model checker: threads and event loops that change and read the same records."""

from __future__ import annotations

import asyncio
import pickle
import random
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from soak_history import Change, Kind, Outcome, Sight
from soak_records import (
    GROUPS,
    IDS,
    MARK,
    UNTOUCHED,
    UNTOUCHED_ONLY,
    MixtureError,
    group_of,
    id_of,
    in_group,
    record_of,
    state_of,
    vector_of,
)
from valkey_vector import DuplicateIdError, Index, Record, ValkeyVectorError
from valkey_vector.index.settings import EngineChoice

EVERYTHING = 2 * IDS + UNTOUCHED
"""More neighbors than there can be records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The tasks of one process.

    Attributes:
        url: of the server.
        name: of the index.
        engine: of the index.
        number: of this process, from 0 on.
        processes: how many there are.
        threads: that call the blocking methods.
        loops: event loops, each with two tasks.
        seconds: for how long.
        report: the file for what happened.
        tolerated: names of errors that an operation may raise. Its effect is then unknown.
    """

    url: str
    name: str
    engine: EngineChoice
    number: int
    processes: int
    threads: int
    loops: int
    seconds: float
    report: Path
    tolerated: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """The history of one process."""

    changes: list[Change] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    """When a tolerated error was raised, in nanoseconds, and which."""


Call: TypeAlias = tuple[str, tuple[Any, ...], dict[str, Any]]
"""A method of the index, without the ``a`` of the awaited one, and its arguments."""
Operation: TypeAlias = Generator[Call, Any, None]
"""Yields one call and is sent its result, or the library's error by ``throw``."""


def run(plan: Plan) -> None:
    """Work for as long as planned, then write the report."""
    report = Report()
    until = time.monotonic() + plan.seconds
    with Index.open(plan.name, url=plan.url, engine=plan.engine) as index:
        each = plan.threads + 2 * plan.loops
        total = plan.processes * each

        def worker(number: int) -> _Worker:
            return _Worker(plan.number * each + number, total, report, plan.tolerated)

        def blocking(number: int) -> None:
            _repeat(worker(number), index, until)

        def awaiting(number: int) -> None:
            first = plan.threads + 2 * number
            asyncio.run(_both([_arepeat(worker(first + i), index, until) for i in range(2)]))

        targets: list[tuple[Callable[[int], None], int]] = []
        targets += [(blocking, number) for number in range(plan.threads)]
        targets += [(awaiting, number) for number in range(plan.loops)]
        threads = [threading.Thread(target=work, args=(number,)) for work, number in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    plan.report.write_bytes(pickle.dumps(report))


async def _both(tasks: Sequence[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*tasks)


def _repeat(worker: _Worker, index: Index, until: float) -> None:
    while time.monotonic() < until:
        operation = worker.next()
        name, args, options = next(operation)
        try:
            result = getattr(index, name)(*args, **options)
        except ValkeyVectorError as error:
            worker.failed(operation, error)
        else:
            worker.answered(operation, result)


async def _arepeat(worker: _Worker, index: Index, until: float) -> None:
    while time.monotonic() < until:
        operation = worker.next()
        name, args, options = next(operation)
        try:
            result = await getattr(index, f"a{name}")(*args, **options)
        except ValkeyVectorError as error:
            worker.failed(operation, error)
        else:
            worker.answered(operation, result)


class _Worker:
    """Chooses operations at random, and notes what they did and returned."""

    def __init__(self, number: int, total: int, report: Report, tolerated: Sequence[str]) -> None:
        self._tolerated = tolerated
        self._name = f"worker {number}"
        self._random = random.Random(number * 1_000_003 + time.time_ns())
        self._numbers = iter(range(1 + number, 10**15, total))
        self._report = report
        self._doing = ""
        self._operations: list[Callable[[], Operation]] = [
            *(self._upsert, self._upsert, self._upsert, self._claim, self._update, self._update),
            *(self._update_group, self._delete, self._delete_group),
            *(self._get, self._get, self._search, self._search_group, self._search_all),
            *(self._select_group, self._select_untouched, self._count_untouched),
        ]

    def next(self) -> Operation:
        chosen = self._random.choice(self._operations)
        self._doing = chosen.__name__
        return chosen()

    def answered(self, operation: Operation, result: Any) -> None:
        try:
            operation.send(result)
        except StopIteration:
            pass
        except MixtureError as error:
            self._fault(f"mixture: {error}")

    def failed(self, operation: Operation, error: ValkeyVectorError) -> None:
        try:
            operation.throw(error)
        except StopIteration:
            pass
        except ValkeyVectorError as unexpected:
            if type(unexpected).__name__ in self._tolerated:
                text = f"{self._doing}: {type(unexpected).__name__}: {unexpected}"
                self._report.errors.append((time.monotonic_ns(), text))
                time.sleep(0.05)
                return
            self._fault(f"{self._doing}: {type(unexpected).__name__}: {unexpected}")

    # Changes

    def _upsert(self) -> Operation:
        """Overwrite a few records, sometimes with a time to live."""
        seeds = self._seeds(self._random.choice([1, 1, 3, 10]))
        ttl = self._random.choice([None, None, None, 0.3, 1.0])
        yield from self._write(seeds, {"policy": "OVERWRITE", "ttl": ttl})

    def _claim(self) -> Operation:
        """Write one record that must not exist yet."""
        policy = self._random.choice(["SKIP", "FAIL"])
        yield from self._write(self._seeds(1), {"policy": policy})

    def _write(self, seeds: Sequence[int], options: dict[str, Any]) -> Operation:
        ttl = round((options.get("ttl") or 0.0) * 1e9)
        fresh = options["policy"] != "OVERWRITE"
        start, skipped, outcome = time.monotonic_ns(), set[str](), Outcome.UNKNOWN
        try:
            result = yield "upsert", ([record_of(seed) for seed in seeds],), options
            skipped, outcome = set(result.skipped), Outcome.DONE
        except DuplicateIdError:
            skipped, outcome = {id_of(seed) for seed in seeds}, Outcome.DONE
        finally:
            for seed in seeds:
                if id_of(seed) not in skipped:
                    self._changed(
                        start, Kind.WRITE, id_of(seed), seed, outcome, ttl=ttl, fresh=fresh
                    )

    def _update(self) -> Operation:
        """Mark one record."""
        id, mark = f"r{self._random.randrange(IDS)}", next(self._numbers)
        start, outcome = time.monotonic_ns(), Outcome.UNKNOWN
        try:
            changed = yield "update_metadata", ([id], {MARK: mark}), {}
            if changed:
                outcome = Outcome.DONE
            else:
                self._saw(start, "update_metadata", missing=(id,))
        finally:
            self._changed(start, Kind.MARK, id, mark, outcome)

    def _update_group(self) -> Operation:
        """Mark the records of a group."""
        group, mark = self._random.randrange(GROUPS), next(self._numbers)
        start = time.monotonic_ns()
        try:
            yield "update_metadata", (in_group(group), {MARK: mark}), {}
        finally:
            self._changed(start, Kind.MARK, "", mark, Outcome.UNKNOWN)

    def _delete(self) -> Operation:
        """Remove a few records by id."""
        numbers = self._random.sample(range(IDS), self._random.choice([1, 1, 5]))
        ids = [f"r{number}" for number in numbers]
        start, outcome = time.monotonic_ns(), Outcome.UNKNOWN
        try:
            removed = yield "delete", (ids,), {}
            outcome = Outcome.DONE
            if len(ids) == 1 and not removed:
                self._saw(start, "delete", missing=(ids[0],))
        finally:
            for id in ids:
                self._changed(start, Kind.DELETE, id, 0, outcome)

    def _delete_group(self) -> Operation:
        """Remove the records of a group."""
        group = self._random.randrange(GROUPS)
        start, outcome = time.monotonic_ns(), Outcome.UNKNOWN
        try:
            yield "delete_by_filter", (in_group(group),), {}
            outcome = Outcome.DONE
        finally:
            self._changed(start, Kind.PURGE, "", group, outcome)

    # Reads

    def _get(self) -> Operation:
        ids = [f"r{n}" for n in self._random.sample(range(IDS), self._random.choice([1, 5, 40]))]
        start = time.monotonic_ns()
        records = yield "get", (ids,), {"with_vectors": True, "with_payloads": True}
        missing = tuple(id for id, record in zip(ids, records, strict=True) if record is None)
        self._saw(start, "get", [one for one in records if one is not None], missing=missing)

    def _search(self) -> Operation:
        start = time.monotonic_ns()
        hits = yield "search", (self._anywhere(),), {"k": 10, "with_vectors": True}
        self._saw(start, "search(k=10)", [hit.record for hit in hits])
        if len(hits) < 10:
            self._fault(f"search(k=10) found {len(hits)} of at least {UNTOUCHED} records")

    def _search_group(self) -> Operation:
        group, k = self._random.randrange(GROUPS), self._random.choice([5, EVERYTHING])
        start, filter = time.monotonic_ns(), in_group(group)
        options = {"k": k, "filter": filter, "with_payloads": True}
        hits = yield "search", (self._anywhere(),), options
        how = f"search(k={k}, group == {group})"
        complete = group if k == EVERYTHING else None
        self._saw(start, how, [hit.record for hit in hits], group=group, complete=complete)

    def _search_all(self) -> Operation:
        start = time.monotonic_ns()
        hits = yield "search", (self._anywhere(),), {"k": EVERYTHING}
        records = [hit.record for hit in hits]
        self._saw(start, "search(k=all)", records)
        self._check_untouched("search(k=all)", [one.id for one in records if one.id[0] == "u"])

    def _select_group(self) -> Operation:
        group, start = self._random.randrange(GROUPS), time.monotonic_ns()
        records = yield "select", (in_group(group),), {"with_vectors": True}
        self._saw(start, f"select(group == {group})", records, group=group, complete=group)

    def _select_untouched(self) -> Operation:
        records = yield "select", (UNTOUCHED_ONLY,), {}
        self._check_untouched("select(untouched)", [one.id for one in records])

    def _count_untouched(self) -> Operation:
        found = yield "count", (UNTOUCHED_ONLY,), {}
        if found != UNTOUCHED:
            self._fault(f"count(untouched) is {found}, not {UNTOUCHED}")

    def _check_untouched(self, how: str, ids: Sequence[str]) -> None:
        wanted = {f"u{number}" for number in range(1, UNTOUCHED + 1)}
        if lacking := wanted - set(ids):
            self._fault(f"{how} lacks records that nobody changes: {sorted(lacking)}")
        if len(ids) != len(set(ids)) or set(ids) - wanted:
            self._fault(f"{how} returned {ids}")

    # Notes

    def _saw(
        self,
        start: int,
        how: str,
        records: Sequence[Record] = (),
        *,
        missing: tuple[str, ...] = (),
        group: int | None = None,
        complete: int | None = None,
    ) -> None:
        end, states = time.monotonic_ns(), {}
        for record in records:
            if record.id in states:
                self._fault(f"{how} returned {record.id!r} twice")
            states[record.id] = state_of(record)
            if group is not None and group_of(states[record.id][0]) != group:
                self._fault(f"{how} returned a record that does not match: {record.metadata}")
        sight = Sight(
            start=start,
            end=end,
            worker=self._name,
            how=how,
            states=states,
            missing=missing,
            complete=complete,
        )
        self._report.sights.append(sight)

    def _changed(
        self,
        start: int,
        kind: Kind,
        id: str,
        seed: int,
        outcome: Outcome,
        *,
        ttl: int = 0,
        fresh: bool = False,
    ) -> None:
        change = Change(
            start=start,
            end=time.monotonic_ns(),
            worker=self._name,
            kind=kind,
            id=id,
            seed=seed,
            outcome=outcome,
            ttl=ttl,
            fresh=fresh and outcome is Outcome.DONE,
        )
        self._report.changes.append(change)

    def _fault(self, text: str) -> None:
        self._report.faults.append(f"{self._name}: {text}")

    def _seeds(self, count: int) -> list[int]:
        """Return seeds that no other worker uses, for different ids."""
        ids = self._random.sample(range(IDS), count)
        return [next(self._numbers) * IDS + id for id in ids]

    def _anywhere(self) -> Any:
        return vector_of(self._random.randrange(10**9))
