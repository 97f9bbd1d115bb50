"""Pages of rows: page sizes, and conversion between rows and pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from valkey_vector.storage.layout import CREATED
from valkey_vector.storage.rows import Row
from valkey_vector.text.bm25 import Scored

__all__ = ["PAGE", "PageSize", "Ranked", "age", "paged", "rows_of", "without_repeats"]

PAGE = 1_000
"""Largest number of rows in a page."""

_BYTES = 16 * 1024 * 1024
"""Target size of a page in bytes."""


class Ranked(list[Scored]):
    """Scores and ids, best first.

    Attributes:
        versions: id → version of the scored document, as far as known.
    """

    def __init__(self, scored: Iterable[Scored], versions: Mapping[str, bytes | None]) -> None:
        super().__init__(scored)
        self.versions = versions


class PageSize:
    """Number of rows in the next page, adapted to the size of the rows read so far.

    Args:
        first: rows in the first page.
        limit: largest number of rows in a page.

    Attributes:
        rows: rows in the next page.
    """

    def __init__(self, first: int, limit: int = PAGE) -> None:
        self.rows = min(first, limit)
        self._limit = limit

    def learn(self, page: Sequence[Row]) -> None:
        """Adapt the page size to a page that was read."""
        if page:
            largest = sum(sum(map(len, row.fields.values())) for row in page) / len(page)
            fitting = int(_BYTES / max(1.0, largest))
            # Four times as many at most: the next rows may be larger than the ones before.
            self.rows = max(1, min(self._limit, fitting, 4 * self.rows))


def age(row: Row) -> tuple[float, str]:
    """Sort key: oldest first, ties by id."""
    return float(row.fields.get(CREATED, b"0")), row.id


def rows_of(pages: Iterable[Sequence[Row]]) -> Iterator[Row]:
    """Iterate over the rows of pages."""
    for page in pages:
        yield from page


def without_repeats(rows: Iterable[Row]) -> Iterator[Row]:
    """Iterate over rows, each document once."""
    seen: set[str] = set()
    for row in rows:
        if row.id not in seen:
            seen.add(row.id)
            yield row


def paged(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Group rows into pages."""
    page: list[Row] = []
    for row in rows:
        page.append(row)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page
