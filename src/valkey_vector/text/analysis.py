"""Take texts apart: into words, and words into stems.

A text is brought to Unicode's compatibility form (NFKC) without case, and cut at white space, control
characters, punctuation and symbols. An emoji is a word of its own. Stop words are left out, and words are cut to
`LONGEST_WORD` characters. What remains never holds a character with a meaning in a query language.
"""

from __future__ import annotations

import importlib
import threading
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from valkey_vector.full_text import FullText

__all__ = ["LONGEST_WORD", "Analyzer", "analyzer"]

LONGEST_WORD = 100
"""Characters. A longer word counts as equal to any other with the same beginning."""

_KEPT_STEMS = 200_000

# In words, ASCII punctuation (which only a schema's own `punctuation` leaves there) is replaced one to one by
# characters of private use, which mean nothing to a query parser and leave lengths and edit distances as they are.
_PRIVATE = range(0xE000, 0xE080)
_SAFE = {
    code: _PRIVATE[code] for code in range(0x80) if not (chr(code).isalnum() or chr(code) == "_")
}


class _Cuts(dict[int, str | None]):
    """For `str.translate`: what becomes of a character, found out when it first occurs."""

    def __init__(self, punctuation: str | None) -> None:
        super().__init__()
        self._punctuation = punctuation

    def __missing__(self, code: int) -> str | None:
        kept = self[code] = self._kept(chr(code), unicodedata.category(chr(code)))
        return kept

    def _kept(self, character: str, category: str) -> str | None:
        if category == "Cf":  # joiners, marks of direction, soft hyphens: no part of the spelling
            return None
        if category[0] == "Z" or category in ("Cc", "Cs") or ord(character) in _PRIVATE:
            return " "
        if self._punctuation is not None:
            return " " if character in self._punctuation else character
        if category == "So":
            return f" {character} "
        if category[0] in "PS" and character != "_":
            return " "
        return character


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
        words = _folded(text).translate(self._cuts).split()
        if not text.isascii() or "_" in text:
            words = [word for word in words if word.isalnum() or not _is_marks(word)]
        if self._own_punctuation:
            words = [word.translate(_SAFE) for word in words]
        if max(map(len, words), default=0) > LONGEST_WORD:
            words = [word[:LONGEST_WORD] for word in words]
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
        stem = _folded(stemmer.stemWord(word)).replace(" ", "") or word
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


def _is_marks(word: str) -> bool:
    """Whether a word has nothing but marks that belong on a letter, such as an emoji's variant, and ``_``.

    RediSearch (2.10) takes a lone ``_`` in a query for a mistake.
    """
    return all(each == "_" or unicodedata.category(each)[0] == "M" for each in word)
