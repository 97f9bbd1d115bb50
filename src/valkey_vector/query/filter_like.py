"""`FilterLike`: a filter in either form that the public methods accept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

from valkey_vector.errors import FilterError
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
    if isinstance(filter, Filter):
        return filter
    if not isinstance(filter, Mapping):
        _refuse_query(filter)
    return from_dict(filter)


def _refuse_query(value: object) -> None:
    """Reject a whole query in place of its filter, with an error that shows where queries and their parts go."""
    from valkey_vector.query import AggregateQuery, Query

    name = type(value).__name__
    if isinstance(value, get_args(Query)):
        method = "query"
    elif isinstance(value, AggregateQuery):
        method = "aggregate"
    else:
        return
    raise FilterError(
        f"a filter is a dict or an expression, not a whole query such as {name}: pass the parts of the query as keywords "
        f"(filter={{'tenant': 'a'}}), or run the query with Index.{method}({name}(…))"
    )
