"""Eviction settings of a cache. One script on the server selects the entries to evict, in O(log n).

``{name}:uses`` is a sorted set of the entries in order of eviction, ``{name}:ends`` one by the millisecond at which they
expire. An entry is registered before it is stored, and unregistered after it is removed. If a process dies in between, at
worst a missing entry stays registered. It is evicted in its turn, at no cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from valkey_vector.connection.lua import read_lua

__all__ = ["REPORT", "Eviction", "Place", "Policy", "Victim"]

Policy: TypeAlias = Literal["lru", "lfu"]


@dataclass(frozen=True, slots=True)
class Eviction:
    """Maximum number of entries, and order of eviction.

    Attributes:
        policy: ``lru`` evicts the entry that was unused for the longest time. ``lfu`` evicts the least often used entry,
            with aging: an entry that was used often long ago is evicted before one that is used now.
        max_entries: maximum number of entries, >= 1.
    """

    policy: Policy
    max_entries: int


@dataclass(frozen=True, slots=True)
class Place:
    """Stored entry and its time to live in milliseconds (0: it does not expire)."""

    id: str
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Victim:
    """Entry to evict, with its score when it was selected. An entry that was used since then stays registered."""

    id: str
    score: str


REPORT = read_lua(__package__, "usage_report")
