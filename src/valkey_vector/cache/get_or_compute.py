"""Computed answers: computed once by the application's function, stored, and shared with concurrent callers."""

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
from valkey_vector.cache.lookup import LookupResult, Lookups
from valkey_vector.cache.sansio import Call, Operation, call_server
from valkey_vector.cache.settings import Settings, check_seconds
from valkey_vector.cache.single_flight import SingleFlight
from valkey_vector.cache.statistics import Count
from valkey_vector.cache.storage import Draft, Storage
from valkey_vector.errors import InvalidInputError, ServerError
from valkey_vector.records.metadata import dump
from valkey_vector.records.record import Metadata, Record, Vector

__all__ = ["Answers", "NewEntry"]

_log = logging.getLogger("valkey_vector.cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """Prompt, scope and settings of an answer to store.

    Attributes:
        prompt: the prompt.
        scope: the whole scope.
        ttl: time to live in seconds, > 0. None: that of the cache.
        metadata: metadata of the application.

    Raises:
        ConfigurationError: `ttl` is not a positive number.
        InvalidInputError: scope or metadata cannot be stored without loss.
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
        """Id of the entry."""
        return entry_id(self.prompt, self.scope)

    def record(self, payload: bytes, vector: Vector | None) -> Record:
        """Create the record of the entry."""
        return entry_record(self.prompt, self.scope, payload, vector=vector, metadata=self.metadata)


@dataclass(frozen=True, slots=True)
class _Computed:
    """Computed answer, and its stored form for other callers. The stored form is None if it cannot be stored."""

    answer: Answer
    payload: bytes | None


class Answers:
    """Stores the answers of one cache, and computes missing answers.

    Args:
        storage: storage of the entries.
        lookups: lookup of stored answers.
        failures: error policy for the server and the embedder.
        single_flight: single-flight locks, so that each answer is computed once.
        settings: settings of the cache.
    """

    def __init__(
        self,
        storage: Storage,
        lookups: Lookups,
        failures: Failures,
        single_flight: SingleFlight,
        settings: Settings,
    ) -> None:
        self.lookups = lookups
        self.note = storage.usage.note
        self._storage = storage
        self._failures = failures
        self._single_flight = single_flight
        self._settings = settings

    def packed(
        self, answer: Answer, entry: NewEntry, seconds: float | None, tokens: int | None
    ) -> bytes:
        """Encode an answer for storage.

        Raises:
            InvalidInputError: the answer cannot be stored without loss.
        """
        renewed = self._ttl(entry) if self._settings.sliding else None
        return encoded(answer, ttl=renewed, seconds=seconds, tokens=tokens)

    def store(
        self, payload: bytes, entry: NewEntry, vector: Vector | None = None
    ) -> Operation[bool]:
        """Store an answer. Returns True if it was stored."""
        if self._failures.resting():
            return False
        if vector is None:
            vectors = yield from self.lookups.embed([entry.prompt])
            if vectors is None:
                return False
            (vector,) = vectors
        draft = Draft(
            entry.record(payload, vector), self._ttl(entry), sliding=self._settings.sliding
        )
        try:
            yield from call_server(lambda: self._storage.write(draft))
        except ServerError as error:
            self._failures.note(error, "storing")
            return False
        self._failures.works("storing")
        return True

    def store_computed(
        self, payload: bytes, entry: NewEntry, seen: LookupResult
    ) -> Operation[None]:
        """Store a computed answer. The application receives it even if it cannot be stored."""
        if seen.vector is None and not seen.failed:
            return  # the embedder failed just now
        try:
            yield from self.store(payload, entry, seen.vector)
        except InvalidInputError as error:
            self._failures.note(error, "storing")

    def refused(self, error: InvalidInputError) -> None:
        """Handle a computed answer that cannot be stored: raise, or log a warning and continue."""
        self._failures.note(error, "storing")

    def get_or_compute(
        self,
        entry: NewEntry,
        fn: Callable[[str], Any],
        tokens: Callable[[Any], int] | None,
    ) -> Operation[Any]:
        """Return the stored answer, or compute it with the function."""
        computed = yield from self._single_flight.run(_AnswerRequest(self, entry, fn, tokens))
        return computed.answer

    def _ttl(self, entry: NewEntry) -> float | None:
        return self._settings.ttl if entry.ttl is None else entry.ttl


class _AnswerRequest:
    """Request of one call for an answer. Implements `valkey_vector.cache.single_flight.ValueRequest`."""

    def __init__(
        self,
        answers: Answers,
        entry: NewEntry,
        fn: Callable[[str], Any],
        tokens: Callable[[Any], int] | None,
    ) -> None:
        self.id = entry.id
        self._answers = answers
        self._new_entry = entry
        self._fn = fn
        self._tokens = tokens
        self._seen = LookupResult()

    @property
    def reachable(self) -> bool:
        """True if the last request to the server succeeded and the entry is readable, so the lock works."""
        return not self._seen.failed and not self._seen.unreadable

    def find(self) -> Operation[_Computed | None]:
        """Look up the stored answer."""
        entry = self._new_entry
        (seen,) = yield from self._answers.lookups.look_up([entry.prompt], entry.scope)
        self._seen = seen
        return None if seen.hit is None else _Computed(seen.hit.answer, b"")

    def compute(self) -> Operation[_Computed]:
        """Compute and store the answer. The application receives it even if it cannot be stored."""
        self._answers.note({Count.MISSES: 1})
        started = time.monotonic()
        answer = yield Call(self._fn, (self._new_entry.prompt,))
        seconds = time.monotonic() - started
        try:
            payload = self._answers.packed(answer, self._new_entry, seconds, self._cost(answer))
        except InvalidInputError as error:
            self._answers.refused(error)
            return _Computed(answer, None)
        yield from self._answers.store_computed(payload, self._new_entry, self._seen)
        return _Computed(answer, payload)

    def _cost(self, answer: Answer) -> int | None:
        """Return the number of tokens of the answer. None if the application's function fails, which is only logged."""
        if self._tokens is None:
            return None
        try:
            return check_tokens(self._tokens(answer))
        except Exception as error:  # noqa: BLE001 - any error of the application's function
            _log.warning(
                "the tokens of an answer are not known: %s: %s",
                type(error).__name__,
                error,
            )
            return None

    def from_record(self, record: Record) -> _Computed:
        """Return the answer that another process stored in the meantime."""
        return self._copied(record.payload or b"")

    def shared(self, value: _Computed) -> _Computed | None:
        """Return a copy of the answer that another caller computed. None if it cannot be copied."""
        return None if value.payload is None else self._copied(value.payload)

    def _copied(self, payload: bytes) -> _Computed:
        """Decode a stored answer and count an exact hit."""
        answer, seconds, cost = decoded(payload)
        counts: dict[str, float] = {Count.EXACT: 1}
        if seconds is not None:
            counts[Count.SECONDS] = seconds
        if cost is not None:
            counts[Count.TOKENS] = cost
        self._answers.note(counts, uses=[(self.id, lifetime(payload))])
        return _Computed(answer, payload)
