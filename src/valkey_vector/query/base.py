"""What several kinds of query have in common, and its checks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.ast import Filter
from valkey_vector.records.validation import FilterLike, as_filter

__all__ = ["Brought", "check_brought", "check_count", "check_filter", "check_flags", "check_number"]


@dataclass(frozen=True, slots=True)
class Brought:
    """Which parts of the records found are brought; the others are empty.

    Attributes:
        content: the texts.
        metadata: the metadata.
        vectors: all vectors.
        payloads: the payloads.
    """

    content: bool = True
    metadata: bool = True
    vectors: bool = False
    payloads: bool = False


def check_brought(query: Any) -> Brought:
    """What a query's ``with_…`` say.

    Raises:
        InvalidInputError: one of them is neither True nor False.
    """
    check_flags(query, "with_content", "with_metadata", "with_vectors", "with_payloads")
    return Brought(query.with_content, query.with_metadata, query.with_vectors, query.with_payloads)


def check_flags(query: object, *names: str) -> None:
    """Check attributes of a query that are switches.

    Raises:
        InvalidInputError: one of them is neither True nor False.
    """
    for name in names:
        if not isinstance(getattr(query, name), bool):
            raise InvalidInputError(f"{name} must be True or False, not {getattr(query, name)!r}")


def check_filter(filter: FilterLike | None) -> Filter | None:
    """The filter a dict stands for, or the filter, or None.

    Raises:
        FilterError: it is neither, or not understood.
    """
    return None if filter is None else as_filter(filter)


def check_count(value: int, name: str, lowest: int) -> int:
    """The number, if it is a whole one from `lowest` on.

    Raises:
        InvalidInputError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise InvalidInputError(f"{name} must be a whole number from {lowest} on, not {value!r}")
    return value


def check_number(value: float, name: str) -> float:
    """The number, if it is a finite one.

    Raises:
        InvalidInputError: it is not.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidInputError(f"{name} must be a finite number, not {value!r}")
    return float(value)
