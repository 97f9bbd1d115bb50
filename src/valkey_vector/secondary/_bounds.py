"""Bounds of ranges, cursors of pages, and byte strings that bound a prefix."""

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
    """The two ends of a range; None is open."""

    low: T | None = None
    high: T | None = None
    with_low: bool = True
    with_high: bool = True

    @classmethod
    def of(cls, ge: T | None, gt: T | None, le: T | None, lt: T | None) -> Bounds[T]:
        """The bounds that keyword arguments give.

        Raises:
            InvalidInputError: `ge` and `gt`, or `le` and `lt`, are given together.
        """
        if ge is not None and gt is not None:
            raise InvalidInputError(f"give ge or gt, not both: {ge!r} and {gt!r}")
        if le is not None and lt is not None:
            raise InvalidInputError(f"give le or lt, not both: {le!r} and {lt!r}")
        return cls(
            gt if ge is None else ge, lt if le is None else le, ge is not None, le is not None
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a range.

    Attributes:
        items: what is on it.
        cursor: pass it as `after` for the next page, with the same bounds and direction; None after the last page.
    """

    items: tuple[T, ...]
    cursor: str | None


def after_prefix(prefix: bytes) -> bytes | None:
    """The smallest byte string above all that begin with a prefix; None if there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


def lex_bounds(
    low: bytes | None,
    high: bytes | None,
    *,
    with_low: bool = True,
    with_high: bool = False,
) -> tuple[bytes, bytes]:
    """The arguments of a BYLEX range; None is open."""
    return (
        b"-" if low is None else (b"[" if with_low else b"(") + low,
        b"+" if high is None else (b"[" if with_high else b"(") + high,
    )


def to_cursor(position: bytes) -> str:
    """A cursor that fits into a URL."""
    return base64.urlsafe_b64encode(position).decode()


def from_cursor(cursor: str) -> bytes:
    """The position that a cursor stands for.

    Raises:
        InvalidInputError: it is not a cursor that this library made.
    """
    try:
        return base64.urlsafe_b64decode(cursor.encode("ascii"))
    except (AttributeError, UnicodeEncodeError, binascii.Error):
        raise InvalidInputError(f"{cursor!r} is not a cursor of a page") from None


def check_page_limit(limit: int | None) -> int:
    """A limit as the scripts take it; -1 for None.

    Raises:
        InvalidInputError: it is not a whole number from 1 on.
    """
    return -1 if limit is None else check_k(limit, "limit")
