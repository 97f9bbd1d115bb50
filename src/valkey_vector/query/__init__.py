"""Queries: immutable values that are validated when they are created."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from valkey_vector.concurrency.deferred_imports import deferred
from valkey_vector.query.filter import CountQuery, FilterQuery
from valkey_vector.query.hybrid import Fusion, HybridQuery, ReciprocalRank, Weighted
from valkey_vector.query.order import OrderBy
from valkey_vector.query.read_options import Consistency, ReadOptions
from valkey_vector.query.result import PartialResultWarning, SearchResult
from valkey_vector.query.text import Clause, Fuzzy, Phrase, Prefix, Term, TextQuery
from valkey_vector.query.vector import Threshold, VectorQuery
from valkey_vector.records.record import Hit, Record

if TYPE_CHECKING:
    from valkey_vector.query.aggregate import (
        AggregateQuery,
        Apply,
        Average,
        Count,
        CountDistinct,
        Distinct,
        FirstValue,
        GroupBy,
        Limit,
        Maximum,
        Minimum,
        Reducer,
        SortBy,
        StandardDeviation,
        Step,
        Sum,
        Unwind,
        Where,
    )
    from valkey_vector.query.expressions import (
        Arithmetic,
        ArithmeticOperator,
        Call,
        Constant,
        Expression,
        Function,
        Item,
    )
else:
    # Most programs need no aggregates.
    __getattr__, __dir__ = deferred(
        __name__,
        {
            "valkey_vector.query.aggregate": [
                "AggregateQuery",
                "Apply",
                "Average",
                "Count",
                "CountDistinct",
                "Distinct",
                "FirstValue",
                "GroupBy",
                "Limit",
                "Maximum",
                "Minimum",
                "Reducer",
                "SortBy",
                "StandardDeviation",
                "Step",
                "Sum",
                "Unwind",
                "Where",
            ],
            "valkey_vector.query.expressions": [
                "Arithmetic",
                "ArithmeticOperator",
                "Call",
                "Constant",
                "Expression",
                "Function",
                "Item",
            ],
        },
    )

__all__ = [
    "AggregateQuery",
    "Answer",
    "Apply",
    "Arithmetic",
    "ArithmeticOperator",
    "Average",
    "Call",
    "Clause",
    "Consistency",
    "Constant",
    "Count",
    "CountDistinct",
    "CountQuery",
    "Distinct",
    "Expression",
    "FilterQuery",
    "FirstValue",
    "Function",
    "Fusion",
    "Fuzzy",
    "GroupBy",
    "HybridQuery",
    "Item",
    "Limit",
    "Maximum",
    "Minimum",
    "OrderBy",
    "PartialResultWarning",
    "Phrase",
    "Prefix",
    "Query",
    "ReadOptions",
    "ReciprocalRank",
    "Reducer",
    "SearchResult",
    "SortBy",
    "StandardDeviation",
    "Step",
    "Sum",
    "Term",
    "TextQuery",
    "Threshold",
    "Unwind",
    "VectorQuery",
    "Weighted",
    "Where",
]

Query: TypeAlias = VectorQuery | TextQuery | HybridQuery | FilterQuery | CountQuery
"""Every kind of query. The union is closed: `valkey_vector.execution.dispatch` handles each member."""

Answer: TypeAlias = SearchResult[Hit] | SearchResult[Record] | int
"""Results of a query: hits for a vector or text query, records for a filter, a number for a count."""
