"""A filter as a line of text, close to how it is written with `F`."""

from __future__ import annotations

from typing import assert_never

from valkey_vector.filters.ast import (
    Always,
    And,
    Compare,
    Contains,
    Equal,
    Exists,
    Field,
    Filter,
    Like,
    Never,
    Not,
    OneOf,
    Or,
    Satisfies,
)

__all__ = ["filter_text"]


def filter_text(filter: Filter) -> str:
    """Format a filter for readers."""
    match filter:
        case Always():
            return "every record"
        case Never():
            return "no record"
        case Equal(field, value):
            return f"{_name(field)} == {value!r}"
        case OneOf(field, values):
            return f"{_name(field)} in {list(values)!r}"
        case Compare(field, operator, value):
            return f"{_name(field)} {operator.value} {value!r}"
        case Contains(field, value):
            return f"{_name(field)} contains {value!r}"
        case Exists(field):
            return f"{_name(field)} exists"
        case Like(field, pattern, ignore_case):
            return f"{_name(field)} {'ilike' if ignore_case else 'like'} {pattern!r}"
        case Satisfies(field):
            return f"{_name(field)} satisfies a function"
        case And():
            return f"({' and '.join(map(filter_text, filter.parts))})"
        case Or():
            return f"({' or '.join(map(filter_text, filter.parts))})"
        case Not(part):
            return f"not {filter_text(part)}"
        case _:
            assert_never(filter)


def _name(field: Field) -> str:
    return field.path if field.source == "metadata" else f"F.{field.source}"
