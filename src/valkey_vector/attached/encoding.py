"""Texts of the server that need not be UTF-8, there and back without loss."""

from __future__ import annotations

from typing import Any

__all__ = ["encoded", "text_of"]


def text_of(value: Any) -> str:
    """A value of a reply as text; bytes that are no UTF-8 become lone surrogates, which no text of a user has."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def encoded(text: str) -> bytes:
    """The bytes that `text_of` made the text of."""
    return text.encode("utf-8", "surrogateescape")
