"""The life of an index: found or made on first use, made again in this process's eyes when it changed on the server."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

from valkey_vector.connection import Connection, Feature, SearchModule
from valkey_vector.connection.memory import server_memory
from valkey_vector.engines.base import Engine, StaleIndexError
from valkey_vector.engines.lost_records import lineages_of, traces_of
from valkey_vector.engines.native.engine import NativeEngine
from valkey_vector.engines.removal import complete_removals, drop_search_index
from valkey_vector.engines.search.engine import SearchEngine
from valkey_vector.errors import (
    ConfigurationError,
    IndexMismatchError,
    IndexNotFoundError,
    IndexRecordLostError,
    ServerError,
)
from valkey_vector.schema.schema import MAIN_VECTOR, Metric, Schema
from valkey_vector.storage.catalog import (
    Catalog,
    CatalogEntry,
    EngineName,
    check_index_name,
)
from valkey_vector.storage.layout import Prepared, wanted_slots

__all__ = ["EngineChoice", "Lifecycle", "Request", "not_found"]

EngineChoice: TypeAlias = Literal["auto", "search", "native"]

_T = TypeVar("_T")
_ATTEMPTS = 10

_TRACED = 5.0
"""Seconds for which an index of which nothing was found is not looked for again."""

_log = logging.getLogger("valkey_vector")
_memory_checked: weakref.WeakSet[Connection] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked an index to be.

    Attributes:
        schema: used if the index is made.
        engine: ``auto`` takes the search engine where the server has a search module.
        embedding_model: name of the model, if told.
        asked: those settings that were asked for, not defaulted: an existing index must have them.
    """

    schema: Schema
    engine: EngineChoice
    embedding_model: str | None
    asked: frozenset[str]


_lifecycles: weakref.WeakSet[Lifecycle] = weakref.WeakSet()


