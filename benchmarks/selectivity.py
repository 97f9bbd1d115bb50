"""Compare filtered vector searches of the core with raw GLIDE at several EF_RUNTIME, by the share of matching records.

    python -m benchmarks.selectivity --url valkey://host:6379 [--documents 10000] [--data DIRECTORY]

Prints Markdown. A filter selects records at random, or those nearest to one record (a region). For each query all
contenders search in turn. A time is the lower quartile of a contender's searches, because other programs disturb the
rest. It is shown relative to the unfiltered raw search at EF_RUNTIME 100, with the recall@10.
"""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import EF_RUNTIME
from benchmarks.corpus import Corpus, banking, clustered
from valkey_vector import Filter, Index, Record
from valkey_vector.engines.base import Near
from valkey_vector.engines.search.commands import knn_command
from valkey_vector.engines.search.query_syntax import query_text
from valkey_vector.filters.compiler import compile_filter
from valkey_vector.query.filter_like import as_filter

__all__ = ["main"]

_K = 10
_SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_REGIONS = (0.01, 0.05, 0.1, 0.2)
_WIDTHS = (20, 45, EF_RUNTIME)

Mask = NDArray[np.bool_]
Search = Callable[[Any], Sequence[str]]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selectivity", description=__doc__)
    parser.add_argument("--url", required=True, help="a server with Valkey-Search")
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument(
        "--data",
        type=Path,
        help="directory with banking77.*: real embeddings instead of generated ones",
    )
    arguments = parser.parse_args()
    if arguments.data is None:
        corpus = clustered(arguments.documents, 384, arguments.queries)
    else:
        corpus = banking(arguments.data)
    filters = _filters(corpus)
    index = Index.open(f"selectivity_{secrets.token_hex(4)}", url=arguments.url, engine="search")
    try:
        _fill(index, corpus, filters)
        _report(
            index,
            corpus,
            filters,
            corpus.queries[:: max(1, len(corpus.queries) // arguments.queries)],
        )
    finally:
        index.drop()


def _filters(corpus: Corpus) -> dict[str, Mask]:
    """Return the records that each filter selects, by the metadata key that marks them."""
    random = np.random.default_rng(0)
    number = len(corpus.texts)
    filters = {f"random {share:.1%}": random.random(number) < share for share in _SHARES}
    near = np.argsort(np.argsort(-(corpus.vectors @ corpus.vectors[0])))
    return filters | {f"region {share:.1%}": near < share * number for share in _REGIONS}


def _fill(index: Index, corpus: Corpus, filters: dict[str, Mask]) -> None:
    rows = zip(corpus.texts, corpus.vectors, strict=True)
    index.upsert(
        [
            Record(
                id=f"d{number}",
                content=text,
                vector=vector,
                metadata={name: True for name, mask in filters.items() if mask[number]},
            )
            for number, (text, vector) in enumerate(rows)
        ],
        progress=False,
    )
    index.wait_until_indexed()


def _report(index: Index, corpus: Corpus, filters: dict[str, Mask], queries: Any) -> None:
    print(f"{corpus.name}, {len(queries)} queries\n")
    heads = [f"raw, EF {width}" for width in _WIDTHS]
    print("| filter | records | " + " | ".join([*heads, "core"]) + " |")
    print("| --- | ---: |" + " ---: |" * (len(_WIDTHS) + 1))
    for name, mask in filters.items():
        chosen = as_filter({name: True})
        searches = [_raw(index, None, EF_RUNTIME)]
        searches += [_raw(index, chosen, width) for width in _WIDTHS]
        searches.append(lambda vector, chosen=chosen: _core(index, vector, chosen))
        times, recalls = _measured(searches, queries, corpus, np.flatnonzero(mask))
        cells = [
            f"{t / times[0]:.1f} × ({r:.4f})" for t, r in zip(times[1:], recalls[1:], strict=True)
        ]
        print(f"| {name} | {mask.sum():,} | " + " | ".join(cells) + " |", flush=True)


def _measured(
    searches: Sequence[Search], queries: Any, corpus: Corpus, selected: NDArray[np.int64]
) -> tuple[list[float], list[float]]:
    """Return the seconds and the recall of each search."""
    similar = corpus.vectors[selected] @ np.asarray(queries).T
    true = [{f"d{number}" for number in selected[row[:_K]]} for row in np.argsort(-similar.T)]
    seconds: list[list[float]] = [[] for _ in searches]
    found: list[list[float]] = [[] for _ in searches]
    for search in searches:
        search(queries[0])
    for turn, (vector, wanted) in enumerate(zip(queries, true, strict=True)):
        for step in range(len(searches)):
            position = (turn + step) % len(searches)
            begun = time.perf_counter()
            ids = searches[position](vector)
            seconds[position].append(time.perf_counter() - begun)
            found[position].append(len(wanted & set(ids)) / len(wanted))
    return [float(np.quantile(one, 0.25)) for one in seconds], [
        float(np.mean(one)) for one in found
    ]


def _raw(index: Index, chosen: Filter | None, width: int) -> Search:
    """Return the one FT.SEARCH of a filter, sent on the connection of the index."""
    engine = index._handle.existing()
    assert engine is not None
    entry = engine.entry
    query = "*" if chosen is None else f"({query_text(compile_filter(chosen, entry).plan)})"
    field, skip = entry.schema.vector_field(None), len(entry.prefix)

    def search(vector: Any) -> list[str]:
        near = Near(field, np.asarray(vector, dtype="<f4"))
        command = knn_command(entry, query, near, _K, ["content", "metadata"], width=width)
        reply = index.connection.execute(*command)
        return [key.decode()[skip:] for key in reply[1]]

    return search


def _core(index: Index, vector: Any, chosen: Filter) -> list[str]:
    return [hit.record.id for hit in index.search(vector, k=_K, filter=chosen)]


if __name__ == "__main__":
    main()
