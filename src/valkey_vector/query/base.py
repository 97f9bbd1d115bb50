"""Shared parts of the query classes, and their validation."""

from __future__ import annotations

import math
from typing import Any

from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.ast import Filter
from valkey_vector.query.filter_like import FilterLike, as_filter

__all__ = [
    "check_count",
    "check_filter",
    "check_flags",
    "check_number",
    "check_returned_parts",
]


def check_returned_parts(query: Any) -> None:
    """Validate the ``with_…`` attributes of a query.

    Raises:
        InvalidInputError: an attribute is neither True nor False.
    """
    for flag in (query.with_content, query.with_metadata, query.with_vectors, query.with_payloads):
        if flag is not True and flag is not False:
            check_flags(query, "with_content", "with_metadata", "with_vectors", "with_payloads")


def check_flags(query: object, *names: str) -> None:
    """Validate the boolean attributes of a query.

    Raises:
        InvalidInputError: an attribute is neither True nor False.
    """
    for name in names:
        value = getattr(query, name)
        if value is not True and value is not False:
            raise InvalidInputError(f"{name} must be True or False, not {value!r}")


def check_filter(filter: FilterLike | None) -> Filter | None:
    """Translate a dict to a filter; return a filter or None unchanged.

    Raises:
        FilterError: the value is neither a filter nor a dict, or the dict is invalid.
    """
    return None if filter is None else as_filter(filter)


def check_count(value: int, name: str, lowest: int) -> int:
    """Return the value if it is an integer of at least `lowest`.

    Raises:
        InvalidInputError: it is not an integer, or too small.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise InvalidInputError(f"{name} must be an integer ≥ {lowest}, not {value!r}")
    return value


def check_number(value: float, name: str) -> float:
    """Return the value as a float if it is a finite number.

    Raises:
        InvalidInputError: it is not a number, infinite or NaN.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidInputError(f"{name} must be a finite number, not {value!r}")
    return float(value)
