"""`ValkeyCache` and `ValkeySemanticCache`: answers of language models, given again to the same question."""

# `clear` says which keywords it takes, where the base class takes any.
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
from langchain_valkey.serialisation import dump_generations, load_generations
from valkey_vector import ConfigurationError, Connection, F, InvalidInputError, ServerError
from valkey_vector.cache import CacheHit, ExactCache, SemanticCache
from valkey_vector.concurrency.threads import offload
from valkey_vector.index.settings import EngineChoice

__all__ = ["ValkeyCache", "ValkeySemanticCache"]

_LLM, _CONVERSATION = "llm", "conversation"

_logger = logging.getLogger(__name__)


class _AnswerCache(Closing, BaseCache):
    """What both caches do: LangChain's prompts and generations, as the core has them.

    Args:
        name: its name, for the log.
        on_error: ``miss`` or ``raise``.
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
        """A copy, here or in another process, opens a connection of its own, which is closed with it."""
        return _reopened, (type(self), self._arguments(), self._connection)

    def __copy__(self) -> Self:
        """A cache on the same connection, which is not closed with it."""
        made: Any = type(self)
        copied: Self = made(**self._arguments(), connection=self._connection)
        return copied

    def _arguments(self) -> dict[str, Any]:
        """What it was made with, but for where the server is."""
        return self._settings

    @property
    def _connection(self) -> Connection:
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the connection, unless it was given. A private server that no one else uses ends with it."""
        super().close()
        if self._copied is not None:
            self._copied.close()

    async def aclose(self) -> None:
        """`close`, awaited."""
        await offload(self.close)

    def _asked(self, prompt: str, llm_string: str) -> tuple[str, dict[str, str]]:
        """What is asked, and what has to be the same."""
        raise NotImplementedError

    def _remove(self, hit: CacheHit) -> None:
        """Remove an entry."""
        raise NotImplementedError

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """The answer that is kept for a prompt; None if there is none."""
        hit = self._core.lookup(*self._asked(prompt, llm_string))
        return None if hit is None else self._generations(hit)

    async def alookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """`lookup`, awaited."""
        hit = await self._core.alookup(*self._asked(prompt, llm_string))
        return None if hit is None else await offload(self._generations, hit)

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep the answer to a prompt; what there was for the same one is replaced."""
        answer = self._answer(return_val)
        if answer is not None:
            text, scope = self._asked(prompt, llm_string)
            try:
                self._core.store(text, answer, scope, tokens=_tokens(return_val))
            except InvalidInputError as error:
                self._not_kept(error)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """`update`, awaited."""
        answer = self._answer(return_val)
        if answer is not None:
            text, scope = self._asked(prompt, llm_string)
            try:
                await self._core.astore(text, answer, scope, tokens=_tokens(return_val))
            except InvalidInputError as error:
                self._not_kept(error)

    def _answer(self, generations: Sequence[Generation]) -> bytes | None:
        """The bytes to keep; None if there are none that would bring the generations back."""
        try:
            return dump_generations(generations)
        except InvalidInputError as error:
            self._not_kept(error)
            return None

    def _not_kept(self, error: InvalidInputError) -> None:
        """Raise what is wrong with an answer or its prompt, or warn."""
        if self._raises:
            raise error
        _logger.warning("cache %r: an answer is not kept: %s", self._name, error)

    def _generations(self, hit: CacheHit) -> list[Generation] | None:
        """New generations of what was kept. What cannot be used is removed, and None."""
        try:
            return load_generations(hit.answer)
        except ServerError as error:
            if self._raises:
                raise
            _logger.warning("cache %r: an entry is removed: %s", self._name, error)
        try:
            self._remove(hit)
        except ServerError as error:
            _logger.warning("cache %r: the entry could not be removed: %s", self._name, error)
        return None


class ValkeyCache(_AnswerCache):
    """Answers to the very same prompt of the very same model with the same parameters and tools.

    Answers come back whole: all generations, messages with tool calls and usage. What lies on the server is data: an
    entry that asks for any other class is removed and counts as a miss. A lookup and an update are one round trip.

    Args:
        name: caches of different names never meet; any non-empty text.
        ttl: seconds that an answer is kept; None keeps it.
        sliding: each use of an answer prolongs its life.
        scope: what else must be the same, such as ``{"tenant": "a"}``; JSON values.
        on_error: what happens when the server fails: ``miss`` goes on without the cache, logs one warning and
            counts the failure (`cache.failures`); ``raise`` raises.
        url: the server; by default ``VALKEY_URL``, or a private server that is gone with the process.
        connection: an open connection to share instead; it is not closed with the cache.

    Raises:
        ConfigurationError: a setting is wrong.
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
        """The core's cache, for what LangChain has no words for."""
        return self._core

    def clear(self, *, llm_string: str | None = None) -> None:
        """Remove the answers of this cache, in every scope, and no other key on the server. A failing server raises.

        Args:
            llm_string: only those of this model with these parameters, in the cache's own `scope`.
        """
        self._core.clear(None if llm_string is None else {_LLM: llm_string})

    async def aclear(self, *, llm_string: str | None = None) -> None:
        """`clear`, awaited."""
        await self._core.aclear(None if llm_string is None else {_LLM: llm_string})

    def _asked(self, prompt: str, llm_string: str) -> tuple[str, dict[str, str]]:
        return prompt, {_LLM: llm_string}

    def _remove(self, hit: CacheHit) -> None:
        self._core.delete(hit.prompt, hit.scope)

    @property
    def _connection(self) -> Connection:
        return self._core.connection


