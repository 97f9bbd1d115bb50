"""`SemanticCache`: returns a stored answer for the same prompt, or for one with the same meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal, TypeVar

from valkey_vector.cache.calibration import (
    Calibration,
    Pairs,
    calibrate_similarities,
    labelled_pairs,
)
from valkey_vector.cache.computed_types import AwaitedMethod
from valkey_vector.cache.decorator import CachedFunction, cached
from valkey_vector.cache.embedder import TextEmbedder
from valkey_vector.cache.entries import (
    SCOPE_ID,
    Answer,
    CacheHit,
    Scope,
    check_prompt,
    entry_id,
    merged_scope,
    scope_id,
)
from valkey_vector.cache.failures import Failures
from valkey_vector.cache.framework_embedders import CacheEmbedder, question_embedder
from valkey_vector.cache.get_or_compute import Answers, NewEntry
from valkey_vector.cache.lookup import Lookups
from valkey_vector.cache.sansio import Embedding, Operation, awaited, blocking
from valkey_vector.cache.settings import (
    Settings,
    Verify,
    check_seconds,
    check_threshold,
    eviction_of,
)
from valkey_vector.cache.single_flight import SingleFlight
from valkey_vector.cache.statistics import CacheStatistics, Count
from valkey_vector.cache.storage import Storage
from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.closing import Closing
from valkey_vector.connection import Connection
from valkey_vector.errors import InvalidInputError, ServerError
from valkey_vector.filters import F, Filter
from valkey_vector.index.index import Index
from valkey_vector.index.settings import EngineChoice
from valkey_vector.query.filter_like import FilterLike, as_filter
from valkey_vector.records.record import Metadata, Vector
from valkey_vector.records.vectors import check_vectors
from valkey_vector.schema.schema import Metric
from valkey_vector.schema.similarity import distances

__all__ = ["SemanticCache"]

_T = TypeVar("_T")


class SemanticCache(Closing):
    """Cache for answers to prompts, shared by all processes, with exact and semantic lookup.

    A lookup first compares the text of the prompt, which needs no embedding. If no entry has the same text, the
    lookup compares embeddings. Both consider only entries with an equal scope.

    Each method has an async version with the prefix ``a``. A cache is safe to use from any number of threads, event
    loops and processes.

    Args:
        embed: the embedder: a function of one text (blocking or a coroutine function), an object with
            ``embed(texts)``, ``aembed(texts)`` or both (see `valkey_vector.cache.embedder`), or an embeddings object of
            LangChain or LlamaIndex.
        name: name of the cache and of its index: letters, digits, ``_``, ``-`` and ``.``.
        threshold: minimum cosine similarity of a hit, > 0 and ≤ 1. The right value depends on the embedding model:
            see `calibrate`.
        margin: hits are doubtful if their similarity differs from the threshold by less than this, 0 to 1.
        verify: accepts or rejects a doubtful hit. Called with the prompt and the `CacheHit`. A coroutine function
            works with the async methods only. Requires a margin.
        ttl: time to live of an entry in seconds, > 0. None: entries do not expire.
        sliding: each use of an entry sets its time to live to `ttl` again.
        scope: part of every call's scope: tenant, model, parameters, and so on. JSON values.
        max_entries: maximum number of entries, ≥ 1. None: no limit.
        eviction: entries to remove first: ``lru`` least recently used, ``lfu`` least frequently used.
        on_error: behavior when the server or the embedder fails. ``miss`` continues without the cache, logs one
            warning and counts the failure; ``raise`` raises the error. Methods that administer the cache, such as
            `invalidate` and `clear`, always raise.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the cache.
        engine: ``auto``, or require ``search`` or ``native``.
        dimension: length of the vectors. Default: that of the existing index, or of the first vector.
        embedding_model: stored with a new cache. Opening the cache with another model raises an error.
        lease: seconds, > 0, after which the single-flight lock of a crashed process expires.
        wait: seconds, > 0, that `get_or_compute` waits for another caller before it computes the answer itself.
        report_every: maximum delay in seconds, > 0, before buffered statistics and uses are sent to the server.

    Raises:
        ConfigurationError: a setting is wrong.
    """

    def __init__(
        self,
        embed: CacheEmbedder,
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
        for value, what in ((lease, "lease"), (wait, "wait"), (report_every, "report_every")):
            check_seconds(value, what)
        settings = Settings(
            margin=margin,
            verify=verify,
            ttl=ttl,
            sliding=sliding,
            scope={} if scope is None else scope,
        )
        self._embedder = TextEmbedder(question_embedder(embed))
        self._settings = settings
        evicting = eviction_of(max_entries, eviction)
        least = check_threshold(threshold)
        self._index = Index.open(
            name,
            dimension=dimension,
            url=url,
            connection=connection,
            metric=Metric.COSINE,
            engine=engine,
            embedding_model=embedding_model,
        )
        self._index._handle.without_hints()
        # Uses must reach the server well before the TTL ends. Otherwise an entry in use expires.
        interval = min(report_every, ttl / 4) if sliding and ttl is not None else report_every
        self._storage = Storage(self._index, evicting, extends_ttl=sliding, report_every=interval)
        failures = Failures(name, on_error, self._storage.usage)
        single_flight = SingleFlight(self._storage, failures, lease=lease, wait=wait)
        self._lookups = Lookups(self._storage, failures, settings, least)
        self._answers = Answers(self._storage, self._lookups, failures, single_flight, settings)

    @property
    def name(self) -> str:
        """The cache's name."""
        return self._index.name

    @property
    def index(self) -> Index:
        """The index that stores the entries. Each entry is a record with the prompt as its content."""
        return self._index

    @property
    def threshold(self) -> float:
        """Minimum cosine similarity of a hit, > 0 and ≤ 1. Can be set, for example to the value `calibrate` proposes."""
        return self._lookups.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self._lookups.threshold = check_threshold(value)

    def _lookup(self, prompt: str, scope: Scope | None = None) -> Operation[CacheHit | None]:
        """Return the stored answer for a prompt, or for a prompt with the same meaning. Returns None on a miss.

        Args:
            prompt: the text to look up.
            scope: added to the cache's scope. The result must equal the scope the answer was stored with.

        Raises:
            InvalidInputError: the prompt is not text, or the scope is not a dict of JSON values.
            ServerError: the server failed, with ``on_error="raise"``.

        Cost: one round trip if an entry has the same prompt, otherwise two and one embedding.
        """
        (hit,) = yield from self._lookup_many([prompt], scope)
        return hit

    lookup, alookup = blocking(_lookup), awaited(_lookup)

    def _lookup_many(
        self, prompts: Sequence[str], scope: Scope | None = None
    ) -> Operation[list[CacheHit | None]]:
        """Look up many prompts. Takes as many round trips as `lookup` of one prompt.

        Args:
            prompts: the texts to look up.
            scope: added to the cache's scope.

        Returns:
            One hit or None for each prompt, in the same order.
        """
        if isinstance(prompts, str):
            raise InvalidInputError(
                f"prompts must be a list of texts, not the text {prompts[:40]!r}: pass [prompt], or call lookup(prompt)"
            )
        requested = [check_prompt(prompt) for prompt in prompts]
        if not requested:
            return []
        results = yield from self._lookups.look_up(requested, self._whole(scope))
        hits = [one.hit for one in results]
        if missed := hits.count(None):
            self._storage.usage.note({Count.MISSES: missed})
        return hits

    lookup_many, alookup_many = blocking(_lookup_many), awaited(_lookup_many)

    def _store(
        self,
        prompt: str,
        answer: Answer,
        scope: Scope | None = None,
        *,
        ttl: float | None = None,
        metadata: Metadata | None = None,
        seconds: float | None = None,
        tokens: int | None = None,
    ) -> Operation[str | None]:
        """Store an answer. Replaces the entry with the same prompt and scope.

        Args:
            prompt: the text that was answered.
            answer: bytes or a JSON value.
            scope: added to the cache's scope.
            ttl: time to live of this entry in seconds, > 0. Default: that of the cache.
            metadata: values to filter on in `invalidate`.
            seconds: time it took to compute the answer, ≥ 0, for `stats`.
            tokens: number of tokens the answer cost, ≥ 0, for `stats`.

        Returns:
            The id of the entry. None if it could not be stored and ``on_error`` is ``miss``.

        Raises:
            InvalidInputError: the answer, scope or metadata cannot be stored without loss.
            ServerError: the server failed, with ``on_error="raise"``.
        """
        entry = self._new_entry(prompt, scope, ttl, metadata)
        payload = self._answers.packed(answer, entry, seconds, tokens)
        stored = yield from self._answers.store(payload, entry)
        return entry.id if stored else None

    store, astore = blocking(_store), awaited(_store)

    def _get_or_compute(
        self,
        prompt: str,
        fn: Callable[[str], _T],
        scope: Scope | None = None,
        *,
        ttl: float | None = None,
        metadata: Metadata | None = None,
        tokens: Callable[[_T], int] | None = None,
    ) -> Operation[_T]:
        """Return the stored answer for a prompt. On a miss, compute it with ``fn(prompt)`` and store it.

        If several threads and processes request the same prompt at once, one computes and the others wait for it.
        The async version `aget_or_compute` takes a coroutine function, or a blocking function, which runs in a thread.

        Args:
            prompt: the text to look up.
            fn: computes the answer: bytes or a JSON value. If it raises, the error is raised and nothing is stored.
                With ``on_error="miss"`` an answer that cannot be stored is still returned; then each caller computes
                its own.
            scope: added to the cache's scope.
            ttl: time to live of a new entry in seconds, > 0. Default: that of the cache.
            metadata: metadata of a new entry.
            tokens: returns the number of tokens an answer cost. If it fails, the error is logged and the number stays
                unknown.

        Raises:
            InvalidInputError: the prompt is not text, or the scope or metadata cannot be stored; nothing was computed.
                Or the answer cannot be stored, with ``on_error="raise"``.
        """
        entry = self._new_entry(prompt, scope, ttl, metadata)
        answer: _T = yield from self._answers.get_or_compute(entry, fn, tokens)
        return answer

    get_or_compute = blocking(_get_or_compute)
    aget_or_compute: AwaitedMethod = awaited(_get_or_compute)

    def cached(
        self,
        *,
        prompt: str | None = None,
        scope: Callable[..., Scope] | Scope | None = None,
        ttl: float | None = None,
        tokens: Callable[[Any], int] | None = None,
    ) -> Callable[[CachedFunction], CachedFunction]:
        """Decorator that caches a function, blocking or a coroutine function, with `get_or_compute`.

        Args:
            prompt: name of the parameter that holds the prompt. Default: the first parameter after ``self``.
            scope: a scope, or a function that returns it from the call's arguments. A method requires one. Default:
                the function's module and qualified name (item ``def``) and all other arguments by name. So two
                functions, or two calls with different arguments, never share an answer.
            ttl: time to live of a new entry in seconds, > 0. Default: that of the cache.
            tokens: returns the number of tokens an answer cost.
        """
        return cached(self, prompt=prompt, scope=scope, ttl=ttl, tokens=tokens)

    def invalidate(
        self,
        *,
        id: str | None = None,
        prompt: str | None = None,
        scope: Scope | None = None,
        filter: FilterLike | None = None,
        older_than: float | None = None,
    ) -> int:
        """Remove the entries that meet all the conditions. Returns the number of removed entries.

        Args:
            id: the entry with this id.
            prompt: the entry with exactly this prompt in `scope`, or in the cache's scope.
            scope: entries whose scope equals this one added to the cache's. To match one item of the scope, such as
                the tenant, use ``filter=F("scope.tenant") == "a"``.
            filter: filter on the metadata.
            older_than: entries stored at least this many seconds ago, ≥ 0.

        Raises:
            InvalidInputError: there is no condition. `clear` removes all entries.
            ServerError: the server failed, with any `on_error`.
        """
        named = [] if id is None else [id]
        if prompt is not None:
            named.append(entry_id(check_prompt(prompt), self._whole(scope)))
        conditions: list[Filter] = [F.id == one for one in named]
        if scope is not None and prompt is None:
            conditions.append(F(SCOPE_ID) == scope_id(self._whole(scope)))
        if filter is not None:
            conditions.append(as_filter(filter))
        if older_than is not None and not (
            isinstance(older_than, (int, float)) and 0 <= older_than < 10**10
        ):
            raise InvalidInputError(
                f"older_than must be a number of seconds ≥ 0, not {older_than!r}"
            )
        if not conditions and older_than is None:
            raise InvalidInputError(
                "invalidate needs a condition: pass id, prompt, scope, filter or older_than, or call clear() to remove "
                "all entries"
            )
        if len(conditions) == len(named) == 1 and older_than is None:
            return self._storage.remove(named)
        return self._storage.remove_matching(conditions, older_than)

    def clear(self) -> int:
        """Remove all entries and no other key. Returns their number. The statistics stay."""
        return self._storage.clear()

    def drop(self) -> None:
        """Remove the whole cache: entries, index and statistics."""
        self._storage.drop()

    def count(self) -> int:
        """Return the number of entries."""
        return self._index.count()

    def stats(self) -> CacheStatistics:
        """Return the statistics of all processes. Other processes report within `report_every` seconds."""
        return self._storage.usage.statistics()

    def reset_stats(self) -> None:
        """Set the statistics to zero."""
        self._storage.usage.reset()

    def _calibrate(self, pairs: Pairs, *, precision: float = 0.95) -> Operation[Calibration]:
        """Propose a threshold from labeled pairs of prompts.

        Does not change the cache: set `threshold` to the proposed value. Use pairs like those the cache will compare:
        a prompt and the most similar earlier prompt.

        Args:
            pairs: two prompts and a label, True if one answer serves both.
            precision: required share of correct hits among all hits, > 0 and ≤ 1.

        Raises:
            InvalidInputError: there are no pairs, a pair is not two texts and a label, or no threshold has the
                required precision on these pairs.
        """
        labelled = labelled_pairs(pairs)
        texts = list(dict.fromkeys(text for a, b, _ in labelled for text in (a, b)))
        vectors: list[Vector] = (yield Embedding(texts)) if texts else []
        rows = dict(zip(texts, check_vectors(vectors, None, texts), strict=True))
        similarities = [
            1 - distances(rows[b][None], rows[a], Metric.COSINE)[0] for a, b, _ in labelled
        ]
        return calibrate_similarities(similarities, [same for *_, same in labelled], precision)

    calibrate, acalibrate = blocking(_calibrate), awaited(_calibrate)

    def close(self) -> None:
        """Send the buffered statistics, and close the connection if the cache opened it."""
        with suppress(ServerError):
            self._storage.usage.close()
        self._index.close()

    ainvalidate = async_version(invalidate)
    aclear = async_version(clear)
    adrop = async_version(drop)
    acount = async_version(count)
    astats = async_version(stats)
    areset_stats = async_version(reset_stats)

    def __repr__(self) -> str:
        return f"SemanticCache({self.name!r}, threshold={self.threshold:g}, {self._index.connection!r})"

    def _whole(self, scope: Scope | None) -> dict[str, Any]:
        return merged_scope(self._settings.scope, scope)

    def _new_entry(
        self, prompt: str, scope: Scope | None, ttl: float | None, metadata: Metadata | None
    ) -> NewEntry:
        return NewEntry(
            prompt=check_prompt(prompt), scope=self._whole(scope), ttl=ttl, metadata=metadata
        )
