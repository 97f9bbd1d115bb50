"""Meaning of filters on attached indexes.

The filter language is that of `valkey_vector.filters`, applied to the indexed values of a document:

* A tag attribute is a set of tags: its text split at the separator, without white space around tags, without empty tags,
  and in lower case (ASCII) unless the attribute is case-sensitive. ``==``, ``in_`` and ``contains`` match if the set
  contains the value, which is normalized in the same way. A value that is empty or contains the separator matches nothing.
* A numeric attribute is a number, a text attribute is a text. Both are compared as in any filter. If a JSON path selects
  several numbers, a condition matches if it matches one of them.
* An unknown attribute, or an operator that the attribute's type does not support, raises `FilterError`. A document
  without the attribute fails every positive predicate.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, assert_never

from valkey_vector.attached.attributes import (
    Attribute,
    NumericAttribute,
    OtherAttribute,
    TagAttribute,
    TextAttribute,
    VectorAttribute,
)
from valkey_vector.errors import FilterError
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
    Predicate,
    Satisfies,
)
from valkey_vector.filters.evaluate import matches

__all__ = [
    "WHITE_SPACE",
    "normalized_tag",
    "on_any_number",
    "replaced",
    "translated",
    "with_number_lists",
]

WHITE_SPACE = " \t\n\v\f\r"
"""Characters that the server strips from tags."""

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def normalized_tag(text: str, attribute: TagAttribute) -> str:
    """Normalize a tag as the index does."""
    stripped = text.strip(WHITE_SPACE)
    return stripped if attribute.case_sensitive else _lowered(stripped)


def _lowered(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_LOWER)


def translated(filter: Filter, attributes: Mapping[str, Attribute]) -> Filter:
    """Translate a filter on attributes into a filter on indexed values, in which a tag attribute is a list of tags.

    Raises:
        FilterError: an attribute does not exist, or does not support the operator.
    """
    match filter:
        case Always() | Never():
            return filter
        case And(parts):
            return And(tuple(translated(part, attributes) for part in parts))
        case Or(parts):
            return Or(tuple(translated(part, attributes) for part in parts))
        case Not(part):
            return Not(translated(part, attributes))
        case _ if filter.field.source == "id":
            return filter
        case _ if filter.field.source == "content":
            raise FilterError(
                "an attached index has no content: name its text attribute, F('…'), instead of F.content"
            )
        case _ if filter.field.source == "parent":
            raise FilterError(
                "an attached index has no parents: name the attribute, F('…'), instead of F.parent"
            )
    attribute = attributes.get(filter.field.path)
    match attribute:
        case TagAttribute():
            return _translated_tag(filter, attribute)
        case NumericAttribute():
            return _checked_number(filter)
        case TextAttribute():
            return _checked_text(filter)
        case None:
            names = ", ".join(sorted(attributes))
            raise FilterError(
                f"the index has no attribute {filter.field.path!r}: filter on one of its attributes, {names}"
            )
        case VectorAttribute() | OtherAttribute():
            raise FilterError(
                f"{filter.field.path!r} is a {attribute.kind} attribute, which cannot be filtered on"
            )
        case _:
            assert_never(attribute)


def with_number_lists(filter: Filter, attributes: Mapping[str, Attribute]) -> Filter:
    """Extend the conditions on numeric attributes to lists of numbers."""

    def extended(predicate: Predicate) -> Filter:
        field = predicate.field
        attribute = attributes[field.path] if field.source == "metadata" else None
        return on_any_number(predicate) if isinstance(attribute, NumericAttribute) else predicate

    return replaced(filter, extended)


def on_any_number(predicate: Filter) -> Filter:
    """Extend a condition on a number to lists of numbers: one of them must meet it."""
    match predicate:
        case Equal(field, value):
            return Or((predicate, Contains(field, value)))
        case OneOf(field, values):
            return Or((predicate, *(Contains(field, value) for value in values)))
        case Compare(field):
            return Or((predicate, Satisfies(field, (list,), partial(_any_meets, predicate))))
        case _:
            return predicate


def _any_meets(predicate: Compare, numbers: list[Any]) -> bool:
    return any(matches(predicate, {predicate.field.path: number}) for number in numbers)


def replaced(filter: Filter, replace: Callable[[Predicate], Filter]) -> Filter:
    """Replace the predicates of a filter."""
    match filter:
        case Always() | Never():
            return filter
        case And(parts):
            return And(tuple(replaced(part, replace) for part in parts))
        case Or(parts):
            return Or(tuple(replaced(part, replace) for part in parts))
        case Not(part):
            return Not(replaced(part, replace))
        case _:
            return replace(filter)


def _translated_tag(filter: Predicate, attribute: TagAttribute) -> Filter:
    field = filter.field
    match filter:
        case Equal(_, value) | Contains(_, value):
            return Contains(field, _tag_value(field, value, attribute))
        case OneOf(_, values):
            return Or(
                tuple(Contains(field, _tag_value(field, value, attribute)) for value in values)
            )
        case Exists():
            return filter
        case _:
            raise _not_taken(filter, "tag", "==, in_, contains and exists")


def _tag_value(field: Field, value: Any, attribute: TagAttribute) -> str:
    if not isinstance(value, str):
        raise FilterError(
            f"{field.path!r} is a tag attribute: it holds text, not {type(value).__name__}"
        )
    return normalized_tag(value, attribute)


def _checked_number(filter: Predicate) -> Filter:
    match filter:
        case Equal(_, value) | Compare(_, _, value):
            values: Sequence[Any] = (value,)
        case OneOf(_, several):
            values = several
        case Exists():
            values = ()
        case _:
            raise _not_taken(filter, "numeric", "==, in_, orderings and exists")
    for value in values:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise FilterError(
                f"{filter.field.path!r} is a numeric attribute: it holds numbers, not {type(value).__name__}"
            )
    return filter


def _checked_text(filter: Predicate) -> Filter:
    match filter:
        case Equal(_, value) | Compare(_, _, value):
            values: Sequence[Any] = (value,)
        case OneOf(_, several):
            values = several
        case Exists() | Like():
            values = ()
        case _:
            raise _not_taken(filter, "text", "==, in_, orderings, like and exists")
    for value in values:
        if not isinstance(value, str):
            raise FilterError(
                f"{filter.field.path!r} is a text attribute: it holds text, not {type(value).__name__}"
            )
    return filter


def _not_taken(filter: Predicate, kind: str, taken: str) -> FilterError:
    operator = type(filter).__name__
    return FilterError(
        f"{filter.field.path!r} is a {kind} attribute, which takes {taken}, not {operator}"
    )
