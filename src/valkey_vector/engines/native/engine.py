"""The native engine: an index on plain Valkey data types, for any Valkey or Redis from 7 on.

Documents are the same hashes as with the search engine, plus a change log (see `valkey_vector.engines.native.scripts`). Each
process that searches keeps a replica of vectors, tokens and terms, and searches it exactly. A search costs one round trip:
the script that returns the documents also reports whether the replica was current. If it was not, the changes are fetched
and the search is repeated. The repetition checks each document by its current content, so it ends even if other clients
keep writing.

The engine suits a private or small server with up to a few hundred thousand vectors, because every searching process holds
them in memory. It does not support clusters: its scripts use keys of several slots.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress

from valkey_vector.connection import Connection, Reply
from valkey_vector.connection.pipelines import Pipelined, Request, run
from valkey_vector.engines.base import Grouped, IndexInfo, Keep, Near
from valkey_vector.engines.exact import has_what_was_compared
from valkey_vector.engines.native.change_log import ChangeLog
from valkey_vector.engines.native.counting import counting
from valkey_vector.engines.native.grouping import grouped
from valkey_vector.engines.native.matching import judged, judged_fields
from valkey_vector.engines.native.packed_keys import ChosenTexts
from valkey_vector.engines.native.replica import Replica
from valkey_vector.engines.native.shared_replica import shared_replica
from valkey_vector.engines.native.sorting import ordered_rows
from valkey_vector.engines.native.text import TextScores, text_statistics
from valkey_vector.engines.native.writing import NativeWriting
from valkey_vector.engines.paging import PageSize, Ranked
from valkey_vector.errors import ServerError, UnsupportedFeatureError
from valkey_vector.filters.plan import Everything, NoDocument, Plan
from valkey_vector.schema.schema import Flat
from valkey_vector.storage.catalog import CatalogEntry, change_log_keys, has_hash_tag
from valkey_vector.storage.hashes import Documents, in_batches, row_of
from valkey_vector.storage.rows import Row, StaleIndexError
from valkey_vector.text.bm25 import Matching, Scored, Scorer, Statistics
from valkey_vector.text.vocabulary import Vocabulary

__all__ = ["NativeEngine"]

_PAGE = 1_000
_FIRST_PAGE = 100

_SPARE = 10
"""Candidates beyond twice the requested number, if some may no longer match."""


class NativeEngine:
    """One index on plain data types. Implements `valkey_vector.engines.base.Engine`."""

    def __init__(self, connection: Connection, entry: CatalogEntry) -> None:
        if connection.capabilities.cluster and not has_hash_tag(entry.name):
            raise UnsupportedFeatureError(
                f"the native engine for index {entry.name!r}",
                "a cluster",
                "a single server, a cluster with Valkey-Search, or a name with a hash tag, such as "
                f"{'{tenant}' + entry.name!r}",
            )
        self._connection = connection
        self._documents = Documents(connection, entry)
        self.slots = self._documents.slots
        self._log = ChangeLog(self._documents, change_log_keys(entry.name))
        self._shared = shared_replica(connection, entry)
        self._writing = NativeWriting(self._documents, self._log, self._shared)
        self.write = self._writing.write
        self.replace_metadata = self._writing.replace_metadata
        self.delete = self._writing.delete
        self.fetch = self._documents.fetch
        self.fetching = self._documents.fetching

    def create(self) -> None:
        """Add existing documents to the change log, such as those written by the search engine."""
        # The next operation reports that the index was dropped.
        with suppress(StaleIndexError):
            self._log.complete()

    @property
    def entry(self) -> CatalogEntry:
        """The catalog entry of the index, with the numeric slots bound so far."""
        return self.slots.entry

    def require_text(self) -> None:
        """Do nothing: this engine searches texts on any server."""

    def send_requests(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]]:
        """Send several requests in one round trip; synchronize the replica first if one of them requires it."""
        if any(request.current for request in requests):
            self._shared.synchronize(self._log)
        return self._documents.send_requests(requests)

    def count(self, plan: Plan) -> int:
        """Count the documents that a plan selects."""
        return run(self, self.counting(plan))

    def counting(self, plan: Plan) -> Pipelined[int]:
        """Pipelined `count`."""
        if isinstance(plan, NoDocument):
            return 0

        def count(replica: Replica, now: float) -> int:
            return replica.count(plan, now)

        return (yield from counting(self._shared, self._log, plan, count))

    def grouping(self, plan: Plan, keys: Sequence[str], *, elements: bool) -> Pipelined[Grouped]:
        """Count the selected documents by the values of metadata keys.

        Cost: the round trips of `count`.
        """

        def count(replica: Replica, now: float) -> Grouped:
            return grouped(replica, plan, keys, now, elements=elements)

        return (yield from counting(self._shared, self._log, plan, count))

    def ordering(
        self, plan: Plan, orders: Sequence[tuple[str, bool]], limit: int | None
    ) -> Pipelined[list[Row] | None]:
        """Retrieve the ids and versions of the selected documents in an order of numbers.

        Cost: one round trip.
        """
        yield Request(current=True)
        with self._shared.lock:
            replica = self._shared.replica
            now = self._shared.now
            rows = ordered_rows(replica, self.entry, plan, orders, limit=limit, now=now)
            return None if rows is None else replica.identities(rows)

    def leading(
        self,
        plan: Plan,  # noqa: ARG002 - the protocol's
        order: tuple[str, bool] | None,  # noqa: ARG002 - likewise
        limit: int,  # noqa: ARG002 - likewise
    ) -> None:
        """Return None: `ordering` knows every order by numbers."""
        return

    def state(self) -> Pipelined[object | None]:
        """Return None: the replica counts all values at once (see `grouping`)."""
        return None
        yield  # a generator, as the protocol says

    def is_settled(self, state: object) -> Pipelined[bool]:  # noqa: ARG002 - the protocol's
        """Return False, as there is no `state`."""
        return False
        yield

    def changes(self, before: object, now: object) -> Pipelined[None]:  # noqa: ARG002 - the protocol's
        """Return None, as for `state`."""
        return None
        yield

    def totals(self, plans: Sequence[Plan]) -> Pipelined[list[int] | None]:  # noqa: ARG002 - the protocol's
        """Return None, as for `state`."""
        return None
        yield

    def values(
        self,
        plan: Plan,  # noqa: ARG002 - the protocol's
        fields: Sequence[str],
        most: int,  # noqa: ARG002 - likewise
    ) -> Pipelined[list[list[str] | None]]:
        """Return None for each field: no index on the server groups by a field."""
        return [None] * len(fields)
        yield  # a generator, as the protocol says

    def knn(self, near: Near, k: int, plan: Plan, fields: Sequence[str]) -> Pipelined[list[Row]]:
        """Retrieve the k nearest of the selected documents. The search is exact, so `ef_runtime` is ignored.

        Cost: one round trip if the replica is current.
        """
        return self._measured(near, plan, fields, k, math.inf)

    def nearest_hits(self, near: Near, k: int, fields: Sequence[str]) -> None:
        """Return None: `knn` has what it needs in this process."""

    def within(
        self, near: Near, radius: float, plan: Plan, fields: Sequence[str]
    ) -> Pipelined[list[Row]]:
        """Retrieve all selected documents up to a distance. The search is exact.

        Cost: one round trip for 1,000 documents if the replica is current.
        """
        return self._measured(near, plan, fields, None, radius)

    def _measured(
        self, near: Near, plan: Plan, fields: Sequence[str], k: int | None, radius: float
    ) -> Pipelined[list[Row]]:
        """Retrieve the k nearest documents of a plan, or all up to a distance, with their current content.

        The number of steps is bounded: an outdated replica is synchronized once, removed documents are removed from it, and
        each repetition doubles the number of candidates.
        """
        if isinstance(plan, NoDocument):
            return []
        shared = self._shared
        yield from shared.with_own_writes(self._log)
        wanted = self._documents.read_fields(fields)
        current, limit = True, k
        while True:
            with shared.lock:
                sequence = shared.replica.sequence
                found = self._candidates(near, plan, limit, radius)
            names = wanted if current else judged_fields(wanted, near, plan)
            ids = [id for _, id in found]
            commands = [
                self._log.fetching(batch, names, sequence if current else None)
                for batch in list(in_batches(ids, _PAGE)) or [()]
            ]
            replies = yield Request(commands)
            if any(reply[0] == 0 for reply in replies):
                # A synchronization by another thread since then also counts: it began after this search.
                if shared.replica.sequence == sequence:
                    yield Request(current=True)
                current, limit = False, None if k is None else 2 * k + _SPARE
                continue
            shared.now = float(replies[-1][1])
            with shared.lock:  # the candidates were chosen at an earlier time
                ended = shared.replica.ended(ids, shared.now)
            values = [each for reply in replies for each in reply[2]]
            rows = [
                None if each is None else row_of(self.entry, id, names, each)
                for id, each in zip(ids, values, strict=True)
            ]
            matching = [
                Row(row.id, row.fields, distance)
                for (distance, _), row in zip(found, rows, strict=True)
                if row is not None
                and row.id not in ended
                and has_what_was_compared(row, near, fields)
            ]
            if not current:
                matching = judged(
                    matching, near, plan, radius=radius, now=shared.now, fields=wanted
                )
            missing = [id for id, row in zip(ids, rows, strict=True) if row is None]
            if missing:
                shared.forget(self._log, missing)
            if limit is None or k is None or len(matching) >= k or len(found) < limit:
                return matching[:k]
            limit = 2 * limit + _SPARE

    def _candidates(
        self, near: Near, plan: Plan, limit: int | None, radius: float
    ) -> list[tuple[float, str]]:
        replica, now = self._shared.replica, self._shared.now
        if limit is None:
            return replica.within(near, radius, plan, now)
        return replica.nearest(near, limit, plan, now)

    def vocabulary(self) -> Vocabulary:
        """The terms of the index."""
        self._shared.synchronize(self._log)
        with self._shared.lock:
            return self._shared.replica.vocabulary()

    def text_statistics(self, matching: Matching) -> Pipelined[Statistics]:
        """Compute the BM25 statistics of the index for a text query.

        Cost: one round trip.
        """
        yield Request(current=True)
        with self._shared.lock:
            return text_statistics(self._shared.replica, matching, self._shared.now)

    def text_best(self, matching: Matching, plan: Plan, k: int) -> Pipelined[list[Scored]]:
        """Rank the selected documents by BM25, and return the k best.

        Cost: one round trip, and for phrases additional ones that fetch the terms of the candidates.
        """
        yield Request(current=True)
        with self._shared.lock:
            return self._text_best(matching, plan, k)

    def text_and_nearest(
        self, matching: Matching, near: Near, plan: Plan, k: int
    ) -> Pipelined[tuple[list[Scored], list[Row]]]:
        """Run `text_best` and `knn` on the same state of the replica.

        Cost: the round trips of `text_best`.
        """
        yield Request(current=True)
        with self._shared.lock:
            scored = self._text_best(matching, plan, k)
            nearest = self._candidates(near, plan, k, math.inf)
        return scored, [Row(id, {}, distance) for distance, id in nearest]

    def selecting(
        self, plan: Plan, fields: Sequence[str], limit: int | None, keep: Keep | None
    ) -> Pipelined[list[Row]]:
        """Retrieve the selected documents that `keep` returns, all or the first `limit`, oldest first.

        Cost: one round trip, and one for each page.
        """
        if isinstance(plan, NoDocument):
            return []
        yield Request(current=True)
        ids = self._selected(plan)
        few = limit is not None and keep is None
        size = min(limit or 1, _PAGE) if few else _PAGE
        chosen: list[Row] = []
        for first in range(0, len(ids), size):
            batch = self._part(ids, first, size)
            found = yield from self._documents.fetching(batch, fields)
            rows = [row for row in found if row is not None]
            chosen += rows if keep is None else keep(rows)
            if limit is not None and len(chosen) >= limit:
                break
        return chosen[:limit]

    def select(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        """Iterate over the selected documents in pages, oldest first, as selected at the first page.

        Cost: one round trip, and one for each page. The first page is small, so that a caller that needs few documents
        reads few; later ones have up to 1,000 documents, or fewer if these are large.
        """
        if isinstance(plan, NoDocument):
            return
        self._shared.synchronize(self._log)
        ids, first = self._selected(plan), 0
        size = PageSize(_FIRST_PAGE, _PAGE)
        while first < len(ids):
            batch = self._part(ids, first, size.rows)
            first += len(batch)
            page = [row for row in self.fetch(batch, fields) if row is not None]
            size.learn(page)
            if page:
                yield page

    def fit(self, plan: Plan) -> Plan:
        """Return the plan: this engine evaluates plans of any size."""
        return plan

    def indexed_share(self) -> float:
        """Return 1: every search synchronizes the replica."""
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
            data_type=schema.data_type,
        )

    def drop(self) -> None:
        """Remove the change log, unless the index was created again meanwhile. Documents stay."""
        self._log.drop()

    def forget(self, ids: Sequence[str]) -> None:
        """Remove from the replica documents that expired, were evicted or deleted by another program."""
        self._shared.forget(self._log, ids)
        self._shared.check_all(self._log)

    def held(self) -> dict[str, bool]:
        """The ids in the change log, each with True if its document may have expired."""
        return self._log.held()

    def reconcile(self, ids: Sequence[str]) -> None:
        """Add existing documents to the change log, and remove missing ones."""
        self._log.reconcile(ids)

    def _selected(self, plan: Plan) -> ChosenTexts:
        with self._shared.lock:
            return self._shared.replica.select(plan, self._shared.now)

    def _part(self, ids: ChosenTexts, first: int, size: int) -> list[str]:
        with self._shared.lock:
            return ids.part(first, size)

    def _text_best(self, matching: Matching, plan: Plan, k: int) -> list[Scored]:
        replica, now = self._shared.replica, self._shared.now
        statistics = text_statistics(replica, matching, now)
        scores = TextScores(replica, Scorer(matching, statistics), plan, now)
        rows = self.fetch(scores.sequences, matching.fields)
        best = scores.best(k, {row.id: row.fields for row in rows if row is not None})
        return Ranked(best, replica.versions(id for _, id in best))
