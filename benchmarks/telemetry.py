"""Compare a vector search without telemetry, with it but no SDK, and with an SDK that exports in batches.

    python -m benchmarks.telemetry [--documents 10000] [--search-url URL]

They take turns in blocks of 50 searches. Prints the median time of a search and its ratio to that without telemetry, and
the processor time that telemetry adds to a call, measured with an operation that does nothing. `SDK alone` is what
OpenTelemetry's SDK needs by itself for a span with the same attributes, and for one that is also the current span
(`start_as_current_span`), as the spans of this library are.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import numpy as np
from opentelemetry.metrics import MeterProvider as Meters
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, SpanKind
from opentelemetry.trace import TracerProvider as Tracers

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from servers import start_server
from valkey_vector import Index, Record
from valkey_vector.connection.observation import note_candidates, note_request
from valkey_vector.telemetry import instrument, uninstrument

_DIMENSION = 384
_BLOCKS = 40
_BLOCK = 50
_CALLS = 1_000
_HITS = list(range(10))
_ALONE = "SDK alone, a span", "SDK alone, a current span"


class _Forgetting(SpanExporter):
    """Exports to nowhere."""

    def export(self, spans: object) -> SpanExportResult:  # noqa: ARG002 - the protocol's argument
        return SpanExportResult.SUCCESS


class _Idle(Index):
    """An index whose search does nothing but report a round trip with ten candidates."""

    name = "articles"

    def __init__(self) -> None:
        """Open nothing."""


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


def modes() -> dict[str, Callable[[], None]]:
    """Return what switches to each way of recording."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Forgetting()))
    unsampled = TracerProvider(sampler=ALWAYS_OFF)
    meters = MeterProvider([InMemoryMetricReader()])

    def on(tracers: Tracers, meter_provider: Meters) -> Callable[[], None]:
        return lambda: instrument(tracer_provider=tracers, meter_provider=meter_provider)

    return {
        "off": uninstrument,
        "on, no SDK": on(NoOpTracerProvider(), NoOpMeterProvider()),
        "spans, none sampled": on(unsampled, NoOpMeterProvider()),
        "spans": on(provider, NoOpMeterProvider()),
        "metrics": on(NoOpTracerProvider(), meters),
        "spans and metrics": on(provider, meters),
    }


def compare(index: Index, documents: int) -> None:
    """Fill the index, search it in turns and print a table."""
    random = np.random.default_rng(1)
    vectors = random.normal(size=(documents, _DIMENSION)).astype(np.float32)
    index.upsert(
        (Record(id=str(n), vector=vector) for n, vector in enumerate(vectors)), progress=False
    )
    index.wait_until_indexed(progress=False)
    ways = modes()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_BLOCKS):
        queries = random.normal(size=(_BLOCK, _DIMENSION)).astype(np.float32)
        for name in random.permutation(list(ways)):
            ways[name]()
            for query in queries:
                began = time.perf_counter()
                index.search(query, k=10)
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    added = added_microseconds(ways)
    print("| telemetry | search p50 ms | ratio | added µs |\n| --- | ---: | ---: | ---: |")
    for name, median in medians.items():
        ratio = median / medians["off"]
        print(f"| {name} | {median * 1e3:.3f} | {ratio:.3f} | {added[name]:.1f} |")
    for name in _ALONE:
        print(f"| {name} | | | {added[name]:.1f} |")


def added_microseconds(ways: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Return the processor time that each way adds to an operation, and that of spans of the SDK alone."""
    uninstrument()
    idle, alone = _Idle(), dict(zip(_ALONE, _sdk_alone(), strict=True))
    best = dict.fromkeys([*ways, *alone], float("inf"))
    with patch.object(Index, "search", _search_nothing):
        for _ in range(20):
            for name, switch in ways.items():
                switch()
                best[name] = min(best[name], _microseconds(lambda: idle.search([])))
            for name, span in alone.items():
                best[name] = min(best[name], _microseconds(span))
        uninstrument()
    return {name: each - (best["off"] if name in ways else 0) for name, each in best.items()}


def _search_nothing(*_: object) -> list[int]:
    note_request(1)
    note_candidates(len(_HITS))
    return _HITS


def _sdk_alone() -> tuple[Callable[[], None], Callable[[], None]]:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Forgetting()))
    tracer = provider.get_tracer("alone")
    names = ["db.system.name", "db.operation.name", "db.collection.name"]
    begun = dict.fromkeys(names, "search")
    ended = {f"valkey_vector.{n}": n for n in range(4)}

    def span() -> None:
        started = tracer.start_span("search", kind=SpanKind.CLIENT, attributes=begun)
        started.set_attributes(ended)
        started.end()

    def current() -> None:
        with tracer.start_as_current_span(
            "search", kind=SpanKind.CLIENT, attributes=begun
        ) as started:
            started.set_attributes(ended)

    return span, current


def _microseconds(call: Callable[[], object]) -> float:
    began = time.thread_time()
    for _ in range(_CALLS):
        call()
    return (time.thread_time() - began) / _CALLS * 1e6


if __name__ == "__main__":
    main()
