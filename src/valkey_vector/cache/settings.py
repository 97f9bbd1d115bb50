"""The settings of a cache, checked before any server is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from valkey_vector.cache.entries import CacheHit, Scope, merged_scope
from valkey_vector.cache.eviction import Eviction
from valkey_vector.errors import ConfigurationError, InvalidInputError

__all__ = ["Settings", "Verify", "check_seconds", "check_threshold", "eviction_of"]

Verify: TypeAlias = Callable[[str, CacheHit], bool | Awaitable[bool]]
"""Decides on a doubtful hit: the prompt that was asked, and what was found for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `SemanticCache` was told, but for where the server is.

    Attributes:
        margin: hits within so much of the threshold are doubtful.
        verify: decides on them.
        ttl: seconds that an entry lives.
        sliding: uses prolong that.
        scope: part of every call's scope.

    Raises:
        ConfigurationError: one of them is wrong, or two contradict each other.
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
                "margin and verify go together: verify decides on the hits within the margin of the threshold"
            )
        if self.ttl is not None:
            check_seconds(self.ttl, "ttl")
        elif self.sliding:
            raise ConfigurationError(
                "sliding needs a ttl, by which each use prolongs an entry's life"
            )
        try:
            merged_scope({}, self.scope)
        except InvalidInputError as error:
            raise ConfigurationError(str(error)) from None


def eviction_of(max_entries: int | None, policy: Any) -> Eviction | None:
    """How entries make room; None where any number may stay.

    Raises:
        ConfigurationError: the number or the policy is wrong.
    """
    if policy not in ("lru", "lfu"):
        raise ConfigurationError(f"eviction must be 'lru' or 'lfu', not {policy!r}")
    if max_entries is None:
        return None
    if not isinstance(max_entries, int) or isinstance(max_entries, bool) or max_entries < 1:
        raise ConfigurationError(
            f"max_entries must be a whole number from 1 on, not {max_entries!r}"
        )
    return Eviction(policy, max_entries)


def check_threshold(value: float) -> float:
    """The threshold, if it is one.

    Raises:
        ConfigurationError: it is not above 0 and at most 1.
    """
    if not _is_number(value) or not 0 < value <= 1:
        raise ConfigurationError(
            f"threshold must be a cosine similarity above 0 and at most 1, not {value!r}"
        )
    return float(value)


def check_seconds(value: float, name: str) -> float:
    """The number, if it is a time that can be waited for.

    Raises:
        ConfigurationError: it is not a positive number of seconds.
    """
    if not _is_number(value) or not 0 < value < 10**10:
        raise ConfigurationError(f"{name} must be a positive number of seconds, not {value!r}")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
