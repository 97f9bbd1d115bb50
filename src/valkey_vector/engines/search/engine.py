"""The search engine: an index kept by a search module (Valkey-Search, or RediSearch) through FT.*."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain

from valkey_vector.connection import Connection, Feature
from valkey_vector.connection.pipelines import Pipelined, requesting, run
from valkey_vector.engines.base import IndexInfo, Near
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.reading import SearchReading, indexed_share
from valkey_vector.engines.search.text import TextSearch
from valkey_vector.engines.search.writing import SearchWriting
from valkey_vector.errors import AuthenticationError, ServerError
from valkey_vector.filters.plan import Everything, NoDocument, Plan
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.rows import Row
from valkey_vector.text.bm25 import Matching, Scored

__all__ = ["SearchEngine", "is_unfinished"]


_UNREACHED = "unable to contact all cluster members"
"""FT.CREATE of Valkey-Search 1.2 where a node does not reach another; some nodes may have the index by then."""

_PAUSE = 0.2


def is_unfinished(error: ServerError) -> bool:
    """Whether some nodes of a cluster may have an index although its creation failed."""
    return _UNREACHED in error.message.lower()


class SearchEngine(SearchReading):
    """One index kept by a search module. Implements `valkey_vector.engines.base.Engine`."""

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
        """Make the server's index if it is not there; harmless when many processes do so at once.

        Nodes of a cluster that do not reach each other, as for a moment after its start, are given the time of a request.
        """
        if self.exists():
            return
        command = commands.create_command(self.entry, self.capabilities)
        deadline = time.monotonic() + self._connection.settings.request_timeout
        while True:
            try:
                self._connection.execute(*command)
            except ServerError as error:
                if "already exists" in error.message.lower():
                    return
                if not is_unfinished(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def exists(self) -> bool:
        """Whether the server has this index."""
        try:
            names = self._connection.execute("FT._LIST", retry=True)
        except AuthenticationError:
            return self._is_described()  # FT._LIST is an administrator's command in Valkey-Search
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
        """Raise unless the search module can search texts.

        Raises:
            UnsupportedFeatureError: it cannot; names the version that can.
        """
        self.capabilities.require(Feature.TEXT)

    def text_and_nearest(
        self, matching: Matching, near: Near, plan: Plan, k: int
    ) -> Pipelined[tuple[list[Scored], list[Row]]]:
        """The k best by text and the k nearest, asked for in one round trip."""
        if isinstance(plan, NoDocument):
            return [], []
        if k > self.capabilities.max_knn:
            scored = yield from self.text_best(matching, plan, k)
            return scored, (yield from self.knn(near, k, plan, ()))
        beside = self.nearest.commands(near, k, plan, ())
        scored, replies = yield from self._text.best_beside(matching, plan, k, beside)
        return scored, (yield from self.nearest.completed(replies, near, k, plan, ()))

    def forget(self, ids: Sequence[str]) -> None:
        """Nothing to do: the server takes notice itself."""

    def held(self) -> dict[str, bool]:
        """The ids that the server's index has. The server itself takes out what ended."""
        pages = self.select(Everything(), ())
        return {row.id: False for page in pages for row in page}

    def reconcile(self, ids: Sequence[str]) -> None:
        """Nothing to do: the server indexes a document when its fields are written."""

    def values(self, plan: Plan, fields: Sequence[str], most: int) -> list[list[str] | None]:
        """What hash fields hold among the documents a plan selects, in one round trip."""
        if isinstance(plan, NoDocument):
            return [[] for _ in fields]
        if not self.capabilities.filter_queries or not self.fits_one(plan):
            return [None] * len(fields)
        pieces = run(self, self.parts_of(plan))
        if any(number is None for _, number in pieces):
            return [None] * len(fields)
        queries = [self.query_for(part) for part, _ in pieces]
        asked = [
            commands.group_command(self.entry, query, field, most + 1)
            for field in fields
            for query in queries
        ]
        replies = iter(run(self, requesting(asked)))
        values: list[list[str] | None] = []
        for field in fields:
            groups = (commands.groups(next(replies), field) for _ in queries)
            held = list(dict.fromkeys(chain.from_iterable(groups)))
            values.append(None if len(held) > most else held)
        return values

    def grouping(
        self,
        plan: Plan,  # noqa: ARG002 - the protocol's
        keys: Sequence[str],  # noqa: ARG002
        *,
        elements: bool,  # noqa: ARG002
    ) -> None:
        """Return None: the server does not count by metadata keys."""
        return

    def ordering(
        self,
        plan: Plan,  # noqa: ARG002 - the protocol's
        orders: Sequence[tuple[str, bool]],  # noqa: ARG002
        limit: int | None,  # noqa: ARG002
    ) -> None:
        """Return None: the server does not order by metadata keys."""
        return

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
        )

    def drop(self) -> None:
        """Remove the server's index; documents stay."""
        try:
            self._connection.execute("FT.DROPINDEX", self.entry.search_index)
        except ServerError as error:
            if not commands.index_is_missing(error.message):
                raise
