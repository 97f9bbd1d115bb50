"""Embedders for tests of caches: how similar two prompts are is written in the prompts."""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import Sequence

from valkey_vector.records.record import Vector

DIMENSION = 4


def vector_of(text: str) -> list[float]:
    """``anything @30`` points 30 degrees away from ``anything else @0``: their similarity is cos 30°."""
    said = re.search(r"@(-?[\d.]+)", text)
    degrees = float(said[1]) if said else 0.0
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0.0, 0.0]


def similarity(degrees: float) -> float:
    """Of two prompts that many degrees apart."""
    return math.cos(math.radians(degrees))


class Degrees:
    """Embedder that uses `vector_of` and records its calls, sync and async."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.awaited: list[str] = []
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        with self._lock:
            self.asked += texts
        return [vector_of(text) for text in texts]

    async def aembed(self, texts: Sequence[str]) -> list[Vector]:
        self.awaited += texts
        await asyncio.sleep(0)
        return [vector_of(text) for text in texts]
