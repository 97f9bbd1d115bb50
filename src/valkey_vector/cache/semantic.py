"""`SemanticCache`: answers given again to the same question, or to one that means the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias

from valkey_vector.arguments import FilterLike
from valkey_vector.cache.calibration import Calibration
from valkey_vector.cache.entries import Answer, CacheHit, Scope
from valkey_vector.cache.statistics import CacheStatistics
from valkey_vector.connection import Connection
from valkey_vector.embedding import Embed
from valkey_vector.lifecycle import EngineChoice
from valkey_vector.record import Metadata

__all__ = ["SemanticCache"]

Verify: TypeAlias = Callable[[str, CacheHit], bool | Awaitable[bool]]
"""Decides on a doubtful hit: the prompt that was asked, and what was found for it."""


class SemanticCache:
    """Answers of a slow or costly function of a prompt, kept on the server for prompts that mean the same.

    A prompt is looked up word for word first, which needs no embedding, then by the similarity of its embedding.
    Only entries of the very same scope are considered, by either.

    Every method has an asynchronous twin named with a leading ``a``. It may be used from any number
    of threads, event loops and processes.

    Args:
        embed: makes the vectors: a function of one text (blocking or a coroutine function), or an object with
            ``embed(texts)``, ``aembed(texts)`` or both (see `valkey_vector.embedding`).
        name: of the cache, and of the index its entries lie in: letters, digits, ``_``, ``-`` and ``.``.
        threshold: least cosine similarity of a hit, above 0 to 1. Which one is right depends on the embedding
            model: see `calibrate`.
        margin: hits whose similarity is within so much of the threshold, to either side, are doubtful.
        verify: decides on doubtful hits, with the prompt and the `CacheHit`; may be a coroutine function
            if only asynchronous methods are used. Needs a margin.
        ttl: seconds that an entry lives; None keeps it.
        sliding: each use of an entry prolongs its life by `ttl` from then on.
        scope: part of every call's scope: tenant, model, parameters, … JSON values.
        max_entries: most entries kept; None for any number.
        eviction: which entries make room: ``lru`` the longest unused, ``lfu`` the least often used.
        on_error: what happens when the server or the embedder fails: ``miss`` goes on without the cache,
            logs one warning and counts the failure; ``raise`` raises.
        url: the server (see `Connection.open`); by default ``VALKEY_URL`` or the embedded server.
        connection: an open connection to use instead; it is not closed with the cache.
        engine: ``auto``, or insist on ``search`` or ``native``.
        dimension: length of the vectors; by default the existing index's, or the first vector's.
        embedding_model: recorded with a new cache; opening it for another model is an error.
        lease: seconds after which the place of a process that died while computing is free again.
        wait: seconds that `get_or_compute` waits for another's computation before it makes its own.
        report_every: seconds after which counts and uses are sent at the latest, if no other command took them along.

    Raises:
        ConfigurationError: a setting is wrong.
    """

    def __init__(
        self,
        embed: Embed,
        *,
        name: str = "semantic-cache",
        threshold: float = 0.95,
        margin: float = 0.0,
        verify: Verify | None = None,
        ttl: float | None = None,
        sliding: bool = False,
        scope: Scope | None = None,
        max_entries: int | None = None,
        eviction: Literal["lru", "lfu"] = "lru",
        on_error: Literal["raise", "miss"] = "miss",
        url: str | None = None,
        connection: Connection | None = None,
        engine: EngineChoice = "auto",
        dimension: int | None = None,
        embedding_model: str | None = None,
        lease: float = 10.0,
        wait: float = 30.0,
        report_every: float = 1.0,
    ) -> None:
        raise NotImplementedError

    def lookup(self, prompt: str, scope: Scope | None = None) -> CacheHit | None:
        """The stored answer for a prompt, or for one that means the same; None if there is none.

        One round trip if the prompt is there word for word, else two.

        Args:
            prompt: what is asked.
            scope: over the cache's own scope; must be the same as when the answer was stored.
        """
        raise NotImplementedError

    def lookup_many(
        self, prompts: Sequence[str], scope: Scope | None = None
    ) -> list[CacheHit | None]:
        """`lookup` of many prompts in the round trips of one."""
        raise NotImplementedError

    def store(
        self,
        prompt: str,
        answer: Answer,
        scope: Scope | None = None,
        *,
        ttl: float | None = None,
        metadata: Metadata | None = None,
        seconds: float | None = None,
        tokens: int | None = None,
    ) -> str | None:
        """Keep an answer; what the same prompt had in the same scope is replaced.

        Args:
            prompt: what was asked.
            answer: bytes or a JSON value.
            scope: over the cache's own scope.
            ttl: seconds that this entry lives; by default the cache's.
            metadata: to filter on in `invalidate`.
            seconds: how long the answer took to make, for `stats`.
            tokens: how many tokens it cost, for `stats`.

        Returns:
            The entry's id; None if it could not be stored, with ``on_error="miss"``.

        Raises:
            InvalidInputError: the answer, scope or metadata cannot be stored as they are.
        """
        raise NotImplementedError

    def get_or_compute(
        self,
        prompt: str,
        fn: Callable[[str], Any],
        scope: Scope | None = None,
        *,
        ttl: float | None = None,
        metadata: Metadata | None = None,
        tokens: Callable[[Any], int] | None = None,
    ) -> Answer:
        """The stored answer for a prompt, else ``fn(prompt)``, which is stored.

        When many threads and processes ask the same prompt at once, one computes and the others wait for it; the twin
        `aget_or_compute` takes a coroutine function, or a blocking one, which runs in a thread.

        Args:
            prompt: what is asked.
            fn: makes the answer: bytes or a JSON value. What it raises is raised, and nothing is stored.
            scope: over the cache's own scope.
            ttl: seconds that a new entry lives; by default the cache's.
            metadata: of a new entry.
            tokens: of an answer, how many tokens it cost.
        """
        raise NotImplementedError

    def invalidate(
        self,
        *,
        id: str | None = None,
        prompt: str | None = None,
        scope: Scope | None = None,
        filter: FilterLike | None = None,
        older_than: float | None = None,
    ) -> int:
        """Remove the entries that meet all the conditions given; returns how many there were.

        Args:
            id: the one entry with this id.
            prompt: word for word; in the scope given, or the cache's own.
            scope: exactly this one, over the cache's own. All entries of a tenant, in whatever else their scope
                says: ``filter=F("scope.tenant") == "a"``.
            filter: on the metadata.
            older_than: stored so many seconds ago or longer.

        Raises:
            InvalidInputError: no condition is given; `clear` removes everything.
        """
        raise NotImplementedError

    def clear(self) -> int:
        """Remove all entries, and no other key on the server; returns how many there were. Counts stay."""
        raise NotImplementedError

    def count(self) -> int:
        """How many entries there are."""
        raise NotImplementedError

    def stats(self) -> CacheStatistics:
        """Counts of all processes. Other processes' latest are missing until they report (`report_every`)."""
        raise NotImplementedError

    def reset_stats(self) -> None:
        """Begin counting anew."""
        raise NotImplementedError

    def calibrate(
        self, pairs: Iterable[tuple[str, str, bool]], *, precision: float = 0.95
    ) -> Calibration:
        """Propose a threshold from pairs of prompts labelled with whether one answer does for both.

        Nothing is changed: set `threshold` to what is proposed. The pairs should be like those the cache will
        meet: a prompt, and the nearest of those asked before.

        Raises:
            InvalidInputError: there are no pairs, or no threshold has the wanted precision on them.
        """
        raise NotImplementedError
