"""`ValkeyTranslator`: translation of the structured queries of a `SelfQueryRetriever` to filters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from typing import ClassVar, assert_never

from langchain_core.structured_query import (
    Comparator,
    Comparison,
    FilterDirective,
    Operation,
    Operator,
    StructuredQuery,
    Visitor,
)

from valkey_vector import F, FieldExpression, Filter, FilterError, all_of, any_of
from valkey_vector.records.nesting import check_depth, unchained

__all__ = ["ValkeyTranslator"]


class ValkeyTranslator(Visitor):
    """Translate every comparator and operator of structured queries.

    Pass it to LangChain's retriever: ``SelfQueryRetriever.from_llm(llm, store, …,
    structured_query_translator=ValkeyTranslator())``.

    - ``eq ne gt gte lt lte`` compare numbers, texts, booleans and dates.
    - ``in`` and ``nin`` take a list. If the attribute is a list, ``in`` matches if one element is in the list.
    - ``ne`` and ``nin`` also match documents without the attribute.
    - ``contain`` matches a list that contains the value, or a text that contains it as a substring.
    - ``like`` matches a pattern: ``%`` is any text, ``_`` any character. Without ``%`` it matches a substring.

    All comparisons are case-sensitive.
    """

    allowed_comparators: ClassVar[Sequence[Comparator]] = tuple(Comparator)  # type: ignore[misc]  # the class's
    allowed_operators: ClassVar[Sequence[Operator]] = tuple(Operator)  # type: ignore[misc]  # the class's

    def visit_operation(self, operation: Operation) -> Filter:
        """Combine conditions.

        Raises:
            FilterError: if ``not`` does not have exactly one condition, or an argument is not a condition.
        """
        self._validate_func(operation.operator)
        _check_operations(operation)
        chained = partial(_chained, operation.operator)
        arguments = unchained(operation.arguments, chained)
        parts = [_accepted(argument, self) for argument in arguments]
        match operation.operator:
            case Operator.AND:
                return all_of(parts)
            case Operator.OR:
                return any_of(parts)
            case Operator.NOT:
                if len(parts) != 1:
                    raise FilterError(f"'not' takes one condition, not {len(parts)}")
                return ~parts[0]
            case _:
                assert_never(operation.operator)

    def visit_comparison(self, comparison: Comparison) -> Filter:
        """Compare an attribute with a value.

        Raises:
            FilterError: if the comparator does not support the value.
        """
        self._validate_func(comparison.comparator)
        field = F(comparison.attribute)
        if comparison.comparator in (Comparator.IN, Comparator.NIN):
            values = _values(comparison)
            return (
                field.in_(values)
                if comparison.comparator is Comparator.IN
                else field.not_in(values)
            )
        value = _value(comparison.value)
        match comparison.comparator:
            case Comparator.EQ:
                return field == value
            case Comparator.NE:
                return field != value
            case Comparator.GT:
                return field > value
            case Comparator.GTE:
                return field >= value
            case Comparator.LT:
                return field < value
            case Comparator.LTE:
                return field <= value
            case Comparator.CONTAIN:
                member = field.contains(value)
                return member | field.has_text(value) if isinstance(value, str) else member
            case Comparator.LIKE:
                return _like(field, comparison)
            case _:
                assert_never(comparison.comparator)

    def visit_structured_query(
        self, structured_query: StructuredQuery
    ) -> tuple[str, dict[str, Filter]]:
        """Return the query text and the keyword arguments of the search."""
        if structured_query.filter is None:
            return structured_query.query, {}
        return structured_query.query, {"filter": _accepted(structured_query.filter, self)}


def _chained(operator: Operator, argument: FilterDirective) -> list[FilterDirective] | None:
    """Return the arguments of an operation with the same operator, or None for any other argument."""
    if operator is Operator.NOT or not isinstance(argument, Operation):
        return None
    return argument.arguments if argument.operator is operator else None


def _check_operations(operation: Operation) -> None:
    """Reject conditions that are nested too deeply, before the recursive visit."""
    level, depth = [operation], 0
    while level:
        check_depth(depth)
        depth += 1
        level = [
            argument
            for each in level
            for argument in unchained(each.arguments, partial(_chained, each.operator))
            if isinstance(argument, Operation)
        ]


def _accepted(directive: FilterDirective, visitor: ValkeyTranslator) -> Filter:
    if not isinstance(directive, Comparison | Operation):
        raise FilterError(
            f"a {type(directive).__name__} is not a condition of a structured query; use a Comparison or an Operation"
        )
    translated: Filter = directive.accept(visitor)
    return translated


def _like(field: FieldExpression, comparison: Comparison) -> Filter:
    pattern = comparison.value
    if not isinstance(pattern, str):
        raise FilterError(
            f"'{comparison.comparator.value}' on {comparison.attribute!r} needs text, not {pattern!r}"
        )
    return field.like(pattern) if "%" in pattern else field.has_text(pattern)


def _values(comparison: Comparison) -> list[object]:
    if not isinstance(comparison.value, list | tuple | set | frozenset):
        raise FilterError(
            f"'{comparison.comparator.value}' on {comparison.attribute!r} needs a list of values, "
            f"not {comparison.value!r}"
        )
    return [_value(value) for value in comparison.value]


def _value(value: object) -> object:
    """Return the value. Convert a date of LangChain's parser, such as ``{"type": "date", "date": "2024-05-01"}``.

    Raises:
        FilterError: if the text of such a dict is not a date in ISO 8601.
    """
    try:
        match value:
            case {"type": "date", "date": str(text)}:
                return date.fromisoformat(text)
            case {"type": "datetime", "datetime": str(text)}:
                return datetime.fromisoformat(text)
            case _:
                return value
    except ValueError:
        raise FilterError(f"{value!r} does not contain a date in ISO 8601") from None
