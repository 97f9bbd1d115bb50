"""The normal form of a text: without case and accents."""

from __future__ import annotations

import unicodedata

__all__ = ["normal_form"]


def normal_form(text: str) -> str:
    """The text in lower case and compatibility decomposition (NFKD), without combining marks.

    ``Éclair``, ``ECLAIR`` and ``éclair`` all become ``eclair``.
    """
    # Twice: folding case can make a combining mark, and decomposing can make an upper-case letter.
    return _bare(_bare(text).casefold()).casefold()


def _bare(text: str) -> str:
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
