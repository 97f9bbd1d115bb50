"""`ExactCache`: answers given again to the very same prompt in the very same scope; needs no embedding and no index."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from valkey_vector.cache.entries import (
    Answer,
    CacheHit,
    Scope,
    check_prompt,
    decoded,
    encoded,
    entry_id,
    instant_of,
    merged_scope,
    scope_id,
)
from valkey_vector.cache.failure_count import FailureCount
from valkey_vector.cache.failures import Failures, OnError
from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.connection.lua import read_lua
from valkey_vector.errors import ConfigurationError, ServerError
from valkey_vector.storage.keyspace import Keyspace, lifetime

__all__ = ["ExactCache"]

_T = TypeVar("_T")

_FIELDS = ("answer", "stored", "sliding")

_STORE = read_lua(__package__, "exact_store")

_LOOKUP = read_lua(__package__, "exact_lookup")


class ExactCache(Connected):
    """Answers of a slow or costly function of a prompt, kept for the same prompt in the same scope, word for word.

    Every method has an async version. A lookup and a store are one round trip each. An entry is one key, so that
    entries of different scopes never evict each other and lie anywhere in a cluster.

    Args:
        name: caches of different names never meet; any non-empty text.
        ttl: seconds that an entry lives; None keeps it.
        sliding: each use of an entry prolongs its life, to the seconds it was stored with.
        scope: part of every call's scope: tenant, model, parameters, … JSON values.
        on_error: what happens when the server fails: ``miss`` goes on without the cache, logs one warning and
            counts the failure; ``raise`` raises.
        url: the server; see `Connected`.
        connection: an open one to share instead.

    Raises:
        ConfigurationError: a setting is wrong.
        InvalidInputError: the scope or `ttl` is not acceptable.
    """

    def __init__(
        self,
        name: str = "exact-cache",
        *,
        ttl: float | None = None,
        sliding: bool = False,
        scope: Scope | None = None,
        on_error: OnError = "miss",
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        if sliding and ttl is None:
            raise ConfigurationError(
                "sliding needs a ttl, by which each use prolongs an entry's life"
            )
        self._keys = Keyspace("exact", name)
        self._milliseconds = lifetime(ttl)
        self._sliding = sliding
        self._scope = merged_scope({}, scope)
        self._count = FailureCount()
        self._failures = Failures(name, on_error, self._count)
        super().__init__(name, url=url, connection=connection)

    @property
    def failures(self) -> int:
        """How often the server failed this process, and it went on without."""
        return self._count.count

    def lookup(self, prompt: str, scope: Scope | None = None) -> CacheHit | None:
        """The stored answer for a prompt; None if there is none.

        Args:
            prompt: what is asked.
            scope: over the cache's own scope; must be the same as when the answer was stored.

        Raises:
            InvalidInputError: the prompt or scope is not acceptable.
        """
        whole = merged_scope(self._scope, scope)
        key = self._key(prompt, whole)

        def found() -> CacheHit | None:
            answer, stored = self._entry(key)
            return None if answer is None else _hit(prompt, whole, answer, stored)

        return self._tried(found, None)

    def store(
        self,
        prompt: str,
        answer: Answer,
        scope: Scope | None = None,
        *,
        ttl: float | None = None,
        seconds: float | None = None,
        tokens: int | None = None,
    ) -> str | None:
        """Keep an answer; what the same prompt had in the same scope is replaced.

        Args:
            prompt: what was asked.
            answer: bytes or a JSON value.
            scope: over the cache's own scope.
            ttl: seconds that this entry lives; by default the cache's.
            seconds: how long the answer took to make.
            tokens: how many tokens it cost.

        Returns:
            The entry's id; None if it could not be stored, with ``on_error="miss"``.

        Raises:
            InvalidInputError: something cannot be stored as it is.
        """
        whole = merged_scope(self._scope, scope)
        key = self._key(prompt, whole)
        payload = encoded(answer, ttl=None, seconds=seconds, tokens=tokens)
        milliseconds = self._milliseconds if ttl is None else lifetime(ttl)
        sliding = "1" if self._sliding else "0"

        def stored() -> str:
            lasting = str(milliseconds or 0)
            self._connection.execute("EVAL", _STORE, "1", key, payload, lasting, sliding)
            return entry_id(prompt, whole)

        return self._tried(stored, None)

    def delete(self, prompt: str, scope: Scope | None = None) -> bool:
        """Remove the entry of a prompt; returns whether there was one. A failing server raises.

        Args:
            prompt: word for word.
            scope: over the cache's own scope.
        """
        key = self._key(prompt, merged_scope(self._scope, scope))
        return bool(self._connection.execute("UNLINK", key))

    def clear(self, scope: Scope | None = None) -> int:
        """Remove entries, and no other key on the server; returns how many there were. A failing server raises.

        Args:
            scope: only those of exactly this scope, over the cache's own; None removes those of every scope.
        """
        prefix = "" if scope is None else f"{scope_id(merged_scope(self._scope, scope))}:"
        return self._keys.remove(self._connection, prefix)

    alookup = async_version(lookup)
    astore = async_version(store)
    adelete = async_version(delete)
    aclear = async_version(clear)

    def _key(self, prompt: str, scope: Scope) -> bytes:
        return self._keys.key(f"{scope_id(scope)}:{entry_id(check_prompt(prompt), scope)}")

    def _entry(self, key: bytes) -> tuple[bytes | None, bytes | None]:
        """The answer and the time of storing; begins the life of a sliding entry again.

        A cache that does not slide only reads, so it works on a server whose writes are paused.
        """
        if self._sliding:
            answer, stored, _ = self._connection.execute("EVAL", _LOOKUP, "1", key, retry=True)
            return answer, stored
        answer, stored, lasting = self._connection.execute("HMGET", key, *_FIELDS, retry=True)
        if answer is not None and lasting is not None:
            self._connection.execute("PEXPIRE", key, lasting, retry=True)
        return answer, stored

    def _tried(self, request: Callable[[], _T], otherwise: _T) -> _T:
        if self._failures.resting():
            return otherwise
        try:
            result = request()
        except ServerError as error:
            self._failures.note(error)
            return otherwise
        self._failures.works()
        return result


def _hit(prompt: str, scope: Scope, payload: bytes, stored: bytes | None) -> CacheHit:
    answer, seconds, tokens = decoded(payload)
    return CacheHit(
        id=entry_id(prompt, scope),
        prompt=prompt,
        answer=answer,
        similarity=1.0,
        exact=True,
        scope=scope,
        metadata={},
        stored_at=instant_of(stored),
        seconds=seconds,
        tokens=tokens,
    )
