"""Rows of an aggregate, and equality of their values."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from valkey_vector.filters.ast import Source
from valkey_vector.records.metadata import MISSING, lookup
from valkey_vector.records.ordering import has_order, sort_key
from valkey_vector.records.temporal import instant, is_temporal

__all__ = ["Line", "group_key", "place", "shown", "simplest"]


@dataclass(frozen=True, slots=True)
class Line:
    """One row between two steps.

    Attributes:
        items: values by name, read by filters and expressions.
        id: id of the record; empty after a `GroupBy`.
        content: text of the record; empty after a `GroupBy`.
        parent: parent of the record; None after a `GroupBy`.
    """

    items: Mapping[str, Any]
    id: str = ""
    content: str = ""
    parent: str | None = None

    def item(self, path: str, source: Source = "metadata") -> Any:
        """The value under a path; `MISSING` if there is none."""
        match source:
            case "metadata":
                return lookup(self.items, path)
            case "id":
                return self.id
            case "content":
                return self.content
            case "parent":
                return self.parent
            case _:
                assert_never(source)

    def present(self, path: str) -> Any:
        """The value under a path; None if it is missing."""
        found = lookup(self.items, path)
        return None if found is MISSING else found


def group_key(value: Any) -> Hashable:
    """Key of the group of a value: equal for values of one group."""
    match value:
        case None:
            return ()
        case bool():
            return "boolean", value
        case int() | float():
            return ("number", value) if value == value else ("nan",)
        case str():
            return "text", value
        case list():
            return "list", tuple(map(group_key, value))
        case dict():
            return "dict", frozenset((key, group_key(item)) for key, item in value.items())
        case _:
            return "instant", instant(value)


def shown(value: Any) -> Any:
    """Normalize a value for the result: a float without fraction becomes an int."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [shown(item) for item in value]
        case dict():
            return {key: shown(item) for key, item in value.items()}
        case _:
            return value


def simplest(first: Any, second: Any) -> Any:
    """The value to show for two values of one group, both normalized by `shown`; independent of their order."""
    if not (is_temporal(first) or isinstance(first, (list, dict))):
        return first
    return min(first, second, key=_spelling)


def place(value: Any) -> tuple[Any, ...]:
    """Sort key of a group's value; None sorts last."""
    if value is None:
        return (1,)
    key = sort_key(value)
    return 0, key, "" if has_order(key) else repr(value)


def _spelling(value: Any) -> tuple[int, str]:
    text = repr(value)
    return len(text), text
