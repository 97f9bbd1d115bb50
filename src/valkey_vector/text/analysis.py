"""Text analyzer: split text into terms, and reduce terms to stems.

A text is normalized (NFKC), case-folded, and split at white space, control characters, punctuation and symbols. An
emoji is a word of its own, and so is a private-use icon of a font. Characters that only affect how their neighbors look
or join (variation selectors, joiners, soft hyphens) are removed. Stop words are removed. Words are cut to
`MAX_WORD_LENGTH` characters and `MAX_WORD_BYTES` bytes. No word contains a character that has a meaning in a query
language.
"""

from __future__ import annotations

import importlib
import re
import threading
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from valkey_vector.schema.full_text import FullText

__all__ = ["MAX_WORD_BYTES", "MAX_WORD_LENGTH", "Analyzer", "analyzer"]

MAX_WORD_LENGTH = 100
"""Maximum length of a word in characters. Longer words with the same beginning are equal."""

MAX_WORD_BYTES = 120
"""Maximum length of a word in bytes of UTF-8. RediSearch (2.10) finds no word of more than 128 bytes."""

_SAFE_LENGTH = MAX_WORD_BYTES // 4
"""Length in characters of words that always have at most `MAX_WORD_BYTES`."""

_MAX_CACHED_STEMS = 200_000

# ASCII punctuation in words (only possible with a schema's own `punctuation`) is replaced one to one by private-use
# characters. These have no meaning to a query parser, and lengths and edit distances stay the same.
_PRIVATE = range(0xE000, 0xE080)
_SAFE = {
    code: _PRIVATE[code] for code in range(0x80) if not (chr(code).isalnum() or chr(code) == "_")
}

# NFKC turns these into letters, which would become part of the word before them: Valkey™.
_TRADEMARKS = re.compile("[\u2120\u2122\U0001f16a-\U0001f16c]")

# Default ignorable code points, which are invisible, other than format characters (Cf) and white space.
_INVISIBLE = frozenset({
    0x034F, 0x17B4, 0x17B5, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000),
})  # fmt: skip
_FILLERS = frozenset({0x115F, 0x1160, 0x3164, 0xFFA0})
"""Hangul fillers, which Unicode classifies as letters."""

_EMOJI = range(0x1F000, 0x1FC00)
"""Range of emoji, including those that this version of Python does not know."""


class _Cuts(dict[int, str | None]):
    """Table for `str.translate`: the replacement of each character, computed at its first occurrence."""

    def __init__(self, punctuation: str | None) -> None:
        super().__init__()
        self._punctuation = punctuation

    def __missing__(self, code: int) -> str | None:
        replacement = self[code] = self._replacement(chr(code), unicodedata.category(chr(code)))
        return replacement

    def _replacement(self, character: str, category: str) -> str | None:
        code = ord(character)
        # Joiners, direction marks, soft hyphens and emoji variants are not part of the spelling.
        if category == "Cf" or code in _INVISIBLE:
            return None
        if category[0] == "Z" or category in ("Cc", "Cs") or code in _PRIVATE or _is_blank(code):
            return " "
        if self._punctuation is not None:
            return " " if character in self._punctuation else character
        if category in ("So", "Co") or (category == "Cn" and code in _EMOJI):
            return f" {character} "
        if (category[0] in "PS" and character != "_") or category == "Me":
            return " "
        return character


def _is_blank(code: int) -> bool:
    """Return True for a filler and for a code point that is never a character."""
    return code in _FILLERS or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code < 0xFDF0


class Analyzer:
    """Words and stems of texts by the settings of one schema. Thread-safe; call `analyzer` for a shared one.

    Args:
        settings: settings of the schema.
    """

    def __init__(self, settings: FullText) -> None:
        self._settings = settings
        self._cuts: Mapping[int, str | None] = _Cuts(settings.punctuation)
        self._own_punctuation = settings.punctuation is not None
        self._stems: dict[str, str] = {}
        # A stemmer holds state, so each thread has its own. A lock would not survive a fork.
        self._own = threading.local()
        self._stop_words = frozenset(
            part for word in settings.left_out for part in self.all_words(word)
        )

    def all_words(self, text: str) -> list[str]:
        """Return the words of a text in order, including stop words."""
        ascii_only = text.isascii()
        if not ascii_only:
            text = _TRADEMARKS.sub(r" \g<0> ", text)
        words = _folded(text).translate(self._cuts).split()
        if not ascii_only or "_" in text:
            spelled = [word if word.isalnum() else _without_stray_marks(word) for word in words]
            words = [word for word in spelled if word]
        if self._own_punctuation:
            words = [word.translate(_SAFE) for word in words]
        if max(map(len, words), default=0) > _SAFE_LENGTH:
            words = [_shortened(word) for word in words]
        return words

    def words(self, text: str) -> list[str]:
        """Return the words of a text in order, without stop words."""
        return self.without_stop_words(self.all_words(text))

    def without_stop_words(self, words: Iterable[str]) -> list[str]:
        """Return the words that are not stop words."""
        return [word for word in words if word not in self._stop_words]

    def stems(self, words: Iterable[str]) -> list[str]:
        """Return the stem of each word."""
        known = self._stems
        return [known.get(word) or self._stem(word) for word in words]

    def _stem(self, word: str) -> str:
        if not self._settings.stem or len(word) < self._settings.min_stem_size:
            return word
        stemmer = getattr(self._own, "stemmer", None)
        if stemmer is None:
            stemmer = self._own.stemmer = _stemmer(self._settings.language)
        # A stemmer may return nothing. For Turkish and Nepali its result may need case folding.
        stem = _shortened(_folded(stemmer.stemWord(word)).replace(" ", "") or word)
        if len(self._stems) >= _MAX_CACHED_STEMS:
            self._stems = {}
        self._stems[word] = stem
        return stem


@lru_cache(maxsize=64)
def analyzer(settings: FullText) -> Analyzer:
    """Return the shared analyzer for these settings."""
    return Analyzer(settings)


def _stemmer(language: str) -> Any:
    # `snowballstemmer.stemmer` would use PyStemmer if that is installed: another version of the algorithm.
    module = importlib.import_module(f"snowballstemmer.{language}_stemmer")
    return getattr(module, f"{language.capitalize()}Stemmer")()


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _without_stray_marks(word: str) -> str:
    """Return the word without leading marks, which belong to a character that was cut off.

    Returns an empty string if the word has only marks and ``_``: RediSearch (2.10) rejects a lone ``_`` in a query.
    """
    start = 0
    while start < len(word) and _is_mark(word[start]):
        start += 1
    rest = word[start:]
    return "" if all(each == "_" or _is_mark(each) for each in rest) else rest


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def _shortened(word: str) -> str:
    """Return the word, cut to the maximum length."""
    if len(word) <= _SAFE_LENGTH:
        return word
    return word[:MAX_WORD_LENGTH].encode()[:MAX_WORD_BYTES].decode(errors="ignore")
