"""`Index`: records stored and searched under one name, on whichever engine the server offers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from valkey_vector import queries
from valkey_vector.arguments import FilterLike, as_filter, check_ids, check_k, check_window
from valkey_vector.asynchrony import twin
from valkey_vector.bulk import BulkWriter
from valkey_vector.connection import Connection
from valkey_vector.document import decode_record, record_fields
from valkey_vector.engines.base import Engine, IndexInfo, Row
from valkey_vector.errors import ConfigurationError, RequestTimeoutError
from valkey_vector.lifecycle import EngineChoice, Lifecycle, Request, not_found
from valkey_vector.metadata_update import MetadataUpdate
from valkey_vector.ranking import maximal_marginal_relevance
from valkey_vector.record import Hit, Record, Vector, WritePolicy, WriteResult
from valkey_vector.schema import Algorithm, Metric, Schema
from valkey_vector.vectors import check_vector

__all__ = ["Index"]


class Index:
    """A named collection of records with vectors, text and metadata.

    Open one with `Index.open`. It may be used from any number of threads and event loops, and by forked
    children. Every method has an asynchronous twin named with a leading ``a``; cancelling one stops the waiting, not
    the command. An index that does not exist reads as empty and is made by the first write; an outage always raises.
    """

    def __init__(self, lifecycle: Lifecycle, *, owns_connection: bool) -> None:
        self._lifecycle = lifecycle
        self._owns_connection = owns_connection

    @classmethod
    def open(
        cls,
        name: str,
        *,
        dimension: int | None = None,
        url: str | None = None,
        connection: Connection | None = None,
        metric: Metric | str | None = None,
        algorithm: Algorithm | str | None = None,
        schema: Schema | Mapping[str, Any] | str | Path | None = None,
        engine: EngineChoice = "auto",
        embedding_model: str | None = None,
        must_exist: bool = False,
    ) -> Index:
        """Open an index, or prepare to make it. Nothing is asked of the server yet unless `must_exist`.

        Args:
            name: letters, digits, ``_``, ``-`` and ``.``.
            dimension: length of the vectors; by default the existing index's, or the first vector's.
            url: the server (see `Connection.open`); by default ``VALKEY_URL`` or the embedded server.
            connection: an open connection to use instead; it is not closed with the index.
            metric: COSINE (default for a new index), L2 or IP.
            algorithm: `Hnsw` (default for a new index) or `Flat`, or its name.
            schema: all settings at once, as a `Schema`, a dict or a YAML file.
            engine: ``auto``, or insist on ``search`` or ``native``.
            embedding_model: recorded with a new index; opening it for another model is an error.
            must_exist: raise now if there is no such index.

        Raises:
            ConfigurationError: a setting is wrong.
            IndexNotFoundError: `must_exist`, and there is none.
            IndexMismatchError: the index exists with other settings than given here. Without `must_exist` this is
                found out at first use.
        """
        if engine not in ("auto", "search", "native"):
            raise ConfigurationError(f"engine must be 'auto', 'search' or 'native', not {engine!r}")
        if connection is not None and url is not None:
            raise ConfigurationError("give url or connection, not both")
        full = Schema.of(schema, dimension=dimension, metric=metric, algorithm=algorithm)
        asked = {
            "dimension": full.dimension is not None,
            "metric": metric is not None or schema is not None,
            "algorithm": algorithm is not None or schema is not None,
            "algorithm settings": schema is not None or not isinstance(algorithm, str | None),
            "fields": schema is not None,
            "numeric_slots": schema is not None,
            "engine": engine != "auto",
            "embedding_model": embedding_model is not None,
        }
        request = Request(
            full, engine, embedding_model, frozenset(name for name, told in asked.items() if told)
        )
        opened = connection if connection is not None else Connection.open(url)
        index = cls(Lifecycle(opened, name, request), owns_connection=connection is None)
        if must_exist and index._lifecycle.existing() is None:
            raise not_found(name)
        return index

    @property
    def name(self) -> str:
        """The index's name."""
        return self._lifecycle.name

    @property
    def connection(self) -> Connection:
        """The connection it uses."""
        return self._lifecycle.connection

    @property
    def schema(self) -> Schema:
        """Its schema: the server's if the index exists, else the one it would be made with."""
        return self._lifecycle.known_schema()

    @property
    def metric(self) -> Metric:
        """How its vectors are compared."""
        return self.schema.metric

    def exists(self) -> bool:
        """Whether the index exists on the server."""
        return self._lifecycle.existing() is not None

    def create(self) -> None:
        """Make the index now if it does not exist, instead of at the first write.

        Raises:
            ConfigurationError: its dimension is not known.
            IndexMismatchError: it exists with other settings.
        """
        self._lifecycle.write(lambda _: None, None)

    def upsert(
        self,
        records: Iterable[Record],
        *,
        policy: WritePolicy | str = WritePolicy.OVERWRITE,
        ttl: float | None = None,
        batch_size: int = 100,
        progress: bool | None = None,
        total: int | None = None,
    ) -> WriteResult:
        """Store records, each atomically and with all its fields replaced.

        Args:
            records: a list, or any iterable, which is read as it is written.
            policy: what to do with ids that are stored already: OVERWRITE, SKIP or FAIL.
            ttl: seconds until these records are gone; None keeps them.
            batch_size: records in one request; several requests are under way at a time.
            progress: show a bar; None shows one on a terminal if there is more than one batch.
            total: how many records there are, for the bar, if `records` cannot tell.

        Raises:
            InvalidInputError: a record is not acceptable, or an id occurs twice. Of a list nothing was written.
            DuplicateIdError: the policy is FAIL and ids are stored already. Of a list nothing was written.
            PartialWriteError: some records were not written; says which.
        """
        writer = BulkWriter(
            self._lifecycle,
            policy=WritePolicy.parse(policy),
            ttl=ttl,
            batch_size=batch_size,
            progress=progress,
        )
        return writer.write(records, total)

    def get(
        self, ids: Sequence[str], *, with_vectors: bool = False, with_payloads: bool = False
    ) -> list[Record | None]:
        """Records by id, in that order; None for an id that is not stored. One round trip for each 500."""
        wanted = check_ids(ids)
        fields = record_fields(vectors=with_vectors, payloads=with_payloads)
        nothing: list[Row | None] = [None] * len(wanted)
        rows = self._lifecycle.read(lambda engine: engine.fetch(wanted, fields), nothing)
        return [None if row is None else decode_record(row.id, row.fields) for row in rows]

    def delete(self, ids: Sequence[str]) -> int:
        """Remove records by id; returns how many were there. An empty list removes nothing."""
        wanted = list(dict.fromkeys(check_ids(ids)))
        return self._lifecycle.read(lambda engine: engine.delete(wanted), 0) if wanted else 0

    def delete_by_filter(self, filter: FilterLike) -> int:
        """Remove the records that match; returns how many that were."""
        chosen = as_filter(filter)

        def delete(engine: Engine) -> int:
            query = queries.prepare_query(self._lifecycle, engine, chosen)
            return queries.delete(engine, query)

        return self._lifecycle.read(delete, 0)

    def delete_all(self) -> int:
        """Remove every record and keep the index; returns how many there were."""

        def delete(engine: Engine) -> int:
            return queries.delete(engine, queries.prepare_query(self._lifecycle, engine, None))

        return self._lifecycle.read(delete, 0)

    def update_metadata(self, which: FilterLike | Sequence[str], changes: Mapping[str, Any]) -> int:
        """Set metadata keys of records, keeping the others, their text, vector and time to live.

        Each record is changed atomically; one that somebody else changes meanwhile is read again.

        Args:
            which: a filter, or a list of ids.
            changes: keys and their new values. None makes a key count as missing.

        Returns:
            How many records were changed.

        Raises:
            InvalidInputError: a value cannot be stored; nothing was changed.
        """
        update = MetadataUpdate(self._lifecycle, changes)
        if isinstance(which, Sequence):
            wanted = check_ids(which)
            return self._lifecycle.read(lambda engine: update.of_ids(engine, wanted), 0)
        chosen = as_filter(which)
        return self._lifecycle.read(lambda engine: update.of_matching(engine, chosen), 0)

    def count(self, filter: FilterLike | None = None) -> int:
        """How many records match; without a filter, how many there are."""
        chosen = None if filter is None else as_filter(filter)

        def count(engine: Engine) -> int:
            return queries.count(engine, queries.prepare_query(self._lifecycle, engine, chosen))

        return self._lifecycle.read(count, 0)

    def search(
        self,
        vector: Vector,
        *,
        k: int = 4,
        filter: FilterLike | None = None,
        ef_runtime: int | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
    ) -> list[Hit]:
        """The k records nearest to a vector, nearest first, ties by id; fewer only if there are fewer.

        Args:
            vector: finite floats, as many as the index's dimension.
            k: at least 1. Beyond what the server's vector search allows (10,000) all records are compared.
            filter: only records that match.
            ef_runtime: for HNSW, candidates to look at; more is better recall and slower. Default:
                the index's.
            with_vectors: bring the vectors, too.
            with_payloads: bring the payloads, too.

        Raises:
            InvalidInputError: the vector, k or the filter is not acceptable.
        """
        fields = record_fields(vectors=with_vectors, payloads=with_payloads)
        return self._nearest(vector, check_k(k, "k"), filter, ef_runtime, fields)

    def search_mmr(
        self,
        vector: Vector,
        *,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: FilterLike | None = None,
        ef_runtime: int | None = None,
        with_vectors: bool = False,
        with_payloads: bool = False,
    ) -> list[Hit]:
        """K records near a vector and unlike each other (maximal marginal relevance), in the order chosen.

        Args:
            vector: float sequence of length `dimension`.
            k: how many to choose, at least 1.
            fetch_k: among how many of the nearest; at least k of them are brought.
            lambda_mult: 0 for diversity alone to 1 for nearness alone.
            filter: what records must match; None for all.
            ef_runtime: as for `search`.
            with_vectors: keep the vectors in the records.
            with_payloads: bring the payloads, too.
        """
        candidates = max(check_k(k, "k"), check_k(fetch_k, "fetch_k"))
        fields = record_fields(vectors=True, payloads=with_payloads)
        hits = self._nearest(vector, candidates, filter, ef_runtime, fields)
        query = check_vector(vector, None, "the query")
        vectors = [np.asarray(hit.record.vector, dtype=np.float32) for hit in hits]
        chosen = [hits[i] for i in maximal_marginal_relevance(query, vectors, k, lambda_mult)]
        return (
            chosen
            if with_vectors
            else [replace(hit, record=replace(hit.record, vector=None)) for hit in chosen]
        )

    def select(
        self,
        filter: FilterLike | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
        with_content: bool = True,
        with_vectors: bool = False,
        with_payloads: bool = False,
    ) -> list[Record]:
        """Records that match, without a vector.

        Args:
            filter: which; None for all.
            order_by: a metadata key. Its values order as booleans, numbers, points in time, texts; records without
                it come last. By default the oldest record comes first.
            descending: the other way round.
            limit: at most so many; None for all.
            offset: leave out so many at the beginning.
            with_content: bring the texts; without, they are empty.
            with_vectors: bring the vectors, too.
            with_payloads: bring the payloads, too.
        """
        check_window(order_by, offset, limit)
        chosen = None if filter is None else as_filter(filter)
        fields = record_fields(content=with_content, vectors=with_vectors, payloads=with_payloads)

        def select(engine: Engine) -> list[Row]:
            query = queries.prepare_query(self._lifecycle, engine, chosen)
            window = queries.Window(order_by, descending, offset, limit)
            return queries.select_window(engine, query, window, fields)

        nothing: list[Row] = []
        rows = self._lifecycle.read(select, nothing)
        return [decode_record(row.id, row.fields) for row in rows]

    def wait_until_indexed(self, timeout: float = 60.0) -> None:
        """Wait until documents that were there before the index are searchable. Writes need no waiting.

        Args:
            timeout: seconds.

        Raises:
            RequestTimeoutError: it took longer.
        """
        deadline = time.monotonic() + timeout
        pause = 0.005
        while (share := self._lifecycle.read(lambda engine: engine.indexed_share(), 1.0)) < 1.0:
            if time.monotonic() > deadline:
                raise RequestTimeoutError(
                    f"index {self.name!r} is {share:.0%} indexed after {timeout:g} s"
                )
            time.sleep(pause)
            pause = min(0.5, 2 * pause)

    def info(self) -> IndexInfo:
        """Describe the index.

        Raises:
            IndexNotFoundError: it does not exist.
        """
        described = self._lifecycle.read(lambda engine: engine.info(), None)
        if described is None:
            raise not_found(self.name)
        return described

    def drop(self, *, documents: bool = True) -> int:
        """Remove the index, and with it its documents unless told otherwise.

        Without `documents` they stay, and an index made again under the name, with the same dimension, fields and
        `numeric_slots`, finds them. An index that does not exist is no matter. Should the removal be interrupted, make the index again and drop it once more.

        Returns:
            How many documents were removed.
        """
        return self._lifecycle.drop(documents=documents)

    def close(self) -> None:
        """Let go of the connection, if the index opened it itself."""
        if self._owns_connection:
            self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Index({self.name!r}, {self.connection!r})"

    def _nearest(
        self,
        vector: Vector,
        k: int,
        filter: FilterLike | None,
        ef_runtime: int | None,
        fields: Sequence[str],
    ) -> list[Hit]:
        if ef_runtime is not None:
            check_k(ef_runtime, "ef_runtime")
        chosen = None if filter is None else as_filter(filter)
        checked = check_vector(vector, None, "the query")

        def search(engine: Engine) -> list[Hit]:
            schema = engine.entry.schema
            if len(checked) != schema.dimension:
                check_vector(checked, schema.dimension, "the query")
            query = queries.prepare_query(self._lifecycle, engine, chosen)
            rows = queries.nearest(engine, query, checked, k, fields, ef_runtime=ef_runtime)
            return [queries.hit(row, schema.metric) for row in rows]

        return self._lifecycle.read(search, [])

    aexists = twin(exists)
    acreate = twin(create)
    aupsert = twin(upsert)
    aget = twin(get)
    adelete = twin(delete)
    adelete_by_filter = twin(delete_by_filter)
    adelete_all = twin(delete_all)
    aupdate_metadata = twin(update_metadata)
    acount = twin(count)
    asearch = twin(search)
    asearch_mmr = twin(search_mmr)
    aselect = twin(select)
    await_until_indexed = twin(wait_until_indexed)
    ainfo = twin(info)
    adrop = twin(drop)
    aclose = twin(close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
