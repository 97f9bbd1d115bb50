"""Compare text search, hybrid search and facets with another version of the code, by turns, on one index.

    python -m benchmarks.text [--before SRC] [--documents 50000] [--queries 20] [--search-url URL] [--index NAME]

SRC is the folder `src` of the other version, such as that of a `git worktree`. Texts have 80 words of a Zipf-like
distribution. Six words are those of a random text; three common words are in most texts. Facets are of a key with ten
values, and of one that half of the records have; the filters select a half and a hundredth of the records. Prints
Markdown. With --search-url only that server is measured, otherwise a private one for each engine. With --index the
records stay: the next run with the same name and number of documents does not write them again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from servers import start_server
from valkey_vector import Index, Record

ROOT = Path(__file__).parent.parent
WORDS = 20_000
LENGTH = 80
DIMENSION = 8

WORKER = """
import json, sys, time
from valkey_vector import F, Index, Record
FIRST = {"category": "c0", "year": 1980, "group": "g0"}
url, engine, name, dimension = sys.argv[1:]
with Index.open(name, url=url, engine=engine, dimension=int(dimension), full_text=True) as index:
    for _ in range(2):
        index.search_text("w5x", k=1)
    print("ready", flush=True)
    for line in sys.stdin:
        kind, text = json.loads(line)
        if "written" in kind:
            index.upsert([Record(id="d0000000", content=text, vector=[0.5] * int(dimension), metadata=FIRST)])
        filter = F("year") >= 2000 if "half" in kind else F("group") == "g7" if "hundredth" in kind else None
        began = time.perf_counter()
        if kind.startswith("facets"):
            key = "odd" if "odd" in kind else "category"
            hits = [[each.value, each.count] for each in index.facets([key], filter=filter)[key].values]
        elif kind == "hybrid":
            hits = [[hit.record.id, hit.score] for hit in index.search_hybrid([0.5] * int(dimension), text, k=4)]
        else:
            hits = [[hit.record.id, hit.score] for hit in index.search_text(text, k=4)]
        taken = (time.perf_counter() - began) * 1e3
        print(json.dumps([taken, hits]), flush=True)
"""


def main() -> None:
    """Measure one server, or both engines on private ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text", description=__doc__)
    parser.add_argument("--before", type=Path, help="folder src of the other version")
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--search-url", help="a server with a search module")
    parser.add_argument("--index", help="name of an index that is kept")
    arguments = parser.parse_args()
    versions = {"now": ROOT / "src"}
    if arguments.before:
        versions = {"before": arguments.before, **versions}
    for engine in ("search",) if arguments.search_url else ("native", "search"):
        with ExitStack() as stack:
            url = arguments.search_url
            if url is None:
                url = stack.enter_context(start_server(search=engine == "search")).url
            measure(url, engine, versions, arguments)


def measure(
    url: str, engine: str, versions: dict[str, Path], arguments: argparse.Namespace
) -> None:
    """Print the times of each version, and their ratio."""
    name = arguments.index or f"text_benchmark_{uuid.uuid4().hex[:8]}"
    documents = arguments.documents
    with Index.open(name, url=url, engine=engine, dimension=DIMENSION, full_text=True) as index:  # type: ignore[arg-type]
        try:
            if index.count() != documents:
                index.upsert(
                    Record(id=f"d{n:07}", content=text, vector=vector, metadata=metadata(n))
                    for n, (text, vector) in enumerate(corpus(documents, seed=1))
                )
            print(f"\n### {index.connection.capabilities.description}, {documents:,} records\n")
            compare(url, engine, name, versions, arguments.queries)
        finally:
            if not arguments.index:
                index.drop()


def compare(url: str, engine: str, name: str, versions: dict[str, Path], queries: int) -> None:
    """Run every query in each version in turn."""
    arguments = [sys.executable, "-c", WORKER, url, engine, name, str(DIMENSION)]
    workers = [
        subprocess.Popen(  # noqa: S603 - this Python, with a program of this file
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(source)},
        )
        for source in versions.values()
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    columns = " | ".join(f"{version}, p50 ms" for version in versions)
    print(f"| query | {columns} | ratio | same hits |\n| --- |{' ---: |' * (len(versions) + 2)}")
    six = list(sampled(queries))
    common = ["w0x w1x w2x"] * max(1, queries // 10)
    for label, kind, texts in (
        ("six words", "text", six),
        ("the same again", "text", six),
        ("hybrid", "hybrid", six),
        ("three common words", "text", common),
        ("six words after a write", "written", six),
        ("facets", "facets", six),
        ("facets of a key of half of the records", "facets odd", six),
        ("facets of half of the records", "facets half", six),
        ("facets of a hundredth", "facets hundredth", six),
        ("facets after a write", "facets written", six),
        ("facets of half, after a write", "facets half written", six[: max(1, queries // 4)]),
        ("facets of a hundredth, after a write", "facets hundredth written", six),
    ):
        times: list[list[float]] = [[] for _ in workers]
        same = True
        for turn, text in enumerate(texts):
            hits = []
            for at in sorted(range(len(workers)), reverse=bool(turn % 2)):
                taken, found = answer(workers[at], kind, text)
                times[at].append(taken)
                hits.append(found)
            same = same and all(each == hits[0] for each in hits)
        middle = list(map(statistics.median, times))
        cells = " | ".join(f"{each:.1f}" for each in middle)
        print(f"| {label} | {cells} | {middle[-1] / middle[0]:.2f} | {same} |", flush=True)
    for worker in workers:
        worker.communicate()


def answer(worker: subprocess.Popen[str], kind: str, text: str) -> tuple[float, object]:
    """Send a query to a worker, and return its time and its hits."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps([kind, text]) + "\n")
    worker.stdin.flush()
    taken, hits = json.loads(worker.stdout.readline())
    return float(taken), hits


def corpus(count: int, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Texts and vectors; the word of rank r has a probability in proportion to 1 / (r + 10)."""
    chosen = np.random.default_rng(seed)
    weights = 1 / (np.arange(WORDS) + 11.0)
    ranks = np.searchsorted(np.cumsum(weights) / weights.sum(), chosen.random((count, LENGTH)))
    vectors = chosen.random((count, DIMENSION), dtype=np.float32)
    for row, vector in zip(ranks, vectors, strict=True):
        yield " ".join(f"w{rank}x" for rank in row), vector


def metadata(number: int) -> dict[str, str | int]:
    """The metadata of a record. The order of the years is that of the categories, which a sample must not mistake."""
    found: dict[str, str | int] = {
        "category": f"c{number * 7919 % 10}",
        "year": 1980 + number % 40,
        "group": f"g{number % 100}",
    }
    return found | ({"odd": f"x{number % 3}"} if number % 2 else {})


def sampled(count: int) -> Iterator[str]:
    """Six different words of each of some other texts."""
    chosen = random.Random(2)
    for text, _ in corpus(count, seed=2):
        yield " ".join(chosen.sample(sorted(set(text.split())), 6))


if __name__ == "__main__":
    main()
