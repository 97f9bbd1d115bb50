"""Metadata filters: one filter language, compiled for each engine, with a reference implementation in Python."""

from valkey_vector.filters.ast import Filter
from valkey_vector.filters.builder import F, FieldExpression, all_of, any_of
from valkey_vector.filters.dict_dialect import from_dict
from valkey_vector.filters.evaluate import matches

__all__ = ["F", "FieldExpression", "Filter", "all_of", "any_of", "from_dict", "matches"]
