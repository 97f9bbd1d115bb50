"""Answers made by the application's function: made once, stored, and shared with whoever asked at the same time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from valkey_vector.cache.entries import (
    SCOPE,
    Answer,
    check_metadata,
    check_tokens,
    decoded,
    encoded,
    entry_id,
    entry_record,
    lifetime,
)
from valkey_vector.cache.failures import Failures
from valkey_vector.cache.lookup import Looked, Lookups
from valkey_vector.cache.sansio import Call, Flow, ask
from valkey_vector.cache.settings import Settings, check_seconds
from valkey_vector.cache.single_flight import Flights
from valkey_vector.cache.statistics import Count
from valkey_vector.cache.storage import Draft, Storage
from valkey_vector.errors import InvalidInputError, ServerError
from valkey_vector.records.metadata import dump
from valkey_vector.records.record import Metadata, Record, Vector

__all__ = ["Answers", "Keeping"]

_log = logging.getLogger("valkey_vector.cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How an answer is to be kept.

    Attributes:
        prompt: what it answers.
        scope: the whole scope.
        ttl: seconds that it lives; None for the cache's.
        metadata: the application's.

    Raises:
        ConfigurationError: `ttl` is no positive number.
        InvalidInputError: scope or metadata cannot be stored as they are.
    """

    prompt: str
    scope: Mapping[str, Any]
    ttl: float | None
    metadata: Metadata | None

    def __post_init__(self) -> None:
        if self.ttl is not None:
            check_seconds(self.ttl, "ttl")
        check_metadata(self.metadata)
        dump({SCOPE: dict(self.scope), **(self.metadata or {})}, "the cache's entry")

    @property
    def id(self) -> str:
        """Of the entry."""
        return entry_id(self.prompt, self.scope)

    def record(self, payload: bytes, vector: Vector | None) -> Record:
        """The entry's record."""
        return entry_record(self.prompt, self.scope, payload, vector=vector, metadata=self.metadata)


@dataclass(frozen=True, slots=True)
class _Made:
    """An answer: as its maker returned it, and as it is stored, for whoever else wants it; None if it cannot be."""

    answer: Answer
    payload: bytes | None


class Answers:
    """Stores answers of one cache, and makes those that are not there.

    Args:
        storage: of the entries.
        lookups: for what is there.
        failures: what to do when the server or the embedder fails.
        flights: so that each is made once.
        settings: of the cache.
    """

    def __init__(
        self,
        storage: Storage,
        lookups: Lookups,
        failures: Failures,
        flights: Flights,
        settings: Settings,
    ) -> None:
        self.lookups = lookups
        self.note = storage.ledger.note
        self._storage = storage
        self._failures = failures
        self._flights = flights
        self._settings = settings

    def packed(
        self, answer: Answer, keeping: Keeping, seconds: float | None, tokens: int | None
    ) -> bytes:
        """The answer as it is stored.

        Raises:
            InvalidInputError: it would not come back as it is.
        """
        renewed = self._ttl(keeping) if self._settings.sliding else None
        return encoded(answer, ttl=renewed, seconds=seconds, tokens=tokens)

    def keep(self, payload: bytes, keeping: Keeping, vector: Vector | None = None) -> Flow[bool]:
        """Store an answer; whether it was stored."""
        if vector is None:
            vectors = yield from self.lookups.embed([keeping.prompt])
            if vectors is None:
                return False
            (vector,) = vectors
        draft = Draft(
            keeping.record(payload, vector), self._ttl(keeping), sliding=self._settings.sliding
        )
        try:
            yield from ask(lambda: self._storage.write(draft))
        except ServerError as error:
            self._failures.note(error, "storing")
            return False
        self._failures.works("storing")
        return True

    def keep_made(self, payload: bytes, keeping: Keeping, seen: Looked) -> Flow[None]:
        """Store an answer that was made: the application gets it, also if the server does not take it."""
        if seen.vector is None and not seen.failed:
            return  # the embedder failed just now
        try:
            yield from self.keep(payload, keeping, seen.vector)
        except InvalidInputError as error:
            self._failures.note(error, "storing")

    def refused(self, error: InvalidInputError) -> None:
        """An answer was made that cannot be stored: raise that, or warn and go on."""
        self._failures.note(error, "storing")

    def found_or_made(
        self,
        keeping: Keeping,
        fn: Callable[[str], Any],
        tokens: Callable[[Any], int] | None,
    ) -> Flow[Answer]:
        """The answer that is there, else the one that the function makes."""
        made = yield from self._flights.fly(_Wanted(self, keeping, fn, tokens))
        return made.answer

    def _ttl(self, keeping: Keeping) -> float | None:
        return self._settings.ttl if keeping.ttl is None else keeping.ttl


class _Wanted:
    """One call's wish for an answer. Implements `valkey_vector.cache.single_flight.Wanted`."""

    def __init__(
        self,
        answers: Answers,
        keeping: Keeping,
        fn: Callable[[str], Any],
        tokens: Callable[[Any], int] | None,
    ) -> None:
        self.id = keeping.id
        self._answers = answers
        self._keeping = keeping
        self._fn = fn
        self._tokens = tokens
        self._seen = Looked()

    @property
    def reachable(self) -> bool:
        """Whether the server can tell who makes it: it answered when it was last asked, and what is there can be read."""
        return not self._seen.failed and not self._seen.unreadable

    def find(self) -> Flow[_Made | None]:
        """Look whether it is there."""
        keeping = self._keeping
        (seen,) = yield from self._answers.lookups.look([keeping.prompt], keeping.scope)
        self._seen = seen
        return None if seen.hit is None else _Made(seen.hit.answer, b"")

    def make(self) -> Flow[_Made]:
        """Make and store it; the application gets it even if the server does not take it."""
        self._answers.note({Count.MISSES: 1})
        started = time.monotonic()
        answer = yield Call(self._fn, (self._keeping.prompt,))
        seconds = time.monotonic() - started
        try:
            payload = self._answers.packed(answer, self._keeping, seconds, self._cost(answer))
        except InvalidInputError as error:
            self._answers.refused(error)
            return _Made(answer, None)
        yield from self._answers.keep_made(payload, self._keeping, self._seen)
        return _Made(answer, payload)

    def _cost(self, answer: Answer) -> int | None:
        """How many tokens the answer cost; None where that cannot be told, which the answer must not suffer from."""
        if self._tokens is None:
            return None
        try:
            return check_tokens(self._tokens(answer))
        except Exception as error:  # noqa: BLE001 - whatever the application's function raises
            _log.warning(
                "the tokens of an answer are not known: %s: %s", type(error).__name__, error
            )
            return None

    def landed(self, record: Record) -> _Made:
        """What another process stored while this one waited."""
        return self._copied(record.payload or b"")

    def shared(self, value: _Made) -> _Made | None:
        """What another made while this one waited, as a value of its own; None if it cannot be had twice."""
        return None if value.payload is None else self._copied(value.payload)

    def _copied(self, payload: bytes) -> _Made:
        """What is stored, counted as an exact hit."""
        answer, seconds, cost = decoded(payload)
        counts: dict[str, float] = {Count.EXACT: 1}
        if seconds is not None:
            counts[Count.SECONDS] = seconds
        if cost is not None:
            counts[Count.TOKENS] = cost
        self._answers.note(counts, uses=[(self.id, lifetime(payload))])
        return _Made(answer, payload)
