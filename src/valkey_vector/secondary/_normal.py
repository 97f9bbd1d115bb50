"""Normal form of a text, without case and accents."""

from __future__ import annotations

import unicodedata

__all__ = ["normal_form"]


def normal_form(text: str) -> str:
    """Normalize a text: lower case, compatibility decomposition (NFKD), no combining marks.

    ``Éclair``, ``ECLAIR`` and ``éclair`` all become ``eclair``.
    """
    # Twice: case folding can create a combining mark, and decomposition can create an upper-case letter.
    return _bare(_bare(text).casefold()).casefold()


def _bare(text: str) -> str:
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