class Lifecycle:
    """Holds the engine of one index for all who use it in this process. Thread-safe; a forked child opens it anew."""

    def __init__(self, connection: Connection, name: str, request: Request) -> None:
        self.connection = connection
        self.name = check_index_name(name)
        self.request = request
        self._catalog = Catalog(connection, name)
        self._begin()
        _lifecycles.add(self)

    def _begin(self) -> None:
        """Open the index at its next use: at first, and in a forked child.

        There, locks that the parent's other threads held at the fork would stay held for ever, and what an engine was
        bringing up to date may be half done.
        """
        self._engine: Engine | None = None
        self._known: CatalogEntry | None = None
        self._untraced = -math.inf
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[type[Lifecycle], tuple[Connection, str, Request]]:
        """A copy, here or in another process, opens the index anew."""
        return type(self), (self.connection, self.name, self.request)

    def read(self, operation: Callable[[Engine], _T], absent: _T) -> _T:
        """Run an operation on the index; `absent` if there is no such index.

        An index that another process dropped or made anew meanwhile is opened again.

        Raises:
            IndexMismatchError: the index exists with other settings than asked for.
        """
        return self._attempt(lambda: self._opened(create=None), operation, absent)

    def write(self, operation: Callable[[Engine], _T], dimension: int | None) -> _T:
        """Run an operation on the index, which is made if it does not exist.

        Args:
            operation: what to do; runs again if the index was made anew under it.
            dimension: of the vectors at hand, for an index that has none yet.

        Raises:
            IndexMismatchError: the index exists with other settings than asked for.
            ConfigurationError: the index must be made and the dimension is not known.
        """
        schema = self.request.schema
        if schema.dimension is None:
            schema = replace(schema, dimension=dimension)
        return self._attempt(lambda: self._opened(create=schema), operation, None)

    def existing(self) -> Engine | None:
        """The engine of the index, or None if there is no such index."""
        return self._opened(create=None)

    def known_schema(self) -> Schema:
        """The schema of the index if it exists, else the one it would be made with."""
        engine = self._opened(create=None)
        return self.request.schema if engine is None else engine.entry.schema

    def directed_vectors(self) -> frozenset[str]:
        """The names of vectors that must have a direction: RediSearch (2.10) ranks all others last by cosine."""
        engine = self._opened(create=None)
        native = (self.request if engine is None else engine.entry).engine == "native"
        schema = self.known_schema()
        metrics = {MAIN_VECTOR: schema.metric, **{v.name: v.metric for v in schema.vectors}}
        by_cosine = [name for name, metric in metrics.items() if metric is Metric.COSINE]
        if native or self.connection.capabilities.module is not SearchModule.REDISEARCH:
            return frozenset()
        return frozenset(by_cosine)

    def forget(self) -> None:
        """Open the index anew at its next use."""
        with self._lock:
            if self._engine is not None:
                self._known = self._engine.entry
            self._engine = None

    def refresh(self, engine: Engine) -> bool:
        """Read the slot bindings again; whether there are new ones.

        Raises:
            StaleIndexError: the index is not what it was.
        """
        entry = self._catalog.read()
        if entry is None or entry.generation != engine.entry.generation:
            raise StaleIndexError
        with self._lock:
            known = engine.entry
            # Another thread may have learned of more meanwhile; a slot once bound stays bound.
            slots = {**known.slots, **entry.slots}
            spent = known.slots_spent or entry.slots_spent
            changed = slots != known.slots or spent != known.slots_spent
            if changed:
                engine.learn(replace(known, slots=slots, slots_spent=spent))
        return changed

    def bind_slots(self, engine: Engine, documents: Iterable[Prepared]) -> None:
        """Make sure that every number and date in these documents has its slot, or is known to have none.

        Raises:
            StaleIndexError: the index is not what it was.
        """
        wanted = wanted_slots(documents, engine.entry)
        if not wanted:
            return
        try:
            claimed = self._catalog.claim_slots(engine.entry, wanted)
        except ServerError as error:
            if "STALE" in error.message:
                raise StaleIndexError from error
            raise
        with self._lock:
            bound = {pair: slot for pair, slot in claimed.items() if slot >= 0}
            slots = {**engine.entry.slots, **bound}
            spent = engine.entry.slots_spent or len(bound) < len(claimed)
            engine.learn(replace(engine.entry, slots=slots, slots_spent=spent))

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
        self._compare(entry)
        self._known = entry
        self._untraced = -math.inf
        _warn_of_eviction(self.connection)
        if entry.engine == "search":
            self.connection.capabilities.require(Feature.SEARCH)
            search = SearchEngine(self.connection, entry)
            search.create()
            return search
        native = NativeEngine(self.connection, entry)
        if new:
            native.create()
        return native

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
        match self.request.engine:
            case "auto":
                engine = "search" if capabilities.has_search or capabilities.cluster else "native"
            case "search" | "native":
                engine = self.request.engine
        if engine == "search":
            capabilities.require(Feature.SEARCH)
            if schema.full_text is not None:
                capabilities.require(Feature.TEXT)
        return self._catalog.create(schema, engine, self.request.embedding_model)

    def _compare(self, entry: CatalogEntry) -> None:
        """Refuse an index that is not what was asked for: it would find nothing, or the wrong things."""
        asked, found = self.request.schema, entry.schema
        pairs: dict[str, tuple[object, object]] = {
            "dimension": (found.dimension, asked.dimension),
            "metric": (found.metric.value, asked.metric.value),
            "algorithm": (found.algorithm.name, asked.algorithm.name),
            "algorithm settings": (found.algorithm, asked.algorithm),
            "fields": (found.fields, asked.fields),
            "numeric_slots": (found.numeric_slots, asked.numeric_slots),
            "vectors": (found.vectors, asked.vectors),
            "full_text": (found.full_text, asked.full_text),
            "engine": (entry.engine, self.request.engine),
            "embedding_model": (entry.embedding_model, self.request.embedding_model),
        }
        differences = {
            name: pair
            for name, pair in pairs.items()
            if name in self.request.asked and pair[0] != pair[1]
        }
        if differences:
            raise IndexMismatchError(self.name, differences)


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
    for lifecycle in list(_lifecycles):
        lifecycle._begin()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_begin_in_child)
