"""Numbers with their nouns, for messages and tables."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Format a number with its noun: ``1 record``, ``2,000 records``."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
