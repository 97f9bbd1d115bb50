"""`ValkeySemanticCache`: semantic cache with a Haystack embedder, shared by the components of a pipeline."""

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
from valkey_vector.index.settings import EngineChoice
from valkey_vector.records.record import Vector
from valkey_vector.records.representation import location_of

__all__ = ["ValkeySemanticCache"]

_USERNAME = Secret.from_env_var("VALKEY_USERNAME", strict=False)
_PASSWORD = Secret.from_env_var("VALKEY_PASSWORD", strict=False)


class ValkeySemanticCache:
    """Reuse answers for identical questions and for questions with the same meaning.

    Pass the cache to a `ValkeySemanticCacheChecker` and a `ValkeySemanticCacheWriter`. It connects when the first of
    them runs.

    Args:
        text_embedder: Haystack text embedder. Called only if an identical question is not cached.
        name: name of the cache. Caches of different names never mix.
        threshold: minimum cosine similarity of a hit, > 0 and ≤ 1. The right value depends on the model: see
            `valkey_vector.cache.SemanticCache.calibrate`.
        scope: JSON values that must be equal for a hit: model, parameters, system prompt, ….
        ttl: time to live of an answer in seconds. None stores without expiration.
        sliding: sliding expiration: each hit restarts the TTL.
        max_entries: maximum number of answers. None is unlimited.
        eviction: answers to evict first: ``lru`` (least recently used) or ``lfu`` (least frequently used).
        on_error: action if the server or the embedder fails. ``miss`` continues without the cache and logs a warning.
            ``raise`` raises.
        url: server URL. Defaults to ``VALKEY_URL``, or a private server that ends with the process.
        username: ACL user, unless the URL contains credentials.
        password: password of the user, unless the URL contains credentials.
        engine: ``auto``, or require ``search`` or ``native``.
        embedding_model: model name stored with a new cache. Opening the cache for another model raises.
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
        """The core's cache, for operations that Haystack has no method for. Opened on first use."""
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
        """Close the connection. The next use opens it again."""
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
        """Pickle the settings. A copy opens its own connection."""
        return {**self.__dict__, "_core": None, "_connection": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def to_dict(self) -> dict[str, Any]:
        """Serialize the cache to a dict. Secrets are stored as names of environment variables.

        Raises:
            ValueError: if a secret was passed as a token, or the URL contains a password.
        """
        if self._url is not None and ConnectionSettings.from_url(self._url).password is not None:
            raise ValueError(
                "the cache's URL contains a password, which cannot be serialized; remove it from the URL and "
                "pass password=Secret.from_env_var(...) instead"
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
        """Create a cache from the dict of `to_dict`."""
        return default_from_dict(cls, data)

    def _connected(self) -> Connection:
        connection = Connection.open(self._url)
        settings = connection.settings
        resolved = {
            name: secret.resolve_value() for name, secret in self._secrets.items() if secret
        }
        credentials = {name: value for name, value in resolved.items() if value is not None}
        anonymous = settings.username is None and settings.password is None
        if not credentials or settings.embedded or settings.iam is not None or not anonymous:
            return connection
        return Connection.open(self._url, **credentials)


def _embedding(text_embedder: TextEmbedder) -> _Embedding:
    return (
        _AsyncEmbedding(text_embedder)
        if hasattr(text_embedder, "run_async")
        else _Embedding(text_embedder)
    )


class _Embedding:
    """Adapt a Haystack text embedder to the core."""

    def __init__(self, text_embedder: Any) -> None:
        self._text_embedder = text_embedder

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Return the vectors of texts, with one call per text."""
        return [self._text_embedder.run(text=text)["embedding"] for text in texts]


class _AsyncEmbedding(_Embedding):
    """Adapt a Haystack text embedder with async support to the core."""

    async def aembed(self, texts: Sequence[str]) -> list[Vector]:
        """Async version of `embed`."""
        return [(await self._text_embedder.run_async(text=text))["embedding"] for text in texts]
