"""`ValkeySemanticCache`: the core's cache with a Haystack embedder, as a pipeline's components share and write down."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Literal

from haystack import default_from_dict, default_to_dict
from haystack.components.embedders.types import TextEmbedder
from haystack.utils import Secret

from valkey_vector import Connection, ConnectionSettings
from valkey_vector.cache import SemanticCache
from valkey_vector.concurrency.threads import offload
from valkey_vector.index.handle import EngineChoice
from valkey_vector.records.record import Vector
from valkey_vector.records.representation import location_of

__all__ = ["ValkeySemanticCache"]

_USERNAME = Secret.from_env_var("VALKEY_USERNAME", strict=False)
_PASSWORD = Secret.from_env_var("VALKEY_PASSWORD", strict=False)


class ValkeySemanticCache:
    """Answers that are given again to the same question, or to one that means the same.

    Give one to a `ValkeySemanticCacheChecker` and a `ValkeySemanticCacheWriter`. Nothing is connected or asked before
    the first of them runs.

    Args:
        text_embedder: one of Haystack's text embedders; asked only when a question is not there word for word.
        name: caches of different names never mix.
        threshold: least cosine similarity of a hit. Which one is right depends on the model: see
            `valkey_vector.cache.SemanticCache.calibrate`.
        scope: what must be the same for an answer to serve: model, parameters, system prompt, … JSON values.
        ttl: seconds that an answer is kept; None keeps it.
        sliding: each use keeps it for so long anew.
        max_entries: most answers kept.
        eviction: ``lru`` or ``lfu``.
        on_error: ``miss`` lets the pipeline go on without the cache when server or embedder fail, with a
            warning; ``raise`` raises.
        url: the server; by default the environment variable ``VALKEY_URL``, or a private server.
        username: ACL user, if the URL names none.
        password: its password, likewise.
        engine: ``auto``, or insist on ``search`` or ``native``.
        embedding_model: recorded with a new cache; opening it for another model is an error.
    """

    def __init__(
        self,
        text_embedder: TextEmbedder,
        *,
        name: str = "haystack-cache",
        threshold: float = 0.95,
        scope: dict[str, Any] | None = None,
        ttl: float | None = None,
        sliding: bool = False,
        max_entries: int | None = None,
        eviction: Literal["lru", "lfu"] = "lru",
        on_error: Literal["raise", "miss"] = "miss",
        url: str | None = None,
        username: Secret | None = _USERNAME,
        password: Secret | None = _PASSWORD,
        engine: EngineChoice = "auto",
        embedding_model: str | None = None,
    ) -> None:
        self._text_embedder = text_embedder
        self._url = url
        self._secrets = {"username": username, "password": password}
        self._settings: dict[str, Any] = {
            "name": name,
            "threshold": threshold,
            "scope": scope,
            "ttl": ttl,
            "sliding": sliding,
            "max_entries": max_entries,
            "eviction": eviction,
            "on_error": on_error,
            "engine": engine,
            "embedding_model": embedding_model,
        }
        self._core: SemanticCache | None = None
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    @property
    def core(self) -> SemanticCache:
        """The core's cache, for what Haystack has no words for; opened now if it was not."""
        with self._lock:
            if self._core is None:
                self._connection = self._connected()
                self._core = SemanticCache(
                    _embedding(self._text_embedder), connection=self._connection, **self._settings
                )
            return self._core

    def warm_up(self) -> None:
        """Load the embedder's model, if it has one."""
        warm_up = getattr(self._text_embedder, "warm_up", None)
        if warm_up is not None:
            warm_up()

    def close(self) -> None:
        """Let go of the server; it is connected again when needed."""
        with self._lock:
            core, self._core = self._core, None
            connection, self._connection = self._connection, None
        if core is not None:
            core.close()
        if connection is not None:
            connection.close()

    async def close_async(self) -> None:
        """Async version of `close`."""
        await offload(self.close)

    def __repr__(self) -> str:
        name, engine = self._settings["name"], self._settings["engine"]
        return f"{type(self).__name__}({name!r}, url={location_of(self._url)!r}, engine={engine!r})"

    def __getstate__(self) -> dict[str, Any]:
        """The settings; a copy, also in another process, opens a connection of its own."""
        return {**self.__dict__, "_core": None, "_connection": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def to_dict(self) -> dict[str, Any]:
        """The cache as a dict. Secrets are named, never written.

        Raises:
            ValueError: a secret was given as a token, or the URL holds a password.
        """
        if self._url is not None and ConnectionSettings.from_url(self._url).password is not None:
            raise ValueError(
                "the cache's URL holds a password, which must not be written down; leave it out of the URL and "
                "give password=Secret.from_env_var(...) instead"
            )
        return default_to_dict(
            self,
            text_embedder=self._text_embedder,
            url=self._url,
            **self._secrets,
            **self._settings,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ValkeySemanticCache:
        """The cache that `to_dict` described."""
        return default_from_dict(cls, data)

    def _connected(self) -> Connection:
        connection = Connection.open(self._url)
        settings = connection.settings
        given = {name: secret.resolve_value() for name, secret in self._secrets.items() if secret}
        named = {name: value for name, value in given.items() if value is not None}
        anonymous = settings.username is None and settings.password is None
        if not named or settings.embedded or settings.iam is not None or not anonymous:
            return connection
        return Connection.open(self._url, **named)


def _embedding(text_embedder: TextEmbedder) -> _Embedding:
    return (
        _AsyncEmbedding(text_embedder)
        if hasattr(text_embedder, "run_async")
        else _Embedding(text_embedder)
    )


class _Embedding:
    """A text embedder of Haystack as the core knows embedders."""

    def __init__(self, text_embedder: Any) -> None:
        self._text_embedder = text_embedder

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of texts, one call for each."""
        return [self._text_embedder.run(text=text)["embedding"] for text in texts]


class _AsyncEmbedding(_Embedding):
    """Likewise, for one that can be awaited."""

    async def aembed(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of texts, awaited."""
        return [(await self._text_embedder.run_async(text=text))["embedding"] for text in texts]