class ValkeySemanticCache(_AnswerCache):
    """Answers to a question that means the same, in the same conversation, of the same model.

    Compared by meaning is what the human asked: the text of the last human message. Everything else has to be the
    same: the model with its parameters and tools, the system prompt, all other messages, images. The very same question
    is answered without an embedding. Otherwise as `ValkeyCache`.

    Args:
        embedding: makes vectors of questions, with `embed_query`.
        name: of the cache, and of the index its entries lie in: letters, digits, ``_``, ``-`` and ``.``.
        threshold: least cosine similarity of a hit, above 0 to 1. Which one is right depends on the embedding:
            `cache.calibrate` proposes one.
        margin: hits whose similarity is within so much of the threshold, to either side, are doubtful.
        verify: decides on doubtful hits, with the question and the core's `CacheHit`; may be a coroutine function if
            only models are used that are awaited. Needs a margin.
        ttl: seconds that an answer is kept; None keeps it.
        sliding: each use of an answer prolongs its life.
        scope: what else must be the same, such as ``{"tenant": "a"}``; JSON values.
        max_entries: most answers kept; None for any number.
        eviction: which answers make room: ``lru`` the longest unused, ``lfu`` the least often used.
        on_error: what happens when the server or the embedding fails: ``miss`` goes on without the cache, logs one
            warning and counts the failure (`cache.stats`); ``raise`` raises.
        url: the server; by default ``VALKEY_URL``, or a private server that is gone with the process.
        connection: an open connection to share instead; it is not closed with the cache.
        engine: ``auto``, or insist on ``search`` or ``native``.
        embedding_model: recorded with a new cache; opening it for another model is an error.

    Raises:
        ConfigurationError: a setting is wrong.
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
        """The core's cache, for what LangChain has no words for: `stats`, `calibrate`, `invalidate`, …."""
        return self._core

    def clear(self, *, llm_string: str | None = None) -> None:
        """Remove the answers of this cache, in every scope, and no other key on the server. A failing server raises.

        Args:
            llm_string: only those of this model with these parameters, in whatever `scope`.
        """
        if llm_string is None:
            self._core.clear()
        else:
            self._core.invalidate(filter=F(f"scope.{_LLM}") == digest(llm_string))

    async def aclear(self, *, llm_string: str | None = None) -> None:
        """`clear`, awaited."""
        if llm_string is None:
            await self._core.aclear()
        else:
            await self._core.ainvalidate(filter=F(f"scope.{_LLM}") == digest(llm_string))

    def _asked(self, prompt: str, llm_string: str) -> tuple[str, dict[str, str]]:
        asked = question(prompt)
        return asked.text, {_LLM: digest(llm_string), _CONVERSATION: asked.rest}

    def _remove(self, hit: CacheHit) -> None:
        self._core.invalidate(id=hit.id)

    @property
    def _connection(self) -> Connection:
        return self._core.index.connection

    def _arguments(self) -> dict[str, Any]:
        return {**self._settings, "threshold": self._core.threshold}  # it may have been set since


def _reopened(
    kind: type[_AnswerCache], settings: dict[str, Any], connection: Connection
) -> _AnswerCache:
    made: Any = kind
    cache: _AnswerCache = made(**settings, connection=connection)
    cache._copied = connection
    return cache


class _Questions:
    """An embedding as the core has it. Both sides of a comparison are questions, so both are embedded as such."""

    def __init__(self, embedding: Embeddings) -> None:
        if not isinstance(embedding, Embeddings):
            raise ConfigurationError(
                f"embedding must be one of LangChain's Embeddings, not {embedding!r}; "
                'init_embeddings("provider:model") of langchain.embeddings makes one of a model\'s name'
            )
        self._embedding = embedding

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._embedding.embed_query(text) for text in texts]

    async def aembed(self, texts: Sequence[str]) -> list[list[float]]:
        return list(await asyncio.gather(*map(self._embedding.aembed_query, texts)))


def _own_scope(scope: Mapping[str, Any] | None) -> dict[str, Any]:
    """The user's scope, if it leaves room for what is always in it."""
    if scope is not None and not isinstance(scope, Mapping):
        raise ConfigurationError(f"scope must be a dict, not a {type(scope).__name__}")
    own = dict(scope or {})
    if taken := sorted({_LLM, _CONVERSATION} & own.keys()):
        raise ConfigurationError(f"scope {taken[0]!r} is the cache's own; use another key")
    return own


def _tokens(generations: Sequence[Generation]) -> int | None:
    """How many tokens an answer cost, where the model said so."""
    usages = [
        getattr(generation.message, "usage_metadata", None)
        for generation in generations
        if isinstance(generation, ChatGeneration)
    ]
    known = [usage["total_tokens"] for usage in usages if usage and "total_tokens" in usage]
    return sum(known) if known else None
