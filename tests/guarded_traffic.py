"""Puts what this process sends before the dialect guard."""

from __future__ import annotations

from collections.abc import Sequence

from dialect_guard import DialectError, DialectGuard
from round_trips import RoundTrip


class GuardedTraffic:
    """Puts every command of the process before the dialect guard of the database it is sent to."""

    def __init__(self) -> None:
        self._guards: dict[tuple[str, bool], DialectGuard] = {}
        self.violations: list[DialectError] = []

    def sending(self, trip: RoundTrip) -> None:
        # A cluster is asked what it is through a standalone client.
        database = trip.server, trip.cluster
        guard = self._guards.setdefault(database, DialectGuard(cluster=trip.cluster))
        for command in trip.commands:
            try:
                guard.check(command, in_transaction=trip.transaction)
            except DialectError as error:
                # Raised at the sender, and kept for the test's end in case somebody swallows it.
                self.violations.append(error)
                raise

    def received(self, trip: RoundTrip, replies: Sequence[object]) -> None:
        guard = self._guards.get((trip.server, trip.cluster))
        if guard is None:
            return  # sent before this listened
        for command, reply in zip(trip.commands, replies, strict=False):
            if not isinstance(reply, Exception):
                guard.learn(command)
