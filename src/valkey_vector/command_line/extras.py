"""Finds out whether a package of an optional extra is installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["is_installed"]


def is_installed(name: str) -> bool:
    """Return True if a package can be imported."""
    if name in sys.modules:
        return sys.modules[name] is not None
    return find_spec(name) is not None
