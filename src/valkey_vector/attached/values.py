"""Indexed values of a document: the tags, number or text that the server reads from a stored value."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, assert_never

from valkey_vector.attached.attributes import (
    Attribute,
    NumericAttribute,
    OtherAttribute,
    TagAttribute,
    TextAttribute,
    VectorAttribute,
)
from valkey_vector.attached.encoding import text_of
from valkey_vector.attached.paths import is_definite
from valkey_vector.attached.semantics import WHITE_SPACE, normalized_tag

__all__ = ["indexed_value"]

_MAX_INTEGER_DIGITS = 400
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_HEXADECIMAL = re.compile(r"[+-]?0[xX][0-9a-fA-F]+", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE | re.ASCII)


def indexed_value(attribute: Attribute, found: Any, *, lists: bool) -> Any:
    """Return the indexed value of an attribute; None if there is none.

    Args:
        attribute: the attribute.
        found: the bytes of a hash field, the matches of a JSON path, or None.
        lists: True if the server indexes the numbers of a JSON list.

    Returns:
        A list of tags, a number or the list of several, or a text.
    """
    match attribute:
        case TagAttribute():
            return _tags(attribute, found) or None
        case NumericAttribute() if isinstance(found, list):
            return _numbers(attribute, found, lists=lists)
        case NumericAttribute():
            return _number(found)
        case TextAttribute():
            return _single_text(found)
        case VectorAttribute() | OtherAttribute():
            return None
        case _:
            assert_never(attribute)


def _tags(attribute: TagAttribute, found: Any) -> list[str]:
    parts = [text_of(found)] if isinstance(found, bytes) else _texts(found)
    if attribute.separator:
        parts = [part for text in parts for part in text.split(attribute.separator)]
    tags = (normalized_tag(part, attribute) for part in parts)
    return list(dict.fromkeys(tag for tag in tags if tag))


def _texts(found: Any) -> list[str]:
    """Texts and booleans that a JSON path matches, also within lists."""
    match found:
        case str():
            return [found]
        case bool():
            return ["true" if found else "false"]
        case list():
            return [text for item in found for text in _texts(item)]
        case _:
            return []


def _single_text(found: Any) -> str | None:
    if isinstance(found, bytes):
        return text_of(found)
    match found:
        case [str(text)]:
            return text
        case _:
            return None


def _numbers(attribute: NumericAttribute, found: list[Any], *, lists: bool) -> Any:
    """A number that a JSON path matches, or the list of several, also within lists."""
    if is_definite(attribute.identifier) and not lists:
        found = [each for each in found if not isinstance(each, list)]
    numbers = list(_flattened(found))
    return numbers if len(numbers) > 1 else next(iter(numbers), None)


def _flattened(found: Any) -> Iterator[float]:
    if isinstance(found, list):
        for each in found:
            yield from _flattened(each)
    elif isinstance(found, (int, float)) and not isinstance(found, bool):
        yield found


def _number(found: Any) -> float | None:
    """Parse a number as the server does. None if the server does not read the text as a number."""
    if not isinstance(found, bytes):
        return None
    text = text_of(found).strip(WHITE_SPACE)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _INFINITE.fullmatch(text):
        return -math.inf if text.startswith("-") else math.inf
    if not _DECIMAL.fullmatch(text):
        return None
    is_integer = text.lstrip("+-").isdigit() and len(text) <= _MAX_INTEGER_DIGITS
    return int(text) if is_integer else float(text)
