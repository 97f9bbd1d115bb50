"""`ExactCache`: cache of answers by exact prompt and scope. It needs no embedder and no index."""

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
    """Cache of answers to prompts. A lookup returns the answer to exactly the same prompt in the same scope.

    Every method has an async version. An entry is one key, so entries are spread over all nodes of a cluster.

    Args:
        name: any non-empty text. Caches with different names do not share entries.
        ttl: time to live of an entry in seconds, > 0. None: entries do not expire.
        sliding: each use of an entry restarts its time to live.
        scope: scope added to every call's scope: tenant, model, parameters, … JSON values.
        on_error: behavior when the server fails. ``miss`` continues without the cache, logs one warning and counts
            the failure; ``raise`` raises the error.
        url: the server; see `Connected`.
        connection: an open connection to use instead. It is not closed with the cache.

    Raises:
        ConfigurationError: a setting is wrong.
        InvalidInputError: the scope or `ttl` is not valid.

    Cost: one round trip for each lookup, and one for each store.
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
            raise ConfigurationError("sliding needs a ttl, to which each use extends an entry")
        self._keys = Keyspace("exact", name)
        self._milliseconds = lifetime(ttl)
        self._sliding = sliding
        self._scope = merged_scope({}, scope)
        self._count = FailureCount()
        self._failures = Failures(name, on_error, self._count)
        super().__init__(name, url=url, connection=connection)

    @property
    def failures(self) -> int:
        """Number of operations of this process that continued without the cache because the server failed."""
        return self._count.count

    def lookup(self, prompt: str, scope: Scope | None = None) -> CacheHit | None:
        """Return the stored answer for a prompt. Returns None on a miss.

        Args:
            prompt: the text to look up.
            scope: added to the cache's scope. The result must equal the scope the answer was stored with.

        Raises:
            InvalidInputError: the prompt is not text, or the scope is not a dict of JSON values.
            ServerError: the server failed, with ``on_error="raise"``.
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
        """Store an answer. Replaces the entry with the same prompt and scope.

        Args:
            prompt: the text that was answered.
            answer: bytes or a JSON value.
            scope: added to the cache's scope.
            ttl: time to live of this entry in seconds, > 0. None: that of the cache.
            seconds: time it took to compute the answer, >= 0.
            tokens: number of tokens the answer cost, >= 0.

        Returns:
            The id of the entry. None if it could not be stored and ``on_error`` is ``miss``.

        Raises:
            InvalidInputError: the answer or scope cannot be stored without loss.
            ServerError: the server failed, with ``on_error="raise"``.
        """
        whole = merged_scope(self._scope, scope)
        key = self._key(prompt, whole)
        payload = encoded(answer, ttl=None, seconds=seconds, tokens=tokens)
        milliseconds = self._milliseconds if ttl is None else lifetime(ttl)
        sliding = "1" if self._sliding else "0"

        def stored() -> str:
            ttl_ms = str(milliseconds or 0)
            self._connection.execute("EVAL", _STORE, "1", key, payload, ttl_ms, sliding)
            return entry_id(prompt, whole)

        return self._tried(stored, None)

    def delete(self, prompt: str, scope: Scope | None = None) -> bool:
        """Remove the entry of a prompt. Returns True if it existed.

        Args:
            prompt: exact text of the prompt.
            scope: added to the cache's scope.

        Raises:
            ServerError: the server failed, with any `on_error`.
        """
        key = self._key(prompt, merged_scope(self._scope, scope))
        return bool(self._connection.execute("UNLINK", key))

    def clear(self, scope: Scope | None = None) -> int:
        """Remove entries and no other key. Returns the number of removed entries.

        Args:
            scope: remove only entries with exactly this scope, added to the cache's. None: all entries.

        Raises:
            ServerError: the server failed, with any `on_error`.

        Cost: scans all keys of the server.
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
        """Fetch an answer and its time of storing. Restarts the time to live of a sliding entry.

        Without `sliding` the cache only reads, so it works on a server whose writes are paused.
        """
        if self._sliding:
            answer, stored, _ = self._connection.execute("EVAL", _LOOKUP, "1", key, retry=True)
            return answer, stored
        answer, stored, ttl_ms = self._connection.execute("HMGET", key, *_FIELDS, retry=True)
        if answer is not None and ttl_ms is not None:
            self._connection.execute("PEXPIRE", key, ttl_ms, retry=True)
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
