"""`IndexHandle`: opens or creates an index on first use, and reopens it after it changed on the server."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from valkey_vector.connection import Connection, Feature, SearchModule
from valkey_vector.connection.memory import server_memory
from valkey_vector.connection.replicas import replicas_allowed
from valkey_vector.engines.base import Engine, IndexInfo
from valkey_vector.engines.lost_records import lineages_of, traces_of
from valkey_vector.engines.removal import complete_removals, drop_search_index
from valkey_vector.engines.withdrawal import withdraw
from valkey_vector.errors import (
    ConfigurationError,
    ConnectionLostError,
    IndexNotFoundError,
    IndexRecordLostError,
    RequestTimeoutError,
    ServerError,
    UnreadableRecordError,
    UnsupportedFeatureError,
)
from valkey_vector.index.settings import EngineChoice, IndexSettings
from valkey_vector.records.plain_values import plain_text
from valkey_vector.schema.schema import MAIN_VECTOR, Metric, Schema
from valkey_vector.storage.catalog import (
    Catalog,
    CatalogEntry,
    EngineName,
    check_index_name,
    has_hash_tag,
)
from valkey_vector.storage.rows import StaleIndexError

__all__ = ["IndexHandle", "not_found"]

_T = TypeVar("_T")
_ATTEMPTS = 10

_LONGEST_PAUSE = 0.3
"""Longest pause in seconds between two attempts to use an index that another client changed."""

_TRACED = 5.0
"""Seconds before a missing index is looked up again."""

_log = logging.getLogger("valkey_vector")
_noticed: set[tuple[str, str]] = set()
_MAX_NOTICED = 1_000
_memory_checked: weakref.WeakSet[Connection] = weakref.WeakSet()


_handles: weakref.WeakSet[IndexHandle] = weakref.WeakSet()


class IndexHandle:
    """Holds the opened engine of one index in this process. Thread-safe. A forked child reopens the index."""

    def __init__(self, connection: Connection, name: str, settings: IndexSettings) -> None:
        self.connection = connection
        self.name = check_index_name(plain_text(name) if isinstance(name, str) else name)
        self.settings = settings
        self._catalog = Catalog(connection, self.name)
        self._begin()
        _handles.add(self)

    def _begin(self) -> None:
        """Reset the state, so that the next use opens the index. A forked child, which copies held locks, calls it."""
        self._engine: Engine | None = None
        self._known: CatalogEntry | None = None
        self._met = False
        self._untraced = -math.inf
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[type[IndexHandle], tuple[Connection, str, IndexSettings]]:
        """Pickle the settings only. A copy opens the index itself."""
        return type(self), (self.connection, self.name, self.settings)

    def read(self, operation: Callable[[Engine], _T], absent: _T, *, notice: bool = False) -> _T:
        """Run an operation on the index. Reopens an index that another client dropped or recreated.

        Args:
            operation: the operation to run.
            absent: result if there is no such index.
            notice: the application reads: log a warning if there is no such index, and let replicas answer a search
                index if `read_from` names them.

        Raises:
            IndexMismatchError: the index exists with other settings than those passed.
        """
        if notice and self.connection.settings.read_from != "primary":
            operation = _from_replicas_once(operation)
        return self._attempt(None, operation, absent, notice=notice)

    def without_hints(self) -> None:
        """Log no warnings about names and filters, because a program such as a cache chooses them."""
        self.settings = replace(self.settings, hints=False)

    def notice_absence(self) -> None:
        """Log once in a process that the index does not exist, unless this process used it before."""
        name = (repr(self.connection), self.name)
        if (
            self._met
            or not self.settings.hints
            or name in _noticed
            or len(_noticed) >= _MAX_NOTICED
        ):
            return
        _noticed.add(name)
        _log.warning(
            "there is no index %r on %r: reads return nothing until the first write creates it. Check the name and the "
            "server, or pass must_exist=True to raise an error when a missing index is opened",
            self.name,
            self.connection,
        )

    def write(self, operation: Callable[[Engine], _T], dimension: int | None) -> _T:
        """Run an operation on the index. Creates the index if it does not exist.

        Args:
            operation: the operation to run. Runs again if another client recreated the index.
            dimension: dimension of the vectors to write, for a new index.

        Raises:
            IndexMismatchError: the index exists with other settings than those passed.
            ConfigurationError: the index does not exist and the dimension is not known.
        """
        schema = self.settings.schema
        if schema.dimension is None:
            schema = replace(schema, dimension=dimension)
        self._met = True
        return self._attempt(schema, operation, None)

    def existing(self) -> Engine | None:
        """Return the engine of the index, or None if there is no such index."""
        return self._opened(create=None)

    @property
    def shown_engine(self) -> EngineChoice:
        """The engine if it is known, otherwise the requested one. Sends nothing."""
        engine = self._engine
        return self.settings.engine if engine is None else engine.entry.engine

    def known_schema(self) -> Schema:
        """Return the schema of the index, or the schema of a new index if it does not exist."""
        engine = self._opened(create=None)
        return self.settings.schema if engine is None else engine.entry.schema

    def directed_vectors(self) -> frozenset[str]:
        """Return the names of vectors that must not be all zeros: RediSearch (2.10) ranks those last by cosine."""
        engine = self._opened(create=None)
        native = (self.settings if engine is None else engine.entry).engine == "native"
        schema = self.known_schema()
        metrics = {MAIN_VECTOR: schema.metric, **{v.name: v.metric for v in schema.vectors}}
        by_cosine = [name for name, metric in metrics.items() if metric is Metric.COSINE]
        if native or self.connection.capabilities.module is not SearchModule.REDISEARCH:
            return frozenset()
        return frozenset(by_cosine)

    def info(self) -> IndexInfo:
        """Describe the index.

        Raises:
            IndexNotFoundError: the index does not exist.
        """
        described = self.read(lambda engine: engine.info(), None)
        if described is None:
            raise not_found(self.name)
        return described

    def indexed_share(self) -> float:
        """Return the share of searchable documents, 0 to 1. Returns 1 if the index does not exist."""
        return self.read(lambda engine: engine.indexed_share(), 1.0)

    def forget(self) -> None:
        """Reopen the index at its next use."""
        with self._lock:
            if self._engine is not None:
                self._known = self._engine.entry
            self._engine = None

    def drop(self, *, documents: bool) -> int:
        """Remove the index, its record and, with `documents`, all its documents. Returns the number of documents.

        Also removes documents that an earlier drop left. Never removes other keys under the prefix.
        """
        with self._lock:
            try:
                engine = self._opened(create=None)
            except IndexRecordLostError:
                return self._drop_lost() if documents else 0
            self._engine = self._known = None
        # Remove the record first. Then no writer that still holds this index can store anything.
        self._catalog.forget(keep_documents=not documents)
        if engine is not None:
            engine.drop()
        return complete_removals(self.connection, self._catalog) if documents else 0

    def _drop_lost(self) -> int:
        """Remove the rest of an index without a record. Returns the number of removed documents."""
        for generation in traces_of(self.connection, self.name).generations:
            drop_search_index(self.connection, self.name, generation)
        self._catalog.note_removals(lineages_of(self.connection, self.name))
        self._catalog.forget(keep_documents=False)
        return complete_removals(self.connection, self._catalog)

    def _attempt(
        self,
        create: Schema | None,
        operation: Callable[[Engine], _T],
        absent: _T | None,
        *,
        notice: bool = False,
    ) -> _T:
        for attempt in range(_ATTEMPTS):
            try:
                engine = self._engine or self._opened(create)
                if engine is None:
                    if notice:
                        self.notice_absence()
                    return absent  # type: ignore[return-value]  # write() always opens an engine
                return operation(engine)
            except StaleIndexError:
                self.forget()
                # Longer each time: a node of a cluster that restarted may not be known to the client yet.
                time.sleep(min(_LONGEST_PAUSE, 0.001 * 4**attempt))
            except UnreadableRecordError as error:
                if repr(self.name) in error.message:
                    raise
                raise UnreadableRecordError(f"index {self.name!r}: {error.message}") from error
        raise ServerError(
            f"index {self.name!r} is dropped and recreated repeatedly by another client: stop that client, then retry"
        )

    def _opened(self, create: Schema | None) -> Engine | None:
        engine = self._engine
        if engine is not None:
            return engine
        with self._lock:
            if self._engine is None:
                self._engine = self._open(create)
            return self._engine

    def _open(self, create: Schema | None) -> Engine | None:
        entry, noted = self._catalog.look()
        new = False
        if entry is None and not noted:
            entry = self._lost()
        if entry is None:
            if create is None:
                return None
            entry, new = self._create(create)
        self.settings.check(entry)
        self._known = entry
        self._met = True
        self._untraced = -math.inf
        _warn_of_eviction(self.connection)
        if entry.engine == "search":
            self.connection.capabilities.require(Feature.SEARCH)
            return self._search_engine(entry, new=new)
        from valkey_vector.engines.native.engine import NativeEngine

        native = NativeEngine(self.connection, entry)
        if new:
            native.create()
        return native

    def _search_engine(self, entry: CatalogEntry, *, new: bool) -> Engine:
        """Return the engine of an index. Creates the index on the server if it does not exist.

        Raises:
            ServerError: the server refused. Nothing is left of a new index.
        """
        from valkey_vector.engines.search.engine import SearchEngine, is_unfinished

        engine = SearchEngine(self.connection, entry)
        try:
            engine.create()
        except (ConnectionLostError, RequestTimeoutError):
            raise  # it may be there
        except ServerError as error:
            if new and not is_unfinished(error):
                withdraw(self.connection, self._catalog, entry)
            raise
        return engine

    def _lost(self) -> CatalogEntry | None:
        """Restore the record of an index that this process knows. Returns None if there is no index.

        Raises:
            IndexRecordLostError: there are documents, and this process does not know what index they are of.
        """
        if time.monotonic() < self._untraced + _TRACED:
            return None
        traces = traces_of(self.connection, self.name)
        if not traces:
            self._untraced = time.monotonic()
            return None
        if self._known is not None and traces.are_of(self._known):
            self._catalog.restore(self._known)
        entry, noted = (
            self._catalog.look()
        )  # another process may have created or dropped it meanwhile
        if entry is None and not noted:
            raise IndexRecordLostError(self.name, self._catalog.key)
        return entry

    def _create(self, schema: Schema) -> tuple[CatalogEntry, bool]:
        if schema.dimension is None:
            raise ConfigurationError(
                f"index {self.name!r} does not exist, and creating it requires the dimension of its vectors: "
                "give dimension=, or write a record with a vector first"
            )
        # Remove the rest of an interrupted drop, which would conflict with the new index.
        complete_removals(self.connection, self._catalog)
        capabilities = self.connection.capabilities
        engine: EngineName
        match self.settings.engine:
            case "auto":
                searches = capabilities.has_search and self._module_works_here()
                spans_nodes = capabilities.cluster and not has_hash_tag(self.name)
                engine = "search" if searches or spans_nodes else "native"
            case "search" | "native":
                engine = self.settings.engine
        if engine == "search":
            capabilities.require(Feature.SEARCH)
            if not self._module_works_here():
                raise UnsupportedFeatureError(
                    f"a search index in database {self.connection.settings.database}",
                    capabilities.description,
                    'database 0, or engine="native"',
                )
            if schema.full_text is not None:
                capabilities.require(Feature.TEXT)
            from valkey_vector.engines.search.definition import require_data_types

            require_data_types(self.connection, schema, self.name)
        return self._catalog.create(schema, engine, self.settings.embedding_model)

    def _module_works_here(self) -> bool:
        """Return True if the search module creates indexes in this database. RediSearch does in database 0 only."""
        redisearch = self.connection.capabilities.module is SearchModule.REDISEARCH
        return not redisearch or not self.connection.settings.database


def _warn_of_eviction(connection: Connection) -> None:
    """Log once for a connection that the server can evict keys of documents and indexes."""
    if connection in _memory_checked:
        return
    _memory_checked.add(connection)
    memory = server_memory(connection)
    if memory.evicts_any_key:
        _log.warning(
            "%r evicts any key when it is full (maxmemory-policy %s): it can remove documents and the keys of indexes. "
            "Use noeviction, or a volatile policy",
            connection,
            memory.policy,
        )


def not_found(name: str) -> IndexNotFoundError:
    """Create the error for an index that must exist."""
    return IndexNotFoundError(f"there is no index {name!r} on this server and database")


def _begin_in_child() -> None:
    for handle in list(_handles):
        handle._begin()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_begin_in_child)


def _from_replicas_once(operation: Callable[[Engine], _T]) -> Callable[[Engine], _T]:
    """The operation, whose first attempt may read from replicas.

    A replica may not have the index yet, so the next attempt is at the primaries. The native engine's replica of the index
    follows one server.
    """
    was_sent = False

    def reading(engine: Engine) -> _T:
        nonlocal was_sent
        if was_sent or engine.entry.engine == "native":
            return operation(engine)
        was_sent = True
        with replicas_allowed():
            return operation(engine)

    return reading
