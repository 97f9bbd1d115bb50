"""Settings of a cache, checked before the first request to the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from valkey_vector.cache.entries import CacheHit, Scope, merged_scope
from valkey_vector.cache.eviction import Eviction
from valkey_vector.errors import ConfigurationError, InvalidInputError

__all__ = ["Settings", "Verify", "check_seconds", "check_threshold", "eviction_of"]

Verify: TypeAlias = Callable[[str, CacheHit], bool | Awaitable[bool]]
"""Accepts (True) or rejects a doubtful hit. Called with the requested prompt and the hit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a `SemanticCache`, without those of the server.

    Attributes:
        margin: hits are doubtful if their similarity differs from the threshold by less than this, 0 to 1.
        verify: accepts or rejects doubtful hits.
        ttl: time to live of an entry in seconds, > 0.
        sliding: each use sets the time to live again.
        scope: part of every call's scope.

    Raises:
        ConfigurationError: a setting is wrong, or two contradict each other.
    """

    margin: float = 0.0
    verify: Verify | None = None
    ttl: float | None = None
    sliding: bool = False
    scope: Scope = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _is_number(self.margin) or not 0 <= self.margin <= 1:
            raise ConfigurationError(f"margin must be from 0 to 1, not {self.margin!r}")
        if (self.verify is None) != (self.margin == 0):
            raise ConfigurationError(
                "margin and verify require each other: pass both, or neither. verify decides on the hits within the "
                "margin of the threshold"
            )
        if self.ttl is not None:
            check_seconds(self.ttl, "ttl")
        elif self.sliding:
            raise ConfigurationError(
                "sliding needs a ttl: pass the seconds that an entry lives after each use"
            )
        try:
            merged_scope({}, self.scope)
        except InvalidInputError as error:
            raise ConfigurationError(str(error)) from None


def eviction_of(max_entries: int | None, policy: Any) -> Eviction | None:
    """Return the eviction settings. None if the number of entries is not limited.

    Raises:
        ConfigurationError: `max_entries` or `policy` is wrong.
    """
    if policy not in ("lru", "lfu"):
        raise ConfigurationError(f"eviction must be 'lru' or 'lfu', not {policy!r}")
    if max_entries is None:
        return None
    if not isinstance(max_entries, int) or isinstance(max_entries, bool) or max_entries < 1:
        raise ConfigurationError(f"max_entries must be an integer ≥ 1, not {max_entries!r}")
    return Eviction(policy, max_entries)


def check_threshold(value: float) -> float:
    """Return the checked threshold.

    Raises:
        ConfigurationError: `value` is not a number > 0 and ≤ 1.
    """
    if not _is_number(value) or not 0 < value <= 1:
        raise ConfigurationError(
            f"threshold must be a cosine similarity > 0 and ≤ 1, not {value!r}"
        )
    return float(value)


def check_seconds(value: float, name: str) -> float:
    """Return the checked number of seconds.

    Raises:
        ConfigurationError: `value` is not a number > 0 and < 10**10.
    """
    if not _is_number(value) or not 0 < value < 10**10:
        raise ConfigurationError(f"{name} must be a positive number of seconds, not {value!r}")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
