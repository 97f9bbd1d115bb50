"""The processes of the freeze test: writers, deleters and readers of the same few records, none of them checked."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from caches import DIMENSION as CACHE_DIMENSION
from caches import Degrees
from soak_records import GROUPS, IDS, MARK, in_group, record_of, vector_of
from valkey_vector import Index
from valkey_vector.cache import SemanticCache
from valkey_vector.index.settings import EngineChoice

WRITERS = 4
READERS = 4
PROMPTS = 120


def stress_index(url: str, name: str, engine: EngineChoice, number: int, seconds: float) -> None:
    """Write, delete, let expire and search with nine threads for some seconds."""
    with Index.open(name, url=url, engine=engine) as index:
        draw = random.Random(number)

        def write() -> None:
            ids = draw.sample(range(IDS), draw.choice([1, 1, 5]))
            records = [record_of(draw.randrange(10**9) * IDS + id) for id in ids]
            index.upsert(records, ttl=draw.choice([None, 1.0, 2.0]))
            if draw.random() < 0.2:
                index.update_metadata([records[0].id], {MARK: draw.randrange(1000)})

        def delete() -> None:
            if draw.random() < 0.1:
                index.delete_by_filter(in_group(draw.randrange(GROUPS)))
            index.delete([f"r{number}" for number in draw.sample(range(IDS), 5)])

        def read() -> None:
            filter = draw.choice([None, in_group(draw.randrange(GROUPS))])
            index.search(vector_of(draw.randrange(10**9)), k=10, filter=filter)
            if draw.random() < 0.2:
                index.count(filter)

        _repeat([write] * WRITERS + [delete] + [read] * READERS, seconds)


def stress_cache(url: str, name: str, engine: EngineChoice, ttl: float, seconds: float) -> None:
    """Use a semantic cache whose entries expire, with eight threads for some seconds."""
    draw = random.Random(time.time_ns())
    with SemanticCache(
        Degrees(),
        name=name,
        url=url,
        engine=engine,
        dimension=CACHE_DIMENSION,
        threshold=0.9999,
        ttl=ttl,
        on_error="raise",
    ) as cache:

        def ask() -> None:
            scope: dict[str, Any] = {"tenant": str(draw.randrange(3))}
            prompt = f"prompt @{draw.randrange(PROMPTS) * 2}"
            cache.get_or_compute(prompt, lambda prompt: f"answer to {prompt}", scope)
            cache.store(f"prompt @{draw.randrange(PROMPTS) * 2}", "stored", scope)
            cache.lookup(f"prompt @{draw.randrange(PROMPTS) * 2}", scope)
            if draw.random() < 0.01:
                cache.invalidate(scope=scope)

        _repeat([ask] * (WRITERS + READERS), seconds)


def _repeat(works: Sequence[Callable[[], None]], seconds: float) -> None:
    """Repeat each work in a thread of its own; an error of any ends all, and is raised."""
    until, errors = time.monotonic() + seconds, list[BaseException]()

    def repeat(work: Callable[[], None]) -> None:
        try:
            while time.monotonic() < until and not errors:
                work()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
