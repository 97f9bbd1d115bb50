"""What Haystack asks about metadata as a whole: kinds, extremes, distinct values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

__all__ = ["distinct_counts", "distinct_values", "extremes", "kinds", "lookup"]

_MISSING: Any = object()


def kinds(metadatas: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """The kind of each key's values: ``keyword``, ``long``, ``float``, ``boolean``, ``date`` or ``object``; ``mixed``
    where they differ. Integers among floats are floats.
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
    """The least and the greatest value of a key, None for both if there is none.

    Raises:
        ValueError: its values cannot be ordered.
    """
    values = [value for item in metadatas if (value := lookup(item, key)) is not None]
    try:
        return {"min": min(values, default=None), "max": max(values, default=None)}
    except TypeError as error:
        raise ValueError(f"the values of {key!r} cannot be ordered: {error}") from None


def distinct_counts(metadatas: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, int]:
    """How many distinct values each key has."""
    seen: dict[str, set[tuple[str, str]]] = {key: set() for key in keys}
    for metadata in metadatas:
        for key in keys:
            for value in _values(lookup(metadata, key)):
                seen[key].add(_identity(value))
    return {key: len(values) for key, values in seen.items()}


def distinct_values(
    metadatas: Iterable[Mapping[str, Any]], key: str, search_term: str | None
) -> list[Any]:
    """The distinct values of a key, in order; 1, 1.0, "1" and True are four.

    Args:
        metadatas: of the documents.
        key: a metadata key.
        search_term: only values with this in their text, in any case.
    """
    found: dict[tuple[str, str], Any] = {}
    for metadata in metadatas:
        for value in _values(lookup(metadata, key)):
            found.setdefault(_identity(value), value)
    wanted = (search_term or "").casefold()
    kept = [value for value in found.values() if wanted in _text(value).casefold()]
    return sorted(kept, key=_order)


def lookup(metadata: Mapping[str, Any], path: str) -> Any:
    """The value under a dotted path; None where there is none."""
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
    """What counts as values: the elements of a list, else the value itself; None counts as nothing."""
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
    """Numbers before all else, by size; the rest by its text."""
    if isinstance(value, (int, float)) and value == value:
        return 0, value, type(value).__name__
    return 1, _text(value), type(value).__name__
