"""Shared parts of the query classes, and their validation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.ast import Filter
from valkey_vector.query.filter_like import FilterLike, as_filter

__all__ = [
    "ReturnedParts",
    "check_count",
    "check_filter",
    "check_flags",
    "check_number",
    "check_returned_parts",
]


@dataclass(frozen=True, slots=True)
class ReturnedParts:
    """The parts of each record that a query returns; the others are empty.

    Attributes:
        content: return the text.
        metadata: return the metadata.
        vectors: return all vectors.
        payloads: return the payload.
    """

    content: bool = True
    metadata: bool = True
    vectors: bool = False
    payloads: bool = False


def check_returned_parts(query: Any) -> ReturnedParts:
    """Validate the ``with_…`` attributes of a query, and return them.

    Raises:
        InvalidInputError: an attribute is neither True nor False.
    """
    check_flags(query, "with_content", "with_metadata", "with_vectors", "with_payloads")
    return ReturnedParts(
        query.with_content, query.with_metadata, query.with_vectors, query.with_payloads
    )


def check_flags(query: object, *names: str) -> None:
    """Validate the boolean attributes of a query.

    Raises:
        InvalidInputError: an attribute is neither True nor False.
    """
    for name in names:
        if not isinstance(getattr(query, name), bool):
            raise InvalidInputError(f"{name} must be True or False, not {getattr(query, name)!r}")


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
