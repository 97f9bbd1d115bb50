"""The search engine: an index of a search module (Valkey-Search or RediSearch), used through FT.*."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from valkey_vector.connection import Argument, Connection, Feature
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.base import IndexInfo, Leading, Near
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.definition import define
from valkey_vector.engines.search.leading import first_by_key
from valkey_vector.engines.search.noted import noted_changes
from valkey_vector.engines.search.reading import SearchReading, indexed_share
from valkey_vector.engines.search.signs import State, are_quiet, quiet_commands, state
from valkey_vector.engines.search.text import TextSearch
from valkey_vector.engines.search.totals import totals
from valkey_vector.engines.search.writing import SearchWriting
from valkey_vector.errors import AuthenticationError, ServerError
from valkey_vector.filters.plan import Everything, NoDocument, Plan
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.changes import Change
from valkey_vector.storage.layout import METADATA
from valkey_vector.storage.rows import Row
from valkey_vector.text.bm25 import Matching, Scored

__all__ = ["SearchEngine", "is_unfinished"]


_UNREACHED = "unable to contact all cluster members"
"""Error of FT.CREATE in Valkey-Search 1.2 if a node cannot reach another; some nodes may have the index by then."""

_PAUSE = 0.2


def is_unfinished(error: ServerError) -> bool:
    """Return True if FT.CREATE failed and some nodes of a cluster may still have the index."""
    return _UNREACHED in error.message.lower()


class SearchEngine(SearchReading):
    """One index of a search module. Implements `valkey_vector.engines.base.Engine`."""

    def __init__(self, connection: Connection, entry: CatalogEntry) -> None:
        super().__init__(connection, entry)
        self._writing = SearchWriting(self._documents)
        self.write = self._writing.write
        self.replace_metadata = self._writing.replace_metadata
        self.delete = self._writing.delete
        self._text = TextSearch(self, connection)
        self.vocabulary = self._text.vocabulary
        self.text_statistics = self._text.statistics
        self.text_best = self._text.best

    def create(self) -> None:
        """Create the server's index unless it exists. Idempotent; many processes may call it at once.

        Right after a cluster starts, its nodes may not reach each other. Creation is retried for `request_timeout`.
        """
        if self.exists():
            return
        command = commands.create_command(self.entry, self.capabilities)
        deadline = time.monotonic() + self._connection.settings.request_timeout
        while True:
            try:
                define(self._connection, *command)
            except ServerError as error:
                if "already exists" in error.message.lower():
                    return
                if not is_unfinished(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def exists(self) -> bool:
        """Return True if the server has this index."""
        try:
            names = self._connection.execute("FT._LIST", retry=True)
        except AuthenticationError:
            return self._is_described()  # FT._LIST needs the category @admin on Valkey-Search
        return self.entry.search_index.encode() in names

    def _is_described(self) -> bool:
        try:
            self._connection.execute("FT.INFO", self.entry.search_index, retry=True)
        except ServerError as error:
            if commands.index_is_missing(error.message):
                return False
            raise
        return True

    def require_text(self) -> None:
        """Raise if the search module has no text search.

        Raises:
            UnsupportedFeatureError: no text search; the message names the required version.
        """
        self.capabilities.require(Feature.TEXT)

    def text_and_nearest(
        self, matching: Matching, near: Near, plan: Plan, k: int
    ) -> Pipelined[tuple[list[Scored], list[Row]]]:
        """Retrieve the k best by text and the k nearest, in one round trip."""
        if isinstance(plan, NoDocument):
            return [], []
        if k > self.capabilities.max_knn:
            scored = yield from self.text_best(matching, plan, k)
            return scored, (yield from self.knn(near, k, plan, ()))
        beside = self.nearest.commands(near, k, plan, ())
        scored, replies = yield from self._text.best_beside(matching, plan, k, beside)
        return scored, (yield from self.nearest.completed(replies, near, k, plan, ()))

    def forget(self, ids: Sequence[str]) -> None:
        """Do nothing: the server updates its index itself."""

    def held(self) -> dict[str, bool]:
        """The ids in the server's index. The server removes expired documents itself."""
        pages = self.select(Everything(), ())
        return {row.id: False for page in pages for row in page}

    def reconcile(self, ids: Sequence[str]) -> None:
        """Do nothing: the server indexes a document when its fields are written."""

    def state(self) -> Pipelined[object | None]:
        """Return the state of the index (see `valkey_vector.engines.search.signs`).

        Cost: one round trip.
        """
        return (yield from state(self, self._connection))

    def is_settled(self, state: object) -> Pipelined[bool]:
        """Return True if counts since a state are exactly as of it (see `valkey_vector.engines.base.Engine.is_settled`).

        Cost: one round trip.
        """
        if not isinstance(state, State) or self.capabilities.cluster:
            return False
        replies = yield Request(quiet_commands(self, self._connection))
        return are_quiet(replies, state.writes)

    def changes(self, before: object, now: object) -> Pipelined[list[Change] | None]:
        """Return the changes between two states (see `valkey_vector.engines.search.noted`).

        Cost: one round trip if there can be any.
        """
        return (yield from noted_changes(self, before, now))

    def totals(self, plans: Sequence[Plan]) -> Pipelined[list[int] | None]:
        """Count plans with one query each (see `valkey_vector.engines.base.Engine.totals`).

        Cost: one round trip.
        """
        if not self.capabilities.filter_queries:
            return None
        return (yield from totals(self, self._connection, plans))

    def values(
        self, plan: Plan, fields: Sequence[str], most: int
    ) -> Pipelined[list[list[str] | None]]:
        """List values of hash fields in a sample of documents (see `valkey_vector.engines.base.Engine.values`).

        Cost: one round trip.
        """
        if isinstance(plan, NoDocument):
            return [[] for _ in fields]
        if not self.capabilities.filter_queries or not self.fits_one(plan):
            return [None] * len(fields)
        query = self.query_for(plan)
        replies = yield Request([self._sampling(query, field, most) for field in fields])
        return [
            self._metadata_in(reply) if field == METADATA else commands.groups(reply, field)
            for field, reply in zip(fields, replies, strict=True)
        ]

    def _sampling(self, query: str, field: str, limit: int) -> list[Argument]:
        if field == METADATA:
            return commands.listing_command(self.entry, query, [METADATA], limit)
        return commands.group_command(self.entry, query, field, limit)

    def _metadata_in(self, reply: Any) -> list[str]:
        return [
            row.fields.get(METADATA, b"{}").decode(errors="replace") for row in self.rows(reply)
        ]

    def grouping(
        self,
        plan: Plan,  # noqa: ARG002 - the protocol's
        keys: Sequence[str],  # noqa: ARG002 - likewise
        *,
        elements: bool,  # noqa: ARG002 - likewise
    ) -> None:
        """Return None: the server does not count by metadata keys."""
        return

    def ordering(
        self,
        plan: Plan,  # noqa: ARG002 - the protocol's
        orders: Sequence[tuple[str, bool]],  # noqa: ARG002 - likewise
        limit: int | None,  # noqa: ARG002 - likewise
    ) -> None:
        """Return None: the server does not order by metadata keys."""
        return

    def leading(
        self, plan: Plan, order: tuple[str, bool] | None, limit: int
    ) -> Pipelined[Leading | None] | None:
        """Find ranges of a numeric hash field (see `valkey_vector.engines.base.Engine.leading`), on Valkey-Search."""
        if isinstance(plan, NoDocument) or not self.is_valkey_search:
            return None
        if not self.capabilities.filter_queries or not self.fits_one(plan):
            return None
        return first_by_key(self, plan, order, limit)

    def info(self) -> IndexInfo:
        """Describe the index."""
        documents = self.count(Everything())
        described = self._described()
        schema = self.entry.schema
        failures = described.get("hash_indexing_failures", 0)
        return IndexInfo(
            name=self.entry.name,
            engine="search",
            server=self.capabilities.description,
            dimension=schema.dimension or 0,
            metric=schema.metric.value,
            algorithm=schema.algorithm.name,
            documents=documents,
            indexed=indexed_share(described),
            failures=int(failures),
            embedding_model=self.entry.embedding_model,
            slots=self.entry.slotted_paths,
            data_type=schema.data_type,
        )

    def drop(self) -> None:
        """Drop the server's index; the documents stay."""
        try:
            define(self._connection, "FT.DROPINDEX", self.entry.search_index)
        except ServerError as error:
            if not commands.index_is_missing(error.message):
                raise
