"""Measure the recall of vector, text and hybrid search on XQuAD, on both engines, in one run.

    python -m benchmarks.retrieval --data DIR [--search-url URL]

Prints Markdown: the share of the questions whose paragraph is the first hit, the share with it among the first five, and the
time of a search. The embeddings are stored with the data.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from benchmarks.corpus import Vectors, read_lines
from servers import start_server
from valkey_vector import Connection, Hit, Index, ReciprocalRank, Record, Weighted

K = 5

Search = Callable[[str, Vectors], Sequence[Hit]]


def main() -> None:
    """Measure both engines."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with xquad_en*")
    parser.add_argument("--search-url", help="a server with a search module")
    arguments = parser.parse_args()
    for engine in ("native", "search"):
        remote = arguments.search_url if engine == "search" else None
        with nullcontext() if remote else start_server(search=engine == "search") as server:
            measure(remote or server.url, engine, arguments.data)


def measure(url: str, engine: str, folder: Path) -> dict[str, float]:
    """Print recall and time of each kind of search; returns the recall among the first five."""
    paragraphs = read_lines(folder / "xquad_en.jsonl")
    questions = read_lines(folder / "xquad_en_questions.jsonl")
    arrays = np.load(folder / "xquad_en.npz", allow_pickle=False)
    dimension = arrays["paragraphs"].shape[1]
    found: dict[str, float] = {}
    with (
        Connection.open(url) as connection,
        Index.open(
            "retrieval",
            connection=connection,
            dimension=dimension,
            engine=engine,
            full_text=True,  # type: ignore[arg-type]
        ) as index,
    ):
        index.drop()
        index.upsert(
            Record(id=line["id"], content=line["context"], vector=vector)
            for line, vector in zip(paragraphs, arrays["paragraphs"], strict=True)
        )
        print(f"\n### {engine}: {connection.capabilities.description}\n")
        print(f"| | recall@1 | recall@{K} | p50 ms |\n| --- | ---: | ---: | ---: |")
        for name, search in searches(index).items():
            first, among, times = 0, 0, []
            for line, vector in zip(questions, arrays["questions"], strict=True):
                began = time.perf_counter()
                ids = [hit.record.id for hit in search(line["question"], vector)]
                times.append(time.perf_counter() - began)
                first += ids[:1] == [line["paragraph_id"]]
                among += line["paragraph_id"] in ids
            count = len(questions)
            middle = statistics.median(times) * 1e3
            print(
                f"| {name} | {first / count:.4f} | {among / count:.4f} | {middle:.2f} |", flush=True
            )
            found[name] = among / count
        index.drop()
    return found


def searches(index: Index) -> dict[str, Search]:
    """Return the kinds of search to compare, by name."""
    return {
        "vector": lambda _, vector: index.search(vector, k=K),
        "text": lambda text, _: index.search_text(text, k=K),
        "hybrid, reciprocal rank": lambda text, vector: index.search_hybrid(
            vector, text, k=K, fusion=ReciprocalRank()
        ),
        "hybrid, weighted": lambda text, vector: index.search_hybrid(
            vector, text, k=K, fusion=Weighted(0.5)
        ),
    }


if __name__ == "__main__":
    main()
