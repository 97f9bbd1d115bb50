"""Lookup of prompts: first by exact text, then by similarity, with verification of doubtful hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from valkey_vector.cache.entries import CacheHit, entry_id, hit_of, lifetime, scope_id
from valkey_vector.cache.failures import Failures
from valkey_vector.cache.sansio import Call, Embedding, Operation, call_server
from valkey_vector.cache.settings import Settings
from valkey_vector.cache.statistics import Count
from valkey_vector.cache.storage import Storage
from valkey_vector.errors import (
    ConfigurationError,
    QueryBatchError,
    ServerError,
    UnreadableRecordError,
)
from valkey_vector.records.record import Hit, Record, Vector
from valkey_vector.records.vectors import check_vector

__all__ = ["LookupResult", "Lookups"]


@dataclass(frozen=True, slots=True)
class LookupResult:
    """Result of the lookup of one prompt.

    Attributes:
        hit: the hit, or None.
        ttl_ms: milliseconds to which this use extends the entry's time to live. 0: it does not.
        vector: the embedding of the prompt, if it was computed.
        failed: True if the server failed.
        unreadable: True if another program wrote the entry of the prompt, or the most similar one. An answer
            replaces it.
    """

    hit: CacheHit | None = None
    ttl_ms: int = 0
    vector: Vector | None = None
    failed: bool = False
    unreadable: bool = False


class Lookups:
    """Looks prompts up in one cache.

    Args:
        storage: storage of the entries.
        failures: error policy for the server and the embedder.
        settings: settings of the cache.
        threshold: minimum similarity of a hit. Can be changed.
    """

    def __init__(
        self, storage: Storage, failures: Failures, settings: Settings, threshold: float
    ) -> None:
        self.threshold = threshold
        self._storage = storage
        self._failures = failures
        self._settings = settings

    def look_up(
        self, prompts: Sequence[str], scope: Mapping[str, Any]
    ) -> Operation[list[LookupResult]]:
        """Look up each prompt. Counts hits, but not misses."""
        results = yield from self._exactly(prompts, scope)
        rest = {
            prompt: one
            for prompt, one in zip(prompts, results, strict=True)
            if one.hit is None and not one.failed
        }
        if rest:
            found = yield from self._similarly(list(rest), scope)
            results = [
                replace(found[prompt], unreadable=one.unreadable or found[prompt].unreadable)
                if prompt in rest
                else one
                for prompt, one in zip(prompts, results, strict=True)
            ]
        self._count(results)
        return results

    def embed(self, prompts: Sequence[str]) -> Operation[list[Vector] | None]:
        """Embed prompts. Returns None if the embedder failed and `on_error` is ``miss``."""
        try:
            vectors: list[Vector] = yield Embedding(prompts)
            for vector, prompt in zip(vectors, prompts, strict=True):
                check_vector(vector, None, f"the prompt {prompt[:50]!r}")
        except ConfigurationError:
            raise  # a wrong setting, not an outage: it never works
        except Exception as error:  # noqa: BLE001 - any error of an embedder; `note` raises or counts it
            self._failures.note(error, "embedder")
            return None
        self._failures.works("embedder")
        return vectors

    def used(self, hit: CacheHit, ttl_ms: int) -> tuple[dict[str, float], list[tuple[str, int]]]:
        """Return the statistics of a hit, and the use of its entry."""
        counts: dict[str, float] = {Count.EXACT if hit.exact else Count.SEMANTIC: 1}
        if not hit.exact:
            counts[Count.SIMILARITY] = hit.similarity
        if hit.seconds is not None:
            counts[Count.SECONDS] = hit.seconds
        if hit.tokens is not None:
            counts[Count.TOKENS] = hit.tokens
        return counts, [(hit.id, ttl_ms)]

    def _exactly(
        self, prompts: Sequence[str], scope: Mapping[str, Any]
    ) -> Operation[list[LookupResult]]:
        ids = [entry_id(prompt, scope) for prompt in prompts]
        if self._failures.resting():
            return [LookupResult(failed=True)] * len(ids)
        try:
            records, rejection = yield from call_server(lambda: self._storage.read(ids))
        except UnreadableRecordError as error:
            if len(prompts) == 1:
                return [self._unreadable(error)]
            # At least one entry is unreadable. Look up each prompt alone, so that the others are hits.
            results = []
            for prompt in prompts:
                results += yield from self._exactly([prompt], scope)
            return results
        except ServerError as error:
            self._failures.note(error)
            return [LookupResult(failed=True)] * len(ids)
        self._failures.works()
        if rejection is None:
            self._failures.works("counting")
        else:
            self._failures.note(rejection, "counting")
        return [LookupResult() if record is None else self._readable(record) for record in records]

    def _similarly(
        self, prompts: Sequence[str], scope: Mapping[str, Any]
    ) -> Operation[dict[str, LookupResult]]:
        vectors = yield from self.embed(prompts)
        if vectors is None:
            return dict.fromkeys(prompts, LookupResult())
        return (yield from self._compared(list(zip(prompts, vectors, strict=True)), scope))

    def _compared(
        self, embedded: Sequence[tuple[str, Vector]], scope: Mapping[str, Any]
    ) -> Operation[dict[str, LookupResult]]:
        """Look up the most similar entry of each prompt by its vector."""
        vectors = [vector for _, vector in embedded]
        decided: dict[str, LookupResult] = {}
        try:
            found = yield from call_server(
                lambda: self._storage.similar(vectors, scope_id(scope), 1)
            )
        except UnreadableRecordError as error:
            ((prompt, vector),) = embedded
            return {prompt: replace(self._unreadable(error), vector=vector)}
        except QueryBatchError:  # one of several prompts failed: look up each alone
            for one in embedded:
                decided |= yield from self._compared([one], scope)
            return decided
        except ServerError as error:
            self._failures.note(error, "searching")
            return {prompt: LookupResult(vector=vector, failed=True) for prompt, vector in embedded}
        self._failures.works("searching")
        for (prompt, vector), hits in zip(embedded, found, strict=True):
            candidate = self._candidate(hits)
            accepted = yield from self._accepted(prompt, candidate)
            result = candidate if accepted else LookupResult(unreadable=candidate.unreadable)
            decided[prompt] = replace(result, vector=vector)
        return decided

    def _candidate(self, hits: Sequence[Hit]) -> LookupResult:
        """Return the most similar entry, unless its similarity is below the threshold and the margin."""
        reach = self.threshold - self._settings.margin
        if not hits or not hits[0].similarity >= reach:
            return LookupResult()
        return self._readable(hits[0].record, hits[0].similarity)

    def _readable(self, record: Record, similarity: float | None = None) -> LookupResult:
        """Create the hit of an entry, exact if `similarity` is None. Counts a failure if another program wrote it."""
        exact = similarity is None
        try:
            hit = hit_of(record, 1.0 if similarity is None else similarity, exact=exact)
        except UnreadableRecordError as error:
            return self._unreadable(error)
        return LookupResult(hit=hit, ttl_ms=lifetime(record.payload))

    def _unreadable(self, error: UnreadableRecordError) -> LookupResult:
        """Return a miss and count a failure. Each unreadable entry is a separate failure."""
        self._failures.note(error, "entry")
        self._failures.works("entry")
        return LookupResult(unreadable=True)

    def _accepted(self, prompt: str, candidate: LookupResult) -> Operation[bool]:
        hit, verify = candidate.hit, self._settings.verify
        if hit is None:
            return False
        if verify is None or hit.similarity >= self.threshold + self._settings.margin:
            return True
        accepted = bool((yield Call(verify, (prompt, hit))))
        if not accepted:
            self._storage.usage.note({Count.REJECTED: 1})
        return accepted

    def _count(self, results: Sequence[LookupResult]) -> None:
        total: dict[str, float] = {}
        uses: list[tuple[str, int]] = []
        for one in results:
            if one.hit is not None:
                counts, used = self.used(one.hit, one.ttl_ms)
                uses += used
                for name, amount in counts.items():
                    total[name] = total.get(name, 0.0) + amount
        self._storage.usage.note(total, uses=uses)
