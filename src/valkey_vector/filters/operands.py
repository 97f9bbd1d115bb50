"""Operands of filters: convert values of a caller's types to plain Python values, or reject them."""

from __future__ import annotations

from typing import Any

from valkey_vector.errors import FilterError
from valkey_vector.records.plain_values import NotPlainError, plain_value
from valkey_vector.records.tokens import is_unicode

__all__ = ["check_text", "checked", "plain_key"]


def plain_key(value: str | float) -> tuple[bool, bool, str | float]:
    """Return a lookup key, the same for values that filters treat as equal: 1 and 1.0, but not 1 and True."""
    return isinstance(value, str), isinstance(value, bool), value


def check_text(text: str) -> None:
    """Reject text that cannot be encoded as UTF-8.

    Raises:
        FilterError: the text contains a lone surrogate.
    """
    if not is_unicode(text):
        raise FilterError(f"{text!r} holds a lone surrogate, which no stored text can hold")


def checked(value: Any, operator: str) -> Any:
    """Convert a value to plain Python types, the form in which metadata is stored.

    Args:
        value: the operand from the caller.
        operator: name of the comparison in error messages.

    Raises:
        FilterError: the value is None, or of a type that metadata cannot hold.
    """
    if value is None:
        raise FilterError(
            f"{operator} cannot take None: to match records without the item use == None, exists() or $exists"
        )
    try:
        plain = plain_value(value)
    except NotPlainError as error:
        raise FilterError(
            f"{operator} cannot take {error.what}: metadata holds text, numbers, booleans, "
            "dates, datetimes, and lists and dicts of them"
        ) from None
    _check_texts(plain)
    return plain


def _check_texts(value: Any) -> None:
    match value:
        case str():
            check_text(value)
        case list():
            for item in value:
                _check_texts(item)
        case dict():
            for key, item in value.items():
                check_text(key)
                _check_texts(item)
