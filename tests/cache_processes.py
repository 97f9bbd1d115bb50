"""Functions that tests of caches run in other processes. Unlike a test module, they can import this one."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from caches import DIMENSION, Degrees
from valkey_vector.cache import SemanticCache
from valkey_vector.index.settings import EngineChoice


def opened(url: str, name: str, engine: EngineChoice, **settings: Any) -> SemanticCache:
    return SemanticCache(
        Degrees(), name=name, url=url, engine=engine, dimension=DIMENSION, threshold=0.9, **settings
    )


def ask_at_once(
    url: str, name: str, engine: EngineChoice, processes: int, threads: int
) -> list[Any]:
    """Ask one new prompt from many threads, when all processes are ready; the answers they got."""
    with opened(url, name, engine) as cache:
        connection = cache.index.connection
        together = threading.Barrier(threads)

        def compute(prompt: str) -> dict[str, Any]:
            calls = connection.execute("INCR", f"{name}-calls")
            time.sleep(0.5)
            return {"prompt": prompt, "call": calls}

        def ask(_: int) -> Any:
            together.wait(60)
            return cache.get_or_compute("new prompt @0", compute, {"tenant": "a"})

        connection.execute("INCR", f"{name}-ready")
        deadline = time.monotonic() + 60
        while int(connection.execute("GET", f"{name}-ready")) < processes:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(ask, range(threads)))


def die_while_computing(url: str, name: str, engine: EngineChoice, lease: float) -> None:
    """Begin to make an answer, tell so, and end without a word."""

    def compute(_: str) -> str:
        cache.index.connection.execute("SET", f"{name}-computing", "1")
        os._exit(1)

    cache = opened(url, name, engine, lease=lease)
    cache.get_or_compute("prompt @0", compute)


def compute_slowly(url: str, name: str, engine: EngineChoice, lease: float, seconds: float) -> Any:
    """Compute an answer that takes longer than the lease."""
    with opened(url, name, engine, lease=lease) as cache:

        def compute(_: str) -> str:
            cache.index.connection.execute("SET", f"{name}-computing", "1")
            time.sleep(seconds)
            return "slow"

        return cache.get_or_compute("prompt @0", compute)


def look_up(url: str, name: str, engine: EngineChoice, prompts: list[str]) -> list[Any]:
    """Look prompts up one by one; the answers."""
    with opened(url, name, engine) as cache:
        hits = [cache.lookup(prompt) for prompt in prompts]
    return [None if hit is None else hit.answer for hit in hits]
