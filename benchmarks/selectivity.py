"""Compare filtered vector searches of the core with raw GLIDE at several EF_RUNTIME, by the share of matching records.

    python -m benchmarks.selectivity --url valkey://host:6379 [--documents 1000 10000 100000] [--data DIRECTORY]

Prints Markdown. A filter selects records at random, or those nearest to one record (a region). For each query all
contenders search in turn, another one first each time. A time is the lower quartile of a contender's searches, because
other programs disturb the rest. It is shown relative to the unfiltered raw search at EF_RUNTIME 100, with the recall@10,
and in the last column relative to the unfiltered search of the core. Filters that select less than 0.5 % have ten
queries only, because each takes the server up to a second without the core.
"""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
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
_SHARES = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_REGIONS = (0.01, 0.05, 0.1, 0.2)
_WIDTHS = (20, 45, EF_RUNTIME)

_OFTEN, _FEW = 0.005, 10
"""Share of matching records from which all queries are sent, and the number of queries below it."""

Mask = NDArray[np.bool_]
Search = Callable[[Any], Sequence[str]]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.selectivity", description=__doc__)
    parser.add_argument("--url", required=True, help="a server with Valkey-Search")
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000])
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument(
        "--data",
        type=Path,
        help="directory with banking77.*: real embeddings instead of generated ones",
    )
    arguments = parser.parse_args()
    if arguments.data is not None:
        _run(banking(arguments.data), arguments.url, arguments.queries)
        return
    for documents in arguments.documents:
        _run(clustered(documents, 384, arguments.queries), arguments.url, arguments.queries)


def _run(corpus: Corpus, url: str, queries: int) -> None:
    """Fill an index with a corpus, measure, and drop the index."""
    filters = _filters(corpus)
    index = Index.open(f"selectivity_{secrets.token_hex(4)}", url=url, engine="search")
    try:
        _fill(index, corpus, filters)
        _report(index, corpus, filters, corpus.queries[:: max(1, len(corpus.queries) // queries)])
    finally:
        index.drop()


def _filters(corpus: Corpus) -> dict[str, Mask]:
    """Return the records that each filter selects, by the metadata key that marks them."""
    random = np.random.default_rng(0)
    number = len(corpus.texts)
    filters = {f"random {100 * share:g}%": random.random(number) < share for share in _SHARES}
    near = np.argsort(np.argsort(-(corpus.vectors @ corpus.vectors[0])))
    filters |= {f"region {100 * share:g}%": near < share * number for share in _REGIONS}
    return {name: mask for name, mask in filters.items() if mask.any()}


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
    heads = [*(f"raw, EF {width}" for width in _WIDTHS), "core", "core, of its unfiltered"]
    print("| filter | records | " + " | ".join(heads) + " |")
    print("| --- | ---: |" + " ---: |" * len(heads))
    for name, mask in filters.items():
        chosen = as_filter({name: True})
        searches = [_raw(index, None, EF_RUNTIME), partial(_core, index, None)]
        searches += [_raw(index, chosen, width) for width in _WIDTHS]
        searches.append(partial(_core, index, chosen))
        asked = queries if mask.mean() >= _OFTEN else queries[:_FEW]
        (raw, core, *times), (_, _, *recalls) = _measured(
            searches, asked, corpus, np.flatnonzero(mask)
        )
        cells = [f"{t / raw:.1f} × ({r:.4f})" for t, r in zip(times, recalls, strict=True)]
        cells.append(f"{times[-1] / core:.1f} ×")
        print(f"| {name} | {mask.sum():,} | " + " | ".join(cells) + " |", flush=True)
    print()


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


def _core(index: Index, chosen: Filter | None, vector: Any) -> list[str]:
    return [hit.record.id for hit in index.search(vector, k=_K, filter=chosen)]


if __name__ == "__main__":
    main()
