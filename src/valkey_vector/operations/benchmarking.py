"""Benchmark of an index: latency, searches per second and recall, by search width, with and without a filter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.engines.base import IndexInfo
from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.ast import Filter
from valkey_vector.index.index import Index
from valkey_vector.operations.benchmark_load import Load, Query, run_load
from valkey_vector.operations.exact_neighbors import ExactNeighbors
from valkey_vector.query import FilterQuery
from valkey_vector.query.base import check_filter
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.records.amounts import counted
from valkey_vector.records.record import Record, Vector
from valkey_vector.records.validation import check_k
from valkey_vector.records.vectors import Float32Array, check_vectors, rounded_query
from valkey_vector.schema.schema import MAIN_VECTOR, Hnsw, VectorField

__all__ = ["BenchmarkMeasure", "BenchmarkReport", "abenchmark", "benchmark"]

_WIDTHS = (10, 25, 50, 100, 200, 400)
_CHOOSING, _COMPARING = 0.1, 0.4
"""Shares of the time after which the choice of queries, and the exact comparison, are ended."""

_PAGE = 500
_BUSY = 0.9
"""Share of a processor from which this process limits the searches per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkMeasure:
    """Searches with one search width.

    Attributes:
        filtered: the searches had the filter.
        ef_runtime: HNSW candidates to examine, as passed to each search. None: not passed, as an application does.
        recall: mean share of the true `k` nearest neighbors that were found, 0 to 1. None if it was not measured.
        p50: median time of a search in milliseconds, as the client sees it.
        p95: time that 95 % of the searches did not exceed, in milliseconds.
        p99: time that 99 % of the searches did not exceed, in milliseconds.
        searches_per_second: of all threads together.
        searches: number of searches.
        queries: number of different queries among them; the recall is that of these.
        processor: processors that this process used, 1 for one of them. Near 1, Python is the limit, not the server.
    """

    filtered: bool
    ef_runtime: int | None
    recall: float | None
    p50: float
    p95: float
    p99: float
    searches_per_second: float
    searches: int
    queries: int
    processor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkReport:
    """Result of a benchmark.

    Attributes:
        index: name of the index.
        engine: ``search`` or ``native``.
        server: search module and server with their versions.
        documents: number of records.
        matching: number of records that match the filter. None without a filter.
        field: name of the vector that was compared.
        algorithm: HNSW or FLAT, as the searches use it.
        k: number of neighbors in each search.
        concurrency: number of threads that searched at the same time.
        seconds: time that the benchmark took.
        measures: one for each search width, first without the filter.
        notes: limits of these numbers: how the queries were chosen, and which parts were cut short or left out.
    """

    index: str
    engine: str
    server: str
    documents: int
    matching: int | None
    field: str
    algorithm: str
    k: int
    concurrency: int
    seconds: float
    measures: tuple[BenchmarkMeasure, ...]
    notes: tuple[str, ...]


def benchmark(
    index: Index,
    *,
    seconds: float = 30.0,
    concurrency: int = 1,
    k: int = 10,
    queries: int = 50,
    vectors: Sequence[Vector] | None = None,
    filter: FilterLike | None = None,
    field: str | None = None,
    widths: Sequence[int] | None = None,
    progress: Callable[[str], None] | None = None,
) -> BenchmarkReport:
    """Measure the searches of an index. Only reads, but the searches are load on the server.

    Args:
        index: an index that exists.
        seconds: time of the whole benchmark, > 0. No request begins later.
        concurrency: number of threads that search at the same time, 1 to 256.
        k: number of neighbors, >= 1.
        queries: number of stored vectors to search for, chosen at random, >= 1.
        vectors: search for these vectors instead, such as those of real queries.
        filter: also measure searches with this filter.
        field: name of the vector to compare. None for the main vector.
        widths: values of `ef_runtime` to measure for HNSW. Default: 10 to 400. It is always measured without, too.
        progress: called with a line of text at each step.

    Returns:
        The measures, and notes about what was limited.

    Cost: reads all vectors once, and those that match the filter once more, for the exact neighbors. If that takes
    longer than 40 % of the time, the recall is left out.

    Raises:
        InvalidInputError: an argument is out of range, or there is nothing to search for.
        IndexNotFoundError: the index does not exist.
    """
    _check(seconds, concurrency, k, queries, widths)
    info = index.info()
    compared = index.schema.vector_field(field)
    given = None if vectors is None else _checked(vectors, compared)
    run = _Benchmark(index, compared, k, check_filter(filter), seconds, progress or _silent)
    return run.report(info, given, queries, concurrency, widths)


abenchmark = async_version(benchmark)


