"""`SemanticCache`: answers given again to the same question, or to one that means the same."""

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
from valkey_vector.cache.get_or_compute import Answers, Keeping
from valkey_vector.cache.lookup import Lookups
from valkey_vector.cache.sansio import Embedding, Flow, awaited, blocking
from valkey_vector.cache.settings import (
    Settings,
    Verify,
    check_seconds,
    check_threshold,
    eviction_of,
)
from valkey_vector.cache.single_flight import Flights
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
    """Answers of a slow or costly function of a prompt, kept on the server for prompts that mean the same.

    A prompt is looked up word for word first, which needs no embedding, then by the similarity of its embedding.
    Only entries of the very same scope are considered, by either.

    Every method has an async version named with a leading ``a``. It may be used from any number
    of threads, event loops and processes.

    Args:
        embed: makes the vectors: a function of one text (blocking or a coroutine function), or an object with
            ``embed(texts)``, ``aembed(texts)`` or both (see `valkey_vector.cache.embedder`), or an embeddings object of
            LangChain or LlamaIndex.
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
            logs one warning and counts the failure; ``raise`` raises. `invalidate`, `clear` and what else is about the cache
            itself always raise.
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
        # What was not told in time would let an entry die that was used.
        told = min(report_every, ttl / 4) if sliding and ttl is not None else report_every
        self._storage = Storage(self._index, evicting, prolongs=sliding, report_every=told)
        failures = Failures(name, on_error, self._storage.ledger)
        flights = Flights(self._storage, failures, lease=lease, wait=wait)
        self._lookups = Lookups(self._storage, failures, settings, least)
        self._answers = Answers(self._storage, self._lookups, failures, flights, settings)

    @property
    def name(self) -> str:
        """The cache's name."""
        return self._index.name

    @property
    def index(self) -> Index:
        """The index its entries lie in: each a record with the prompt as its content."""
        return self._index

    @property
    def threshold(self) -> float:
        """Least cosine similarity of a hit; may be set, to what `calibrate` proposes for one."""
        return self._lookups.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self._lookups.threshold = check_threshold(value)

    def _lookup(self, prompt: str, scope: Scope | None = None) -> Flow[CacheHit | None]:
        """The stored answer for a prompt, or for one that means the same; None if there is none.

        One round trip if the prompt is there word for word, else two.

        Args:
            prompt: what is asked.
            scope: over the cache's own scope; must be the same as when the answer was stored.
        """
        (hit,) = yield from self._lookup_many([prompt], scope)
        return hit

    lookup, alookup = blocking(_lookup), awaited(_lookup)

    def _lookup_many(
        self, prompts: Sequence[str], scope: Scope | None = None
    ) -> Flow[list[CacheHit | None]]:
        """`lookup` of many prompts, in the round trips of one."""
        if isinstance(prompts, str):
            raise InvalidInputError("prompts must be a list of texts, not one text")
        asked = [check_prompt(prompt) for prompt in prompts]
        if not asked:
            return []
        looked = yield from self._lookups.look(asked, self._whole(scope))
        hits = [one.hit for one in looked]
        if missed := hits.count(None):
            self._storage.ledger.note({Count.MISSES: missed})
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
    ) -> Flow[str | None]:
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
        keeping = self._keeping(prompt, scope, ttl, metadata)
        payload = self._answers.packed(answer, keeping, seconds, tokens)
        stored = yield from self._answers.keep(payload, keeping)
        return keeping.id if stored else None

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
    ) -> Flow[_T]:
        """The stored answer for a prompt, else ``fn(prompt)``, which is stored.

        When many threads and processes ask the same prompt at once, one computes and the others wait for it. The twin
        `aget_or_compute` takes a coroutine function, or a blocking one, which runs in a thread.

        Args:
            prompt: what is asked.
            fn: makes the answer: bytes or a JSON value. What it raises is raised, and nothing is stored. What cannot
                be stored is returned all the same, with ``on_error="miss"``; each caller makes it.
            scope: over the cache's own scope.
            ttl: seconds that a new entry lives; by default the cache's.
            metadata: of a new entry.
            tokens: of an answer, how many tokens it cost. If it fails, that is logged and the number is not known.

        Raises:
            InvalidInputError: the prompt is no text, or scope or metadata cannot be stored as they are; nothing was
                computed. Or the answer cannot be stored, with ``on_error="raise"``.
        """
        keeping = self._keeping(prompt, scope, ttl, metadata)
        answer: _T = yield from self._answers.found_or_made(keeping, fn, tokens)
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
        """A decorator: calls of a function, blocking or a coroutine function, go through `get_or_compute`.

        Args:
            prompt: the name of the parameter that is the prompt; by default the first one, after ``self``.
            scope: by default the function's module and qualified name (item ``def``) and all other arguments, by
                name, so that functions, and calls which differ in an argument, never share an answer. Or a scope, or
                a function of the call's arguments that gives it; a method needs one.
            ttl: seconds that a new entry lives; by default the cache's.
            tokens: of an answer, how many tokens it cost.
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
        """Remove the entries that meet all the conditions given; returns how many there were.

        Args:
            id: the one entry with this id.
            prompt: word for word; in the scope given, or the cache's own.
            scope: exactly this one, over the cache's own. All entries of a tenant, whatever else their scope
                says: ``filter=F("scope.tenant") == "a"``.
            filter: on the metadata.
            older_than: stored so many seconds ago or longer.

        Raises:
            InvalidInputError: no condition is given; `clear` removes everything.
            ServerError: the server could not be asked, whatever `on_error` is.
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
            raise InvalidInputError(f"older_than must be seconds from 0 on, not {older_than!r}")
        if not conditions and older_than is None:
            raise InvalidInputError("invalidate needs a condition; clear() removes every entry")
        if len(conditions) == len(named) == 1 and older_than is None:
            return self._storage.remove(named)
        return self._storage.remove_matching(conditions, older_than)

    def clear(self) -> int:
        """Remove all entries, and no other key on the server; returns how many there were. Counts stay."""
        return self._storage.clear()

    def drop(self) -> None:
        """Remove the cache altogether: entries, index and counts."""
        self._storage.drop()

    def count(self) -> int:
        """How many entries there are."""
        return self._index.count()

    def stats(self) -> CacheStatistics:
        """Counts of all processes. Other processes' latest are missing until they report (`report_every`)."""
        return self._storage.ledger.statistics()

    def reset_stats(self) -> None:
        """Begin counting anew."""
        self._storage.ledger.reset()

    def _calibrate(self, pairs: Pairs, *, precision: float = 0.95) -> Flow[Calibration]:
        """Propose a threshold from pairs of prompts labelled with whether one answer does for both.

        Nothing is changed: set `threshold` to what is proposed. The pairs should be like those the cache will
        meet: a prompt, and the nearest of those asked before.

        Args:
            pairs: two prompts, and whether they may have the same answer.
            precision: wanted share of right hits among all hits, above 0 to 1.

        Raises:
            InvalidInputError: there are no pairs, one is not two texts with a label, or no threshold has the wanted
                precision on them.
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
        """Tell the server what is not told yet, and let go of the connection, if the cache opened it itself."""
        with suppress(ServerError):
            self._storage.ledger.flush()
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

    def _keeping(
        self, prompt: str, scope: Scope | None, ttl: float | None, metadata: Metadata | None
    ) -> Keeping:
        return Keeping(
            prompt=check_prompt(prompt), scope=self._whole(scope), ttl=ttl, metadata=metadata
        )
