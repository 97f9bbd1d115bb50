"""Selectivity of filters: how many records a filter selects, and the cheapest way to search them by vector.

Valkey-Search evaluates a filter on each node of the graph that it visits. With EF_RUNTIME ef and a share s of matching
records it visits about ef / s nodes, so the width that suits an unfiltered search is far too wide for a filtered one.
Each filter is therefore counted, and the count is remembered for a moment. It decides about cost and width only: a result
is checked the same way whatever the count was.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from valkey_vector.connection import Argument
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.support import ServerSupport
from valkey_vector.storage.catalog import CatalogEntry, has_hash_tag

__all__ = ["Selectivities", "Selectivity"]

_SMALL_INDEX = 256
"""Number of records up to which a search at full width is cheap for any filter."""

_SMALL_INDEX_SECONDS = 30.0
_SECONDS = 1.0
"""Time after which a filter is counted again; longer for filters that select many records."""

_SECONDS_A_RECORD = 1 / 5_000
"""The server counts about five records in a microsecond: counting takes at most 1/1000 of the time."""

_REMEMBERED = 10_000
"""Number of filters whose counts are remembered."""

_REMEMBERED_KEYS = 100_000
"""Number of keys that are remembered for all filters: about 10 MB."""

_ALWAYS_COMPARED = 30
"""Number of records that are always cheaper to compare here."""

_COMPARED_BYTES = 2 * 1024 * 1024
"""Largest size of the vectors to fetch for a comparison."""

_SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of matching records for which `_WIDTHS` was measured."""

_WIDTHS = (0.5, 0.55, 0.65, 0.8, 0.67, 0.45)
"""Width of a search for ten neighbors at each of `_SHARES`, relative to that without a filter (measured)."""

_MEASURED, _FULL = 4.0, 5.0
"""Decimal logarithms of the numbers of records up to which `_WIDTHS` holds, and from which on the full width is needed."""

_NODES_A_RECORD = 0.4
"""Time to visit a graph node on the server, relative to the time to fetch and compare a vector here (measured)."""

_UNCACHED_BYTES = 15_000_000
"""Size of the vectors of an index from which a visit takes this long. In a smaller one, more of them are in the
processor's caches: with 5 MB a visit takes a third (measured)."""

_COMPARED_BY_SERVER = 1_000
"""Valkey-Search itself compares all matching records if they are at most one in this many."""


@dataclass(frozen=True, slots=True)
class Selectivity:
    """Number of records that a filter selects.

    Attributes:
        matching: number of keys that the filter selects.
        documents: number of keys in the index.
        moment: time of the count, in seconds of `time.monotonic`.
    """

    matching: int
    documents: int
    moment: float = field(default_factory=time.monotonic)

    @property
    def is_old(self) -> bool:
        """True if the filter must be counted again with the next search."""
        age = time.monotonic() - self.moment
        if self.is_of_small_index:
            return age > _SMALL_INDEX_SECONDS
        return age > _SECONDS + self.matching * _SECONDS_A_RECORD

    @property
    def is_of_small_index(self) -> bool:
        """True if any search of the index is cheap."""
        return self.documents <= _SMALL_INDEX

    def width(self, full: int, k: int) -> int:
        """The EF_RUNTIME for a filtered search.

        For ten neighbors it is `full` times the value of `_WIDTHS` at the share of matching records, with straight lines
        between the points. Other k change it by (k + 10) / 20. It is never below k or above `full`. From 10,000 to 100,000
        records it rises to `full`, with the logarithm of their number.

        Recall@10 is above 0.99 with it on real embeddings, which need much less, and on 10,000 generated vectors, with
        filters at random and for one region. A region of a fifth of the records needs most. Of 100,000 generated vectors a
        tenth at random has a recall of 0.975 at 0.65 of the width, and 0.988 at the full one.

        Args:
            full: EF_RUNTIME of an unfiltered search, at least k.
            k: number of neighbors.
        """
        if self.is_of_small_index:
            return full
        relative = (
            float(np.interp(self.matching / self.documents, _SHARES, _WIDTHS)) * (k + 10) / 20
        )
        size = math.log10(self.documents)
        relative = float(np.interp(size, (_MEASURED, _FULL), (min(1.0, relative), 1.0)))
        return min(full, max(k, round(full * relative)))

    def is_cheaper_to_compare(self, full: int, k: int, dimension: int) -> bool:
        """Return True if fetching and comparing the matching records is cheaper than a search of the graph."""
        if self.is_of_small_index or 4 * dimension * self.matching > _COMPARED_BYTES:
            return False
        if self.matching <= _ALWAYS_COMPARED:
            return True
        if self.matching * _COMPARED_BY_SERVER <= self.documents:
            return False
        nodes = min(self.documents, self.width(full, k) * self.documents / self.matching)
        size = 4 * dimension * self.documents
        return self.matching <= _NODES_A_RECORD * min(1.0, size / _UNCACHED_BYTES) * nodes


class Selectivities:
    """The last counts of the filters of one index. Thread-safe.

    Args:
        support: state of the server.
        name: name of the index.
    """

    def __init__(self, support: ServerSupport, name: str) -> None:
        self._support = support
        self._one_node = has_hash_tag(name)
        self._lock = threading.Lock()
        self._known: OrderedDict[int, Selectivity] = OrderedDict()
        self._small: Selectivity | None = None
        self._keys: OrderedDict[int, Sequence[bytes]] = OrderedDict()
        self._kept_keys = 0

    def get(self, query: str) -> Selectivity | None:
        """The last count of a filter; None if it was never counted and the index is not small."""
        with self._lock:
            found = self._known.get(hash(query))
            if found is not None:
                self._known.move_to_end(hash(query))
            return self._small or found

    def commands(self, entry: CatalogEntry, query: str) -> list[list[Argument]]:
        """The commands whose replies `learn` parses."""
        return [commands.count_command(entry, query), ["FT.INFO", entry.search_index]]

    def learn(self, query: str, replies: Sequence[Any]) -> Selectivity:
        """Parse the replies to `commands`, and remember the count."""
        counted, described = replies
        # On a cluster, FT.INFO describes one node. An index with a hash tag is on that node only.
        nodes = 1 if self._one_node else max(1, len(self._support.primaries))
        documents = nodes * int(float(commands.described(described).get("num_docs", 0)))
        matching = commands.total(counted)
        if matching >= self._support.safe_total:
            matching = documents  # the count is cut off
        return self.note(query, matching, documents)

    def note(self, query: str, matching: int, documents: int) -> Selectivity:
        """Remember a count."""
        selectivity = Selectivity(matching, documents)
        with self._lock:
            self._small = selectivity if selectivity.is_of_small_index else None
            self._known[hash(query)] = selectivity
            self._known.move_to_end(hash(query))
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return selectivity

    def keys(self, query: str) -> Sequence[bytes]:
        """The keys that a filter selected the last time; none if they are not remembered."""
        with self._lock:
            return self._keys.get(hash(query), ())

    def note_keys(self, query: str, keys: Sequence[bytes]) -> None:
        """Remember the keys that a filter selects."""
        with self._lock:
            self._kept_keys += len(keys) - len(self._keys.pop(hash(query), ()))
            if keys:
                self._keys[hash(query)] = keys
            while self._kept_keys > _REMEMBERED_KEYS:
                self._kept_keys -= len(self._keys.popitem(last=False)[1])