@dataclass(slots=True)
class _Benchmark:
    """One benchmark that runs."""

    index: Index
    compared: VectorField
    k: int
    filter: Filter | None
    seconds: float
    say: Callable[[str], None]
    begun: float = field(default_factory=time.monotonic)
    notes: list[str] = field(default_factory=list)

    def report(
        self,
        info: IndexInfo,
        given: Float32Array | None,
        number: int,
        concurrency: int,
        widths: Sequence[int] | None,
    ) -> BenchmarkReport:
        matching = None if self.filter is None else self.index.count(self.filter)
        if matching == 0:
            raise InvalidInputError(f"no record of index {self.index.name!r} matches the filter")
        vectors, own = self._stored(number, info) if given is None else (given, [None] * len(given))
        filters = [None] if self.filter is None else [None, self.filter]
        queries = {chosen: self._with_neighbors(vectors, own, chosen) for chosen in filters}
        self.say("one search that is not counted")
        self._warm_up(queries)
        measures = self._measured(queries, concurrency, self._widths(info, widths))
        busy = [each for each in measures if each.processor >= _BUSY]
        if busy:
            self.notes.append(
                f"this process used up to {max(each.processor for each in busy):.1f} processors: Python may limit the "
                "searches per second, not the server; run the command several times at once to find out"
            )
        return BenchmarkReport(
            index=self.index.name,
            engine=info.engine,
            server=info.server,
            documents=info.documents,
            matching=matching,
            field=self.compared.name,
            algorithm=self.compared.algorithm.name if info.engine == "search" else info.algorithm,
            k=self.k,
            concurrency=concurrency,
            seconds=time.monotonic() - self.begun,
            measures=tuple(measures),
            notes=tuple(self.notes),
        )

    def _is_over(self, share: float) -> bool:
        return time.monotonic() - self.begun >= share * self.seconds

    def _stored(self, number: int, info: IndexInfo) -> tuple[Float32Array, list[str | None]]:
        """Choose stored vectors at random, each equally probable: a reservoir over the ids."""
        self.say(f"choosing {counted(number, 'stored vector')}")
        chance = random.Random(0)
        ids: list[str] = []
        for seen, record in enumerate(self._records(None, vectors=False)):
            if seen < 2 * number:  # some of the records may lack the vector
                ids.append(record.id)
            elif (place := chance.randrange(seen + 1)) < len(ids):
                ids[place] = record.id
            if self._is_over(_CHOOSING):
                self.notes.append(
                    f"the queries are vectors of the oldest {seen + 1:,} of {counted(info.documents, 'record')}: reading all ids "
                    "takes longer; pass more seconds"
                )
                break
        chance.shuffle(ids)
        found = [record for record in self.index.get(ids, with_vectors=True) if record is not None]
        having = [(self._vector(record), record.id) for record in found]
        chosen = [(vector, id) for vector, id in having if vector is not None][:number]
        if not chosen:
            raise InvalidInputError(
                f"index {self.index.name!r} has no record with the vector {self.compared.name!r} to search for"
            )
        self.notes.append(
            "the queries are stored vectors, which are easier to find than real queries: take the recall as an upper "
            "limit, or pass vectors of real queries"
        )
        if len(chosen) < number:
            self.notes.append(
                f"only {len(chosen):,} of {counted(number, 'query', 'queries')}: few records have the vector"
            )
        return np.array([vector for vector, _ in chosen], dtype=np.float32), [
            id for _, id in chosen
        ]

    def _with_neighbors(
        self, vectors: Float32Array, own: Sequence[str | None], chosen: Filter | None
    ) -> list[Query]:
        """The queries with their exact neighbors, or without if the time does not suffice."""
        self.say(f"comparing all vectors{'' if chosen is None else ' that match'} exactly")
        exact = ExactNeighbors(vectors, own, self.k, self.compared.metric)
        complete = self._read(exact, chosen)
        neighbors = exact.found() if complete else [None] * len(own)
        if not complete:
            which = "vectors" if chosen is None else "vectors that match the filter"
            self.notes.append(
                f"no recall{'' if chosen is None else ' with the filter'}: reading all {which} takes longer than "
                f"{_COMPARING:.0%} of {self.seconds:g} seconds; pass more seconds"
            )
        return [
            Query(vector, id, right)
            for vector, id, right in zip(vectors, own, neighbors, strict=True)
        ]

    def _read(self, exact: ExactNeighbors, chosen: Filter | None) -> bool:
        """Read all vectors. Returns False if the time does not suffice."""
        ids: list[str] = []
        rows: list[Vector] = []
        for record in self._records(chosen, vectors=True):
            if (vector := self._vector(record)) is not None:
                ids.append(record.id)
                rows.append(vector)
            if len(ids) >= _PAGE:
                exact.add(ids, np.asarray(rows, dtype=np.float32))
                ids, rows = [], []
                if self._is_over(_COMPARING):
                    return False
        exact.add(ids, np.asarray(rows, dtype=np.float32))
        return True

    def _records(self, chosen: Filter | None, *, vectors: bool) -> Iterator[Record]:
        query = FilterQuery(
            filter=chosen, with_content=False, with_metadata=False, with_vectors=vectors
        )
        return self.index.iterate(query)

    def _vector(self, record: Record) -> Vector | None:
        if self.compared.name == MAIN_VECTOR:
            return record.vector
        return record.vectors.get(self.compared.name)

    def _widths(self, info: IndexInfo, widths: Sequence[int] | None) -> list[int | None]:
        """The widths to measure; None first. Only HNSW has them."""
        if info.engine == "native" or not isinstance(self.compared.algorithm, Hnsw):
            if widths:
                self.notes.append("no search widths: searches of this index are exact")
            return [None]
        return [None, *sorted(set(_WIDTHS if widths is None else widths))]

    def _load(self, chosen: Filter | None, width: int | None) -> Load:
        return Load(self.index, self.k, self.compared.name, chosen, width)

    def _warm_up(self, queries: dict[Filter | None, list[Query]]) -> None:
        for chosen, listed in queries.items():
            self._load(chosen, None).search(listed[0])

    def _measured(
        self,
        queries: dict[Filter | None, list[Query]],
        concurrency: int,
        widths: Sequence[int | None],
    ) -> list[BenchmarkMeasure]:
        """Run the searches, each width for an equal part of the time that is left."""
        runs = [(chosen, width) for chosen in queries for width in widths]
        measures: list[BenchmarkMeasure] = []
        for position, (chosen, width) in enumerate(runs):
            left = self.seconds - (time.monotonic() - self.begun)
            if left <= 0:
                self.notes.append(
                    f"{len(runs) - position} of {counted(len(runs), 'measurement')} missing: the {self.seconds:g} seconds are over"
                )
                break
            shown = "default width" if width is None else f"ef_runtime {width}"
            self.say(f"searching: {shown}{'' if chosen is None else ', with the filter'}")
            share = left / (len(runs) - position)
            load = self._load(chosen, width)
            measure = _measure(load, queries[chosen], concurrency, share)
            measures.append(measure)
            if measure.queries < len(queries[chosen]):
                self.notes.append(
                    f"{measure.queries:,} of {counted(len(queries[chosen]), 'query', 'queries')} sent with {shown}: pass more "
                    "seconds"
                )
        return measures


