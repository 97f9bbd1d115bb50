"""The reference semantics of filters in plain Python: what every engine must agree with."""

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
    """Whether a record passes a filter.

    Args:
        filter: any filter.
        metadata: the record's metadata.
        id: the record's id, for predicates on ``F.id``.
        content: the record's text, for predicates on ``F.content``.
        parent: the record's parent, for predicates on ``F.parent``.
    """
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
            item = _item(field, record)
            if isinstance(item, (str, int, float)) and plain_key(item) in filter.plain:
                return True
            return any(equal(item, value) for value in filter.others)
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
    """Equality as filters have it: kinds are told apart, NaN equals nothing."""
    match value:
        case bool():
            return isinstance(item, bool) and item == value
        case int() | float():
            return isinstance(item, (int, float)) and not isinstance(item, bool) and item == value
        case str():
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
    """Equality of parts of lists and dicts, where None equals None and texts are just texts."""
    if value is None or item is None:
        return value is item
    if is_temporal(value):
        return is_temporal(item) and instant(item) == instant(value)
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
