"""Semantic cache on real questions: hit rate and precision by threshold, and the cost of a hit.

    python -m benchmarks.cache --data DIR [--search-url URL] [--model FOLDER]

Set ``OPENBLAS_NUM_THREADS=1``, or the threads of the linear algebra disturb the times.

The training half of BANKING77 is stored, with its intents as answers. The test half is looked up. The cost of a hit is compared
with the embedding call and one FT.SEARCH through GLIDE alone, with a prepared command, on the same entries. The contenders take
turns question by question. Prints Markdown.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from glide_sync import GlideClient, GlideClientConfiguration, NodeAddress, ProtocolVersion

from banking import Known, Questions, labelled_pairs, questions
from benchmarks.minilm import MiniLm
from servers import start_server
from valkey_vector import F, Hnsw
from valkey_vector.cache import CacheHit, SemanticCache
from valkey_vector.cache.entries import scope_id
from valkey_vector.engines.base import Near
from valkey_vector.engines.search.commands import knn_command
from valkey_vector.engines.search.query_syntax import query_text
from valkey_vector.filters.compiler import compile_filter
from valkey_vector.records.record import Vector
from valkey_vector.storage.layout import record_fields

THRESHOLDS = [0.70, 0.75, 0.80, 0.85, 0.90, 0.95]
SCOPE = {"tenant": "bench", "model": "none"}
_ROUNDS, _WARM = 400, 20


class Lsa:
    """Latent semantic analysis: a small real model."""

    name = "LSA, 256 dimensions"

    def __init__(self, texts: Sequence[str]) -> None:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline

        words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
        self._model = make_pipeline(words, TruncatedSVD(256, random_state=0)).fit(texts)

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        return list(self._model.transform(texts).astype(np.float32))


def main() -> None:
    """Measure both engines."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cache", description=__doc__)
    parser.add_argument("--data", type=Path, help="directory with banking77.*")
    parser.add_argument("--search-url", help="a server with a search module, not a local one")
    parser.add_argument("--model", type=Path, help="folder of all-MiniLM-L6-v2, to embed with")
    arguments = parser.parse_args()
    train, test = questions("train", arguments.data), questions("test", arguments.data)
    for engine in ("native", "search"):
        remote = arguments.search_url if engine == "search" else None
        with nullcontext() if remote else start_server(search=engine == "search") as server:
            url = remote or server.url
            by_threshold(url, engine, train, test)
            lsa = Lsa(train.texts)
            costs(url, engine, (lsa, lsa), train, test)
            if arguments.model:
                # The data has this model's embeddings, so storing needs no model.
                costs(url, engine, (MiniLm(arguments.model), Known(train, test)), train, test)


def opened(url: str, engine: Any, embedder: Any, threshold: float) -> SemanticCache:
    """Return an empty cache."""
    settings: dict[str, Any] = {"name": "bench_cache", "url": url, "engine": engine, "scope": SCOPE}
    SemanticCache(embedder, **settings).drop()
    return SemanticCache(embedder, threshold=threshold, on_error="raise", **settings)


def by_threshold(url: str, engine: str, train: Questions, test: Questions) -> None:
    """Print hit rate and precision by threshold, and those of the threshold that calibration proposes."""
    with opened(url, engine, Known(train, test), 0.01) as cache:
        print(f"\n## {engine}: {cache.index.connection.capabilities.description}\n")
        calibration = cache.calibrate(labelled_pairs(train), precision=0.95)
        began = time.perf_counter()
        for text, intent in zip(train.texts, train.intents, strict=True):
            cache.store(text, intent)
        stored = len(train.texts) / (time.perf_counter() - began)
        hits = cache.lookup_many(test.texts)
        print("| threshold | hits | hit rate | precision |")
        print("| ---: | ---: | ---: | ---: |")
        for threshold in sorted([*THRESHOLDS, calibration.threshold]):
            count, precision = outcome(hits, test, threshold)
            shown = f"{threshold:.2f}" if threshold in THRESHOLDS else f"**{threshold:.4f}**"
            print(f"| {shown} | {count} | {count / len(hits):.4f} | {precision:.4f} |")
        print(
            f"\n**{calibration.threshold:.4f}** is what calibration to a precision of 0.95 proposes from the training half, "
            f"where it has {calibration.precision:.4f} at a hit rate of {calibration.hit_rate:.4f}. "
            f"Entries stored one by one: {stored:,.0f} a second."
        )
        cache.drop()


