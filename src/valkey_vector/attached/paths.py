"""JSON paths."""

from __future__ import annotations

import re

__all__ = ["is_definite"]

_DEFINITE = re.compile(r"\$(?:\.\w+|\[\"[^\"]+\"\]|\['[^']+'\]|\[\d+\])*")


def is_definite(path: str) -> bool:
    """Return True if a JSON path matches one value at most."""
    return _DEFINITE.fullmatch(path) is not None
