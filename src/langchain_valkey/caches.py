"""`ValkeyCache` and `ValkeySemanticCache`: LangChain LLM caches on Valkey."""

# The base class's `clear` accepts any keyword; these list theirs.
# mypy: disable-error-code="override"

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, Self

from langchain_core.caches import BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.outputs import ChatGeneration, Generation

from langchain_valkey.closing import Closing
from langchain_valkey.questions import digest, question
from langchain_valkey.serialization import dump_generations, load_generations
from valkey_vector import ConfigurationError, Connection, F, InvalidInputError, ServerError
from valkey_vector.cache import CacheHit, ExactCache, SemanticCache
from valkey_vector.concurrency.threads import offload
from valkey_vector.index.settings import EngineChoice

__all__ = ["ValkeyCache", "ValkeySemanticCache"]

_LLM, _CONVERSATION = "llm", "conversation"

_logger = logging.getLogger(__name__)


class _AnswerCache(Closing, BaseCache):
    """Base of both caches: translates LangChain's prompts and generations for a cache of the core.

    Args:
        name: name of the cache, for log messages.
        on_error: ``miss`` or ``raise``.
        settings: the other constructor arguments, for copies.
    """

    _core: ExactCache | SemanticCache

    def __init__(
        self, name: str, on_error: Literal["raise", "miss"], settings: Mapping[str, Any]
    ) -> None:
        self._name = name
        self._raises = on_error == "raise"
        self._settings = {"name": name, "on_error": on_error, **settings}
        self._copied: Connection | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings. A copy opens its own connection and closes it in `close`."""
        return _reopened, (type(self), self._arguments(), self._connection)

    def __copy__(self) -> Self:
        """Return a cache on the same connection. Closing the copy does not close the connection."""
        kind: Any = type(self)
        copied: Self = kind(**self._arguments(), connection=self._connection)
        return copied

    def _arguments(self) -> dict[str, Any]:
        """Return the constructor arguments, without `url` and `connection`."""
        return self._settings

    @property
    def _connection(self) -> Connection:
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection, unless it was passed in. Stops a private server that no other store uses."""
        super().close()
        if self._copied is not None:
            self._copied.close()

    async def aclose(self) -> None:
        """Async version of `close`."""
        await offload(self.close)

    def _lookup_key(self, prompt: str, llm_string: str) -> tuple[str, dict[str, str]]:
        """Return the text to look up, and the scope that must be equal."""
        raise NotImplementedError

    def _remove(self, hit: CacheHit) -> None:
        """Remove an entry."""
        raise NotImplementedError

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """Return the cached answer to a prompt, or None."""
        hit = self._core.lookup(*self._lookup_key(prompt, llm_string))
        return None if hit is None else self._generations(hit)

    async def alookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """Async version of `lookup`."""
        hit = await self._core.alookup(*self._lookup_key(prompt, llm_string))
        return None if hit is None else await offload(self._generations, hit)

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Store the answer to a prompt. Replaces the answer to an identical prompt."""
        answer = self._answer(return_val)
        if answer is not None:
            text, scope = self._lookup_key(prompt, llm_string)
            try:
                self._core.store(text, answer, scope, tokens=_tokens(return_val))
            except InvalidInputError as error:
                self._not_stored(error)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Async version of `update`."""
        answer = self._answer(return_val)
        if answer is not None:
            text, scope = self._lookup_key(prompt, llm_string)
            try:
                await self._core.astore(text, answer, scope, tokens=_tokens(return_val))
            except InvalidInputError as error:
                self._not_stored(error)

    def _answer(self, generations: Sequence[Generation]) -> bytes | None:
        """Serialize generations. Return None if they cannot be restored from JSON."""
        try:
            return dump_generations(generations)
        except InvalidInputError as error:
            self._not_stored(error)
            return None

    def _not_stored(self, error: InvalidInputError) -> None:
        """Raise the error about an answer or prompt that cannot be stored, or log it."""
        if self._raises:
            raise error
        _logger.warning("cache %r: did not store an answer: %s", self._name, error)

    def _generations(self, hit: CacheHit) -> list[Generation] | None:
        """Load the generations of a hit. Remove an entry that cannot be loaded and return None."""
        try:
            return load_generations(hit.answer)
        except ServerError as error:
            if self._raises:
                raise
            _logger.warning("cache %r: removing an unreadable entry: %s", self._name, error)
        try:
            self._remove(hit)
        except ServerError as error:
            _logger.warning("cache %r: cannot remove the entry: %s", self._name, error)
        return None


