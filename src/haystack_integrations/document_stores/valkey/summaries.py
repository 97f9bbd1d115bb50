"""Summaries of metadata: types, extremes and distinct values of the keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

__all__ = ["distinct_counts", "distinct_values", "extremes", "kinds", "lookup"]

_MISSING: Any = object()


def kinds(metadatas: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the type of each key's values: ``keyword``, ``long``, ``float``, ``boolean``, ``date`` or ``object``.

    Values of different types are ``mixed``. Integers together with floats are ``float``.
    """
    found: dict[str, str] = {}
    for metadata in metadatas:
        for key, value in metadata.items():
            if value is None:
                continue
            kind, before = _kind(value), found.get(key)
            if before is None or before == kind:
                found[key] = kind
            else:
                found[key] = "float" if {before, kind} == {"long", "float"} else "mixed"
    return {key: {"type": kind} for key, kind in found.items()}


def extremes(metadatas: Iterable[Mapping[str, Any]], key: str) -> dict[str, Any]:
    """Return the smallest and largest value of a key, or None for both without a value.

    Raises:
        ValueError: if its values cannot be ordered.
    """
    values = [value for item in metadatas if (value := lookup(item, key)) is not None]
    try:
        return {"min": min(values, default=None), "max": max(values, default=None)}
    except TypeError as error:
        raise ValueError(f"the values of {key!r} cannot be ordered: {error}") from None


def distinct_counts(metadatas: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, int]:
    """Return the number of distinct values of each key."""
    seen: dict[str, set[tuple[str, str]]] = {key: set() for key in keys}
    for metadata in metadatas:
        for key in keys:
            for value in _values(lookup(metadata, key)):
                seen[key].add(_identity(value))
    return {key: len(values) for key, values in seen.items()}


def distinct_values(
    metadatas: Iterable[Mapping[str, Any]], key: str, search_term: str | None
) -> list[Any]:
    """Return the distinct values of a key, sorted. 1, 1.0, "1" and True are four values.

    Args:
        metadatas: metadata of the documents.
        key: metadata key.
        search_term: return only values whose text contains this, case-insensitively.
    """
    found: dict[tuple[str, str], Any] = {}
    for metadata in metadatas:
        for value in _values(lookup(metadata, key)):
            found.setdefault(_identity(value), value)
    term = (search_term or "").casefold()
    matches = [value for value in found.values() if term in _text(value).casefold()]
    return sorted(matches, key=_order)


def lookup(metadata: Mapping[str, Any], path: str) -> Any:
    """Return the value of a dotted path, or None."""
    value: Any = metadata.get(path, _MISSING)
    if value is not _MISSING:
        return value
    value = metadata
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _values(value: Any) -> list[Any]:
    """Return the elements of a list, or the value itself. None is omitted."""
    if value is None:
        return []
    return [item for item in value if item is not None] if isinstance(value, list) else [value]


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "long"
        case float():
            return "float"
        case date():
            return "date"
        case dict():
            return "object"
        case list():
            parts = {_kind(item) for item in value if item is not None}
            return parts.pop() if len(parts) == 1 else "mixed"
        case _:
            return "keyword"


def _identity(value: Any) -> tuple[str, str]:
    return type(value).__name__, _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _order(value: Any) -> tuple[int, Any, str]:
    """Sort key: numbers first, by size; other values by their text."""
    if isinstance(value, (int, float)) and value == value:
        return 0, value, type(value).__name__
    return 1, _text(value), type(value).__name__
