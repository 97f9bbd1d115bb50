"""Queries: what can be asked of an index, each as a value that is checked when it is made."""

from __future__ import annotations

from typing import TypeAlias

from valkey_vector.query.order import OrderBy
from valkey_vector.query.selection import CountQuery, FilterQuery
from valkey_vector.query.vector import Threshold, VectorQuery
from valkey_vector.record import Hit, Record

__all__ = ["Answer", "CountQuery", "FilterQuery", "OrderBy", "Query", "Threshold", "VectorQuery"]

Query: TypeAlias = VectorQuery | FilterQuery | CountQuery
"""Every kind of query. The union is closed: `valkey_vector.querying` answers each of its members."""

Answer: TypeAlias = list[Hit] | list[Record] | int
"""What queries are answered with: hits by vector, records by filter, a count."""
