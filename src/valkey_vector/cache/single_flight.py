"""Single-flight locks: of all concurrent callers that need the same answer, one computes it.

In a process, the others wait for the future of the first caller. The first callers of all processes compete for a lock
on the server. Its holder renews the lock while it computes; if the holder crashes, the lock expires after the lease. A
caller that waited for the maximum time computes the answer itself.
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
from valkey_vector.cache.sansio import Operation, Pause, Wait, call_server
from valkey_vector.cache.storage import Claim, Storage
from valkey_vector.errors import ServerError, ValkeyVectorError
from valkey_vector.records.record import Record

__all__ = ["SingleFlight", "ValueRequest"]

_T = TypeVar("_T")
_MIN_PAUSE, _MAX_PAUSE = 0.01, 0.25
"""Minimum and maximum delay in seconds between two attempts to get the lock."""


@dataclass(frozen=True, slots=True)
class _Result(Generic[_T]):
    """Value that the first caller computed."""

    value: _T


class ValueRequest(Protocol[_T]):
    """Request for the value of one entry."""

    @property
    def id(self) -> str:
        """Id of the entry."""
        ...

    @property
    def reachable(self) -> bool:
        """True if the last request to the server succeeded."""
        ...

    def find(self) -> Operation[_T | None]:
        """Look up the stored value."""
        ...

    def compute(self) -> Operation[_T]:
        """Compute and store the value."""
        ...

    def from_record(self, record: Record) -> _T:
        """Return the value of an entry that another process stored."""
        ...

    def shared(self, value: _T) -> _T | None:
        """Return a copy of a value that another thread computed. None if it must be computed again."""
        ...


class SingleFlight:
    """Single-flight locks of one cache in this process. Thread-safe. A forked child starts with no locks.

    Args:
        storage: storage of the entries.
        failures: error policy for the server.
        lease: seconds after which the lock of a crashed holder expires.
        wait: maximum seconds to wait for other callers.
    """

    def __init__(self, storage: Storage, failures: Failures, *, lease: float, wait: float) -> None:
        self._storage = storage
        self._failures = failures
        self._lease = max(1, round(lease * 1000))
        self._wait = wait
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._released_all = threading.Condition(self._lock)
        self._in_flight: dict[str, Future[_Result[Any] | None]] = {}
        self._held: dict[str, str] = {}
        self._renewing = False
        self._pid = os.getpid()

    def run(self, request: ValueRequest[_T]) -> Operation[_T]:
        """Return the value: stored, computed here, or computed by another caller."""
        deadline = time.monotonic() + self._wait
        while True:
            found = yield from request.find()
            if found is not None:
                return found
            leads, future = self._enter(request.id)
            if leads:
                return (yield from self._lead(request, future, deadline))
            done = yield Wait(future, deadline - time.monotonic())
            if not done:
                return (yield from request.compute())
            result: _Result[_T] | None = future.result()
            if result is not None:
                shared = request.shared(result.value)
                return (yield from request.compute()) if shared is None else shared

    def _lead(
        self, request: ValueRequest[_T], future: Future[_Result[Any] | None], deadline: float
    ) -> Operation[_T]:
        """Act as the first caller of this process."""
        id = request.id
        try:
            # Without a server there is no lock to compete for.
            competes = request.reachable
            record = (yield from self._compete(id, future, deadline)) if competes else None
            value = (
                (yield from request.compute()) if record is None else request.from_record(record)
            )
        except GeneratorExit:
            # No request can be sent: the lock expires with its lease.
            self._finish(id, future, None)
            raise
        except BaseException:
            yield from self._release(id, self._finish(id, future, None))
            raise
        yield from self._release(id, self._finish(id, future, _Result(value)))
        return value

    def _compete(
        self, id: str, future: Future[_Result[Any] | None], deadline: float
    ) -> Operation[Record | None]:
        """Compete for the lock. Returns an entry that another process stored, or None if this one must compute it."""
        token = secrets.token_hex(16)
        pause = _MIN_PAUSE
        while True:
            try:
                claim: Claim = yield from call_server(lambda: self._claim(id, future, token))
            except ServerError as error:
                self._failures.note(error, "storing")
                return None
            if claim.record is not None or claim.held:
                return claim.record
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            yield Pause(min(left, pause * random.uniform(0.5, 1.0)))
            pause = min(_MAX_PAUSE, 1.5 * pause)

    def _release(self, id: str, token: str | None) -> Operation[None]:
        if token is None:
            return
        try:
            yield from call_server(lambda: self._storage.release(id, token))
        except ServerError:
            return  # an outage that other requests report; the lock expires with its lease

    def _claim(self, id: str, future: Future[_Result[Any] | None], token: str) -> Claim:
        claim = self._storage.claim(id, token, self._lease)
        if not claim.held:
            return claim
        with self._lock:
            current = self._in_flight.get(id) is future
            if current:
                self._held[id] = token
                starts, self._renewing = not self._renewing, True
        if not current:
            # Cancelled during the request: nothing else releases the lock.
            self._storage.release(id, token)
        elif starts:
            name = "valkey-vector-lease"
            threading.Thread(target=self._renew, name=name, daemon=True).start()
        return claim

    def _renew(self) -> None:
        """Renew the held locks. Runs in a thread that ends as soon as no lock is held."""
        while True:
            with self._released_all:
                if self._released_all.wait_for(lambda: not self._held, self._lease / 3000):
                    self._renewing = False
                    return
                held = list(self._held.items())
            with suppress(ValkeyVectorError):
                # In an outage the next round renews it, or another process computes the value, too.
                self._storage.renew(held, self._lease)

    def _enter(self, id: str) -> tuple[bool, Future[_Result[Any] | None]]:
        """Return True for the first caller of this process, and the future of the first caller's result."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            future = self._in_flight.get(id)
            if future is not None:
                return False, future
            future = self._in_flight[id] = Future()
            return True, future

    def _finish(
        self, id: str, future: Future[_Result[Any] | None], result: _Result[Any] | None
    ) -> str | None:
        """Pass the result, or None, to the waiting callers. Returns the token of a lock to release."""
        with self._lock:
            if self._in_flight.get(id) is future:
                del self._in_flight[id]
            token = self._held.pop(id, None)
            if not self._held:
                self._released_all.notify_all()
        future.set_result(result)
        return token
