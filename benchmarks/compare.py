"""Compare raw GLIDE, the core and the LangChain store, on both engines, in one run.

    python -m benchmarks --data DIR [--documents 10000] [--search-url URL]

Prints Markdown. Times are of one machine at one time: compare only ratios within a run. Contenders take turns query by query, so
that a slow moment of the machine affects all of them.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from benchmarks.contenders import Contender, CoreIndex, LangChainStore, RawGlide
from benchmarks.corpus import Corpus, banking, clustered, xquad
from servers import start_server
from valkey_vector import Connection, Flat, Hnsw

K = 10
_ROUNDS = 400
_TURNS = 3


def main() -> None:
    """Run the comparison on both engines."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--data", type=Path, help="directory with xquad_en.* and banking77.*")
    parser.add_argument("--documents", type=int, default=10_000, help="clustered vectors")
    parser.add_argument("--dimension", type=int, default=384, help="of the clustered vectors")
    parser.add_argument(
        "--search-url", help="a server with a search module, instead of a local one"
    )
    arguments = parser.parse_args()

    corpora = [clustered(arguments.documents, arguments.dimension, _ROUNDS)]
    if arguments.data is not None:
        corpora += [banking(arguments.data), xquad(arguments.data)]
    for engine in ("native", "search"):
        remote = arguments.search_url if engine == "search" else None
        with nullcontext() if remote else start_server(search=engine == "search") as server:
            url = remote or server.url
            with Connection.open(url) as connection:
                print(f"\n## {engine}: {connection.capabilities.description}")
            for corpus in corpora:
                compare(url, engine, corpus)


def compare(url: str, engine: str, corpus: Corpus) -> None:
    """Ingest and search one corpus with all contenders, and print a table."""
    algorithm: Hnsw | Flat = Hnsw()
    contenders: list[Any] = []
    if engine == "search":
        contenders += [RawGlide(url, algorithm, 1), RawGlide(url, algorithm, 4)]
    contenders += [CoreIndex(url, engine, algorithm), LangChainStore(url, engine, algorithm)]
    for contender in contenders:
        contender.prepare(corpus)
    rates = _ingested(contenders, corpus)
    searched = contenders[1:] if engine == "search" else contenders
    for contender in searched:
        contender.ingest(corpus)
    plain = _searched(searched, corpus, filtered=False)
    filtered = _searched(searched, corpus, filtered=True)
    truth = corpus.neighbors(K)
    print(f"\n### {corpus.name}\n")
    print("| | ingest docs/s | search p50 ms | p95 ms | filtered p50 ms | p95 ms | recall@10 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, rate in rates.items():
        times = [*plain.get(name, (0, 0)), *filtered.get(name, (0, 0))]
        shown = " | ".join(f"{value * 1e3:.2f}" if value else "" for value in times)
        found = next((item for item in searched if item.name == name), None)
        recall = "" if found is None else f"{_recall(found, corpus, truth):.4f}"
        print(f"| {name} | {rate:,.0f} | {shown} | {recall} |", flush=True)
    if engine == "search":
        raw, best = searched[0].name, max(rate for name, rate in rates.items() if "raw" in name)
        for name in (CoreIndex.name, LangChainStore.name):
            print(
                f"\n{name}: ingest {rates[name] / best:.2f} × the best raw path, search p50 "
                f"{plain[name][0] / plain[raw][0]:.2f} × raw, filtered "
                f"{filtered[name][0] / filtered[raw][0]:.2f} × raw."
            )
    for contender in contenders:
        if contender in searched:
            contender.drop()
        contender.close()


def _ingested(contenders: Sequence[Contender], corpus: Corpus) -> dict[str, float]:
    """Return the documents per second of each contender: the median of three turns, each on an empty server."""
    rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(_TURNS):
        for contender in contenders:
            gc.collect()
            began = time.perf_counter()
            contender.ingest(corpus)
            rates[contender.name].append(len(corpus.texts) / (time.perf_counter() - began))
            contender.drop()
    return {name: statistics.median(each) for name, each in rates.items()}


def _searched(
    contenders: Sequence[Contender], corpus: Corpus, *, filtered: bool
) -> dict[str, tuple[float, float]]:
    """Return p50 and p95 of a search of each contender, in seconds. The contenders take turns."""
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    queries = [corpus.queries[i % len(corpus.queries)].tolist() for i in range(_ROUNDS + 20)]
    gc.collect()
    for number, query in enumerate(queries):
        for contender in contenders:
            began = time.perf_counter()
            contender.search(query, K, filtered=filtered)
            if number >= 20:
                times[contender.name].append(time.perf_counter() - began)
    return {
        name: (statistics.median(each), statistics.quantiles(each, n=20)[-1])
        for name, each in times.items()
    }


def _recall(contender: Contender, corpus: Corpus, truth: Sequence[set[int]]) -> float:
    found = 0
    for query, expected in zip(corpus.queries, truth, strict=True):
        ids = contender.search(query.tolist(), K, filtered=False)
        found += len(expected & {int(id[1:]) for id in ids})
    return found / (K * len(truth))


if __name__ == "__main__":
    main()