def outcome(
    hits: Sequence[CacheHit | None], test: Questions, threshold: float
) -> tuple[int, float]:
    """Return the number of hits at a threshold, and the share of them with the right intent."""
    right = [
        hit.answer == intent
        for hit, intent in zip(hits, test.intents, strict=True)
        if hit is not None and hit.similarity >= threshold
    ]
    return len(right), sum(right) / len(right)


def costs(
    url: str, engine: Any, embedders: tuple[Any, Any], train: Questions, test: Questions
) -> None:
    """Print the cost of hits with the first embedder, in a cache whose entries the second one embedded."""
    embedder, storing = embedders
    with opened(url, engine, storing, 0.01) as cache:
        for text, intent in zip(train.texts, train.intents, strict=True):
            cache.store(text, intent)
    with SemanticCache(
        embedder, name=cache.name, url=url, engine=engine, scope=SCOPE, threshold=0.01
    ) as cache:
        contenders: dict[str, tuple[Callable[[str], object], Sequence[str]]] = {
            "embedding call alone": (lambda text: embedder.embed([text]), test.texts),
            "semantic hit": (cache.lookup, test.texts),
            "exact hit": (cache.lookup, train.texts[: len(test.texts)]),
        }
        if engine == "search":
            raw = raw_search(url, cache, embedder)
            contenders["embedding call and raw FT.SEARCH"] = (raw, test.texts)
        times = in_turns(contenders, _ROUNDS)
        print(f"\n### {embedder.name}\n\n| | p50 ms | p95 ms |\n| --- | ---: | ---: |")
        for name, each in times.items():
            high = statistics.quantiles(each, n=20)[-1]
            print(f"| {name} | {statistics.median(each) * 1e3:.2f} | {high * 1e3:.2f} |")
        if engine == "search":
            both = times["embedding call and raw FT.SEARCH"]
            ratio = statistics.median(times["semantic hit"]) / statistics.median(both)
            print(
                f"\nA semantic hit is {ratio:.2f} × the embedding call and a raw FT.SEARCH (p50)."
            )
        cache.drop()


def raw_search(url: str, cache: SemanticCache, embedder: Any) -> Callable[[str], object]:
    """Return a function that embeds a text and sends the cache's search through GLIDE alone."""
    host, _, port = url.removeprefix("valkey://").partition(":")
    client = GlideClient.create(
        GlideClientConfiguration(
            [NodeAddress(host, int(port))], request_timeout=60_000, protocol=ProtocolVersion.RESP2
        )
    )
    engine = cache.index._handle.existing()
    assert engine is not None
    plan = compile_filter(F("scope_id") == scope_id(SCOPE), engine.entry).plan
    query = f"({query_text(plan)})"
    fields = record_fields(vectors=False, payloads=True)
    ef = Hnsw().ef_runtime

    def search(text: str) -> object:
        vector = np.asarray(embedder.embed([text])[0], dtype="<f4")
        near = Near(engine.entry.schema.vector_field(None), vector, ef)
        command: Any = knn_command(engine.entry, query, near, 1, fields)
        return client.custom_command(command)

    return search


def in_turns(
    contenders: dict[str, tuple[Callable[[str], object], Sequence[str]]], rounds: int
) -> dict[str, list[float]]:
    """Return the seconds of each call. The contenders take turns."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    gc.collect()
    for number in range(rounds):
        for name, (call, texts) in contenders.items():
            began = time.perf_counter()
            call(texts[number])
            if number >= _WARM:
                times[name].append(time.perf_counter() - began)
    return times


if __name__ == "__main__":
    main()
