"""Checks of settings: names that are known, and numbers within their range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from valkey_vector.errors import ConfigurationError

__all__ = ["check_known", "check_range"]


def check_known(owner: str, settings: Mapping[str, Any], known: set[str]) -> None:
    """Check that all settings are known ones.

    Raises:
        ConfigurationError: names those that are not, and those that would be.
    """
    unknown = sorted(str(name) for name in settings if name not in known)
    if unknown:
        raise ConfigurationError(
            f"{owner} has no setting {', '.join(map(repr, unknown))}; known are {', '.join(sorted(known))}"
        )


def check_range(name: str, value: Any, low: int, high: int) -> None:
    """Check that a setting is a whole number in a range, ends included.

    Raises:
        ConfigurationError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigurationError(
            f"{name} must be a whole number from {low} to {high}, not {value!r}"
        )
