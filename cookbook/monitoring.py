"""Send spans and metrics of searches and of a semantic cache to OpenTelemetry.

Without --endpoint they are printed. With it they go to a collector, such as the one of `docker compose --profile monitoring
up --detach --wait`; Grafana on http://localhost:3000 then shows them. That needs the package
opentelemetry-exporter-otlp-proto-http. Without --url the program starts a private Valkey server, which ends with it.

    python cookbook/monitoring.py
    python cookbook/monitoring.py --url valkey://localhost:6379 --endpoint http://localhost:4318 --seconds 300
"""

from __future__ import annotations

import argparse
import hashlib
import math
import random
import sys
import time
import uuid
from contextlib import suppress
from pydoc_data.topics import topics

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from valkey_vector import F, Index, InvalidInputError, Record
from valkey_vector.cache import SemanticCache
from valkey_vector.telemetry import instrument, uninstrument

DIMENSION = 64
SAMPLED = 0.1


def embed(texts: list[str]) -> list[list[float]]:
    """Embed without a model: counts of words by their digest, of length one."""
    vectors = []
    for text in texts:
        counts = [0.0] * DIMENSION
        for word in text.lower().split():
            counts[hashlib.sha256(word.encode()).digest()[0] % DIMENSION] += 1
        length = math.hypot(*counts) or 1.0
        vectors.append([count / length for count in counts])
    return vectors


def embed_one(text: str) -> list[float]:
    return embed([text])[0]


def exporters(endpoint: str | None) -> tuple[SpanExporter, MetricExporter]:
    """Return exporters to a collector, or to the terminal."""
    if endpoint is None:
        return ConsoleSpanExporter(), ConsoleMetricExporter()
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError:
        sys.exit("--endpoint needs: pip install opentelemetry-exporter-otlp-proto-http")
    return (
        OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces"),
        OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics"),
    )


def work(index: Index, cache: SemanticCache, seconds: float) -> None:
    """Search and ask the cache until the time is over, as an application does."""
    names = sorted(topics)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        prompt = f"what is {random.choice(names[:20])}"
        vector = embed_one(prompt)
        index.search(vector, k=5, filter=F("characters") > random.randrange(2_000))
        cache.get_or_compute(prompt, str.upper)
        if random.random() < 0.02:
            with suppress(InvalidInputError):  # a wrong dimension, for the panel of errors
                index.search(vector[1:])
        time.sleep(0.005)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="a server; without it, a private one")
    parser.add_argument("--endpoint", help="URL of an OTLP collector; without it, the terminal")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long to work")
    arguments = parser.parse_args()

    spans, metrics = exporters(arguments.endpoint)
    resource = Resource.create({"service.name": "cookbook"})
    tracers = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(SAMPLED))
    tracers.add_span_processor(BatchSpanProcessor(spans))
    meters = MeterProvider([PeriodicExportingMetricReader(metrics, 5_000)], resource=resource)
    instrument(tracer_provider=tracers, meter_provider=meters)

    name = f"monitoring_{uuid.uuid4().hex[:8]}"
    url = arguments.url or "embedded://"
    try:
        with Index.open(name, url=url, dimension=DIMENSION) as index:
            cache = SemanticCache(
                name=f"{name}_cache",
                connection=index.connection,
                embed=embed_one,
                dimension=DIMENSION,
                threshold=0.9,
            )
            try:
                index.upsert(
                    [
                        Record(id=topic, vector=vector, metadata={"characters": len(text)})
                        for (topic, text), vector in zip(
                            topics.items(), embed(list(topics.values())), strict=True
                        )
                    ]
                )
                work(index, cache, arguments.seconds)
            finally:
                cache.drop()
                index.drop()
    finally:
        tracers.shutdown()
        meters.shutdown()
        uninstrument()


if __name__ == "__main__":
    main()
