"""`ValkeyCache`: LangGraph cache of node results."""

# `set` is one of the methods.

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from langgraph.cache.base import BaseCache, FullKey, Namespace
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_valkey.serialization import AllowListSerializer, dump, load
from valkey_vector import ConfigurationError, Connection, ServerError
from valkey_vector.concurrency.closing import Closing
from valkey_vector.concurrency.threads import offload
from valkey_vector.records.representation import shown_as
from valkey_vector.stores import EntryStore

__all__ = ["ValkeyCache"]

ValueT = TypeVar("ValueT")

_logger = logging.getLogger(__name__)


class ValkeyCache(Closing, BaseCache[ValueT]):
    """Node results that several processes share, for ``builder.compile(cache=ValkeyCache())``.

    Cost: one round trip for each 1,000 results that are read or written.

    Args:
        url: the server. Default: ``VALKEY_URL``, or a private server that ends with the process.
        connection: an open connection to share instead. The cache does not close it.
        serde: LangGraph serializer for results. Default: `AllowListSerializer`, which creates only objects of safe classes.
        namespace: caches of different namespaces never see each other's results. Any non-empty text.
        on_error: the reaction when the server fails or a result cannot be read. ``miss`` logs a warning, and the graph computes
            the result again. ``raise`` raises. `clear` always raises.

    Raises:
        ConfigurationError: a setting is invalid.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        connection: Connection | None = None,
        serde: SerializerProtocol | None = None,
        namespace: str = "langgraph",
        on_error: Literal["raise", "miss"] = "miss",
    ) -> None:
        if on_error not in ("raise", "miss"):
            raise ConfigurationError(f"on_error must be 'raise' or 'miss', not {on_error!r}")
        super().__init__(serde=AllowListSerializer() if serde is None else serde)
        self._raises = on_error == "raise"
        self._core: EntryStore = EntryStore(namespace, url=url, connection=connection)

    def __repr__(self) -> str:
        return shown_as(self, self._core)

    def close(self) -> None:
        """Release the connection, unless it was passed as `connection`."""
        self._core.close()

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """Return the stored results by namespace and key. Missing and expired ones are left out.

        Raises:
            ServerError: the server fails or a result cannot be read, and `on_error` is ``raise``.
        """
        names = [(tuple(namespace), key) for namespace, key in keys]
        try:
            stored = self._core.get(names)
        except ServerError as error:
            self._failed(error)
            return {}
        found: dict[FullKey, Any] = {}
        for name, data in stored.items():
            try:
                found[name] = load(self.serde, data, f"the cached result {name!r}")
            except ServerError as error:
                self._failed(error)
        return found

    def set(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """Store results, each with its time to live in seconds, or None for no expiration.

        Raises:
            InvalidInputError: a result cannot be serialized, or a time to live is not a positive number. Nothing was stored.
            ServerError: the server fails, and `on_error` is ``raise``.
        """
        entries = {
            (tuple(namespace), key): (dump(self.serde, value, f"the result {key!r}"), ttl)
            for (namespace, key), (value, ttl) in pairs.items()
        }
        try:
            self._core.put(entries)
        except ServerError as error:
            self._failed(error)

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Remove the results of these namespaces, but not of namespaces below them. None removes all results.

        Cost: scans all keys of the server.
        """
        self._core.clear(namespaces)

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """Async version of `get`."""
        return await offload(self.get, keys)

    async def aset(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """Async version of `set`."""
        await offload(self.set, pairs)

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Async version of `clear`."""
        await offload(self.clear, namespaces)

    def _failed(self, error: ServerError) -> None:
        if self._raises:
            raise error
        _logger.warning("the LangGraph cache continues without a result: %s", error)
