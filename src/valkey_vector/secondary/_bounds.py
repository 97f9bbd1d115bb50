"""Range bounds, page cursors, and the byte ranges of prefixes."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Generic, TypeVar

from valkey_vector.errors import InvalidInputError
from valkey_vector.records.validation import check_k

__all__ = [
    "Bounds",
    "Page",
    "after_prefix",
    "check_page_limit",
    "from_cursor",
    "lex_bounds",
    "to_cursor",
]

T = TypeVar("T")

PAGE = 1000
"""Entries in one reply when an index is iterated."""


@dataclass(frozen=True, slots=True)
class Bounds(Generic[T]):
    """Bounds of a range. None: no bound."""

    low: T | None = None
    high: T | None = None
    with_low: bool = True
    with_high: bool = True

    @classmethod
    def of(cls, ge: T | None, gt: T | None, le: T | None, lt: T | None) -> Bounds[T]:
        """Create bounds from keyword arguments.

        Raises:
            InvalidInputError: `ge` and `gt`, or `le` and `lt`, are passed together.
        """
        if ge is not None and gt is not None:
            raise InvalidInputError(f"pass ge or gt, not both: {ge!r} and {gt!r}")
        if le is not None and lt is not None:
            raise InvalidInputError(f"pass le or lt, not both: {le!r} and {lt!r}")
        return cls(
            gt if ge is None else ge, lt if le is None else le, ge is not None, le is not None
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a range.

    Attributes:
        items: items of the page.
        cursor: pass it as `after` for the next page, with the same bounds and direction. None: this is the last page.
    """

    items: tuple[T, ...]
    cursor: str | None


def after_prefix(prefix: bytes) -> bytes | None:
    """Return the smallest byte string above all that start with a prefix, or None if there is none."""
    remaining = prefix.rstrip(b"\xff")
    return remaining[:-1] + bytes([remaining[-1] + 1]) if remaining else None


def lex_bounds(
    low: bytes | None,
    high: bytes | None,
    *,
    with_low: bool = True,
    with_high: bool = False,
) -> tuple[bytes, bytes]:
    """Return the arguments of a BYLEX range. None: no bound."""
    return (
        b"-" if low is None else (b"[" if with_low else b"(") + low,
        b"+" if high is None else (b"[" if with_high else b"(") + high,
    )


def to_cursor(position: bytes) -> str:
    """Encode a position as a URL-safe cursor."""
    return base64.urlsafe_b64encode(position).decode()


def from_cursor(cursor: str) -> bytes:
    """Decode a cursor.

    Raises:
        InvalidInputError: this library did not create the cursor.
    """
    try:
        return base64.urlsafe_b64decode(cursor.encode("ascii"))
    except (AttributeError, UnicodeEncodeError, binascii.Error):
        raise InvalidInputError(f"{cursor!r} is not a cursor of a page") from None


def check_page_limit(limit: int | None) -> int:
    """Return the checked limit for the scripts, -1 for None.

    Raises:
        InvalidInputError: `limit` is not an integer ≥ 1.
    """
    return -1 if limit is None else check_k(limit, "limit")
