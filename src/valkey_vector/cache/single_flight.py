"""Single flight: of all who want the same answer at the same time, one makes it.

Within a process the others wait for the first one's future. Between processes the first ones compete for a lock on the
server, which its holder keeps alive while it computes: when the holder dies, the lock is gone after the lease. Nobody
waits longer than the time set; then one makes the answer oneself.
"""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from valkey_vector.cache.failures import Failures
from valkey_vector.cache.sansio import Flow, Pause, Wait, ask
from valkey_vector.cache.storage import Claim, Storage
from valkey_vector.errors import ServerError, ValkeyVectorError
from valkey_vector.records.record import Record

__all__ = ["Flights", "Wanted"]

_T = TypeVar("_T")
_SHORTEST, _LONGEST = 0.01, 0.25
"""Seconds between two looks at whether another process is done."""


@dataclass(frozen=True, slots=True)
class _Landed(Generic[_T]):
    """What a leader made."""

    value: _T


class Wanted(Protocol[_T]):
    """Somebody's wish for the value of one entry."""

    @property
    def id(self) -> str:
        """Of the entry."""
        ...

    @property
    def reachable(self) -> bool:
        """Whether the server answered when it was last asked."""
        ...

    def find(self) -> Flow[_T | None]:
        """Look whether it is there."""
        ...

    def make(self) -> Flow[_T]:
        """Make and store it."""
        ...

    def landed(self, record: Record) -> _T:
        """The value of an entry that another process stored."""
        ...

    def shared(self, value: _T) -> _T | None:
        """The value, of one that another thread made; None if it must be made again."""
        ...


class Flights:
    """The flights of one cache in this process. Thread-safe, and new in a forked child.

    Args:
        storage: of the entries.
        failures: what to do when the server fails.
        lease: seconds after which a dead holder's lock is free.
        wait: seconds to wait for others at most.
    """

    def __init__(self, storage: Storage, failures: Failures, *, lease: float, wait: float) -> None:
        self._storage = storage
        self._failures = failures
        self._lease = max(1, round(lease * 1000))
        self._wait = wait
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[str, Future[_Landed[Any] | None]] = {}
        self._held: dict[str, str] = {}
        self._renewing = False
        self._pid = os.getpid()

    def fly(self, wanted: Wanted[_T]) -> Flow[_T]:
        """The value that is wanted: found, made here, or made by another who was first."""
        deadline = time.monotonic() + self._wait
        while True:
            found = yield from wanted.find()
            if found is not None:
                return found
            leads, future = self._join(wanted.id)
            if leads:
                return (yield from self._lead(wanted, future, deadline))
            done = yield Wait(future, deadline - time.monotonic())
            if not done:
                return (yield from wanted.make())
            result: _Landed[_T] | None = future.result()
            if result is not None:
                shared = wanted.shared(result.value)
                return (yield from wanted.make()) if shared is None else shared

    def _lead(
        self, wanted: Wanted[_T], future: Future[_Landed[Any] | None], deadline: float
    ) -> Flow[_T]:
        """Be the one of this process."""
        id = wanted.id
        try:
            # Without a server there is nobody to compete with.
            competes = wanted.reachable
            record = (yield from self._claimed(id, future, deadline)) if competes else None
            value = (yield from wanted.make()) if record is None else wanted.landed(record)
        except GeneratorExit:
            self._leave(id, future, None)  # nothing can be asked any more; the lease ends the lock
            raise
        except BaseException:
            yield from self._released(id, self._leave(id, future, None))
            raise
        yield from self._released(id, self._leave(id, future, _Landed(value)))
        return value

    def _claimed(
        self, id: str, future: Future[_Landed[Any] | None], deadline: float
    ) -> Flow[Record | None]:
        """Compete with other processes; an entry that one of them stored, or None if it is ours to make."""
        token = secrets.token_hex(16)
        pause = _SHORTEST
        while True:
            try:
                claim: Claim = yield from ask(lambda: self._claim(id, future, token))
            except ServerError as error:
                self._failures.note(error, "storing")
                return None
            if claim.record is not None or claim.held:
                return claim.record
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            yield Pause(min(left, pause * random.uniform(0.5, 1.0)))
            pause = min(_LONGEST, 1.5 * pause)

    def _released(self, id: str, token: str | None) -> Flow[None]:
        if token is None:
            return
        try:
            yield from ask(lambda: self._storage.release(id, token))
        except ServerError:
            return  # an outage that was met before, or will be; the lease ends the lock

    def _claim(self, id: str, future: Future[_Landed[Any] | None], token: str) -> Claim:
        claim = self._storage.claim(id, token, self._lease)
        if not claim.held:
            return claim
        with self._lock:
            flies = self._flying.get(id) is future
            if flies:
                self._held[id] = token
                starts, self._renewing = not self._renewing, True
        if not flies:
            # Cancelled while the server was asked: nobody else would let go of the lock.
            self._storage.release(id, token)
        elif starts:
            name = "valkey-vector-lease"
            threading.Thread(target=self._renew, name=name, daemon=True).start()
        return claim

    def _renew(self) -> None:
        """Runs in a thread of its own while anything is held."""
        while True:
            time.sleep(self._lease / 3000)
            with self._lock:
                held = list(self._held.items())
                if not held:
                    self._renewing = False
                    return
            with suppress(ValkeyVectorError):
                # In an outage: the next time, or somebody else makes it as well.
                self._storage.renew(held, self._lease)

    def _join(self, id: str) -> tuple[bool, Future[_Landed[Any] | None]]:
        """Whether one is the first of this process, and the future that tells what the first one made."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            future = self._flying.get(id)
            if future is not None:
                return False, future
            future = self._flying[id] = Future()
            return True, future

    def _leave(
        self, id: str, future: Future[_Landed[Any] | None], result: _Landed[Any] | None
    ) -> str | None:
        """Tell the others what was made, or that nothing was; returns the token of a lock to release."""
        with self._lock:
            if self._flying.get(id) is future:
                del self._flying[id]
            token = self._held.pop(id, None)
        future.set_result(result)
        return token
