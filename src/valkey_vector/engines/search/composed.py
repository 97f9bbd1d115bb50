"""Searches of all records of an index, composed once for all queries of one form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from valkey_vector.connection import Argument
from valkey_vector.engines.base import Near
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.hits import HitDecoder
from valkey_vector.schema.schema import Flat, Hnsw
from valkey_vector.storage.catalog import CatalogEntry

__all__ = ["ComposedSearch", "ComposedSearches", "search_width"]

_MAX_COMPOSED = 256
"""Number of forms of queries whose command is remembered."""

_HIGHEST_EF = 1_000_000
"""Largest EF_RUNTIME that Valkey-Search accepts (1.0 to 1.3)."""


@dataclass(frozen=True, slots=True)
class ComposedSearch:
    """The common parts of all searches of one form.

    Attributes:
        entry: catalog entry of the index.
        command: the command; it has the vector of another query.
        decoder: decodes the reply; None if vectors are requested.
    """

    entry: CatalogEntry
    command: Sequence[Argument]
    decoder: HitDecoder | None


class ComposedSearches:
    """Remembers the searches of one index.

    Args:
        requested: returns the number of neighbors to request for a query and its k.
    """

    def __init__(self, requested: Callable[[Near, int], int]) -> None:
        self._requested = requested
        self._known: dict[tuple[object, ...], ComposedSearch] = {}

    def of(self, entry: CatalogEntry, near: Near, k: int, fields: Sequence[str]) -> ComposedSearch:
        """The search for the k nearest records; composed again if the catalog entry has changed."""
        form = (near.field.name, near.ef_runtime, k, *fields)
        known = self._known.get(form)
        if known is not None and known.entry is entry:
            return known
        requested = self._requested(near, k)
        width = search_width(near, requested)
        command = commands.knn_command(entry, "*", near, requested, fields, width=width)
        if len(self._known) >= _MAX_COMPOSED:
            self._known.clear()
        decoder = HitDecoder.of(entry, near.field, fields)
        composed = self._known[form] = ComposedSearch(entry, command, decoder)
        return composed


def search_width(near: Near, k: int) -> int | None:
    """EF_RUNTIME of a search for k neighbors; None without a graph."""
    match near.field.algorithm:
        case Hnsw(ef_runtime=default):
            return min(_HIGHEST_EF, max(k, near.ef_runtime or default))
        case Flat():
            return None
