"""`FilterLike`: a filter in either form that the public methods accept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from valkey_vector.filters.ast import Filter
from valkey_vector.filters.dict_dialect import from_dict

__all__ = ["FilterLike", "as_filter"]

FilterLike: TypeAlias = Filter | Mapping[str, Any]
"""A filter expression (``F("year") > 2000``) or the dict dialect (``{"year": {"$gt": 2000}}``)."""


def as_filter(filter: FilterLike) -> Filter:
    """Translate a dict to a filter; return a filter expression unchanged.

    Raises:
        FilterError: the value is neither a filter nor a dict, or the dict is invalid.
    """
    return from_dict(filter) if not isinstance(filter, Filter) else filter
