"""Measures the recall of an HNSW index: its search at several widths, compared with an exact search."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from valkey_vector.index.index import Index
from valkey_vector.operations.doctor.findings import Finding, RecallMeasure, warning
from valkey_vector.operations.exact_neighbors import ExactNeighbors
from valkey_vector.query import FilterQuery
from valkey_vector.records.vectors import Float32Array
from valkey_vector.schema.schema import Hnsw, Metric, Schema

__all__ = ["MAX_COMPARED", "judge_recall", "measure_recall"]

MAX_COMPARED = 20_000
"""Records of an index that are read for an exact comparison."""

_K = 10
_QUERIES = 20
_WIDTHS = (10, 25, 50, 100, 200, 400)
_GOOD = 0.95
_AIM = 0.99


@dataclass(frozen=True, slots=True)
class _Stored:
    """All records of an index with their main vector.

    Attributes:
        ids: of the records.
        matrix: their vectors, one a row.
        metric: of the index.
    """

    ids: Sequence[str]
    matrix: Float32Array
    metric: Metric

    def neighbors(self, chosen: Sequence[int]) -> list[frozenset[str]]:
        """The nearest neighbors of some records, and all others that are equally near: each of them is right."""
        exact = ExactNeighbors(self.matrix[chosen], [self.ids[n] for n in chosen], _K, self.metric)
        exact.add(self.ids, self.matrix)
        return exact.found()


def measure_recall(
    index: Index, schema: Schema, *, queries: int = _QUERIES
) -> tuple[RecallMeasure, ...]:
    """Measure the recall of the main vector. Stored vectors serve as queries, and do not count as their own neighbors.

    Args:
        index: an index with HNSW on a search module, of at most `MAX_COMPARED` records.
        schema: its schema.
        queries: number of queries.

    Returns:
        One measure for each search width, the narrowest first. Empty if there are too few vectors.

    Cost: reads all vectors, then one search for each query and width.
    """
    stored = _stored(index, schema.metric)
    if len(stored.ids) <= _K or not isinstance(schema.algorithm, Hnsw):
        return ()
    number = min(queries, len(stored.ids))
    chosen = np.random.default_rng(0).choice(len(stored.ids), size=number, replace=False).tolist()
    right = stored.neighbors(chosen)
    default = schema.algorithm.ef_runtime
    return tuple(
        _measured(index, stored, dict(zip(chosen, right, strict=True)), width, width == default)
        for width in sorted({*_WIDTHS, default})
    )


def judge_recall(measures: Sequence[RecallMeasure]) -> list[Finding]:
    """Judge the recall at the width that the index uses by itself."""
    findings: list[Finding] = []
    for each in measures:
        if not each.default or each.recall >= _GOOD:
            continue
        enough = [other.ef_runtime for other in measures if other.recall >= _AIM]
        what = f"searches find {each.recall:.1%} of the true {_K} nearest neighbors (ef_runtime {each.ef_runtime})"
        cure = (
            f"pass ef_runtime={min(enough)} to searches, or create the index with Hnsw(ef_runtime={min(enough)})"
            if enough
            else "create the index with larger m and ef_construction, or with algorithm='FLAT'"
        )
        findings.append(warning("index.recall", each.index, what, cure))
    return findings


def _stored(index: Index, metric: Metric) -> _Stored:
    """Read all records that have the main vector."""
    ids: list[str] = []
    rows: list[Float32Array] = []
    for record in index.iterate(FilterQuery(with_content=False, with_vectors=True)):
        if record.vector is not None:
            ids.append(record.id)
            rows.append(np.asarray(record.vector, dtype=np.float32))
    return _Stored(ids, np.array(rows, dtype=np.float32), metric)


def _measured(
    index: Index,
    stored: _Stored,
    chosen: Mapping[int, frozenset[str]],
    width: int,
    default: bool,
) -> RecallMeasure:
    shares: list[float] = []
    seconds = 0.0
    for number, right in chosen.items():
        begun = time.perf_counter()
        hits = index.search(stored.matrix[number], k=_K + 1, ef_runtime=width)
        seconds += time.perf_counter() - begun
        others = [hit.record.id for hit in hits if hit.record.id != stored.ids[number]]
        shares.append(sum(id in right for id in others[:_K]) / _K)
    return RecallMeasure(
        index=index.name,
        ef_runtime=width,
        default=default,
        recall=float(np.mean(shares)),
        milliseconds=1000 * seconds / len(chosen),
        queries=len(chosen),
    )
