"""Compare the native engine of two source trees at one size, in one run.

    python -m benchmarks.native [--documents 100000] [--against ../other/src] [--without-simd]

One server holds the documents. Each round starts a fresh process per source tree and measures in it: first search,
searches with and without filters, writes followed by a search, facets, groups, ordered selection, and the memory of the
replica. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
_NAME = "bench"
_DIMENSION = 384
_LIMIT = 2.0

_FILTERS = {"0.1 %": 1, "1 %": 10, "10 %": 100, "50 %": 500}
"""Share of the documents → the price below which they are; prices are from 0 to 1,000 in no order."""


def main() -> None:
    """Load the documents, then measure each source tree in turn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.native", description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--against", type=Path, help="the `src` folder of another version")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--without-simd", action="store_true", help="as if the extra `simd` were not installed"
    )
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.without_simd:
        sys.modules["numkong"] = None  # type: ignore[assignment] # an import then fails
    if arguments.measure:
        print(json.dumps(_measured(arguments.measure, arguments.documents)))
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from servers import start_server

    sources = {"this": ROOT / "src"}
    if arguments.against is not None:
        sources["other"] = arguments.against
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in sources}
    with start_server(search=False) as server:
        _write(server.url, arguments.documents)
        for _ in range(arguments.rounds):
            for name, source in sources.items():
                rounds[name].append(_in_process(source, server.url, arguments))
    _print(rounds)


def _in_process(source: Path, url: str, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", url, "--documents", str(arguments.documents)]
    command += ["--without-simd"] * arguments.without_simd
    done = subprocess.run(  # noqa: S603 - this file
        command,
        env={**os.environ, "PYTHONPATH": str(source.resolve())},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return dict(json.loads(done.stdout))


def _print(rounds: dict[str, list[dict[str, float]]]) -> None:
    medians = {
        name: {key: statistics.median(each[key] for each in found) for key in found[0]}
        for name, found in rounds.items()
    }
    print("| | " + " | ".join(medians) + (" | ratio |" if len(medians) > 1 else " |"))
    print("| --- |" + " ---: |" * (len(medians) + (len(medians) > 1)))
    for key in medians["this"]:
        values = [each[key] for each in medians.values()]
        # Two processes of one round run one after the other, under a similar load.
        pairs = zip(*rounds.values(), strict=True) if len(values) > 1 else ()
        ratios = [one[key] / other[key] for one, other in pairs]
        ratio = [f"{statistics.median(ratios):.3f}"] if ratios else []
        print(f"| {key} | " + " | ".join([*(f"{value:.2f}" for value in values), *ratio]) + " |")


def _vectors(documents: int) -> Any:
    random = np.random.default_rng(1)
    centers = random.normal(size=(200, _DIMENSION))
    chosen = centers[random.integers(0, 200, documents)]
    found = (chosen + random.normal(size=(documents, _DIMENSION))).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _write(url: str, documents: int) -> None:
    from valkey_vector import Index

    with Index.open(_NAME, url=url, engine="native", dimension=_DIMENSION) as index:
        vectors = _vectors(documents)
        for first in range(0, documents, 10_000):
            numbers = range(first, min(documents, first + 10_000))
            index.upsert([_record(number, vectors[number]) for number in numbers], progress=False)


def _record(number: int, vector: Any) -> Any:
    from valkey_vector import Record

    metadata = {
        "topic": f"topic {number % 10}", "year": 2000 + number % 25, "price": (number * 7919) % 100_003 / 100,
        "source": f"file{number // 20}.pdf", "labels": [f"l{number % 3}", f"l{number % 7}"],
    }  # fmt: skip
    return Record(id=f"d{number}", vector=vector, content=f"text {number}", metadata=metadata)


def _measured(url: str, documents: int) -> dict[str, float]:
    from valkey_vector import F, Index
    from valkey_vector.query import AggregateQuery, Count

    queries = _vectors(1_000)[::5]
    results: dict[str, float] = {}
    with Index.open(_NAME, url=url, engine="native") as index:
        index.get(["d0"])
        before, cpu, began = _resident(), time.process_time(), time.perf_counter()
        index.search(queries[0], k=10)
        results["first search s"] = time.perf_counter() - began
        results["first search CPU s"] = time.process_time() - cpu
        results["memory / vectors"] = (_resident() - before) / (4 * _DIMENSION * documents)
        some = F("topic") == "topic 3"

        def write(number: int) -> None:
            index.upsert([_record(number, queries[number])])

        def write_then_search(number: int) -> None:
            write(number)
            index.search(queries[number], k=10)

        def measure(name: str, call: Callable[[int], object], times: int = 20) -> None:
            # The first searches compress the vectors, with the extra `simd`.
            for number in range(4):
                call(number)
            found = _timed(call, times)
            results[name] = 1e3 * statistics.median(elapsed for elapsed, _ in found)
            if times >= 20:
                elapsed = sorted(elapsed for elapsed, _ in found)
                results[f"{name}, p95"] = 1e3 * elapsed[int(0.95 * len(elapsed))]
                results[f"{name}, best"] = 1e3 * elapsed[0]
                results[f"{name}, CPU of the client"] = 1e3 * statistics.median(
                    cpu for _, cpu in found
                )

        began = time.perf_counter()
        index.search(queries[0], k=10, filter=some)
        results["first filtered search s"] = time.perf_counter() - began
        results["memory after it / vectors"] = (_resident() - before) / (4 * _DIMENSION * documents)
        measure("search ms", lambda n: index.search(queries[n], k=10), 60)
        results["memory with copies / vectors"] = (_resident() - before) / (
            4 * _DIMENSION * documents
        )
        measure("filtered search ms", lambda n: index.search(queries[n], k=10, filter=some), 60)
        for share, price in _FILTERS.items():
            cheap = F("price") < price
            measure(
                f"search of {share} ms",
                lambda n, cheap=cheap: index.search(queries[n], k=10, filter=cheap),
                40,
            )
        measure("write ms", write)
        measure("write, then search ms", write_then_search, 40)
        measure("count ms", lambda _: index.count(some))
        measure("facets of ten values ms", lambda _: index.facets(["topic"]), 5)
        measure("facets of a list, filtered ms", lambda _: index.facets(["labels"], filter=some), 5)
        measure("facets of 5 % distinct values ms", lambda _: index.facets(["source"]), 3)
        query = AggregateQuery().group_by("topic", "year", n=Count())
        measure("groups by two keys ms", lambda _: index.aggregate(query), 3)
        measure("select by number ms", lambda _: index.select(order_by="price", limit=10), 5)
        measure(
            "select by number, filtered ms",
            lambda _: index.select(some, order_by="price", limit=10),
            5,
        )
    return results


def _timed(call: Callable[[int], object], times: int) -> list[tuple[float, float]]:
    """Elapsed time and CPU time of some calls; of fewer calls if they take longer than two seconds."""
    found: list[tuple[float, float]] = []
    for number in range(times):
        began, cpu = time.perf_counter(), time.process_time()
        call(number)
        found.append((time.perf_counter() - began, time.process_time() - cpu))
        if sum(elapsed for elapsed, _ in found) > _LIMIT:
            break
    return found


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
