"""Hints on metadata keys for a language model: their types and some values, from a sample of records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from valkey_vector.mcp_server.results import KeyHint, json_value

__all__ = ["key_hints"]

_MAX_EXAMPLES = 5
_MAX_EXAMPLE_CHARACTERS = 80


def key_hints(sample: Sequence[Mapping[str, Any]]) -> list[KeyHint]:
    """Return a hint for each key of the sampled metadata, in the order of their names.

    Args:
        sample: the metadata of some records.
    """
    values: dict[str, list[Any]] = {}
    for metadata in sample:
        for key, value in _flat(metadata):
            values.setdefault(key, []).append(value)
    return [
        KeyHint(
            key=key,
            types=sorted({_type_name(value) for value in values[key]}),
            examples=_examples(values[key]),
            share=len(values[key]) / len(sample),
        )
        for key in sorted(values)
    ]


def _flat(metadata: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key that has a value, nested ones as ``a.b``."""
    for key, value in metadata.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, value


def _type_name(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case date():
            return "date"
        case list():
            return " or ".join(sorted({f"list of {_type_name(item)}" for item in value})) or "list"
        case Mapping():
            return "object"
        case None:
            return "null"
        case _:
            return "string"


def _examples(values: Sequence[Any]) -> list[Any]:
    """Return some distinct values, the first ones of the sample; long texts are left out."""
    examples: list[Any] = []
    for value in values:
        for item in value if isinstance(value, list) else [value]:
            plain = json_value(item)
            short = not isinstance(plain, str) or len(plain) <= _MAX_EXAMPLE_CHARACTERS
            if short and plain not in examples:
                examples.append(plain)
            if len(examples) == _MAX_EXAMPLES:
                return examples
    return examples
