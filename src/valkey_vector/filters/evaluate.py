"""Reference implementation of filters in plain Python; every engine must return the same results."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple, assert_never

from valkey_vector.filters.ast import (
    ORDERINGS,
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
    Operator,
    Or,
    Satisfies,
)
from valkey_vector.filters.operands import plain_key
from valkey_vector.filters.patterns import like_pattern
from valkey_vector.records.metadata import MISSING, lookup
from valkey_vector.records.temporal import Temporal, instant, is_temporal, parse_iso

__all__ = ["equal", "matches"]


def matches(
    filter: Filter,
    metadata: Mapping[str, Any],
    *,
    id: str = "",
    content: str = "",
    parent: str | None = None,
) -> bool:
    """Return True if a record matches a filter.

    Args:
        filter: any filter.
        metadata: the record's metadata.
        id: the record's id, for predicates on ``F.id``.
        content: the record's text, for predicates on ``F.content``.
        parent: the id of the record's parent, for predicates on ``F.parent``; None if it has none.
    """
    if type(filter) is Equal and type(filter.value) is str:  # most filters of a search
        field = filter.field
        if field.source == "metadata" and metadata.get(field.path) == filter.value:
            return True
    record = _Record(metadata, id, content, parent)
    return _matches(filter, record)


class _Record(NamedTuple):
    metadata: Mapping[str, Any]
    id: str
    content: str
    parent: str | None


def _matches(filter: Filter, record: _Record) -> bool:
    match filter:
        case Always():
            return True
        case Never():
            return False
        case And(parts):
            return all(_matches(part, record) for part in parts)
        case Or(parts):
            return any(_matches(part, record) for part in parts)
        case Not(part):
            return not _matches(part, record)
        case Equal(field, value):
            return equal(_item(field, record), value)
        case OneOf(field):
            return _is_one_of(_item(field, record), filter)
        case Compare(field, ordering, value):
            return _ordered(_item(field, record), ordering, value)
        case Contains(field, value):
            item = _item(field, record)
            return isinstance(item, list) and any(_equal_inside(part, value) for part in item)
        case Exists(field):
            item = _item(field, record)
            return item is not None and item is not MISSING
        case Like(field, pattern, ignore_case):
            item = _item(field, record)
            return isinstance(item, str) and like_pattern(pattern, ignore_case).matches(item)
        case Satisfies(field, types, test):
            item = _item(field, record)
            of_type = isinstance(item, types) and (bool in types or not isinstance(item, bool))
            return of_type and bool(test(item))
        case _:
            assert_never(filter)


def equal(item: Any, value: Any) -> bool:
    """Compare as filters do: values of different types are never equal, and NaN equals no value."""
    match value:
        case bool():
            return isinstance(item, bool) and item == value
        case int() | float():
            return isinstance(item, (int, float)) and not isinstance(item, bool) and item == value
        case str():
            if is_temporal(item):
                moment = parse_iso(value)
                return moment is not None and instant(moment) == instant(item)
            return isinstance(item, str) and item == value
        case date():
            moment = _moment(item)
            return moment is not None and instant(moment) == instant(value)
        case list():
            return (
                isinstance(item, list)
                and len(item) == len(value)
                and all(map(_equal_inside, item, value))
            )
        case dict():
            return (
                isinstance(item, dict)
                and item.keys() == value.keys()
                and all(_equal_inside(item[key], value[key]) for key in value)
            )
        case _:
            return False


def _is_one_of(item: Any, filter: OneOf) -> bool:
    match item:
        case str() | int() | float():
            found = plain_key(item) in filter.plain
        case date():
            found = instant(item) in filter.instants
        case list():
            found = filter.members and any(_is_among(part, filter) for part in item)
        case _:
            found = False
    return found or any(equal(item, value) for value in filter.others)


def _is_among(part: Any, filter: OneOf) -> bool:
    """Return True if an element of a list equals one of the values."""
    if isinstance(part, (str, int, float)):
        return plain_key(part) in filter.plain
    return any(_equal_inside(part, value) for value in filter.others)


def _item(field: Field, record: _Record) -> Any:
    match field.source:
        case "metadata":
            return lookup(record.metadata, field.path)
        case "id":
            return record.id
        case "content":
            return record.content
        case "parent":
            return record.parent
        case _:
            assert_never(field.source)


def _equal_inside(item: Any, value: Any) -> bool:
    """Compare elements of lists and dicts: None equals None, and a text never equals a date."""
    if value is None or item is None:
        return value is item
    if is_temporal(value) or is_temporal(item):
        both = is_temporal(item) and is_temporal(value)
        return both and instant(item) == instant(value)
    return equal(item, value)


def _moment(item: Any) -> Temporal | None:
    if is_temporal(item):
        return item
    return parse_iso(item) if isinstance(item, str) else None


def _ordered(item: Any, ordering: Operator, value: Any) -> bool:
    compare = ORDERINGS[ordering]
    match value:
        case bool():
            return isinstance(item, bool) and compare(item, value)
        case int() | float():
            is_number = isinstance(item, (int, float)) and not isinstance(item, bool)
            return is_number and compare(item, value)
        case str():
            limit = parse_iso(value)
            if limit is None:
                return isinstance(item, str) and compare(item, value)
            moment = _moment(item)
            return moment is not None and compare(instant(moment), instant(limit))
        case date():
            moment = _moment(item)
            return moment is not None and compare(instant(moment), instant(value))
        case _:
            return False
