"""The life of an index: found or made on first use, made again in this process's eyes when it changed on the server."""

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
from valkey_vector.engines.base import Engine, IndexInfo
from valkey_vector.engines.lost_records import lineages_of, traces_of
from valkey_vector.engines.native.engine import NativeEngine
from valkey_vector.engines.removal import complete_removals, drop_search_index
from valkey_vector.engines.search.engine import SearchEngine, is_unfinished
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
from valkey_vector.schema.schema import MAIN_VECTOR, Metric, Schema
from valkey_vector.storage.catalog import (
    Catalog,
    CatalogEntry,
    EngineName,
    check_index_name,
)
from valkey_vector.storage.rows import StaleIndexError

__all__ = ["IndexHandle", "not_found"]

_T = TypeVar("_T")
_ATTEMPTS = 10

_TRACED = 5.0
"""Seconds for which an index of which nothing was found is not looked for again."""

_log = logging.getLogger("valkey_vector")
_noticed: set[tuple[str, str]] = set()
_MOST_NOTICED = 1_000
_memory_checked: weakref.WeakSet[Connection] = weakref.WeakSet()


_handles: weakref.WeakSet[IndexHandle] = weakref.WeakSet()


class IndexHandle:
    """Holds the engine of one index for all who use it in this process. Thread-safe; a forked child opens it anew."""

    def __init__(self, connection: Connection, name: str, settings: IndexSettings) -> None:
        self.connection = connection
        self.name = check_index_name(name)
        self.settings = settings
        self._catalog = Catalog(connection, name)
        self._begin()
        _handles.add(self)

    def _begin(self) -> None:
        """Open the index at its next use: at first, and in a forked child.

        There, locks that the parent's other threads held at the fork would stay held for ever, and what an engine was
        bringing up to date may be half done.
        """
        self._engine: Engine | None = None
        self._known: CatalogEntry | None = None
        self._met = False
        self._untraced = -math.inf
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[type[IndexHandle], tuple[Connection, str, IndexSettings]]:
        """A copy, here or in another process, opens the index anew."""
        return type(self), (self.connection, self.name, self.settings)

    def read(self, operation: Callable[[Engine], _T], absent: _T, *, notice: bool = False) -> _T:
        """Run an operation on the index; `absent` if there is no such index.

        An index that another process dropped or made anew meanwhile is opened again.

        Args:
            operation: what to do.
            absent: the result if there is no such index.
            notice: say so in the log then.

        Raises:
            IndexMismatchError: the index exists with other settings than asked for.
        """

        def opened() -> Engine | None:
            engine = self._opened(create=None)
            if engine is None and notice:
                self.notice_absence()
            return engine

        return self._attempt(opened, operation, absent)

    def without_hints(self) -> None:
        """Log no warnings about names and filters: a program chose them, such as a cache."""
        self.settings = replace(self.settings, hints=False)

    def notice_absence(self) -> None:
        """Log, once in a process, that an index is read which does not exist, unless it was used here before."""
        name = (repr(self.connection), self.name)
        if (
            self._met
            or not self.settings.hints
            or name in _noticed
            or len(_noticed) >= _MOST_NOTICED
        ):
            return
        _noticed.add(name)
        _log.warning(
            "there is no index %r on %r: reads find nothing until the first write makes it. Check the name and the "
            "server; with must_exist=True, opening an index that does not exist is an error",
            self.name,
            self.connection,
        )

    def write(self, operation: Callable[[Engine], _T], dimension: int | None) -> _T:
        """Run an operation on the index, which is made if it does not exist.

        Args:
            operation: what to do; runs again if the index was made anew under it.
            dimension: of the vectors at hand, for an index that has none yet.

        Raises:
            IndexMismatchError: the index exists with other settings than asked for.
            ConfigurationError: the index must be made and the dimension is not known.
        """
        schema = self.settings.schema
        if schema.dimension is None:
            schema = replace(schema, dimension=dimension)
        self._met = True
        return self._attempt(lambda: self._opened(create=schema), operation, None)

    def existing(self) -> Engine | None:
        """The engine of the index, or None if there is no such index."""
        return self._opened(create=None)

    @property
    def shown_engine(self) -> EngineChoice:
        """The engine if it is known, else the one that was asked for. Sends nothing."""
        engine = self._engine
        return self.settings.engine if engine is None else engine.entry.engine

    def known_schema(self) -> Schema:
        """The schema of the index if it exists, else the one it would be made with."""
        engine = self._opened(create=None)
        return self.settings.schema if engine is None else engine.entry.schema

    def directed_vectors(self) -> frozenset[str]:
        """The names of vectors that must have a direction: RediSearch (2.10) ranks all others last by cosine."""
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
            IndexNotFoundError: it does not exist.
        """
        described = self.read(lambda engine: engine.info(), None)
        if described is None:
            raise not_found(self.name)
        return described

    def indexed_share(self) -> float:
        """The share of the documents that is searchable, 0 to 1; 1 for an index that does not exist."""
        return self.read(lambda engine: engine.indexed_share(), 1.0)

    def forget(self) -> None:
        """Open the index anew at its next use."""
        with self._lock:
            if self._engine is not None:
                self._known = self._engine.entry
            self._engine = None

    def drop(self, *, documents: bool) -> int:
        """Remove the index and its record, and its documents if told so; returns how many those were.

        Documents that an earlier drop kept are removed, too.
        Nothing else is touched: no other index, and no key under the prefix that is no document.
        """
        with self._lock:
            try:
                engine = self._opened(create=None)
            except IndexRecordLostError:
                return self._drop_lost() if documents else 0
            self._engine = self._known = None
        # First the record: from then on no writer that still knows this index gets anything stored.
        self._catalog.forget(keep_documents=not documents)
        if engine is not None:
            engine.drop()
        return complete_removals(self.connection, self._catalog) if documents else 0

    def _drop_lost(self) -> int:
        """Remove what is left of an index without a record; returns how many documents there were."""
        for generation in traces_of(self.connection, self.name).generations:
            drop_search_index(self.connection, self.name, generation)
        self._catalog.note_removals(lineages_of(self.connection, self.name))
        self._catalog.forget(keep_documents=False)
        return complete_removals(self.connection, self._catalog)

    def _attempt(
        self,
        opened: Callable[[], Engine | None],
        operation: Callable[[Engine], _T],
        absent: _T | None,
    ) -> _T:
        for _ in range(_ATTEMPTS):
            try:
                engine = opened()
                if engine is None:
                    return absent  # type: ignore[return-value]  # write() always opens an engine
                return operation(engine)
            except StaleIndexError:
                self.forget()
            except UnreadableRecordError as error:
                if repr(self.name) in error.message:
                    raise
                raise UnreadableRecordError(f"index {self.name!r}: {error.message}") from error
        raise ServerError(
            f"index {self.name!r} is being dropped and made over and over by someone else"
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
        native = NativeEngine(self.connection, entry)
        if new:
            native.create()
        return native

    def _search_engine(self, entry: CatalogEntry, *, new: bool) -> Engine:
        """The engine of an index, which is created on the server if it is not there.

        Raises:
            ServerError: the server refused. Nothing is left of a new index.
        """
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
        """The index again if only its record was lost and this process knows it; None if there is no index.

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
                f"index {self.name!r} does not exist yet, and to make it the dimension of its vectors must be "
                "known: give dimension=, or write a record with a vector first"
            )
        # What a drop that was interrupted left behind would be in the new index's way, though never in its results.
        complete_removals(self.connection, self._catalog)
        capabilities = self.connection.capabilities
        engine: EngineName
        match self.settings.engine:
            case "auto":
                searches = capabilities.has_search and self._module_works_here()
                engine = "search" if searches or capabilities.cluster else "native"
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
        return self._catalog.create(schema, engine, self.settings.embedding_model)

    def _module_works_here(self) -> bool:
        """Whether the search module creates indexes in this connection's database: RediSearch only does in database 0."""
        redisearch = self.connection.capabilities.module is SearchModule.REDISEARCH
        return not redisearch or not self.connection.settings.database


def _warn_of_eviction(connection: Connection) -> None:
    """Log, once for a connection, that the server may evict keys without which documents cannot be read."""
    if connection in _memory_checked:
        return
    _memory_checked.add(connection)
    memory = server_memory(connection)
    if memory.evicts_any_key:
        _log.warning(
            "%r evicts any key when it is full (maxmemory-policy %s): documents can vanish, and the keys in which an "
            "index is kept. Use noeviction, or a volatile policy",
            connection,
            memory.policy,
        )


def not_found(name: str) -> IndexNotFoundError:
    """The error for an index that had to exist."""
    return IndexNotFoundError(f"there is no index {name!r} on this server and database")


def _begin_in_child() -> None:
    for handle in list(_handles):
        handle._begin()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_begin_in_child)
