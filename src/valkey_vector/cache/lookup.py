"""Looking prompts up: word for word first, then by similarity, and what is done about doubtful hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from valkey_vector.cache.entries import CacheHit, entry_id, hit_of, lifetime, scope_id
from valkey_vector.cache.failures import Failures
from valkey_vector.cache.sansio import Call, Embedding, Flow, ask
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

__all__ = ["Looked", "Lookups"]


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of one prompt.

    Attributes:
        hit: the answer that serves it, if there is one.
        lasts: milliseconds that the hit's use prolongs its life to; 0 if it does not.
        vector: its embedding, if it was made.
        failed: the server could not be asked.
        unreadable: something else wrote the prompt's own entry, or the nearest one: an answer replaces it.
    """

    hit: CacheHit | None = None
    lasts: int = 0
    vector: Vector | None = None
    failed: bool = False
    unreadable: bool = False


class Lookups:
    """Looks prompts up in one cache.

    Args:
        storage: of the entries.
        failures: what to do when server or embedder fail.
        settings: of the cache.
        threshold: least similarity of a hit; may be changed.
    """

    def __init__(
        self, storage: Storage, failures: Failures, settings: Settings, threshold: float
    ) -> None:
        self.threshold = threshold
        self._storage = storage
        self._failures = failures
        self._settings = settings

    def look(self, prompts: Sequence[str], scope: Mapping[str, Any]) -> Flow[list[Looked]]:
        """What there is for each prompt; hits are counted, misses are not."""
        looked = yield from self._exactly(prompts, scope)
        rest = {
            prompt: one
            for prompt, one in zip(prompts, looked, strict=True)
            if one.hit is None and not one.failed
        }
        if rest:
            found = yield from self._similarly(list(rest), scope)
            looked = [
                replace(found[prompt], unreadable=one.unreadable or found[prompt].unreadable)
                if prompt in rest
                else one
                for prompt, one in zip(prompts, looked, strict=True)
            ]
        self._count(looked)
        return looked

    def embed(self, prompts: Sequence[str]) -> Flow[list[Vector] | None]:
        """Their vectors; None if the embedder failed and that is no matter."""
        try:
            vectors: list[Vector] = yield Embedding(prompts)
            for vector, prompt in zip(vectors, prompts, strict=True):
                check_vector(vector, None, f"the prompt {prompt[:50]!r}")
        except ConfigurationError:
            raise  # it is no failure, it can never work
        except Exception as error:  # noqa: BLE001 - whatever an embedder raises; raised or counted by `note`
            self._failures.note(error, "embedder")
            return None
        self._failures.works("embedder")
        return vectors

    def used(self, hit: CacheHit, lasts: int) -> tuple[dict[str, float], list[tuple[str, int]]]:
        """What is to be told of a hit: counts, and the use of its entry."""
        counts: dict[str, float] = {Count.EXACT if hit.exact else Count.SEMANTIC: 1}
        if not hit.exact:
            counts[Count.SIMILARITY] = hit.similarity
        if hit.seconds is not None:
            counts[Count.SECONDS] = hit.seconds
        if hit.tokens is not None:
            counts[Count.TOKENS] = hit.tokens
        return counts, [(hit.id, lasts)]

    def _exactly(self, prompts: Sequence[str], scope: Mapping[str, Any]) -> Flow[list[Looked]]:
        ids = [entry_id(prompt, scope) for prompt in prompts]
        try:
            records, refusal = yield from ask(lambda: self._storage.read(ids))
        except UnreadableRecordError as error:
            if len(prompts) == 1:
                return [self._unreadable(error)]
            # One of them: it is found out which, so that the others are hits.
            looked = []
            for prompt in prompts:
                looked += yield from self._exactly([prompt], scope)
            return looked
        except ServerError as error:
            self._failures.note(error)
            return [Looked(failed=True)] * len(ids)
        self._failures.works()
        if refusal is None:
            self._failures.works("counting")
        else:
            self._failures.note(refusal, "counting")
        return [Looked() if record is None else self._readable(record) for record in records]

    def _similarly(
        self, prompts: Sequence[str], scope: Mapping[str, Any]
    ) -> Flow[dict[str, Looked]]:
        vectors = yield from self.embed(prompts)
        if vectors is None:
            return dict.fromkeys(prompts, Looked())
        return (yield from self._compared(list(zip(prompts, vectors, strict=True)), scope))

    def _compared(
        self, embedded: Sequence[tuple[str, Vector]], scope: Mapping[str, Any]
    ) -> Flow[dict[str, Looked]]:
        """What is similar to each prompt, by its vector."""
        vectors = [vector for _, vector in embedded]
        decided: dict[str, Looked] = {}
        try:
            found = yield from ask(lambda: self._storage.similar(vectors, scope_id(scope), 1))
        except UnreadableRecordError as error:
            ((prompt, vector),) = embedded
            return {prompt: replace(self._unreadable(error), vector=vector)}
        except (
            QueryBatchError
        ):  # of several prompts; each by itself shows which ones failed, and why
            for one in embedded:
                decided |= yield from self._compared([one], scope)
            return decided
        except ServerError as error:
            self._failures.note(error)
            return {prompt: Looked(vector=vector, failed=True) for prompt, vector in embedded}
        for (prompt, vector), hits in zip(embedded, found, strict=True):
            near = self._near(hits)
            accepted = yield from self._accepted(prompt, near)
            kept = near if accepted else Looked(unreadable=near.unreadable)
            decided[prompt] = replace(kept, vector=vector)
        return decided

    def _near(self, hits: Sequence[Hit]) -> Looked:
        """The nearest entry, unless it is beyond all doubt too far."""
        reach = self.threshold - self._settings.margin
        if not hits or not hits[0].similarity >= reach:
            return Looked()
        return self._readable(hits[0].record, hits[0].similarity)

    def _readable(self, record: Record, similarity: float | None = None) -> Looked:
        """The hit that an entry is, an exact one without a similarity; none, and a failure, if something else wrote it."""
        exact = similarity is None
        try:
            hit = hit_of(record, 1.0 if similarity is None else similarity, exact=exact)
        except UnreadableRecordError as error:
            return self._unreadable(error)
        return Looked(hit=hit, lasts=lifetime(record.payload))

    def _unreadable(self, error: UnreadableRecordError) -> Looked:
        """A miss, which is noted; each is one of its own."""
        self._failures.note(error, "entry")
        self._failures.works("entry")
        return Looked(unreadable=True)

    def _accepted(self, prompt: str, near: Looked) -> Flow[bool]:
        hit, verify = near.hit, self._settings.verify
        if hit is None:
            return False
        if verify is None or hit.similarity >= self.threshold + self._settings.margin:
            return True
        accepted = bool((yield Call(verify, (prompt, hit))))
        if not accepted:
            self._storage.ledger.note({Count.REJECTED: 1})
        return accepted

    def _count(self, looked: Sequence[Looked]) -> None:
        total: dict[str, float] = {}
        uses: list[tuple[str, int]] = []
        for one in looked:
            if one.hit is not None:
                counts, used = self.used(one.hit, one.lasts)
                uses += used
                for name, amount in counts.items():
                    total[name] = total.get(name, 0.0) + amount
        self._storage.ledger.note(total, uses=uses)
