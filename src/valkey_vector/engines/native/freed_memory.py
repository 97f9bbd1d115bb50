"""Memory that was freed and that the C library keeps for later: returned to the operating system."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["return_freed_memory"]


def return_freed_memory() -> None:
    """Return freed memory to the operating system, after work that needed more than this process will need again.

    Does nothing where the C library has no function for it; glibc has one.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
