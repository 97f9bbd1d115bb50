"""Failure counter of this process, for caches without statistics on the server."""

from __future__ import annotations

import threading

__all__ = ["FailureCount"]


class FailureCount:
    """Number of operations that continued without the cache. Thread-safe."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """The number of failures."""
        return self._count

    def failed(self) -> None:
        """Count one failure."""
        with self._lock:
            self._count += 1