def _measure(
    load: Load, queries: Sequence[Query], concurrency: int, seconds: float
) -> BenchmarkMeasure:
    outcome = run_load(load, queries, concurrency, seconds)
    p50, p95, p99 = np.percentile(np.asarray(outcome.seconds) * 1000, [50, 95, 99]).tolist()
    shares = [share for share in outcome.recall.values() if share is not None]
    return BenchmarkMeasure(
        filtered=load.filter is not None,
        ef_runtime=load.ef_runtime,
        recall=float(np.mean(shares)) if shares else None,
        p50=p50,
        p95=p95,
        p99=p99,
        searches_per_second=len(outcome.seconds) / outcome.elapsed,
        searches=len(outcome.seconds),
        queries=len(outcome.recall),
        processor=outcome.processor / outcome.elapsed,
    )


def _silent(text: str) -> None:
    """Ignore the progress."""


def _checked(vectors: Sequence[Vector], compared: VectorField) -> Float32Array:
    if not len(vectors):
        raise InvalidInputError("there are no vectors to search for: pass at least one")
    owners = [f"vector {number}" for number in range(len(vectors))]
    checked = check_vectors(list(vectors), compared.dimension, owners)
    return rounded_query(checked, compared.data_type, f"vector {compared.name!r}")


def _check(
    seconds: float, concurrency: int, k: int, queries: int, widths: Sequence[int] | None
) -> None:
    """Check the arguments.

    Raises:
        InvalidInputError: one is out of range.
    """
    check_k(k, "k")
    if not 0 < seconds < 1e6:
        raise InvalidInputError(f"seconds must be a number above 0, not {seconds!r}")
    if not 1 <= concurrency <= 256:
        raise InvalidInputError(f"concurrency must be from 1 to 256, not {concurrency!r}")
    if queries < 1:
        raise InvalidInputError(f"queries must be at least 1, not {queries!r}")
    for width in widths or ():
        check_k(width, "ef_runtime")
