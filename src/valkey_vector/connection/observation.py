"""Observation of an operation: counts its round trips, commands, candidates and fallbacks while it runs.

Costs one look at a context variable per request while nothing is observed. Work that an operation passes to threads of
this library is observed, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token

__all__ = [
    "Observation",
    "current_observation",
    "note_candidates",
    "note_counts",
    "note_fallback",
    "note_request",
    "observe",
    "stop_observing",
]


class Observation:
    """Counts of one operation. Thread-safe.

    Attributes:
        round_trips: requests to the server; a pipeline is one, in a cluster one for all nodes.
        commands: commands in these requests.
        candidates: records that the engine returned before they were checked and cut.
        fallbacks: methods used because the first one did not find the whole answer, in order, each once.
        counts: counters of caches, such as ``exact_hits``, ``semantic_hits`` and ``misses``.
    """

    __slots__ = (
        "_lock", "_parent", "candidates", "commands", "counts", "fallbacks", "round_trips",
    )  # fmt: skip

    def __init__(self, parent: Observation | None = None) -> None:
        self.round_trips = 0
        self.commands = 0
        self.candidates = 0
        self.fallbacks: list[str] = []
        self.counts: dict[str, float] = {}
        self._parent = parent
        self._lock = threading.Lock()

    def _fallback(self, method: str) -> None:
        with self._lock:
            if method not in self.fallbacks:
                self.fallbacks.append(method)
        if self._parent is not None:
            self._parent._fallback(method)

    def _count(self, counts: Mapping[str, float]) -> None:
        with self._lock:
            for name, number in counts.items():
                self.counts[name] = self.counts.get(name, 0) + number
        if self._parent is not None:
            self._parent._count(counts)


_current: ContextVar[Observation | None] = ContextVar("valkey_vector_observation", default=None)

current_observation: Callable[[], Observation | None] = _current.get
"""Return the observation that runs; None if nothing observes."""


def observe() -> tuple[Observation, Token[Observation | None]]:
    """Begin an observation. One inside another is part of both.

    Returns:
        The observation, and what `stop_observing` needs to end it.
    """
    observation = Observation(_current.get())
    return observation, _current.set(observation)


def stop_observing(token: Token[Observation | None]) -> None:
    """End an observation, in the same context."""
    _current.reset(token)


def note_request(commands: int) -> None:
    """Note that a request with this number of commands is sent."""
    observation = _current.get()
    while observation is not None:
        with observation._lock:
            observation.round_trips += 1
            observation.commands += commands
        observation = observation._parent


def note_candidates(number: int) -> None:
    """Note that the engine returned this number of records to choose from."""
    observation = _current.get()
    while observation is not None:
        with observation._lock:
            observation.candidates += number
        observation = observation._parent


def note_fallback(method: str) -> None:
    """Note that another method is used because the first one did not find the whole answer."""
    if (observation := _current.get()) is not None:
        observation._fallback(method)


def note_counts(counts: Mapping[str, float]) -> None:
    """Note counters of a cache."""
    if (observation := _current.get()) is not None:
        observation._count(counts)
