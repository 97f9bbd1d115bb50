"""Pronounceable words by number, for generated texts."""

from __future__ import annotations

__all__ = ["word"]

SYLLABLES = [a + b for a in "bcdfghklmnprstvz" for b in "aeiou"]


def word(number: int) -> str:
    """Return a pronounceable word for a number. Numbers below 2^31 have different words."""
    number = number * 2654435761 % 2**31 + 2**31
    parts = []
    while number:
        number, rest = divmod(number, len(SYLLABLES))
        parts.append(SYLLABLES[rest])
    return "".join(parts)
