"""A count of failures in this process, for caches that keep none on the server."""

from __future__ import annotations

import threading

__all__ = ["FailureCount"]


class FailureCount:
    """How often something failed and was gone on without. Thread-safe."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How often."""
        return self._count

    def failed(self) -> None:
        """Once more."""
        with self._lock:
            self._count += 1
