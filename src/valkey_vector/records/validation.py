"""Validation of arguments and settings (counts, ids, names, ranges) before any command is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.records.plain_values import plain_text
from valkey_vector.records.tokens import is_unicode

__all__ = ["check_ids", "check_k", "check_known", "check_limit", "check_range"]


def check_k(value: int, name: str) -> int:
    """Return the value if it is an integer >= 1.

    Raises:
        InvalidInputError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidInputError(f"{name} must be an integer ≥ 1, not {value!r}")
    return value


def check_ids(ids: Sequence[str]) -> list[str]:
    """Return ids as plain texts.

    Raises:
        InvalidInputError: `ids` is not a list, or an id is not non-empty text. A single text is not a list of letters.
    """
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise InvalidInputError(
            f"ids must be a list of ids, not the one {type(ids).__name__} {ids!r}"
        )
    listed = list(ids)  # first: an iterator can be iterated over only once
    for id in listed:
        if not isinstance(id, str) or not id:
            raise InvalidInputError(f"an id must be non-empty text, not {id!r}")
        if not is_unicode(id):
            raise InvalidInputError(f"the id {id!r} holds a lone surrogate")
    return [plain_text(id) for id in listed]


def check_limit(value: int, name: str) -> int:
    """Return the value if it is an integer >= 0.

    Raises:
        InvalidInputError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidInputError(f"{name} must be an integer ≥ 0, not {value!r}")
    return value


def check_known(owner: str, settings: Mapping[str, Any], known: set[str]) -> None:
    """Check that every setting is a known one.

    Raises:
        ConfigurationError: names the unknown settings and lists the known ones.
    """
    unknown = sorted(str(name) for name in settings if name not in known)
    if unknown:
        raise ConfigurationError(
            f"{owner} has no setting {', '.join(map(repr, unknown))}; known are {', '.join(sorted(known))}"
        )


def check_range(name: str, value: Any, low: int, high: int) -> None:
    """Check that a setting is an integer from `low` to `high`, both included.

    Raises:
        ConfigurationError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigurationError(f"{name} must be an integer from {low} to {high}, not {value!r}")
