"""The native engine: an index on plain Valkey data types, for any Valkey or Redis from 7 on.

Documents are the same hashes the search engine has, plus a change log (see `valkey_vector.engines.scripts`). Each process
that searches keeps a replica of vectors, tokens and words and answers from it, exactly. A search costs one round trip: the script that
brings the documents also tells whether the replica was current; if not, what changed is
fetched and the search is done again.

Meant for a private or small server, up to a few hundred thousand vectors, which every searching process holds in
memory. On a cluster the scripts would reach across slots, so there the search engine is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from valkey_vector.catalog import CatalogEntry, vector_name
from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.document import CREATED, EXPIRES
from valkey_vector.engines import scripts
from valkey_vector.engines.base import IndexInfo, Keep, Near, Row
from valkey_vector.engines.comparison import has_what_was_compared
from valkey_vector.engines.documents import Documents, in_batches, row_of
from valkey_vector.engines.native_text import TextScores, text_statistics
from valkey_vector.engines.native_writing import NativeWriting
from valkey_vector.engines.replica import Replica
from valkey_vector.engines.steps import Ask, Steps, alone
from valkey_vector.errors import ServerError, UnsupportedFeatureError
from valkey_vector.filters.plan import TAGS, Everything, NoDocument, Plan
from valkey_vector.text.bm25 import Matching, Scored, Scorer, Statistics
from valkey_vector.text.fields import indexed_texts
from valkey_vector.text.vocabulary import Vocabulary

__all__ = ["NativeEngine"]

_CHANGES = 1_000
"""Changed documents brought in one round trip."""

_PAGE = 1_000


class NativeEngine:
    """One index on plain data types. Implements `valkey_vector.engines.base.Engine`."""

    def __init__(self, connection: Connection, entry: CatalogEntry) -> None:
        if connection.capabilities.cluster:
            raise UnsupportedFeatureError(
                "the native engine", "a cluster", "a single server, or a cluster with Valkey-Search"
            )
        self.entry = entry
        self._connection = connection
        own = f"{{{entry.name}}}"
        self._log_keys = [f"{own}:changes", f"{own}:deletions", f"{own}:expiry"]
        self._documents = Documents(connection, entry)
        self._writing = NativeWriting(self._documents, self._log_keys)
        self._vectors = [vector_name(field.name) for field in entry.schema.vector_fields]
        self._numeric = [f"n{number}" for number in range(entry.schema.numeric_slots)]
        self._numeric += entry.declared_numeric_fields
        texts = indexed_texts(entry.schema)
        self._words = list(
            dict.fromkeys(name for each in texts for name in (each.words, each.stems))
        )
        self._replica = self._empty()
        self._now = 0.0
        self._lock = threading.RLock()
        self.write = self._writing.write
        self.replace_metadata = self._writing.replace_metadata
        self.delete = self._writing.delete
        self.fetch = self._documents.fetch
        self.fetching = self._documents.fetching

    def create(self) -> None:
        """Take documents that are there already, written by the search engine for one, into the log."""
        prefix = self.entry.prefix
        for keys in self._connection.scan(f"{prefix}*"):
            for batch in in_batches(keys, _CHANGES):
                ids = [key.decode()[len(prefix) :] for key in batch]
                self._writing.script(scripts.REGISTER, [], prefix, *ids)

    def learn(self, entry: CatalogEntry) -> None:
        """Take over a newer state of the index's record."""
        self.entry = self._documents.entry = entry

    def ask(self, asks: Sequence[Ask]) -> list[list[Reply | ServerError]]:
        """The replies to the steps of several operations; the replica is brought up to date once for all who want it."""
        if any(ask.current for ask in asks):
            with self._lock:
                self._synchronise()
        return self._documents.ask(asks)

    def count(self, plan: Plan) -> int:
        """How many documents a plan selects."""
        return alone(self, self.counting(plan))

    def counting(self, plan: Plan) -> Steps[int]:
        """`count`, in steps."""
        if isinstance(plan, NoDocument):
            return 0
        yield Ask(current=True)
        with self._lock:
            return self._replica.count(plan, self._now)

    def values(
        self,
        plan: Plan,  # noqa: ARG002 - the protocol's
        fields: Sequence[str],
        most: int,  # noqa: ARG002
    ) -> list[list[str] | None]:
        """Nothing: no index on the server groups by a field."""
        return [None] * len(fields)

    def knn(self, near: Near, k: int, plan: Plan, fields: Sequence[str]) -> Steps[list[Row]]:
        """The k nearest of the documents a plan selects; exact, so `ef_runtime` is of no concern."""
        return self._measured(
            lambda: self._replica.nearest(near, k, plan, self._now), near, plan, fields
        )

    def within(
        self, near: Near, radius: float, plan: Plan, fields: Sequence[str]
    ) -> Steps[list[Row]]:
        """All of the documents a plan selects up to a distance; exact."""
        return self._measured(
            lambda: self._replica.within(near, radius, plan, self._now), near, plan, fields
        )

    def _measured(
        self,
        search: Callable[[], list[tuple[float, str]]],
        near: Near,
        plan: Plan,
        fields: Sequence[str],
    ) -> Steps[list[Row]]:
        """What a search of the replica finds, with the documents' fields, which tell whether the replica was current."""
        if isinstance(plan, NoDocument):
            return []
        wanted = self._documents.read_fields(fields)
        if self._replica.sequence < 0:
            yield Ask(current=True)
        checked = True
        while True:
            with self._lock:
                sequence = self._replica.sequence
                nearest = search()
            ids = [id for _, id in nearest]
            known = sequence if checked else None
            batches = list(in_batches(ids, _PAGE)) or [()]
            replies = yield Ask([self._bringing(batch, wanted, known) for batch in batches])
            if any(reply[0] == 0 for reply in replies):
                # Current when it was synchronised, which was after this search began: that is enough, and a
                # steady writer cannot keep the search from ending.
                if self._replica.sequence == sequence:
                    yield Ask(current=True)
                checked = False
                continue
            values = [found for reply in replies for found in reply[1]]
            rows = [
                row_of(self.entry, id, wanted, found) for id, found in zip(ids, values, strict=True)
            ]
            missing = [id for id, row in zip(ids, rows, strict=True) if row is None]
            if not missing:
                return [
                    Row(row.id, row.fields, distance)
                    for (distance, _), row in zip(nearest, rows, strict=True)
                    if row is not None and has_what_was_compared(row, near, fields)
                ]
            self.forget(missing)

    def vocabulary(self) -> Vocabulary:
        """The words that occur in the index's texts."""
        with self._lock:
            self._synchronise()
            return self._replica.vocabulary()

    def text_statistics(self, matching: Matching) -> Steps[Statistics]:
        """What BM25 has to know of the index for a text query."""
        yield Ask(current=True)
        with self._lock:
            return text_statistics(self._replica, matching, self._now)

    def text_best(self, matching: Matching, plan: Plan, k: int) -> Steps[list[Scored]]:
        """The k best answers to a text query. One round trip brings the replica up to date, and if the
        order of words counts others bring the words of the documents in question.
        """
        yield Ask(current=True)
        with self._lock:
            return self._text_best(matching, plan, k)

    def text_and_nearest(
        self, matching: Matching, near: Near, plan: Plan, k: int
    ) -> Steps[tuple[list[Scored], list[Row]]]:
        """The k best by text and the k nearest, as of the same moment."""
        yield Ask(current=True)
        with self._lock:
            scored = self._text_best(matching, plan, k)
            nearest = self._replica.nearest(near, k, plan, self._now)
        return scored, [Row(id, {}, distance) for distance, id in nearest]

    def selecting(
        self, plan: Plan, fields: Sequence[str], limit: int | None, keep: Keep | None
    ) -> Steps[list[Row]]:
        """The oldest of the documents a plan selects."""
        if isinstance(plan, NoDocument):
            return []
        yield Ask(current=True)
        with self._lock:
            ids = self._replica.select(plan, self._now)
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
        with self._lock:
            self._synchronise()
            ids = self._replica.select(plan, self._now)
        for batch in in_batches(ids, _PAGE):
            page = [row for row in self.fetch(batch, fields) if row is not None]
            if page:
                yield page

    def fit(self, plan: Plan) -> Plan:
        """The plan itself: there is no parser whose limits it could exceed."""
        return plan

    def indexed_share(self) -> float:
        """Always 1: a search brings the replica up to date itself."""
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
            algorithm=schema.algorithm.name,
            documents=self.count(Everything()),
            indexed=1.0,
            failures=0,
            embedding_model=self.entry.embedding_model,
            slots=self.entry.slotted_paths,
        )

    def drop(self) -> None:
        """Remove the change log; documents stay."""
        self._connection.execute("DEL", *self._log_keys)

    def _empty(self) -> Replica:
        return Replica(self.entry.schema.vector_fields, self._words)

    def _text_best(self, matching: Matching, plan: Plan, k: int) -> list[Scored]:
        statistics = text_statistics(self._replica, matching, self._now)
        scores = TextScores(self._replica, Scorer(matching, statistics), plan, self._now)
        rows = self.fetch(scores.sequences, matching.fields)
        return scores.best(k, {row.id: row.fields for row in rows if row is not None})

    def _synchronise(self) -> None:
        """Apply what changed since last time: one round trip when little did."""
        fields = [CREATED, EXPIRES, *self._vectors, TAGS, *self._numeric, *self._words]
        fields = self._documents.read_fields(fields)
        deleted_since = since = self._replica.sequence
        while True:
            reply = self._writing.script(
                scripts.SYNC, [], "log", str(since), str(deleted_since), str(_CHANGES),
                self.entry.prefix, str(len(fields)), *fields,
            )  # fmt: skip
            if reply[0] == b"reload":
                self._replica = self._empty()
                deleted_since = since = -1
                continue
            _, sequence, now, deleted, changed = reply
            for id in deleted:
                self._replica.remove(id.decode())
            self._apply(changed, fields)
            self._now = float(now)
            if len(changed) < _CHANGES:
                self._replica.sequence = int(sequence)
                self._replica.pack()
                return
            since = int(changed[-1][1])

    def _apply(self, changed: Sequence[Any], fields: Sequence[str]) -> None:
        for raw_id, _, values in changed:
            row = row_of(self.entry, raw_id.decode(), fields, values)
            if row is None:
                self._replica.remove(raw_id.decode())
            else:
                self._replica.put(row.id, row.fields)

    def _bringing(
        self, ids: Sequence[str], fields: Sequence[str], sequence: int | None
    ) -> list[Argument]:
        """The command for documents' fields; its reply begins with 0 if the replica is behind `sequence`."""
        known = "" if sequence is None else str(sequence)
        arguments = [known, self.entry.prefix, str(len(fields)), *fields, *ids]
        return self._writing.scripted(scripts.FETCH, [], *arguments)

    def forget(self, ids: Sequence[str]) -> None:
        """Documents that expired, were evicted or deleted by hand: take them out of the log."""
        self._writing.script(scripts.FORGET, [], "log", self.entry.prefix, *ids)
        with self._lock:
            self._synchronise()