class ValkeyCache(_AnswerCache):
    """Cache answers for identical prompts to the same model with the same parameters and tools.

    Answers are restored completely: all generations, and messages with tool calls and usage. Only LangChain's message
    and generation classes are loaded; an entry that names another class is removed and counts as a miss.

    Cost: a lookup and an update are one round trip each.

    Args:
        name: name of the cache, any non-empty text. Caches of different names never share entries.
        ttl: time to live of an answer in seconds. None stores without expiration.
        sliding: sliding expiration: each hit restarts the TTL.
        scope: JSON values that must be equal for a hit, such as ``{"tenant": "a"}``.
        on_error: action if the server fails. ``miss`` continues without the cache, logs one warning and counts the
            failure (`cache.failures`). ``raise`` raises.
        url: server URL. Defaults to ``VALKEY_URL``, or a private server that ends with the process.
        connection: open connection to share instead of `url`. `close` does not close it.

    Raises:
        ConfigurationError: if a setting is invalid.
    """

    def __init__(
        self,
        name: str = "langchain",
        *,
        ttl: float | None = None,
        sliding: bool = False,
        scope: Mapping[str, Any] | None = None,
        on_error: Literal["raise", "miss"] = "miss",
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        super().__init__(name, on_error, {"ttl": ttl, "sliding": sliding, "scope": scope})
        self._core: ExactCache = ExactCache(
            name,
            ttl=ttl,
            sliding=sliding,
            scope=_own_scope(scope),
            on_error=on_error,
            url=url,
            connection=connection,
        )

    @property
    def cache(self) -> ExactCache:
        """The core's cache, for operations that LangChain has no method for."""
        return self._core

    def clear(self, *, llm_string: str | None = None) -> None:
        """Remove all answers of this cache, in every scope. Raises if the server fails.

        Args:
            llm_string: remove only answers of this model with these parameters, in the `scope` of the cache.
        """
        self._core.clear(None if llm_string is None else {_LLM: llm_string})

    async def aclear(self, *, llm_string: str | None = None) -> None:
        """Async version of `clear`."""
        await self._core.aclear(None if llm_string is None else {_LLM: llm_string})

    def _lookup_key(self, prompt: str, llm_string: str) -> tuple[str, dict[str, str]]:
        return prompt, {_LLM: llm_string}

    def _remove(self, hit: CacheHit) -> None:
        self._core.delete(hit.prompt, hit.scope)

    @property
    def _connection(self) -> Connection:
        return self._core.connection


class ValkeySemanticCache(_AnswerCache):
    """Cache answers for questions with the same meaning, in the same conversation, to the same model.

    The text of the last human message is compared by similarity. Everything else must be equal: the model with its
    parameters and tools, the system prompt, all other messages, and images. An identical question is answered without
    an embedding. Answers are stored as in `ValkeyCache`.

    Args:
        embedding: LangChain embedding model. Questions are embedded with `embed_query`.
        name: name of the cache and its index: letters, digits, ``_``, ``-`` and ``.``.
        threshold: minimum cosine similarity of a hit, > 0 and ≤ 1. The right value depends on the embedding;
            `cache.calibrate` suggests one.
        margin: hits with a similarity within this distance of the threshold are passed to `verify`.
        verify: function that accepts or rejects such a hit, called with the question and the core's `CacheHit`. It may
            be a coroutine function if only async calls are used. Requires `margin` > 0.
        ttl: time to live of an answer in seconds. None stores without expiration.
        sliding: sliding expiration: each hit restarts the TTL.
        scope: JSON values that must be equal for a hit, such as ``{"tenant": "a"}``.
        max_entries: maximum number of answers. None is unlimited.
        eviction: answers to evict first: ``lru`` (least recently used) or ``lfu`` (least frequently used).
        on_error: action if the server or the embedding fails. ``miss`` continues without the cache, logs one warning
            and counts the failure (`cache.stats`). ``raise`` raises.
        url: server URL. Defaults to ``VALKEY_URL``, or a private server that ends with the process.
        connection: open connection to share instead of `url`. `close` does not close it.
        engine: ``auto``, or require ``search`` or ``native``.
        embedding_model: model name stored with a new cache. Opening the cache for another model raises.

    Raises:
        ConfigurationError: if a setting is invalid.
    """

    def __init__(
        self,
        embedding: Embeddings,
        name: str = "langchain-cache",
        *,
        threshold: float = 0.95,
        margin: float = 0.0,
        verify: Callable[[str, CacheHit], bool | Awaitable[bool]] | None = None,
        ttl: float | None = None,
        sliding: bool = False,
        scope: Mapping[str, Any] | None = None,
        max_entries: int | None = None,
        eviction: Literal["lru", "lfu"] = "lru",
        on_error: Literal["raise", "miss"] = "miss",
        url: str | None = None,
        connection: Connection | None = None,
        engine: EngineChoice = "auto",
        embedding_model: str | None = None,
    ) -> None:
        settings: dict[str, Any] = {
            "embedding": embedding, "threshold": threshold, "margin": margin, "verify": verify, "ttl": ttl,
            "sliding": sliding, "scope": scope, "max_entries": max_entries, "eviction": eviction, "engine": engine,
            "embedding_model": embedding_model,
        }  # fmt: skip
        super().__init__(name, on_error, settings)
        self._core: SemanticCache = SemanticCache(
            _Questions(embedding),
            name=name,
            threshold=threshold,
            margin=margin,
            verify=verify,
            ttl=ttl,
            sliding=sliding,
            scope=_own_scope(scope),
            max_entries=max_entries,
            eviction=eviction,
            on_error=on_error,
            url=url,
            connection=connection,
            engine=engine,
            embedding_model=embedding_model,
        )

    @property
    def cache(self) -> SemanticCache:
        """The core's cache, for operations that LangChain has no method for: `stats`, `calibrate`, …."""
        return self._core

    def clear(self, *, llm_string: str | None = None) -> None:
        """Remove all answers of this cache, in every scope. Raises if the server fails.

        Args:
            llm_string: remove only answers of this model with these parameters, in every `scope`.
        """
        if llm_string is None:
            self._core.clear()
        else:
            self._core.invalidate(filter=F(f"scope.{_LLM}") == digest(llm_string))

    async def aclear(self, *, llm_string: str | None = None) -> None:
        """Async version of `clear`."""
        if llm_string is None:
            await self._core.aclear()
        else:
            await self._core.ainvalidate(filter=F(f"scope.{_LLM}") == digest(llm_string))

    def _lookup_key(self, prompt: str, llm_string: str) -> tuple[str, dict[str, str]]:
        parsed = question(prompt)
        return parsed.text, {_LLM: digest(llm_string), _CONVERSATION: parsed.rest}

    def _remove(self, hit: CacheHit) -> None:
        self._core.invalidate(id=hit.id)

    @property
    def _connection(self) -> Connection:
        return self._core.index.connection

    def _arguments(self) -> dict[str, Any]:
        return {**self._settings, "threshold": self._core.threshold}  # the user may have changed it


def _reopened(
    kind: type[_AnswerCache], settings: dict[str, Any], connection: Connection
) -> _AnswerCache:
    create: Any = kind
    cache: _AnswerCache = create(**settings, connection=connection)
    cache._copied = connection
    return cache


class _Questions:
    """Adapt a LangChain embedding to the core. Cached and new questions are both embedded as queries."""

    def __init__(self, embedding: Embeddings) -> None:
        if not isinstance(embedding, Embeddings):
            raise ConfigurationError(
                f"embedding must be one of LangChain's Embeddings, not {embedding!r}; "
                'create one with init_embeddings("provider:model") of langchain.embeddings'
            )
        self._embedding = embedding

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._embedding.embed_query(text) for text in texts]

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        return list(await asyncio.gather(*map(self._embedding.aembed_query, texts)))


def _own_scope(scope: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the user's scope. Reject keys that the cache sets itself."""
    if scope is not None and not isinstance(scope, Mapping):
        raise ConfigurationError(f"scope must be a dict, not a {type(scope).__name__}")
    own = dict(scope or {})
    if taken := sorted({_LLM, _CONVERSATION} & own.keys()):
        raise ConfigurationError(f"the cache itself sets scope key {taken[0]!r}; use another key")
    return own


def _tokens(generations: Sequence[Generation]) -> int | None:
    """Return the number of tokens of an answer, or None if the model did not report it."""
    usages = [
        getattr(generation.message, "usage_metadata", None)
        for generation in generations
        if isinstance(generation, ChatGeneration)
    ]
    known = [usage["total_tokens"] for usage in usages if usage and "total_tokens" in usage]
    return sum(known) if known else None
