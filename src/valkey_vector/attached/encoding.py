"""Lossless conversion between texts and bytes of the server, which can be invalid UTF-8."""

from __future__ import annotations

from typing import Any

__all__ = ["encoded", "text_of"]


def text_of(value: Any) -> str:
    """Convert a value of a reply into text. Invalid UTF-8 becomes lone surrogates, which no user text contains."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def encoded(text: str) -> bytes:
    """Convert a text from `text_of` back into bytes."""
    return text.encode("utf-8", "surrogateescape")
