"""What a filter means on an index that is not of this library, stated once.

The filter language is that of `valkey_vector.filters`, on what the index holds of a document:

* A tag attribute is a set: its text split at the separator, each tag stripped of white space, empty ones left out,
  ASCII letters lowered unless it is case-sensitive. ``==``, ``in_`` and ``contains`` ask whether a tag is in it; the
  value is stripped and lowered alike. A value that holds the separator, or is empty, is no tag and matches nothing.
* A numeric attribute is a number, a text attribute its text; both are compared as in any filter.
* An attribute the index does not have, or an operator its type does not take, is an error. A document that lacks the
  attribute fails every positive predicate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from valkey_vector.attached.definition import (
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
)

__all__ = ["WHITE_SPACE", "normalised_tag", "translated"]

WHITE_SPACE = " \t\n\v\f\r"
"""What the server strips off tags."""


def normalised_tag(text: str, attribute: TagAttribute) -> str:
    """A tag as the index compares it."""
    stripped = text.strip(WHITE_SPACE)
    return stripped if attribute.case_sensitive else _lowered(stripped)


def _lowered(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def translated(filter: Filter, attributes: Mapping[str, Attribute]) -> Filter:
    """The filter on what the index holds, where a tag attribute is a list of normalised tags."""
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
            raise FilterError("an attached index has no content: name its text attribute, F('…')")
        case _ if filter.field.source == "parent":
            raise FilterError("an attached index has no parents: name the attribute, F('…')")
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
                f"the index has no attribute {filter.field.path!r}; it has {names}. "
                "What is not indexed cannot be filtered on"
            )
        case VectorAttribute() | OtherAttribute():
            raise FilterError(
                f"{filter.field.path!r} is a {attribute.kind} attribute, which cannot be filtered on"
            )
        case _:
            assert_never(attribute)


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
    return normalised_tag(value, attribute)


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
