"""The native engine: an index on plain Valkey data types, for any Valkey or Redis from 7 on.

Documents are the same hashes the search engine has, plus a change log (see `valkey_vector.engines.native.scripts`). Each process
that searches keeps a replica of vectors, tokens and words and answers from it, exactly. A search costs one round trip: the
script that returns the documents also reports whether the replica was current. If it was not, the changes are fetched
and the search is repeated, this time with every document judged by what it holds at that moment, so that a writer who goes
on writing keeps no search from ending.

Meant for a private or small server, up to a few hundred thousand vectors, which every searching process holds in
memory. On a cluster the scripts would reach across slots, so there the search engine is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress

from valkey_vector.connection import Connection, Reply
from valkey_vector.connection.pipelines import Pipelined, Request, run
from valkey_vector.engines.base import IndexInfo, Keep, Near
from valkey_vector.engines.exact import has_what_was_compared
from valkey_vector.engines.native.change_log import ChangeLog
from valkey_vector.engines.native.counting import counting
from valkey_vector.engines.native.matching import judged, judged_fields
from valkey_vector.engines.native.shared_replica import shared_replica
from valkey_vector.engines.native.text import TextScores, text_statistics
from valkey_vector.engines.native.writing import NativeWriting
from valkey_vector.engines.paging import Ranked
from valkey_vector.errors import ServerError, UnsupportedFeatureError
from valkey_vector.filters.plan import Everything, NoDocument, Plan
from valkey_vector.schema.schema import Flat
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.hashes import Documents, in_batches, row_of
from valkey_vector.storage.rows import Row, StaleIndexError
from valkey_vector.text.bm25 import Matching, Scored, Scorer, Statistics
from valkey_vector.text.vocabulary import Vocabulary

__all__ = ["NativeEngine"]

_PAGE = 1_000

_SPARE = 10
"""Candidates beyond twice the requested number, where some may no longer match."""


class NativeEngine:
    """One index on plain data types. Implements `valkey_vector.engines.base.Engine`."""

    def __init__(self, connection: Connection, entry: CatalogEntry) -> None:
        if connection.capabilities.cluster:
            raise UnsupportedFeatureError(
                "the native engine", "a cluster", "a single server, or a cluster with Valkey-Search"
            )
        self._connection = connection
        self._documents = Documents(connection, entry)
        self.slots = self._documents.slots
        own = f"{{{entry.name}}}"
        keys = [f"{own}:changes", f"{own}:deletions", f"{own}:expiry"]
        self._log = ChangeLog(self._documents, keys)
        self._shared = shared_replica(connection, entry)
        self._writing = NativeWriting(self._documents, self._log, self._shared)
        self.write = self._writing.write
        self.replace_metadata = self._writing.replace_metadata
        self.delete = self._writing.delete
        self.fetch = self._documents.fetch
        self.fetching = self._documents.fetching

    def create(self) -> None:
        """Take documents that are there already, written by the search engine for one, into the log."""
        with suppress(
            StaleIndexError
        ):  # whoever uses the engine then learns that the index was dropped
            self._log.complete()

    @property
    def entry(self) -> CatalogEntry:
        """The index, with the numeric slots bound so far."""
        return self.slots.entry

    def require_text(self) -> None:
        """Nothing to check: this engine searches texts on any server."""

    def send_requests(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]]:
        """The replies to the steps of several operations; the replica is synchronised once for all that want it."""
        if any(request.current for request in requests):
            self._shared.synchronise(self._log)
        return self._documents.send_requests(requests)

    def count(self, plan: Plan) -> int:
        """How many documents a plan selects."""
        return run(self, self.counting(plan))

    def counting(self, plan: Plan) -> Pipelined[int]:
        """`count`, in steps."""
        if isinstance(plan, NoDocument):
            return 0
        return (yield from counting(self._shared, self._log, plan))

    def values(
        self,
        plan: Plan,  # noqa: ARG002 - the protocol's
        fields: Sequence[str],
        most: int,  # noqa: ARG002
    ) -> list[list[str] | None]:
        """Nothing: no index on the server groups by a field."""
        return [None] * len(fields)

    def knn(self, near: Near, k: int, plan: Plan, fields: Sequence[str]) -> Pipelined[list[Row]]:
        """The k nearest of the documents a plan selects; exact, so `ef_runtime` is ignored."""
        return self._measured(near, plan, fields, k, math.inf)

    def within(
        self, near: Near, radius: float, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """All of the documents a plan selects up to a distance; exact."""
        return self._measured(near, plan, fields, None, radius)

    def _measured(
        self, near: Near, plan: Plan, fields: Sequence[str], k: int | None, radius: float
    ) -> Pipelined[list[Row]]:
        """The k nearest documents of a plan, or all up to a distance, as they are on the server.

        Ends after a bounded number of steps: a replica that is behind is synchronised once, documents that are gone are
        removed from it, and each repetition looks at twice as many candidates.
        """
        if isinstance(plan, NoDocument):
            return []
        shared = self._shared
        if shared.replica.sequence < 0:
            yield Request(current=True)
        wanted = self._documents.read_fields(fields)
        current, most = True, k
        while True:
            with shared.lock:
                sequence = shared.replica.sequence
                found = self._candidates(near, plan, most, radius)
            names = wanted if current else judged_fields(wanted, near, plan)
            ids = [id for _, id in found]
            commands = [
                self._log.fetching(batch, names, sequence if current else None)
                for batch in list(in_batches(ids, _PAGE)) or [()]
            ]
            replies = yield Request(commands)
            if any(reply[0] == 0 for reply in replies):
                # What synchronisation applies is as of a moment after this search began: that is new enough.
                if shared.replica.sequence == sequence:
                    yield Request(current=True)
                current, most = False, None if k is None else 2 * k + _SPARE
                continue
            shared.now = float(replies[-1][1])
            values = [each for reply in replies for each in reply[2]]
            rows = [
                None if each is None else row_of(self.entry, id, names, each)
                for id, each in zip(ids, values, strict=True)
            ]
            kept = [
                Row(row.id, row.fields, distance)
                for (distance, _), row in zip(found, rows, strict=True)
                if row is not None and has_what_was_compared(row, near, fields)
            ]
            if not current:
                kept = judged(kept, near, plan, radius=radius, now=shared.now, fields=wanted)
            missing = [id for id, row in zip(ids, rows, strict=True) if row is None]
            if missing:
                shared.forget(self._log, missing)
            if most is None or k is None or len(kept) >= k or len(found) < most:
                return kept[:k]
            most = 2 * most + _SPARE

    def _candidates(
        self, near: Near, plan: Plan, most: int | None, radius: float
    ) -> list[tuple[float, str]]:
        replica, now = self._shared.replica, self._shared.now
        if most is None:
            return replica.within(near, radius, plan, now)
        return replica.nearest(near, most, plan, now)

    def vocabulary(self) -> Vocabulary:
        """The words that occur in the index's texts."""
        self._shared.synchronise(self._log)
        with self._shared.lock:
            return self._shared.replica.vocabulary()

    def text_statistics(self, matching: Matching) -> Pipelined[Statistics]:
        """The index's statistics that BM25 needs for a text query."""
        yield Request(current=True)
        with self._shared.lock:
            return text_statistics(self._shared.replica, matching, self._shared.now)

    def text_best(self, matching: Matching, plan: Plan, k: int) -> Pipelined[list[Scored]]:
        """The k best answers to a text query. One round trip synchronises the replica, and if the order of words counts
        others fetch the words of the documents in question.
        """
        yield Request(current=True)
        with self._shared.lock:
            return self._text_best(matching, plan, k)

    def text_and_nearest(
        self, matching: Matching, near: Near, plan: Plan, k: int
    ) -> Pipelined[tuple[list[Scored], list[Row]]]:
        """The k best by text and the k nearest, as of the same moment."""
        yield Request(current=True)
        with self._shared.lock:
            scored = self._text_best(matching, plan, k)
            nearest = self._candidates(near, plan, k, math.inf)
        return scored, [Row(id, {}, distance) for distance, id in nearest]

    def selecting(
        self, plan: Plan, fields: Sequence[str], limit: int | None, keep: Keep | None
    ) -> Pipelined[list[Row]]:
        """The oldest of the documents a plan selects."""
        if isinstance(plan, NoDocument):
            return []
        yield Request(current=True)
        ids = self._selected(plan)
        few = limit is not None and keep is None
        chosen: list[Row] = []
        for batch in in_batches(ids, min(limit or 1, _PAGE) if few else _PAGE):
            found = yield from self._documents.fetching(batch, fields)
            rows = [row for row in found if row is not None]
            chosen += rows if keep is None else keep(rows)
            if limit is not None and len(chosen) >= limit:
                break
        return chosen[:limit]

    def select(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        """All documents a plan selects, oldest first, as of the first page."""
        if isinstance(plan, NoDocument):
            return
        self._shared.synchronise(self._log)
        for batch in in_batches(self._selected(plan), _PAGE):
            page = [row for row in self.fetch(batch, fields) if row is not None]
            if page:
                yield page

    def fit(self, plan: Plan) -> Plan:
        """The plan itself: there is no parser whose limits it could exceed."""
        return plan

    def indexed_share(self) -> float:
        """Always 1: a search synchronises the replica itself."""
        return 1.0

    def info(self) -> IndexInfo:
        """Describe the index."""
        schema = self.entry.schema
        return IndexInfo(
            name=self.entry.name,
            engine="native",
            server=self._connection.capabilities.description,
            dimension=schema.dimension or 0,
            metric=schema.metric.value,
            algorithm=Flat.name,
            documents=self.count(Everything()),
            indexed=1.0,
            failures=0,
            embedding_model=self.entry.embedding_model,
            slots=self.entry.slotted_paths,
        )

    def drop(self) -> None:
        """Remove the change log, unless the index was created again meanwhile; documents stay."""
        self._log.drop()

    def forget(self, ids: Sequence[str]) -> None:
        """Documents that expired, were evicted or deleted by hand: remove them from the replica."""
        self._shared.forget(self._log, ids)
        self._shared.look_through(self._log)

    def held(self) -> dict[str, bool]:
        """The ids that the change log has. Those that ended stay in it for a while."""
        return self._log.held()

    def reconcile(self, ids: Sequence[str]) -> None:
        """Bring the change log up to date for some ids."""
        self._log.reconcile(ids)

    def _selected(self, plan: Plan) -> list[str]:
        with self._shared.lock:
            return self._shared.replica.select(plan, self._shared.now)

    def _text_best(self, matching: Matching, plan: Plan, k: int) -> list[Scored]:
        replica, now = self._shared.replica, self._shared.now
        statistics = text_statistics(replica, matching, now)
        scores = TextScores(replica, Scorer(matching, statistics), plan, now)
        rows = self.fetch(scores.sequences, matching.fields)
        best = scores.best(k, {row.id: row.fields for row in rows if row is not None})
        return Ranked(best, replica.versions(id for _, id in best))
