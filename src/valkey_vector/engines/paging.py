"""Rows one by one and in pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from valkey_vector.document import CREATED
from valkey_vector.engines.base import Row

__all__ = ["PAGE", "age", "paged", "rows_of", "without_repeats"]

PAGE = 1_000


def age(row: Row) -> tuple[float, str]:
    """What orders rows oldest first, ties by id."""
    return float(row.fields.get(CREATED, b"0")), row.id


def rows_of(pages: Iterable[Sequence[Row]]) -> Iterator[Row]:
    """The rows of pages."""
    for page in pages:
        yield from page


def without_repeats(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows, each document once."""
    seen: set[str] = set()
    for row in rows:
        if row.id not in seen:
            seen.add(row.id)
            yield row


def paged(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows in pages."""
    page: list[Row] = []
    for row in rows:
        page.append(row)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page
