"""What filters compare with: values of a caller's own types made plain, or refused."""

from __future__ import annotations

from typing import Any

from valkey_vector.errors import FilterError
from valkey_vector.records.plain_values import NotPlainError, plain_value
from valkey_vector.records.tokens import is_unicode

__all__ = ["check_text", "checked", "plain_key"]


def plain_key(value: str | float) -> tuple[bool, bool, str | float]:
    """Equal for texts, numbers and booleans that filters take for equal: 1 and 1.0, but not 1 and True."""
    return isinstance(value, str), isinstance(value, bool), value


def check_text(text: str) -> None:
    """Refuse text that cannot be sent.

    Raises:
        FilterError: it holds a lone surrogate.
    """
    if not is_unicode(text):
        raise FilterError(f"{text!r} holds a lone surrogate, which no stored text can hold")


def checked(value: Any, operator: str) -> Any:
    """The value as Python's own types: what a record holds is compared in the same form.

    Args:
        value: what a caller passed.
        operator: how an error names the comparison.

    Raises:
        FilterError: metadata cannot hold such a value, so that nothing would match.
    """
    if value is None:
        raise FilterError(f"{operator} cannot take None: ask whether the item exists instead")
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
