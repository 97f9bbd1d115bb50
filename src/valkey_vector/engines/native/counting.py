"""Counts of the native engine: documents that the replica selects, minus those removed without a change-log entry.

A document can be evicted, or deleted by another program. So a count checks that its documents exist: up to 500 always, more
only if something was written without a log entry, expired or was evicted since their last check.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from valkey_vector.connection import Argument
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.native.change_log import ChangeLog, Checked
from valkey_vector.engines.native.replica import Replica
from valkey_vector.engines.native.shared_replica import SharedReplica
from valkey_vector.filters.plan import Plan
from valkey_vector.storage.hashes import in_batches

__all__ = ["counting"]

_T = TypeVar("_T")

_FEW = 500
"""Largest number of documents that are checked in the first round trip of every count."""

_PAGE = 1_000


def counting(
    shared: SharedReplica, log: ChangeLog, plan: Plan, count: Callable[[Replica, float], _T]
) -> Pipelined[_T]:
    """Count the documents that a plan selects.

    Cost: one round trip if the replica is current and no document can have been removed without a log entry.

    Args:
        shared: the replica.
        log: the change log.
        plan: the plan that selects the documents.
        count: computes the result from the replica and the server's time in milliseconds.
    """
    yield from shared.with_own_writes(log)
    current = True
    while True:
        with shared.lock:
            few = shared.replica.count(plan, shared.now) <= _FEW
            ids = shared.replica.select(plan, shared.now).part(0, _FEW) if few else []
            sequence = shared.replica.sequence if current else None
            looked_up = _Lookup(shared, log, ids, sequence, by_id=not current)
        commands = looked_up.commands or [log.checking(sequence=sequence, activity=True)]
        checked = looked_up.checked((yield Request(commands)))
        if checked is not None:
            break
        yield Request(current=True)
        current = False
    shared.now = checked[0].now
    lost = [id for each in checked for id in each.lost]
    if not few:
        lost = yield from _unverified(shared, log, plan, checked[0].activity)
    if lost:
        shared.forget(log, lost)
    with shared.lock:
        return count(shared.replica, shared.now)


def _unverified(
    shared: SharedReplica, log: ChangeLog, plan: Plan, activity: str
) -> Pipelined[list[str]]:
    """Check the documents of a plan that may have been removed; return the ids of the removed ones."""
    checked = None
    by_id = False
    while checked is None:
        with shared.lock:
            replica = shared.replica
            rows, packs = replica.unverified(plan, shared.now, activity), replica.packs
            looked_up = _Lookup(shared, log, replica.ids(rows), None, by_id=by_id)
        if not looked_up.commands:
            return []
        checked = looked_up.checked((yield Request(looked_up.commands)))
        by_id = True
    lost = {id for each in checked for id in each.lost}
    with shared.lock:
        known = [row for row in replica.rows_of(lost) if row >= 0]
        found = np.setdiff1d(rows, known, assume_unique=True) if known else rows
        replica.verify(found, packs, activity)
    return sorted(lost)


class _Lookup:
    """The commands that check documents: by number in the log if they are all of the replica, otherwise by id.

    Args:
        shared: the replica; the caller holds its lock.
        log: the change log.
        ids: ids of the documents.
        sequence: the last applied number; None to accept any state of the log.
        by_id: always check by id, because the log may lack some.
    """

    def __init__(
        self,
        shared: SharedReplica,
        log: ChangeLog,
        ids: Sequence[str],
        sequence: int | None,
        *,
        by_id: bool,
    ) -> None:
        self.commands: list[list[Argument]]
        self._least = 0
        if len(ids) == len(shared.replica) and not by_id:
            ranges = shared.replica.ranges(_PAGE)
            self.commands = [log.checking(sequence=sequence, numbers=each) for each in ranges]
            self._least = len(ids)
        else:
            self.commands = [log.checking(batch, sequence) for batch in in_batches(ids, _PAGE)]

    def checked(self, replies: Sequence[Any]) -> list[Checked] | None:
        """Decode the replies; None if the log has newer changes, or lacks documents."""
        found = [ChangeLog.checked(reply) for reply in replies]
        checked = [each for each in found if each is not None]
        complete = sum(each.logged for each in checked) >= self._least
        return checked if complete and len(checked) == len(found) else None
