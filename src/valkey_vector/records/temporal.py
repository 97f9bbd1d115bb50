"""Points in time: recognize them, and convert them to microseconds."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias, TypeGuard

__all__ = ["Temporal", "instant", "is_temporal", "parse_iso"]

Temporal: TypeAlias = date | datetime

_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}"
    r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,6})?)?(?:Z|z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_temporal(value: Any) -> TypeGuard[Temporal]:
    """True for a date or a datetime."""
    return isinstance(value, date)


def parse_iso(text: str) -> Temporal | None:
    """Parse an ISO 8601 calendar date with or without a time. Returns None for any other text.

    Only the extended form with dashes counts: ``20240131`` is more often a number than a day.
    """
    if len(text) < 10 or text[4] != "-" or _ISO.fullmatch(text) is None:
        return None
    try:
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError:
        return None


def instant(value: Temporal) -> int:
    """Microseconds since 1970-01-01 UTC. A date counts as its midnight; a value without a time zone counts as UTC."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    elif value.utcoffset() is None:
        value = value.replace(tzinfo=UTC)
    return (value - _EPOCH) // timedelta(microseconds=1)
