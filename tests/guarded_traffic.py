"""Checks the commands that this process sends with the dialect guard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dialect_guard import DialectError, DialectGuard
from round_trips import RoundTrip

# Valkey-Search numbers its versions major << 16 | minor << 8 | patch, RediSearch 2 from 20000 on.
_VALKEY_SEARCH = range(0x10100, 80_000)


class GuardedTraffic:
    """Puts every command of the process before the dialect guard of the database it is sent to."""

    def __init__(self) -> None:
        self._guards: dict[tuple[str, bool], DialectGuard] = {}
        self._valkey_search: set[str] = set()
        self.violations: list[DialectError] = []

    def sending(self, trip: RoundTrip) -> None:
        guard = self._guard_of(trip)
        for command in trip.commands:
            try:
                guard.check(command, in_transaction=trip.transaction)
            except DialectError as error:
                # Raised in the sender, and again at the end of the test in case the sender catches it.
                self.violations.append(error)
                raise

    def received(self, trip: RoundTrip, replies: Sequence[object]) -> None:
        guard = self._guards.get((trip.server, trip.cluster))
        if guard is None:
            return  # sent before this listened
        for command, reply in zip(trip.commands, replies, strict=False):
            if isinstance(reply, Exception):
                continue
            guard.learn(command)
            if command[0].upper() == b"HELLO":
                self._meet(trip, reply)

    def _meet(self, trip: RoundTrip, hello: object) -> None:
        """Note whether these servers have Valkey-Search; a port may have had another server before."""
        addresses = _addresses(trip.server)
        self._valkey_search.difference_update(addresses)
        modules = _search_modules(hello)
        if not modules:  # so it has no search index; one with this port may have had some
            for database in [each for each in self._guards if _addresses(each[0]) == addresses]:
                del self._guards[database]
        if any(one.get(b"ver") in _VALKEY_SEARCH for one in modules):
            self._valkey_search.update(addresses)

    def _guard_of(self, trip: RoundTrip) -> DialectGuard:
        # The capabilities of a cluster are requested by a standalone client, so there are two guards.
        database = trip.server, trip.cluster
        guard = self._guards.setdefault(database, DialectGuard(cluster=trip.cluster))
        guard.complete = trip.cluster and not self._valkey_search.isdisjoint(
            _addresses(trip.server)
        )
        return guard


def _addresses(server: str) -> list[str]:
    return server.rpartition("/")[0].split(",")


def _search_modules(reply: object) -> list[Mapping[bytes, Any]]:
    """The search modules in a reply to HELLO. Valkey-Search 1.1 or later can return a partial result."""
    modules = _mapping(reply).get(b"modules")
    listed = [_mapping(one) for one in modules] if isinstance(modules, list) else []
    return [one for one in listed if one.get(b"name") == b"search"]


def _mapping(reply: Any) -> Mapping[bytes, Any]:
    """A reply that is a map, or a flat list of names and values."""
    if isinstance(reply, Mapping):
        return reply
    if isinstance(reply, list):
        return dict(zip(reply[::2], reply[1::2], strict=False))
    return {}
