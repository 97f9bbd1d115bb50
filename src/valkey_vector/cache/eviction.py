"""Eviction of cache entries: the server chooses them in one script, in O(log n).

``{name}:uses`` is a sorted set of the entries by how soon they may go, ``{name}:ends`` one by the
millisecond at which they expire by themselves. An entry is accounted for before it is stored, and is forgotten after it
was removed, so that a process that dies in between leaves at worst an account of an entry that is not there: it is
evicted in its turn, and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from valkey_vector.connection.lua import read_lua

__all__ = ["REPORT", "Eviction", "Place", "Policy", "Victim"]

Policy: TypeAlias = Literal["lru", "lfu"]


@dataclass(frozen=True, slots=True)
class Eviction:
    """The maximum number of entries, and the order of eviction.

    Attributes:
        policy: ``lru``, the longest unused; ``lfu``, the least often used, with aging: an entry that was used often, long ago,
            goes before one that is used now.
        max_entries: maximum number of entries, >= 1.
    """

    policy: Policy
    max_entries: int


@dataclass(frozen=True, slots=True)
class Place:
    """A stored entry and its time to live in milliseconds (0: no end)."""

    id: str
    lasts: int


@dataclass(frozen=True, slots=True)
class Victim:
    """An entry to evict, with its score when it was chosen. An entry that was used since then stays accounted for."""

    id: str
    score: str


REPORT = read_lua(__package__, "usage_report")
