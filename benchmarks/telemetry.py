"""Compare a vector search without telemetry, with it but no SDK, and with an SDK that exports in batches.

    python -m benchmarks.telemetry [--documents 10000] [--search-url URL]

The three take turns in blocks of 50 searches. Prints the median time of a search, and its ratio to that without telemetry.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import numpy as np
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from servers import start_server
from valkey_vector import Index, Record
from valkey_vector.telemetry import instrument, uninstrument

_DIMENSION = 384
_BLOCKS = 40
_BLOCK = 50


def main() -> None:
    """Run the comparison on a local server with a search module, or on the one given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry", description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000, help="number of random vectors")
    parser.add_argument("--search-url", help="a server with a search module")
    arguments = parser.parse_args()

    with ExitStack() as stack:
        url = arguments.search_url or stack.enter_context(start_server(search=True)).url
        with Index.open(f"telemetry-{uuid4().hex[:8]}", url=url, dimension=_DIMENSION) as index:
            try:
                compare(index, arguments.documents)
            finally:
                uninstrument()
                index.drop()


def compare(index: Index, documents: int) -> None:
    """Fill the index, search it in turns and print a table."""
    random = np.random.default_rng(1)
    vectors = random.normal(size=(documents, _DIMENSION)).astype(np.float32)
    index.upsert(
        (Record(id=str(n), vector=vector) for n, vector in enumerate(vectors)), progress=False
    )
    index.wait_until_indexed(progress=False)
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    modes: dict[str, Callable[[], None]] = {
        "off": uninstrument,
        "on, no SDK": lambda: instrument(tracer_provider=NoOpTracerProvider()),
        "on, SDK": lambda: instrument(tracer_provider=provider),
    }
    seconds: dict[str, list[float]] = {name: [] for name in modes}
    for _ in range(_BLOCKS):
        for name, switch in modes.items():
            switch()
            for query in random.normal(size=(_BLOCK, _DIMENSION)).astype(np.float32):
                began = time.perf_counter()
                index.search(query, k=10)
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print("| telemetry | search p50 ms | ratio |\n| --- | ---: | ---: |")
    for name, median in medians.items():
        print(f"| {name} | {median * 1e3:.3f} | {median / medians['off']:.3f} |")


if __name__ == "__main__":
    main()
