"""Rows one by one and in pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from valkey_vector.engines.base import Row
from valkey_vector.storage.layout import CREATED
from valkey_vector.text.bm25 import Scored

__all__ = ["PAGE", "PageSize", "Ranked", "age", "paged", "rows_of", "without_repeats"]

PAGE = 1_000
"""Rows in a page at most."""

_BYTES = 16 * 1024 * 1024
"""Bytes that a page should have at most."""


class Ranked(list[Scored]):
    """Scores and ids, best first.

    Attributes:
        versions: by id, of the documents that were scored, as far as they are known.
    """

    def __init__(self, scored: Iterable[Scored], versions: Mapping[str, bytes | None]) -> None:
        super().__init__(scored)
        self.versions = versions


class PageSize:
    """How many rows the next page is to have, by the bytes of the rows so far.

    Args:
        first: rows in the first page.
        most: rows in any page at most.

    Attributes:
        rows: in the next page.
    """

    def __init__(self, first: int, most: int = PAGE) -> None:
        self.rows = min(first, most)
        self._most = most

    def learn(self, page: Sequence[Row]) -> None:
        """Take note of a page that was read."""
        if page:
            largest = sum(sum(map(len, row.fields.values())) for row in page) / len(page)
            fitting = int(_BYTES / max(1.0, largest))
            # Four times as many at most: the next rows may be larger than the ones before.
            self.rows = max(1, min(self._most, fitting, 4 * self.rows))


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
