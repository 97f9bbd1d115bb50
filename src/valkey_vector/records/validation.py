"""What callers give: filters in either form, counts and ids, checked before anything is asked or written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.ast import Filter
from valkey_vector.filters.dict_dialect import from_dict
from valkey_vector.records.plain_values import plain_text
from valkey_vector.records.tokens import is_unicode

__all__ = ["FilterLike", "as_filter", "check_ids", "check_k", "check_limit"]

FilterLike: TypeAlias = Filter | Mapping[str, Any]
"""A filter expression (``F("year") > 2000``) or the dict dialect (``{"year": {"$gt": 2000}}``)."""


def as_filter(filter: FilterLike) -> Filter:
    """The filter a dict stands for; an expression as it is.

    Raises:
        FilterError: it is neither, or not understood.
    """
    return from_dict(filter) if not isinstance(filter, Filter) else filter


def check_k(value: int, name: str) -> int:
    """The number, if it is a whole one from 1 on.

    Raises:
        InvalidInputError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidInputError(f"{name} must be a whole number from 1 on, not {value!r}")
    return value


def check_ids(ids: Sequence[str]) -> list[str]:
    """The ids as plain texts, if they are a list of non-empty texts.

    Raises:
        InvalidInputError: they are not; one text alone is not taken for a list of letters.
    """
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise InvalidInputError(
            f"ids must be a list of ids, not the one {type(ids).__name__} {ids!r}"
        )
    listed = list(ids)  # first of all: an iterator can be gone through only once
    for id in listed:
        if not isinstance(id, str) or not id:
            raise InvalidInputError(f"an id must be non-empty text, not {id!r}")
        if not is_unicode(id):
            raise InvalidInputError(f"the id {id!r} holds a lone surrogate")
    return [plain_text(id) for id in listed]


def check_limit(value: int, name: str) -> int:
    """The number, if it is a whole one from 0 on.

    Raises:
        InvalidInputError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidInputError(f"{name} must be a whole number from 0 on, not {value!r}")
    return value
