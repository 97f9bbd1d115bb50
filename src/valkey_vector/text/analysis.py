"""Text analyzer: split text into terms, and reduce terms to stems.

A text is brought to Unicode's compatibility form (NFKC) without case, and cut at white space, control
characters, punctuation and symbols. An emoji is a word of its own, and so is an icon of a font's private characters. What
only says how its neighbors look or join (variation selectors, joiners, soft hyphens) is left out. Stop words are left
out, and words are cut to `LONGEST_WORD` characters and `MOST_BYTES` bytes. What remains never holds a character with a
meaning in a query language.
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

__all__ = ["LONGEST_WORD", "MOST_BYTES", "Analyzer", "analyzer"]

LONGEST_WORD = 100
"""Characters. A longer word counts as equal to any other with the same beginning."""

MOST_BYTES = 120
"""Bytes in UTF-8; likewise. RediSearch (2.10) finds no word of more than 128."""

_SURELY_SHORT = MOST_BYTES // 4
"""Characters that have no more than `MOST_BYTES`, whichever they are."""

_KEPT_STEMS = 200_000

# In words, ASCII punctuation (which only a schema's own `punctuation` leaves there) is replaced one to one by
# characters of private use, which mean nothing to a query parser and leave lengths and edit distances as they are.
_PRIVATE = range(0xE000, 0xE080)
_SAFE = {
    code: _PRIVATE[code] for code in range(0x80) if not (chr(code).isalnum() or chr(code) == "_")
}


# These become letters under NFKC, which would stick to the word that they stand behind: Valkey™.
_MARKS_OF_TRADE = re.compile("[\u2120\u2122\U0001f16a-\U0001f16c]")

# Default ignorable code points that are neither format characters (Cf) nor white space: they have no look of their own.
_INVISIBLE = frozenset({
    0x034F, 0x17B4, 0x17B5, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000),
})  # fmt: skip
_FILLERS = frozenset({0x115F, 0x1160, 0x3164, 0xFFA0})
"""Blanks of Hangul, which Unicode counts as letters."""

_EMOJI = range(0x1F000, 0x1FC00)
"""Where emoji are, also those that are newer than this Python."""


class _Cuts(dict[int, str | None]):
    """For `str.translate`: what becomes of a character, found out when it first occurs."""

    def __init__(self, punctuation: str | None) -> None:
        super().__init__()
        self._punctuation = punctuation

    def __missing__(self, code: int) -> str | None:
        kept = self[code] = self._kept(chr(code), unicodedata.category(chr(code)))
        return kept

    def _kept(self, character: str, category: str) -> str | None:
        code = ord(character)
        # Joiners, marks of direction, soft hyphens, variants of emoji: no part of the spelling.
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
    """Whether it is a filler, or one of the code points that never are characters."""
    return code in _FILLERS or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code < 0xFDF0


class Analyzer:
    """Words and stems as one schema wants them. Thread-safe; use `analyzer` to share them.

    Args:
        settings: of the schema.
    """

    def __init__(self, settings: FullText) -> None:
        self._settings = settings
        self._cuts: Mapping[int, str | None] = _Cuts(settings.punctuation)
        self._own_punctuation = settings.punctuation is not None
        self._stems: dict[str, str] = {}
        # Each thread has its stemmer, which keeps its state in itself; a lock would not survive a fork.
        self._own = threading.local()
        self._stop_words = frozenset(
            part for word in settings.left_out for part in self.all_words(word)
        )

    def all_words(self, text: str) -> list[str]:
        """The words of a text in order, stop words among them."""
        ascii_only = text.isascii()
        if not ascii_only:
            text = _MARKS_OF_TRADE.sub(r" \g<0> ", text)
        words = _folded(text).translate(self._cuts).split()
        if not ascii_only or "_" in text:
            spelt = [word if word.isalnum() else _without_stray_marks(word) for word in words]
            words = [word for word in spelt if word]
        if self._own_punctuation:
            words = [word.translate(_SAFE) for word in words]
        if max(map(len, words), default=0) > _SURELY_SHORT:
            words = [_shortened(word) for word in words]
        return words

    def words(self, text: str) -> list[str]:
        """The words of a text in order, without stop words."""
        return self.without_stop_words(self.all_words(text))

    def without_stop_words(self, words: Iterable[str]) -> list[str]:
        """Those words that are no stop words."""
        return [word for word in words if word not in self._stop_words]

    def stems(self, words: Iterable[str]) -> list[str]:
        """The stem of each word."""
        known = self._stems
        return [known.get(word) or self._stem(word) for word in words]

    def _stem(self, word: str) -> str:
        if not self._settings.stem or len(word) < self._settings.min_stem_size:
            return word
        stemmer = getattr(self._own, "stemmer", None)
        if stemmer is None:
            stemmer = self._own.stemmer = _stemmer(self._settings.language)
        # A stemmer may leave nothing, or (Turkish, Nepali) what is to be without case.
        stem = _shortened(_folded(stemmer.stemWord(word)).replace(" ", "") or word)
        if len(self._stems) >= _KEPT_STEMS:
            self._stems = {}
        self._stems[word] = stem
        return stem


@lru_cache(maxsize=64)
def analyzer(settings: FullText) -> Analyzer:
    """The analyzer for these settings, shared by all that use them."""
    return Analyzer(settings)


def _stemmer(language: str) -> Any:
    # Not `snowballstemmer.stemmer`: with PyStemmer installed that is another version of the algorithm.
    module = importlib.import_module(f"snowballstemmer.{language}_stemmer")
    return getattr(module, f"{language.capitalize()}Stemmer")()


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _without_stray_marks(word: str) -> str:
    """The word without marks at its beginning, which belong on what was cut off there; nothing if it has no more than marks and ``_``.

    RediSearch (2.10) takes a lone ``_`` in a query for a mistake.
    """
    start = 0
    while start < len(word) and _is_mark(word[start]):
        start += 1
    own = word[start:]
    return "" if all(each == "_" or _is_mark(each) for each in own) else own


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def _shortened(word: str) -> str:
    """The word, or the beginning of one that is too long for a server."""
    if len(word) <= _SURELY_SHORT:
        return word
    return word[:LONGEST_WORD].encode()[:MOST_BYTES].decode(errors="ignore")
